import { chooseCanaries, NoCanaries } from "../../cp/hub/canaries.ts";
import { Hub } from "../../cp/hub/hub.ts";
import { fencedMove, type FenceOptions } from "../../cp/api/fenced_move.ts";
import { newHold, placeHold } from "../../cp/api/holds.ts";
import { guarded, type GuardLimits, guardProblem } from "../../cp/api/guard.ts";
import { CommittedAssertions } from "../../cp/api/committed_assertions.ts";
import { ProblemError } from "../../cp/api/problem.ts";
import type { Rollout, RolloutGoal } from "../../cp/hub/fleet.ts";
import {
  type Committed,
  type Edit,
  EmptyStore,
  NothingBefore,
  OnTrial,
  RolloutUnderWay,
  type Staging,
  StoreDamaged,
  StoreUnavailable,
  type Version,
  type VersionStore,
} from "../../cp/store/store.ts";
import { SILENT } from "../../cp/store/store_contract.ts";
import { rulesDigest } from "../../cp/store/version_info.ts";
import type { Config } from "../../shared/config.ts";
import { CustomerMap } from "../../shared/customers.ts";
import type { Logger } from "../../shared/log.ts";
import type { Checker } from "./checker.ts";
import { customersOf, type History, type Node, type Pin } from "./history.ts";
import type { Traffics } from "./data_plane.ts";
import { OLDER_SOFTWARE, type Place } from "./place.ts";
import { RemoteCalls } from "./remote_calls.ts";
import { Process, type Simulation } from "./simulation.ts";
import { type SimulatedHub, type Variation, wrapped } from "./variation.ts";

/** What the first edit of an empty store starts from. */
const EMPTY_CONFIG: Config = {
  defaultPlacement: "p1",
  endpoints: new Map([["p1", "http://10.0.1.1:9001"], [
    "p2",
    "http://10.0.1.2:9002",
  ], ["p3", "http://10.0.1.3:9003"]]),
  customers: CustomerMap.EMPTY,
};
const NOBODY = { author: null, message: null };
/** What `CP_GUARD_SHARE` and `CP_GUARD_MIN` are where nobody sets them. */
const GUARD: GuardLimits = { share: 0.2, min: 10 };
/** What a control plane that is starting gives the first read of its store. */
const FIRST_READ_MS = 5000;

/** What a control plane works in. */
export interface ControlPlaneOptions {
  readonly simulation: Simulation;
  readonly place: Place;
  readonly history: History;
  readonly checker: Checker;
  readonly traffics: Traffics;
  readonly variation: Variation;
  readonly exclusive: boolean;
  /** Bytes of a frame. */
  readonly frameBytes: number;
  /** Its process is no more: whatever was connected to it breaks. */
  readonly ended: (process: Process) => void;
}

/** An edit that is to be made: customers to placements; null for one that is dropped. */
export type Change = ReadonlyMap<string, string | null>;

/** Who edits: somebody who has confirmed what is much or not, or software that knows of no guard. */
export type Editor = "confirmed" | "unconfirmed" | typeof OLDER_SOFTWARE;

interface CommitOptions {
  readonly change: Change | null;
  /** What of its rollout is waited for, for so many milliseconds; null: nothing. */
  readonly until: RolloutGoal;
  readonly waitMs: number | null;
}

/** One control plane, through all of its lives. */
export class ControlPlane {
  readonly name: string;
  /** Null while it is down. */
  process: Process | null = null;
  /** Null until it listens. */
  hub: SimulatedHub | null = null;
  calls: RemoteCalls | null = null;
  /** Edits, waits for their rollouts, fenced moves and changes of rules that have not ended. */
  waits = 0;
  /** Fenced moves that came to their end. */
  fenced = 0;
  /** Edits that were refused because they change much. */
  guarded = 0;
  /** Rules that were set. */
  pins = 0;
  /** Rollouts that ended by themselves: how often that was tried. */
  promoted = 0;
  halted = 0;
  haltedByErrors = 0;
  /** What the newest wait answered. */
  rollout: Rollout | null = null;
  #newestWait: unknown = null;
  readonly #options: ControlPlaneOptions;
  #store: VersionStore | null = null;
  #assertions: CommittedAssertions | null = null;
  #lives = 0;
  #stopping = false;
  /** Aborts when it is told to stop. */
  #stopped = new AbortController();

  constructor(name: string, options: ControlPlaneOptions) {
    this.name = name;
    this.#options = options;
  }

  /** Starts its process, unless it runs. */
  start(): void {
    if (this.process !== null) return;
    const { simulation } = this.#options;
    const process = new Process(simulation, `${this.name}.${++this.#lives}`);
    this.process = process;
    this.calls = new RemoteCalls(simulation, process);
    this.waits = 0;
    this.#stopping = false;
    this.#stopped = new AbortController();
    simulation.after(0, process, () => void this.#serve(process));
  }

  /** It was told to stop, and has not ended yet. */
  get stopping(): boolean {
    return this.#stopping && this.process !== null;
  }

  /** It is killed: nothing of it goes on. */
  crash(): void {
    const { process } = this;
    if (process === null) return;
    const { simulation } = this.#options;
    if (simulation.traced) simulation.trace(`${process.name} is killed`);
    this.#end(process);
  }

  /** It is told to stop, and ends in order; `stopped` is called when it has, just before its process ends. */
  stop(stopped: () => void = () => {}): void {
    const { process, hub } = this;
    if (process === null || this.#stopping) return;
    if (hub === null) {
      this.crash();
      stopped();
      return;
    }
    this.#stopping = true;
    this.#stopped.abort();
    this.#options.simulation.after(0, process, () => {
      void (async () => {
        await hub.stop();
        await this.#store?.close();
        stopped();
        this.#options.simulation.after(1, null, () => this.#end(process));
      })();
    });
  }

  /** Commits an edit, as the API does; where it is to be waited for, for so many milliseconds. */
  edit(
    change: Change,
    options: {
      waitMs: number | null;
      drained?: boolean;
      confirmWithinMs?: number | null;
      staged?: { canaries: number; holdMs: number } | null;
      by?: Editor;
    },
  ): void {
    const { confirmWithinMs, staged, by = "unconfirmed" } = options;
    this.#attempt(
      async (store, hub) =>
        await store.commit(
          this.#guarding(assigning(change, this.#assertions!), by),
          { ...NOBODY, author: by },
          {
            ...(confirmWithinMs == null ? {} : { confirmWithinMs }),
            ...(staged == null ? {} : { staging: await staging(hub, staged) }),
          },
        ),
      { change, until: options.drained ? "drained" : "applied", ...options },
    );
  }

  /** An edit that is refused where it changes much and nobody has confirmed that. */
  #guarding(edit: Edit, by: Editor): Edit {
    const limits = this.#options.variation.guard ?? GUARD;
    return async (current, head) => {
      const config = await edit(current, head);
      if (by !== "unconfirmed") return config;
      const found = await guarded(current, config, limits);
      if (found?.confirm != null) {
        this.guarded++;
        throw await guardProblem(current, config, found);
      }
      return config;
    };
  }

  /** Keeps the version that waits to be confirmed, if one does. */
  confirm(): void {
    this.within(async (hub) => {
      const trial = hub.standing?.head.trial;
      if (trial == null) return;
      try {
        await this.#store!.confirm(trial.version);
      } catch (error) {
        if (!isStoreError(error)) throw error;
      }
    });
  }

  /** Promotes or aborts the version that is for canaries only, if one is, as `POST /v1/rollouts/{id}/…` does. */
  endRollout({ promote }: { promote: boolean }): void {
    this.within(async (hub) => {
      const rollout = hub.standing?.head.rollout;
      if (rollout == null) return;
      try {
        const author = "somebody";
        if (promote) await hub.promote(rollout, author);
        else await hub.abort(rollout, { author, reason: null });
      } catch (error) {
        if (!isStoreError(error)) throw error;
      }
    });
  }

  /** Moves a customer without serving both sides, as `POST /v1/moves` does. */
  fencedMove(
    options:
      & { customer: string; placement: string }
      & Omit<FenceOptions, "customers">,
  ): void {
    this.within((hub) => void this.#fencedMove(this.#store!, hub, options));
  }

  /** Keeps a customer's requests waiting, as `POST /v1/customers/{customer}/hold` does. */
  hold({ customer, forMs }: { customer: string; forMs: number }): void {
    this.within(async (hub) => {
      const hold = newHold([customer], {
        forMs,
        untilReleased: false,
        cutStreamsMs: null,
        author: null,
      });
      try {
        await placeHold(this.#store!, hold);
        await hub.refresh();
      } catch (error) {
        if (!isStoreError(error)) throw error;
      }
    });
  }

  /** Makes this the only rule that versions have to satisfy, as `PUT /v1/assertions` does; null: there are none. */
  pin(pin: Pin | null): void {
    this.within(async () => {
      const { history, simulation } = this.#options;
      const rules = pin === null ? [] : [{
        name: "pin",
        customers: pin.customer,
        placements: pin.placement,
      }];
      if (pin !== null) {
        history.pinned(pin, rulesDigest(JSON.stringify(rules))!);
      }
      this.waits++;
      try {
        await this.#assertions!.set(rules);
        if (pin !== null) this.pins++;
      } catch (error) {
        if (!isStoreError(error)) throw error;
        simulation.trace(`no pin: ${error}`);
      } finally {
        this.waits--;
      }
    });
  }

  /** Ends a conflict, as `POST /v1/takeover` does. */
  takeover(): void {
    this.#attempt(async (store, hub) => {
      const { highestVersion, epochs } = await hub.conflicts();
      return await store.takeover({ above: highestVersion, epochs }, NOBODY);
    }, { change: null, until: "applied", waitMs: null });
  }

  /** Runs something in its process; where it is down, not at all. */
  within(run: (hub: SimulatedHub) => void): void {
    const { process, hub } = this;
    if (process === null || hub === null) return;
    this.#options.simulation.after(0, process, () => run(hub));
  }

  async #serve(process: Process): Promise<void> {
    const { simulation, place, variation, exclusive } = this.#options;
    try {
      const opened = await place.open(this.calls!, {
        wrapKv: variation.kv ?? ((kv) => kv),
      });
      const watched = this.#watched(process, opened);
      const store = variation.store?.(watched) ?? watched;
      this.#store = store;
      this.#assertions = new CommittedAssertions(store);
      const made: SimulatedHub = new Hub({
        store,
        log: simulation.traced ? tracingLog(simulation) : SILENT,
        exclusive,
        controlPlane: process.name,
        clock: process.clock,
        limits: { frameBytes: this.#options.frameBytes },
      });
      const hub = variation.hub?.(made) ?? made;
      await Promise.race([hub.start(), process.pause(FIRST_READ_MS)]);
      this.hub = hub;
    } catch (error) {
      if (!isStoreError(error)) throw error;
      // The program says so and ends; whatever looks after it starts it again.
      simulation.trace(`cannot start: ${error}`);
      this.#end(process);
      simulation.after(1000, null, () => this.start());
    }
  }

  /** A store that tells the checker when a rollout ends by itself. */
  #watched(process: Process, store: VersionStore): VersionStore {
    const { checker } = this.#options;
    return wrapped(store, {
      promote: async (version, by, ends) => {
        const { epoch } = await store.head();
        if (by === null) {
          checker.promoting(process.name, { version, epoch });
          this.promoted++;
        }
        return await store.promote(version, by, ends);
      },
      commit: async (edit, attribution, options) => {
        if (options?.halts?.outcome === "halted") {
          this.halted++;
          if (options.halts.reason?.includes("failed")) this.haltedByErrors++;
        }
        return await store.commit(edit, attribution, options);
      },
    });
  }

  #attempt(
    commit: (store: VersionStore, hub: SimulatedHub) => Promise<Committed>,
    options: CommitOptions,
  ): void {
    this.within((hub) => void this.#commit(this.#store!, hub, commit, options));
  }

  async #commit(
    store: VersionStore,
    hub: SimulatedHub,
    commit: (store: VersionStore, hub: SimulatedHub) => Promise<Committed>,
    { change, waitMs, until }: CommitOptions,
  ): Promise<void> {
    const { simulation, history } = this.#options;
    const { rollbacks } = history;
    const watch = waitMs === null ? null : hub.follow();
    this.waits++;
    this.#newestWait = watch ?? this.#newestWait;
    try {
      const committed = await commit(store, hub);
      const { version } = committed;
      this.#acknowledge(committed, { change, rollbacks });
      if (watch !== null) {
        const rollout = await watch.wait(version, {
          timeoutMs: waitMs!,
          until,
        });
        if (this.#newestWait === watch) this.rollout = rollout;
        if (rollout.state === "drained") this.#checkDrained(version);
        if (simulation.traced) {
          simulation.trace(`rollout ${JSON.stringify(rollout)}`);
        }
      }
    } catch (error) {
      if (!isStoreError(error)) throw error;
      simulation.trace(`edit failed: ${error}`);
    } finally {
      watch?.end();
      this.waits--;
    }
  }

  async #fencedMove(
    store: VersionStore,
    hub: SimulatedHub,
    options:
      & { customer: string; placement: string }
      & Omit<
        FenceOptions,
        "customers"
      >,
  ): Promise<void> {
    const { simulation, history, traffics } = this.#options;
    const { customer, placement } = options;
    const { rollbacks } = history;
    const assertions = this.#assertions!;
    const change = new Map([[customer, placement]]);
    const watched: ReturnType<Traffics["watch"]>[] = [];
    this.waits++;
    try {
      const { fenced, made } = await fencedMove({
        store,
        fleet: hub,
        author: null,
        left: this.#stopped.signal,
        stopping: this.#stopped.signal,
      }, {
        customers: [customer],
        ...options,
        commit: async (within) => {
          const edit = within(assigning(change, assertions));
          const committed = await store.commit(async (current, head) => {
            const config = await edit(current, head);
            if (watched.length === 0) watched.push(traffics.watch(customer));
            return config;
          }, NOBODY);
          this.#acknowledge(committed, { change, rollbacks });
          return committed;
        },
      });
      if (simulation.traced) {
        simulation.trace(
          `fenced move to ${made.version.version}: ${JSON.stringify(fenced)}`,
        );
      }
      this.fenced++;
      const { move } = watched[0]!;
      // A later edit, which is not fenced, may be the one that serves both sides.
      if (
        fenced.proven && move.overlap !== null && history.rollbacks === 0 &&
        move.overlap.newest <= made.version.version
      ) {
        simulation.fail(
          "a fenced move serves one side",
          `${customer} to ${placement} is called proven: ${move.overlap.what}`,
        );
      }
    } catch (error) {
      if (!isStoreError(error)) throw error;
      simulation.trace(`fenced move failed: ${error}`);
    } finally {
      for (const { end } of watched) end();
      this.waits--;
    }
  }

  /** A commit was answered. */
  #acknowledge(
    committed: Committed,
    { change, rollbacks }: { change: Change | null; rollbacks: number },
  ): void {
    const { simulation, checker } = this.#options;
    const { version, changed } = committed;
    const node = checker.acknowledge(version, { rollbacks });
    if (simulation.traced) {
      simulation.trace(
        `acknowledged ${version.epoch}/${version.version}${
          changed ? "" : " unchanged"
        }`,
      );
    }
    if (node !== null) this.#checkContents(node, committed, change);
  }

  /** What is called drained is: nothing runs anywhere that the version would send elsewhere. */
  #checkDrained(version: Version): void {
    const { simulation, history, traffics, place } = this.#options;
    const { current, rollbacks } = history;
    // A store that lost its memory does not know whom to ask.
    if (
      rollbacks > 0 || current?.version !== version.version ||
      current.epoch !== version.epoch
    ) return;
    const customers = customersOf(version);
    for (const { router, customer, placement } of traffics.running()) {
      const wanted = customers.get(customer) ?? EMPTY_CONFIG.defaultPlacement;
      // One that connects for the first time is written into the roster at once, and nobody knows it before.
      if (wanted === placement || !place.lists(router)) continue;
      simulation.fail(
        "drained is drained",
        `version ${version.version} was called drained while ${router} ran ${customer} on ${placement}, not ${wanted}`,
      );
    }
  }

  /** What was committed is the edit on top of the version before, and nothing else. */
  #checkContents(
    node: Node,
    { version, changed }: Committed,
    change: Change | null,
  ): void {
    node.customers ??= customersOf(version);
    const { simulation } = this.#options;
    const { parent, customers, pin } = node;
    // A takeover changes nothing, and a version that takes itself back is not held to rules.
    if (pin !== null && changed && change !== null) {
      const placement = customers.get(pin.customer) ??
        EMPTY_CONFIG.defaultPlacement;
      if (placement !== pin.placement) {
        simulation.fail(
          "rules hold",
          `version ${node.version} has ${pin.customer} in ${placement}, and only ${pin.placement} is allowed`,
        );
      }
    }
    const before = parent === null ? EMPTY : parent.customers;
    if (changed && version.author === "unconfirmed") {
      this.#checkGuarded(node, before);
    }
    const wanted = new Map(changed ? before : customers);
    if (before === null) return;
    for (const [customer, placement] of change ?? []) {
      if (placement === null) wanted.delete(customer);
      else wanted.set(customer, placement);
    }
    if (!equal(wanted, customers)) {
      simulation.fail(
        "no edit is lost",
        `version ${node.version} has ${show(customers)}, and should have ${
          show(wanted)
        }`,
      );
    }
  }

  /** Nobody has confirmed it, so it changes little. */
  #checkGuarded(
    { version, customers }: Node,
    before: ReadonlyMap<string, string> | null,
  ): void {
    if (before === null || before.size === 0) return;
    let touched = 0;
    for (const [customer, placement] of before) {
      if (customers!.get(customer) !== placement) touched++;
    }
    if (touched <= GUARD.min || touched <= GUARD.share * before.size) return;
    this.#options.simulation.fail(
      "what changes much is confirmed",
      `version ${version} touches ${touched} of ${before.size} customers, and nobody has confirmed that`,
    );
  }

  #end(process: Process): void {
    if (this.process !== process) return;
    process.alive = false;
    this.process = null;
    this.hub = null;
    this.calls = null;
    this.#store = null;
    this.#assertions = null;
    this.waits = 0;
    this.#options.ended(process);
  }
}

const EMPTY: ReadonlyMap<string, string> = new Map();

/** The edit that assigns some customers. */
function assigning(change: Change, assertions: CommittedAssertions): Edit {
  return async (current, head) => {
    const before = current?.config ?? EMPTY_CONFIG;
    const customers = before.customers.with([...change]);
    const config = { ...before, customers };
    await assertions.check(config, head);
    return config;
  };
}

function isStoreError(error: unknown): boolean {
  return error instanceof StoreUnavailable || error instanceof StoreDamaged ||
    error instanceof EmptyStore || error instanceof RangeError ||
    error instanceof ProblemError || error instanceof OnTrial ||
    error instanceof NothingBefore || error instanceof RolloutUnderWay ||
    error instanceof NoCanaries;
}

/** A rollout to so many canaries, chosen as the API chooses them. */
async function staging(
  hub: SimulatedHub,
  { canaries, holdMs }: { canaries: number; holdMs: number },
): Promise<Staging> {
  const choice = { kind: "count", count: canaries } as const;
  return {
    canaries: await hub.counted(
      chooseCanaries(choice, await hub.candidates(), Math.random),
    ),
    holdMs,
    maxErrors: 0.01,
  };
}

function equal(
  a: ReadonlyMap<string, string>,
  b: ReadonlyMap<string, string>,
): boolean {
  return a.size === b.size &&
    [...a].every(([key, value]) => b.get(key) === value);
}

function show(customers: ReadonlyMap<string, string>): string {
  return [...customers].sort().map((pair) => pair.join("=")).join(" ");
}

function tracingLog(simulation: Simulation): Logger {
  const tell =
    (level: string): Logger["info"] => (message, properties = {}) => {
      const { router = "", version = "", reason = "", error } = properties;
      simulation.trace(
        `${level}: ${message} ${router} ${version} ${reason} ${error ?? ""}`
          .trimEnd(),
      );
    };
  return {
    debug: () => {},
    info: tell("info"),
    warn: tell("warn"),
    error: tell("error"),
  };
}
