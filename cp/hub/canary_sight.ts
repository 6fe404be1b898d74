import { atTime, type Clock } from "../../shared/clock.ts";
import type { Canary, RouterRecord, StagedRollout } from "../store/store.ts";
import { type CanaryState, type CanaryView, countedUnder } from "./canaries.ts";
import { COUNTS_MS, type CountSample, difference } from "./counts.ts";
import type { Answer } from "./rollout.ts";

/** How long a canary may be away before it counts as lost: a connection that broke is back by then. */
const LOST_MS = 5_000;
/**
 * The same for canaries of which this process cannot know better: that have yet to come back to it after its start, or
 * were connected to another control plane, which may be starting anew itself and looks at them as long as it runs.
 */
const RETURN_MS = 30_000;
/** How much longer than the hold a canary may take to apply the version. */
const SETTLE_MS = 5_000;
/** How often control planes tell each other of the canaries, by the roster, which is large. */
export const RECORD_MS = 2_000;
/** The record of a canary elsewhere that does not change for so long tells of nobody who is alive. */
const FRESH_MS = 8_000;
/** One that says it counts, and does not within so long after the hold, is taken for one that does not. */
const HEAR_MS = 15_000;

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

/** What is seen of the routers. */
export interface CanarySource {
  /** The connections with this id. */
  here(id: string, rollout: StagedRollout): readonly CanaryStanding[];
  /** The roster's routers that are connected to other control planes. */
  elsewhere(): Promise<readonly RouterRecord[]>;
  answerElsewhere(record: RouterRecord, rollout: StagedRollout): Answer;
  /** Asks a canary for its counts. */
  ask(id: string): void;
}

/** What is remembered of a canary while its rollout lasts. */
interface Track {
  /** Since when it has been seen without a break; null while it is away, or was not seen yet. */
  seenSince: number | null;
  /** Since when it has been away; null while it is not. */
  awaySince: number | null;
  /** Where it was seen last; null before. */
  seen: "here" | "elsewhere" | null;
  /** Whether it was seen not to serve the version yet. */
  pending: boolean;
  /** When it was seen to serve the version; null before. */
  appliedAt: number | null;
  /** What its record said, and since when it has. */
  record: { readonly liveUntil: string; readonly since: number } | null;
}

/** A canary, and what its rollout may wait for. */
export interface Look {
  readonly view: CanaryView;
  readonly here: boolean;
  /** It serves the version, and has told how that went until after the hold. */
  readonly ready: boolean;
  /** It had the time to apply the version, and has not. */
  readonly overdue: boolean;
}

/** What this process sees of the canaries of one rollout, here and by the roster, and has seen so far. */
export class CanarySight {
  readonly rollout: StagedRollout;
  readonly #clock: Clock;
  readonly #source: CanarySource;
  /** When the canaries were chosen, and when this process began, on the clock that never jumps. */
  readonly #chosenAt: number;
  readonly #startedAt: number;
  readonly #tracks = new Map<string, Track>();
  #records: { at: number; elsewhere: Map<string, RouterRecord> } | null = null;

  constructor(rollout: StagedRollout, options: {
    clock: Clock;
    source: CanarySource;
    chosenAt: number;
    startedAt: number;
  }) {
    this.rollout = rollout;
    this.#clock = options.clock;
    this.#source = options.source;
    this.#chosenAt = options.chosenAt;
    this.#startedAt = options.startedAt;
  }

  /** When the rollout's time is over, as far as is known: its last canary has served it for the hold. */
  get endsAt(): number {
    const applied = [...this.#tracks.values()].map(({ appliedAt }) =>
      appliedAt ?? this.#chosenAt
    );
    return Math.max(this.#chosenAt, ...applied) + this.rollout.holdMs;
  }

  /** The canaries as they stand now. */
  async looks(): Promise<Look[]> {
    const { canaries } = this.rollout;
    const all = canaries.every(({ id }) => this.#here(id).length > 0);
    const elsewhere = all
      ? new Map<string, RouterRecord>()
      : await this.#elsewhere();
    return canaries.map((canary) => {
      // They may have come, or gone, while the roster was read.
      const standings = this.#here(canary.id);
      if (standings.length > 0) return this.#lookHere(canary, standings);
      const record = elsewhere.get(canary.id);
      return record !== undefined && this.#isFresh(record)
        ? this.#lookElsewhere(canary, record)
        : this.#lookAway(canary);
    });
  }

  #here(id: string): readonly CanaryStanding[] {
    return this.#source.here(id, this.rollout);
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

  #lookHere(canary: Canary, standings: readonly CanaryStanding[]): Look {
    const { holdMs } = this.rollout;
    const now = this.#clock.now();
    const track = this.#see(canary, "here");
    const seenSince = track.seenSince!;
    // Of several routers with one id the one counts that was chosen.
    const same = standings.find(({ instance }) => isSame(canary, instance));
    const { answer, counts, tells, appliedAt, openedAt } = same ??
      standings[0]!;
    const state = canaryState(same === undefined ? null : answer);
    track.pending ||= state.state === "pending";
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
      now >= Math.max(endsAt, seenSince) + HEAR_MS;
    // What a connection that is new serves is not known before it has been judged.
    const applyBy = Math.max(this.#chosenAt + holdMs, seenSince, openedAt) +
      SETTLE_MS;
    return {
      here: true,
      ready: state.state === "applied" && (!tells || heard),
      overdue: state.state === "pending" && now >= applyBy,
      view: {
        ...state,
        id: canary.id,
        counted: countedUnder(counts, canary, { from, openedAt }),
        before: canary.before,
      },
    };
  }

  #lookElsewhere(canary: Canary, record: RouterRecord): Look {
    const track = this.#see(canary, "elsewhere");
    const now = this.#clock.now();
    const { counted } = record;
    const answer = this.#source.answerElsewhere(record, this.rollout);
    const state = canaryState(isSame(canary, record.instance) ? answer : null);
    track.pending ||= state.state === "pending";
    if (state.state === "applied") {
      // When it applied it is told by the clock of who wrote the record, which may be ahead.
      const told = atTime(this.#clock, record.appliedAt);
      track.appliedAt ??= Math.min(
        now,
        told ?? (track.pending ? now : this.#chosenAt),
      );
    }
    return {
      here: false,
      ready: state.state === "applied",
      // The control plane that it is connected to knows better.
      overdue: false,
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

  #lookAway({ id, before }: Canary): Look {
    const now = this.#clock.now();
    const track = this.#track(id);
    track.seenSince = null;
    track.awaySince ??= now;
    const lostAt = track.seen === null
      ? Math.max(track.awaySince + LOST_MS, this.#startedAt + RETURN_MS)
      : track.awaySince + (track.seen === "here" ? LOST_MS : RETURN_MS);
    const state = now >= lostAt ? "lost" : "gone";
    return {
      here: false,
      ready: false,
      overdue: false,
      view: { id, state, error: null, counted: null, before },
    };
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
        pending: false,
        appliedAt: null,
        record: null,
      };
      this.#tracks.set(id, track);
    }
    return track;
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
