import type { Clock } from "../../shared/clock.ts";
import { show } from "../../shared/json.ts";
import type { Logger } from "../../shared/log.ts";
import {
  type Canary,
  type CanaryEnd,
  type Committed,
  RolloutUnderWay,
  type RouterRecord,
  type StagedRollout,
  type VersionStore,
} from "../store/store.ts";
import { checkTrial } from "../store/version_info.ts";
import {
  type CanaryState,
  type CanaryView,
  countedUnder,
  endOf,
  troubleOf,
} from "./canaries.ts";
import { COUNTS_MS, type CountSample, difference } from "./counts.ts";
import type { Answer } from "./rollout.ts";

/** How often canaries are asked for their counts, and looked at. */
const LOOK_MS = 1_000;
/** How long a canary may be away before it counts as lost: a connection that broke is back by then. */
const LOST_MS = 5_000;
/**
 * The same for canaries of which this process cannot know better: that have yet to come back to it after its start, or
 * were connected to another control plane, which may be starting anew itself and looks at them as long as it runs.
 */
const RETURN_MS = 30_000;
/** How much longer than the hold a canary may take to apply the version. */
const SETTLE_MS = 5_000;
/** A control plane whose canaries are elsewhere promotes so much later: the others know more of them. */
const ELSEWHERE_MS = 2_000;
/** How often control planes tell each other of the canaries, by the roster, which is large. */
const RECORD_MS = 2_000;
/** The record of a canary elsewhere that does not change for so long tells of nobody who is alive. */
const FRESH_MS = 8_000;
/** One that says it counts, and does not within so long after the hold, is taken for one that does not. */
const HEAR_MS = 15_000;
/** Characters of a reason that are kept. */
const MAX_REASON = 1_000;

/** A canary as one of its connections tells of it. */
export interface CanaryStanding {
  readonly instance: string | null;
  readonly answer: Answer;
  readonly counts: readonly CountSample[];
  /** When the connection was opened. */
  readonly openedAt: number;
  /** When it applied what it serves, where that is known. */
  readonly appliedAt: number | null;
  /** Whether it counts its requests. */
  readonly tells: boolean;
}

/** What the watch sees of the routers. */
export interface CanarySource {
  /** The connections with this id. */
  here(id: string, rollout: StagedRollout): readonly CanaryStanding[];
  /** The roster's routers that are connected to other control planes. */
  elsewhere(): Promise<readonly RouterRecord[]>;
  answerElsewhere(record: RouterRecord, rollout: StagedRollout): Answer;
  /** Asks a canary for its counts. */
  ask(id: string): void;
  /** Tells the other control planes of a canary, if there may be others and it is here. */
  tell(id: string): void;
}

/** What is remembered of a canary while its rollout lasts. */
interface Track {
  /** Since when it has been seen without a break; null while it is away, or was not seen yet. */
  seenSince: number | null;
  /** Since when it has been away; null while it is not. */
  awaySince: number | null;
  /** Where it was seen last; null before. */
  seen: "here" | "elsewhere" | null;
  /** When it was seen to serve the version; null before. */
  appliedAt: number | null;
  /** What its record said, and since when it has. */
  record: { readonly liveUntil: string; readonly since: number } | null;
}

/** A canary, and whether all is known of it that a promotion needs. */
interface Look {
  readonly view: CanaryView;
  readonly here: boolean;
  /** It serves the version, and has told how that went until after the hold. */
  readonly ready: boolean;
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
  /** When its canaries were chosen, on the clock that never jumps. */
  #chosenAt = 0;
  /** Whether the store has told of a head before. */
  #told = false;
  readonly #tracks = new Map<string, Track>();
  #records: { at: number; elsewhere: Map<string, RouterRecord> } | null = null;
  #askedAt = -Infinity;
  #toldAt = -Infinity;
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
    const first = !this.#told;
    this.#told = true;
    const before = this.#rollout;
    if (
      rollout?.version === before?.version &&
      rollout?.startedAt === before?.startedAt
    ) return;
    this.#cancel?.();
    this.#cancel = null;
    this.#rollout = rollout;
    this.#tracks.clear();
    this.#records = null;
    this.#askedAt = this.#toldAt = -Infinity;
    this.#failing = false;
    if (rollout === null || this.#stopped) return;
    // Only one that began before this process is as old as the clocks say, which may not agree.
    const age = first ? this.#clock.wall() - Date.parse(rollout.startedAt) : 0;
    this.#chosenAt = this.#clock.now() - Math.max(0, age);
    this.#log.info("a version is being rolled out to canaries first", {
      version: rollout.version,
      canaries: rollout.canaries.map(({ id }) => id),
      until: rollout.until,
    });
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
    return (await this.#looks(rollout)).map(({ view }) => view);
  }

  #look(): void {
    if (this.#stopped || this.#looking !== null) return;
    this.#cancel?.();
    this.#cancel = null;
    const rollout = this.#rollout;
    if (rollout === null) return;
    this.#ask(rollout);
    this.#looking = this.#judge(rollout).finally(() => {
      this.#looking = null;
      if (this.#rollout === null || this.#stopped) return;
      if (this.#rollout !== rollout) return this.#look();
      this.#cancel = this.#clock.after(LOOK_MS, () => {
        this.#cancel = null;
        this.#look();
      });
    });
  }

  #ask({ canaries }: StagedRollout): void {
    const now = this.#clock.now();
    if (now - this.#askedAt < LOOK_MS) return;
    this.#askedAt = now;
    for (const { id } of canaries) this.#source.ask(id);
    if (now - this.#toldAt < RECORD_MS) return;
    this.#toldAt = now;
    for (const { id } of canaries) this.#source.tell(id);
  }

  async #judge(rollout: StagedRollout): Promise<void> {
    try {
      const looks = await this.#looks(rollout);
      if (this.#rollout !== rollout || this.#stopped) return;
      for (const { view } of looks) {
        const trouble = troubleOf(view, rollout);
        if (trouble !== null) {
          return await this.#halt(rollout, trouble, endsOf(looks));
        }
      }
      const now = this.#clock.now();
      const endsAt = this.#endsAt(rollout);
      const pending = looks.find(({ view, here }) =>
        here && view.state === "pending"
      );
      if (pending !== undefined) {
        const { id } = pending.view;
        const { seenSince } = this.#track(id);
        const applyBy = this.#chosenAt + rollout.holdMs;
        const since = Math.max(applyBy, seenSince ?? now);
        if (now - since < SETTLE_MS) return;
        return await this.#halt(
          rollout,
          `Router ${show(id)} has not applied it in time.`,
          endsOf(looks),
        );
      }
      if (!looks.every(({ ready }) => ready)) return;
      const elsewhere = looks.some(({ here }) => !here);
      if (now >= endsAt + (elsewhere ? ELSEWHERE_MS : 0)) {
        await this.#promote(rollout, endsOf(looks));
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

  /** When its time is over: its last canary has served it for the hold. */
  #endsAt({ holdMs }: StagedRollout): number {
    const applied = [...this.#tracks.values()].map(({ appliedAt }) =>
      appliedAt ?? this.#chosenAt
    );
    return Math.max(this.#chosenAt, ...applied) + holdMs;
  }

  async #looks(rollout: StagedRollout): Promise<Look[]> {
    const all = rollout.canaries.every(({ id }) =>
      this.#source.here(id, rollout).length > 0
    );
    const elsewhere = all ? new Map<string, RouterRecord>() : await this
      .#elsewhere();
    return rollout.canaries.map((canary) => {
      // They may have come, or gone, while the roster was read.
      const standings = this.#source.here(canary.id, rollout);
      if (standings.length > 0) {
        return this.#lookHere(canary, rollout, standings);
      }
      const record = elsewhere.get(canary.id);
      return record !== undefined && this.#isFresh(record)
        ? this.#lookElsewhere(canary, rollout, record)
        : { view: this.#awayView(canary), here: false, ready: false };
    });
  }

  /** Routers of other control planes; as they were up to {@linkcode RECORD_MS} ago. */
  async #elsewhere(): Promise<Map<string, RouterRecord>> {
    const known = this.#records;
    const now = this.#clock.now();
    if (known !== null && now - known.at < RECORD_MS) {
      return known.elsewhere;
    }
    const records = await this.#source.elsewhere();
    const elsewhere = new Map(records.map((record) => [record.id, record]));
    this.#records = { at: this.#clock.now(), elsewhere };
    return elsewhere;
  }

  /** By how long ago it changed: the clock of who wrote it may be another. */
  #isFresh({ id, liveUntil }: RouterRecord): boolean {
    const track = this.#track(id);
    const now = this.#clock.now();
    if (track.record?.liveUntil !== liveUntil) {
      track.record = { liveUntil, since: now };
    }
    return now - track.record.since < FRESH_MS;
  }

  #lookHere(
    canary: Canary,
    { holdMs }: StagedRollout,
    standings: readonly CanaryStanding[],
  ): Look {
    const now = this.#clock.now();
    const track = this.#see(canary, "here");
    // Of several routers with one id the one counts that was chosen.
    const same = standings.find(({ instance }) => isSame(canary, instance));
    const { answer, counts, tells, appliedAt, openedAt } = same ??
      standings[0]!;
    const state = canaryState(same === undefined ? null : answer);
    if (state.state === "applied" && track.appliedAt === null) {
      // One that has it as this process begins to look has had it since it was chosen, as far as is known.
      // Where that was told by another process its clock may have been ahead.
      track.appliedAt = Math.min(now, appliedAt ?? this.#chosenAt);
      // What it tells now is what its requests are counted from.
      this.#source.ask(canary.id);
    }
    const from = Math.max(
      now - COUNTS_MS,
      this.#chosenAt,
      track.appliedAt ?? 0,
    );
    const endsAt = (track.appliedAt ?? now) + holdMs;
    const heard = (counts.at(-1)?.at ?? -Infinity) >= endsAt ||
      now >= Math.max(endsAt, track.seenSince!) + HEAR_MS;
    return {
      here: true,
      ready: state.state === "applied" && (!tells || heard),
      view: {
        ...state,
        id: canary.id,
        counted: countedUnder(counts, canary, { from, openedAt }),
        before: canary.before,
      },
    };
  }

  #lookElsewhere(
    canary: Canary,
    rollout: StagedRollout,
    record: RouterRecord,
  ): Look {
    const track = this.#see(canary, "elsewhere");
    const { counted } = record;
    const answer = this.#source.answerElsewhere(record, rollout);
    const state = canaryState(isSame(canary, record.instance) ? answer : null);
    if (state.state === "applied") track.appliedAt ??= this.#chosenAt;
    return {
      here: false,
      ready: state.state === "applied",
      view: {
        ...state,
        id: canary.id,
        counted: counted === null || canary.counted === null
          ? null
          : difference(counted, canary.counted),
        before: canary.before,
      },
    };
  }

  #awayView({ id, before }: Canary): CanaryView {
    const now = this.#clock.now();
    const track = this.#track(id);
    track.seenSince = null;
    track.awaySince ??= now;
    const lostAt = track.seen === null
      ? Math.max(track.awaySince + LOST_MS, this.#startedAt + RETURN_MS)
      : track.awaySince + (track.seen === "here" ? LOST_MS : RETURN_MS);
    const state = now >= lostAt ? "lost" : "gone";
    return { id, state, error: null, counted: null, before };
  }

  #see({ id }: Canary, where: "here" | "elsewhere"): Track {
    const track = this.#track(id);
    track.seenSince ??= this.#clock.now();
    track.awaySince = null;
    track.seen = where;
    return track;
  }

  #track(id: string): Track {
    let track = this.#tracks.get(id);
    if (track === undefined) {
      track = {
        seenSince: null,
        awaySince: null,
        seen: null,
        appliedAt: null,
        record: null,
      };
      this.#tracks.set(id, track);
    }
    return track;
  }

  async #promote(
    { version }: StagedRollout,
    ends: readonly CanaryEnd[],
  ): Promise<void> {
    await this.#store.promote(version, null, ends);
    this.stats.promoted++;
    this.#log.info("a rollout is promoted: all routers get the version", {
      version,
    });
  }

  async #halt(
    rollout: StagedRollout,
    trouble: string,
    ends: readonly CanaryEnd[],
  ): Promise<void> {
    const reason = trouble.length > MAX_REASON
      ? `${trouble.slice(0, MAX_REASON - 1)}…`
      : trouble;
    const { version } = await takeBack(this.#store, rollout, {
      outcome: "halted",
      reason,
      author: null,
      ends,
    });
    this.stats.halted++;
    this.#log.warn("a rollout is halted: what was before returns", {
      version: rollout.version,
      by: version.version,
      reason,
    });
  }
}

function endsOf(looks: readonly Look[]): CanaryEnd[] {
  return looks.map(({ view }) => endOf(view));
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
    reason: string | null;
    author: string | null;
    /** How the canaries stand. */
    ends?: readonly CanaryEnd[];
  },
): Promise<Committed> {
  const { outcome, reason, author, ends = [] } = options;
  const halts = { version, outcome, reason, ends };
  const old = await store.get(before);
  if (old === null) {
    // Once it is over others commit, and the version may be dropped.
    checkTrial(await store.head(), { halts }, Infinity);
    throw new Error(`Version ${before} is not kept any more`);
  }
  return await store.commit(() => old.config, {
    author,
    message: `The rollout of version ${version} was ${outcome}${
      reason === null ? "" : `: ${reason}`
    }`,
  }, { halts, replaceDamaged: true });
}
