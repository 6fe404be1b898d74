import type { Metrics } from "../../shared/metrics.ts";
import { atMost, type Clock, systemClock } from "../../shared/clock.ts";
import type { Canary, RouterRecord, StagedRollout } from "../store/store.ts";
import type { CanaryView, Candidate } from "./canaries.ts";
import { CanaryWatch } from "./canary_watch.ts";
import type { Admission } from "./connection.ts";
import { Directory } from "./directory.ts";
import { Exchange } from "./exchange.ts";
import type {
  ConflictSummary,
  Fleet,
  FleetEvent,
  HoldStanding,
  HoldView,
  Rollout,
  RolloutWatch,
  RouterView,
} from "./fleet.ts";
import type { HubOptions } from "./hub_options.ts";
import {
  holdRollout,
  type HoldSource,
  holdView,
  HoldWatch,
} from "./hold_watch.ts";
import { Judgement } from "./judgement.ts";
import { OrderSender } from "./orders.ts";
import { Pacer, PACER_LIMITS } from "./pacer.ts";
import { type Refusal, Refusals } from "./refusals.ts";
import {
  answerOfRecord,
  type Awaited,
  type OtherRouters,
  RolloutFollower,
} from "./rollout.ts";
import { Propagation, type VersionPropagation } from "./propagation.ts";
import { Reverter } from "./reverter.ts";
import { Roster } from "./roster.ts";
import { SESSION_RULES } from "./session.ts";
import { isCanary, Source, type Standing } from "./source.ts";
import { HubStats, registerHub } from "./stats.ts";
import { parseStatus, viewOfRecord } from "./view.ts";

/** How long routers may take to tell what they have counted, and how often it is looked whether they have. */
const COUNTED_MS = 500;
const COUNTED_POLL_MS = 5;
/** How long a stop waits for the peers to answer a close, and for the roster to be written. */
const CLOSE_MS = 1_000;
const FLUSH_MS = 3_000;

/** The routers of this control plane: pushes to each what it should serve, and knows what it does. */
export class Hub implements Fleet {
  readonly #clock: Clock;
  readonly #maxConnections: number;
  readonly #source: Source;
  readonly #judgement: Judgement;
  readonly #pacer: Pacer;
  readonly #roster: Roster;
  readonly #stats = new HubStats();
  readonly #propagation = new Propagation();
  readonly #directory: Directory;
  readonly #exchange: Exchange;
  readonly #orders: OrderSender;
  readonly #reverter: Reverter;
  readonly #canaryWatch: CanaryWatch;
  /** The rollout under way, as the followers of rollouts see it. */
  #rollout: StagedRollout | null = null;
  readonly #holdWatches = new Set<HoldWatch>();
  readonly #refusals: Refusals;
  readonly #followers = new Set<RolloutFollower>();
  readonly #listeners = new Set<(event: FleetEvent) => void>();
  #admitted = 0;
  #stopped: Promise<void> | null = null;

  constructor(options: HubOptions) {
    const { store, log, clock = systemClock } = options;
    const { url = "http://127.0.0.1:8081" } = options;
    this.#clock = clock;
    this.#refusals = new Refusals(log);
    const controlPlane = options.controlPlane ?? crypto.randomUUID();
    const rules = {
      ...SESSION_RULES,
      pingIntervalMs: options.pingIntervalMs ?? SESSION_RULES.pingIntervalMs,
      timeoutMs: options.routerTimeoutMs ?? SESSION_RULES.timeoutMs,
      ...options.rules,
    };
    this.#maxConnections = options.maxConnections ?? 20_000;
    this.#pacer = new Pacer(
      clock,
      { ...PACER_LIMITS, ...options.limits },
      () => this.#directory.all.size,
    );
    this.#source = new Source({
      store,
      log,
      clock,
      changed: (standing) => this.#changed(standing),
      ordered: ({ orders, trial, rollout }) => {
        this.#orders.changed(orders);
        this.#reverter.changed(trial);
        this.#canaryWatch.changed(rollout);
      },
      wanted: () => this.#directory.all.size > 0,
    });
    this.#directory = new Directory({
      clock,
      source: this.#source,
      controlPlane,
    });
    this.#judgement = new Judgement({
      source: this.#source,
      log,
      url: typeof url === "function" ? url : () => url,
      connections: this.#directory.all,
      want: (connection, want) =>
        this.#exchange.dispatch(connection, {
          type: "want",
          now: clock.now(),
          want,
        }),
      judged: (connection) => {
        const { id, named, verdict } = connection;
        this.#notice(id);
        if (verdict?.kind === "conflict") {
          this.#tell("conflict", this.#directory.view(connection));
        }
        // Other control planes hear of a verdict through the roster alone.
        if (named && !options.exclusive) this.#roster.touch(id);
      },
      welcomed: (connection) => this.#exchange.welcomed(connection),
    });
    this.#roster = new Roster({
      store,
      log,
      clock,
      controlPlane,
      exclusive: options.exclusive,
      live: (id) =>
        this.#directory.record(id, { liveUntil: this.#roster.liveUntil() }),
      liveIds: () => this.#directory.namedIds(),
      isLive: (id) => this.#directory.hasId(id),
    });
    this.#reverter = new Reverter({ store, log, clock });
    this.#canaryWatch = new CanaryWatch({
      store,
      log,
      clock,
      source: {
        here: (id, rollout) =>
          this.#directory.canary(id, this.#awaited(rollout)),
        elsewhere: async () => (await this.#others()).elsewhere,
        answerElsewhere: (record, rollout) => {
          const awaited = this.#awaited(rollout);
          return answerOfRecord(record, { awaited, epoch: awaited.epoch });
        },
        ask: (id) => this.#exchange.ping(id),
        tell: (id) => {
          if (!options.exclusive && this.#directory.hasId(id)) {
            this.#roster.touch(id);
          }
        },
      },
    });
    this.#orders = new OrderSender({
      clock,
      connections: this.#directory.all,
      refresh: () => this.#source.refresh(),
    });
    this.#exchange = new Exchange({
      log,
      clock,
      rules,
      source: this.#source,
      directory: this.#directory,
      judgement: this.#judgement,
      pacer: this.#pacer,
      roster: this.#roster,
      stats: this.#stats,
      propagation: this.#propagation,
      exclusive: options.exclusive,
      orders: this.#orders,
      hears: {
        change: (id) => this.#notice(id),
        event: (kind, router) => this.#tell(kind, router),
      },
    });
  }

  /**
   * Begins to follow the store; resolves when it has been read, or cannot be. Routers may connect before; they are
   * served then.
   */
  async start(): Promise<void> {
    this.#source.start();
    this.#roster.start();
    await this.#source.refresh();
  }

  /**
   * Closes all connections with 1012, gives the closes a moment to go out, and writes the roster.
   * Call it before the server's own `shutdown`, which would close them with a code of its own.
   */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  /** What the store says, as last read; null before the first read. */
  get standing(): Standing | null {
    return this.#source.standing;
  }

  /** Shows what the hub counts, under the names of SPEC section 8. */
  register(metrics: Metrics): void {
    registerHub(metrics, {
      stats: this.#stats,
      refusals: this.#refusals.counts,
      gauges: {
        connected: () => this.#directory.all.size,
        behind: () => this.#directory.countBehind(),
        conflicts: () => this.#judgement.conflicts,
        bytesInFlight: () => this.#pacer.bytesInFlight,
        bytesTotal: () => this.#pacer.bytesTotal,
        pushes: () => this.#pacer.counts,
        closing: () => this.#exchange.closing,
        rosterFailures: () => this.#roster.failures,
        onTrial: () => this.#source.standing?.head.trial ? 1 : 0,
        reverts: () => this.#reverter.reverts,
        rollingOut: () => this.#source.standing?.head.rollout ? 1 : 0,
        rollouts: () => this.#canaryWatch.stats,
      },
    });
  }

  /** Takes a place for a connection; says why there is none. */
  admit(): Admission | "full" | "stopping" {
    if (this.#stopped !== null) return "stopping";
    // A socket that is closing is still there, and its peer may never let go of it.
    const taken = this.#directory.all.size + this.#exchange.closing +
      this.#admitted;
    if (taken >= this.#maxConnections) return "full";
    this.#admitted++;
    return {
      connect: (socket, caller) => {
        this.#admitted--;
        return this.#exchange.connect(socket, caller);
      },
      cancel: () => this.#admitted--,
    };
  }

  /** Somebody was not let in. */
  refused(refusal: Refusal): void {
    // Those it turns away because it stops come back to the next one.
    if (this.#stopped === null) this.#refusals.add(refusal, this.#clock.now());
  }

  async routers(): Promise<RouterView[]> {
    // Nobody is to be called current by an older head than the caller may have seen.
    const [records] = await Promise.all([
      this.#roster.records(),
      this.#source.refresh(),
    ]);
    const views: RouterView[] = [];
    for (const connection of this.#directory.all) {
      views.push(this.#directory.view(connection));
    }
    for (const record of records) {
      // It may have connected while the roster was read.
      if (this.#directory.hasId(record.id)) continue;
      const connected = this.#roster.isElsewhere(record);
      views.push(viewOfRecord(record, { connected }));
    }
    return views.sort(byIdAndTime);
  }

  async router(id: string): Promise<RouterView[]> {
    if (this.#directory.hasId(id)) {
      await this.#source.refresh();
      const live = this.#directory.withId(id);
      if (live.length > 0) {
        return live.map((connection) => this.#directory.view(connection));
      }
    }
    return (await this.routers()).filter((view) => view.id === id);
  }

  async forget(id: string): Promise<"forgotten" | "connected" | "unknown"> {
    const views = await this.router(id);
    if (views.some((view) => view.connected)) return "connected";
    return await this.#roster.forget(id) ? "forgotten" : "unknown";
  }

  resend(id: string): number {
    return this.#exchange.resend(id);
  }

  async conflicts(): Promise<ConflictSummary> {
    const { elsewhere } = await this.#others();
    return this.#directory.conflicts(
      elsewhere.filter(({ id, status }) =>
        !this.#directory.hasId(id) && parseStatus(status).status === "conflict"
      ),
    );
  }

  follow(): RolloutWatch {
    return this.#follow();
  }

  #follow(): RolloutFollower {
    const follower = new RolloutFollower({
      ids: () => this.#directory.ids(),
      answers: (id, awaited) => this.#directory.answers(id, awaited),
      others: () => this.#others(),
      concerns: (id, { version }) => {
        const rollout = this.#rollout;
        return rollout === null || version < rollout.version ||
          isCanary(rollout, id);
      },
      answerElsewhere: (record, awaited) =>
        answerOfRecord(record, {
          awaited,
          epoch: this.#source.standing?.head.epoch ?? awaited.epoch,
        }),
    }, {
      clock: this.#clock,
      ended: () => this.#followers.delete(follower),
    });
    this.#followers.add(follower);
    return follower;
  }

  async rollout(version: Awaited): Promise<Rollout> {
    const follower = this.#follow();
    try {
      return await follower.now(version);
    } finally {
      follower.end();
    }
  }

  async candidates(): Promise<Candidate[]> {
    const here = [...this.#directory.candidates()];
    const { elsewhere } = await this.#others();
    const others = elsewhere.filter(({ id }) => !this.#directory.hasId(id));
    return [
      ...here,
      ...others.map((record) => ({
        id: record.id,
        instance: record.instance,
        counted: record.counted,
        before: record.lastMinute,
        current: parseStatus(record.status).status === "current",
        counts: record.features.includes("counts"),
      })),
    ];
  }

  async counted(canaries: readonly Canary[]): Promise<Canary[]> {
    const asked = this.#clock.now();
    for (const { id } of canaries) this.#exchange.ping(id);
    const told = () =>
      canaries.every(({ id }) => this.#directory.hasTold(id, asked));
    while (!told() && this.#clock.now() - asked < COUNTED_MS) {
      await new Promise<void>((resolve) =>
        this.#clock.after(COUNTED_POLL_MS, resolve)
      );
    }
    const now = new Map(
      Array.from(this.#directory.candidates(), (each) => [each.id, each]),
    );
    return canaries.map((canary) => {
      const { counted = canary.counted, before = canary.before } =
        now.get(canary.id) ?? {};
      return { ...canary, counted, before };
    });
  }

  canaries(rollout: StagedRollout): Promise<CanaryView[]> {
    return this.#canaryWatch.views(rollout);
  }

  async promote(rollout: StagedRollout, author: string | null): Promise<void> {
    await this.#canaryWatch.promote(rollout, author);
    await this.#source.refresh();
  }

  async abort(
    rollout: StagedRollout,
    options: { author: string | null; reason: string | null },
  ): Promise<void> {
    await this.#canaryWatch.abort(rollout, options);
    await this.#source.refresh();
  }

  async holds(): Promise<HoldView[]> {
    await this.#source.refresh();
    return await Promise.all(
      this.#orders.holds.map(async (hold) =>
        holdView(hold, await holdRollout(this.#holdSource(), hold.id))
      ),
    );
  }

  async waitForHold(
    id: string,
    options: Parameters<HoldWatch["wait"]>[1],
  ): Promise<HoldStanding> {
    const watch = new HoldWatch(this.#holdSource(), this.#clock);
    this.#holdWatches.add(watch);
    try {
      return await watch.wait(id, options);
    } finally {
      this.#holdWatches.delete(watch);
    }
  }

  refresh(): Promise<boolean> {
    return this.#source.refresh();
  }

  #changed(standing: Standing): void {
    const { version, rollout } = standing.head;
    const before = this.#rollout;
    if (before !== null && version > before.version) {
      // It is taken back, and who serves what takes its place has not taken it.
      for (const follower of this.#followers) follower.takenBack(before);
    }
    this.#rollout = rollout;
    this.#exchange.changed(standing);
    if (rollout?.version === before?.version) return;
    for (const follower of this.#followers) follower.lookAgain();
  }

  /** What the canaries of a rollout are to serve. */
  #awaited({ version }: StagedRollout): Awaited {
    return { version, epoch: this.#source.standing?.head.epoch ?? "" };
  }

  #holdSource(): HoldSource {
    return {
      has: (hold) => this.#orders.holds.some(({ id }) => id === hold),
      answers: (hold) => this.#directory.holdAnswers(hold),
      others: () => this.#others(),
    };
  }

  propagation(limit: number): VersionPropagation[] {
    return this.#propagation.newest(limit);
  }

  listen(listener: (event: FleetEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The records of routers connected to other control planes, and the ids of those that are connected nowhere. */
  async #others(): Promise<OtherRouters> {
    const elsewhere: RouterRecord[] = [];
    const gone: string[] = [];
    for (const record of await this.#roster.records()) {
      if (this.#roster.isElsewhere(record)) elsewhere.push(record);
      else if (!this.#directory.hasId(record.id)) gone.push(record.id);
    }
    return { elsewhere, gone, complete: this.#roster.complete };
  }

  async #stop(): Promise<void> {
    // Before the connections end: that is not what a rollout is to tell.
    for (const follower of [...this.#followers]) follower.end();
    const closed = this.#exchange.end();
    this.#pacer.stop();
    await atMost(CLOSE_MS, closed, this.#clock);
    await atMost(
      FLUSH_MS,
      Promise.all([
        this.#source.stop(),
        this.#roster.stop(),
        this.#reverter.stop(),
        this.#canaryWatch.stop(),
      ]),
      this.#clock,
    );
  }

  #tell(kind: FleetEvent["kind"], router: RouterView): void {
    for (const listener of this.#listeners) listener({ kind, router });
  }

  #notice(id: string): void {
    for (const follower of this.#followers) follower.notice(id);
    for (const watch of this.#holdWatches) watch.notice();
    this.#canaryWatch.notice(id);
  }
}

function byIdAndTime(a: RouterView, b: RouterView): number {
  if (a.id !== b.id) return a.id < b.id ? -1 : 1;
  return a.connected_since < b.connected_since ? -1 : 1;
}
