import type { Clock } from "../../shared/clock.ts";
import type { Logger } from "../../shared/log.ts";
import {
  type Canary,
  type Committed,
  RolloutUnderWay,
  type RouterRecord,
  type StagedRollout,
  type VersionStore,
} from "../store/store.ts";
import {
  type CanaryState,
  type CanaryView,
  countedUnder,
  troubleOf,
} from "./canaries.ts";
import { COUNTS_MS, type CountSample, difference } from "./counts.ts";
import type { Answer } from "./rollout.ts";

/** How often canaries are asked for their counts, and looked at. */
const LOOK_MS = 1_000;
/** How long a canary may be away before it counts as lost: a connection that broke is back by then. */
const LOST_MS = 5_000;
/** The same after this process was started, for canaries that have yet to come back to it. */
const RETURN_MS = 30_000;
/** How much longer than the hold a canary may take to apply the version. */
const SETTLE_MS = 5_000;
/** A control plane whose canaries are elsewhere promotes so much later: the others know more of them. */
const ELSEWHERE_MS = 2_000;
/** Characters of a reason that are kept. */
const MAX_REASON = 1_000;

/** A canary as one of its connections, or its record, tells of it. */
export interface CanaryStanding {
  readonly instance: string | null;
  readonly answer: Answer;
  readonly counts: readonly CountSample[];
}

/** What the watch sees of the routers. */
export interface CanarySource {
  /** The connections with this id. */
  here(id: string, rollout: StagedRollout): readonly CanaryStanding[];
  /** The roster's routers that are connected to other control planes. */
  elsewhere(): Promise<readonly RouterRecord[]>;
  answerElsewhere(record: RouterRecord, rollout: StagedRollout): Answer;
  /** Asks a canary for its counts. */
  ping(id: string): void;
}

/** Rollouts that this process has ended, by how. */
export interface CanaryStats {
  promoted: number;
  halted: number;
}

/**
 * Watches the canaries of a rollout: halts it as soon as one does badly, and gives the version to all once its time is
 * over. All control planes of a store do so; the store lets one of them end it.
 */
export class CanaryWatch {
  readonly stats: CanaryStats = { promoted: 0, halted: 0 };
  readonly #store: VersionStore;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #source: CanarySource;
  readonly #startedAt: number;
  #rollout: StagedRollout | null = null;
  /** When its time is over, and when its canaries were chosen, on the clock that never jumps. */
  #endsAt = 0;
  #chosenAt = 0;
  /** Since when each canary has been seen, and when it was last, by id. */
  readonly #seen = new Map<string, { first: number; last: number }>();
  #cancel: (() => void) | null = null;
  #looking: Promise<void> | null = null;
  #failing = false;
  #stopped = false;

  constructor(options: {
    store: VersionStore;
    log: Logger;
    clock: Clock;
    source: CanarySource;
  }) {
    this.#store = options.store;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#source = options.source;
    this.#startedAt = options.clock.now();
  }

  /** The store says that this version is being rolled out; null for none. */
  changed(rollout: StagedRollout | null): void {
    const before = this.#rollout;
    if (
      rollout?.version === before?.version &&
      rollout?.startedAt === before?.startedAt
    ) return;
    this.#cancel?.();
    this.#cancel = null;
    this.#rollout = rollout;
    this.#seen.clear();
    this.#failing = false;
    if (rollout === null || this.#stopped) return;
    const now = this.#clock.now();
    const age = this.#clock.wall() - Date.parse(rollout.startedAt);
    // A clock that was set back gives it no more time than was asked for.
    this.#chosenAt = now - Math.max(0, age);
    this.#endsAt = this.#chosenAt + rollout.holdMs;
    this.#log.info("a version is being rolled out to canaries first", {
      version: rollout.version,
      canaries: rollout.canaries.map(({ id }) => id),
      until: rollout.until,
    });
    this.#ask(rollout);
    this.#look();
  }

  /** Something about the routers with this id has changed. */
  notice(id: string): void {
    if (this.#rollout?.canaries.some((canary) => canary.id === id)) {
      this.#look();
    }
  }

  /** Ends it; what it does is finished. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#looking;
  }

  /** How the canaries of the rollout do. */
  async views(rollout: StagedRollout): Promise<CanaryView[]> {
    return (await this.#views(rollout)).map(({ view }) => view);
  }

  #look(): void {
    if (this.#stopped || this.#looking !== null) return;
    this.#cancel?.();
    this.#cancel = null;
    const rollout = this.#rollout;
    if (rollout === null) return;
    this.#looking = this.#judge(rollout).finally(() => {
      this.#looking = null;
      if (this.#rollout === null || this.#stopped) return;
      if (this.#rollout !== rollout) return this.#look();
      this.#cancel = this.#clock.after(LOOK_MS, () => {
        this.#cancel = null;
        this.#ask(rollout);
        this.#look();
      });
    });
  }

  #ask({ canaries }: StagedRollout): void {
    for (const { id } of canaries) this.#source.ping(id);
  }

  async #judge(rollout: StagedRollout): Promise<void> {
    try {
      const views = await this.#views(rollout);
      if (this.#rollout !== rollout || this.#stopped) return;
      for (const { view } of views) {
        const trouble = troubleOf(view, rollout);
        if (trouble !== null) return await this.#halt(rollout, trouble);
      }
      const late = this.#clock.now() - this.#endsAt;
      if (late < 0) return;
      const pending = views.find(({ view }) => view.state !== "applied");
      if (pending === undefined) {
        const elsewhere = views.some(({ here }) => !here);
        if (late >= (elsewhere ? ELSEWHERE_MS : 0)) {
          await this.#promote(rollout);
        }
      } else if (pending.view.state === "pending") {
        const { id } = pending.view;
        const since = Math.max(this.#endsAt, this.#seen.get(id)?.first ?? 0);
        if (this.#clock.now() - since < SETTLE_MS) return;
        await this.#halt(rollout, `Router ${id} has not applied it in time.`);
      }
    } catch (error) {
      // Somebody else has ended it.
      if (error instanceof RolloutUnderWay) return;
      if (!this.#failing) {
        this.#log.error("a rollout cannot be ended; trying again", {
          version: rollout.version,
          error,
        });
      }
      this.#failing = true;
    }
  }

  async #views(
    rollout: StagedRollout,
  ): Promise<{ view: CanaryView; here: boolean }[]> {
    const here = rollout.canaries.map(({ id }) =>
      this.#source.here(id, rollout)
    );
    const all = here.every((standings) => standings.length > 0);
    const elsewhere = new Map(
      all
        ? []
        : (await this.#source.elsewhere()).map((record) => [record.id, record]),
    );
    return rollout.canaries.map((canary) => {
      // They may have come, or gone, while the roster was read.
      const standings = this.#source.here(canary.id, rollout);
      const record = elsewhere.get(canary.id);
      return {
        here: standings.length > 0,
        view: standings.length > 0
          ? this.#viewOf(canary, standings)
          : record === undefined
          ? this.#goneView(canary)
          : this.#recordView(canary, rollout, record),
      };
    });
  }

  #viewOf(
    canary: Canary,
    standings: readonly CanaryStanding[],
  ): CanaryView {
    this.#see(canary);
    const now = this.#clock.now();
    // Of several routers with one id the one counts that was chosen.
    const same = standings.find(({ instance }) => isSame(canary, instance));
    const { answer, counts } = same ?? standings[0]!;
    return {
      ...canaryState(same === undefined ? null : answer),
      id: canary.id,
      counted: countedUnder(counts, canary, {
        from: now - COUNTS_MS,
        chosenAt: this.#chosenAt,
      }),
      before: canary.before,
    };
  }

  #recordView(
    canary: Canary,
    rollout: StagedRollout,
    record: RouterRecord,
  ): CanaryView {
    this.#see(canary);
    const { counted } = record;
    const answer = this.#source.answerElsewhere(record, rollout);
    return {
      ...canaryState(isSame(canary, record.instance) ? answer : null),
      id: canary.id,
      counted: counted === null || canary.counted === null
        ? null
        : difference(counted, canary.counted),
      before: canary.before,
    };
  }

  #goneView({ id, before }: Canary): CanaryView {
    const now = this.#clock.now();
    const seen = this.#seen.get(id);
    const lostAt = seen === undefined
      ? this.#startedAt + RETURN_MS
      : seen.last + LOST_MS;
    const state = now >= lostAt ? "lost" : "gone";
    return { id, state, error: null, counted: null, before };
  }

  #see({ id }: Canary): void {
    const now = this.#clock.now();
    const before = this.#seen.get(id);
    const first = before !== undefined && now - before.last <= 2 * LOOK_MS
      ? before.first
      : now;
    this.#seen.set(id, { first, last: now });
  }

  async #promote({ version }: StagedRollout): Promise<void> {
    await this.#store.promote(version, null);
    this.stats.promoted++;
    this.#log.info("a rollout is promoted: all routers get the version", {
      version,
    });
  }

  async #halt(rollout: StagedRollout, trouble: string): Promise<void> {
    const reason = trouble.length > MAX_REASON
      ? `${trouble.slice(0, MAX_REASON - 1)}…`
      : trouble;
    const { version } = await takeBack(this.#store, rollout, {
      outcome: "halted",
      reason,
      author: null,
    });
    this.stats.halted++;
    this.#log.warn("a rollout is halted: what was before returns", {
      version: rollout.version,
      by: version.version,
      reason,
    });
  }
}

/** Whether a router still runs in the process that was chosen, as far as it says. */
function isSame(canary: Canary, instance: string | null): boolean {
  return canary.instance === instance || canary.instance === null ||
    instance === null;
}

/** @param answer null where the router is not the one that was chosen. */
function canaryState(
  answer: Answer | null,
): { readonly state: CanaryState; readonly error: string | null } {
  if (answer === null) return { state: "restarted", error: null };
  const error = answer.kind === "rejected" ? answer.error : null;
  return { state: answer.kind, error };
}

/**
 * Takes a version back that only canaries serve: the contents before it return as a new version.
 *
 * @throws {RolloutUnderWay} if it is not for canaries only any more.
 */
export async function takeBack(
  store: VersionStore,
  { version, before }: StagedRollout,
  options: {
    outcome: "halted" | "aborted";
    reason: string;
    author: string | null;
  },
): Promise<Committed> {
  const { outcome, reason, author } = options;
  const old = await store.get(before);
  if (old === null) {
    // Once it is over others commit, and the version may be dropped.
    const { rollout } = await store.head();
    if (rollout?.version !== version) {
      throw new RolloutUnderWay(
        `The rollout of version ${version} is over`,
        rollout,
      );
    }
    throw new Error(`Version ${before} is not kept any more`);
  }
  return await store.commit(() => old.config, {
    author,
    message: outcome === "aborted"
      ? `The rollout of version ${version} was aborted`
      : `The rollout of version ${version} was halted: ${reason}`,
  }, { halts: { version, outcome, reason } });
}
