import type { Clock } from "../../shared/clock.ts";
import { show } from "../../shared/json.ts";
import type { Logger } from "../../shared/log.ts";
import {
  type CanaryEnd,
  type Committed,
  RolloutUnderWay,
  type StagedRollout,
  type VersionStore,
} from "../store/store.ts";
import { checkTrial } from "../store/version_info.ts";
import { type CanaryView, endOf, troubleOf } from "./canaries.ts";
import {
  CanarySight,
  type CanarySource,
  type Look,
  RECORD_MS,
} from "./canary_sight.ts";

/** How often canaries are asked for their counts, and looked at. */
const LOOK_MS = 1_000;
/** A control plane whose canaries are elsewhere promotes so much later: the others know more of them. */
const ELSEWHERE_MS = 2_000;
/** Characters of a reason that are kept. */
const MAX_REASON = 1_000;

/** What the watch sees of the routers, and asks for. */
interface WatchSource extends CanarySource {
  /** Tells the other control planes of a canary, if there may be others and it is here. */
  tell(id: string): void;
}

/** Rollouts that this process has ended, by how: by itself, or as somebody asked. */
export interface CanaryStats {
  promoted: number;
  halted: number;
  aborted: number;
}

/**
 * Watches the canaries of a rollout: halts it as soon as one does badly, and gives the version to all once its time is
 * over. All control planes of a store do so; the store lets one of them end it.
 */
export class CanaryWatch {
  readonly stats: CanaryStats = { promoted: 0, halted: 0, aborted: 0 };
  readonly #store: VersionStore;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #source: WatchSource;
  readonly #startedAt: number;
  /** What is seen of the rollout under way; null while there is none. */
  #sight: CanarySight | null = null;
  /** Whether the store has told of a head before. */
  #told = false;
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
    source: WatchSource;
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
    const before = this.#sight?.rollout ?? null;
    if (isSame(rollout, before)) return;
    this.#cancel?.();
    this.#cancel = null;
    this.#sight = null;
    this.#askedAt = this.#toldAt = -Infinity;
    this.#failing = false;
    if (rollout === null || this.#stopped) return;
    // Only one that began before this process is as old as the clocks say, which may not agree.
    const age = first ? this.#clock.wall() - Date.parse(rollout.startedAt) : 0;
    this.#sight = this.#see(rollout, Math.max(0, age));
    this.#log.info("a version is being rolled out to canaries first", {
      version: rollout.version,
      canaries: rollout.canaries.map(({ id }) => id),
      until: rollout.until,
    });
    this.#look();
  }

  /** Something about the routers with this id has changed. */
  notice(id: string): void {
    if (this.#sight?.rollout.canaries.some((canary) => canary.id === id)) {
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
    const known = this.#sight;
    const sight = known !== null && isSame(known.rollout, rollout)
      ? known
      : this.#see(rollout, 0);
    return (await sight.looks()).map(({ view }) => view);
  }

  /**
   * Gives the version to all routers at once, as somebody asks.
   *
   * @throws {RolloutUnderWay} if it is not for canaries only any more.
   */
  async promote(rollout: StagedRollout, author: string | null): Promise<void> {
    const { version } = rollout;
    const ends = (await this.views(rollout)).map(endOf);
    await this.#store.promote(version, author, ends);
    this.stats.promoted++;
    this.#log.info(
      "a rollout was promoted by somebody: all routers get the version",
      { version, author },
    );
  }

  /**
   * Takes the version back at once, as somebody asks.
   *
   * @throws {RolloutUnderWay} if it is not for canaries only any more.
   */
  async abort(
    rollout: StagedRollout,
    { author, reason }: { author: string | null; reason: string | null },
  ): Promise<void> {
    const ends = (await this.views(rollout)).map(endOf);
    const { version } = await takeBack(this.#store, rollout, {
      outcome: "aborted",
      reason,
      author,
      ends,
    });
    this.stats.aborted++;
    this.#log.info(
      "a rollout was aborted by somebody: what was before returns",
      {
        version: rollout.version,
        by: version.version,
        author,
      },
    );
  }

  #see(rollout: StagedRollout, ageMs: number): CanarySight {
    return new CanarySight(rollout, {
      clock: this.#clock,
      source: this.#source,
      chosenAt: this.#clock.now() - ageMs,
      startedAt: this.#startedAt,
    });
  }

  #look(): void {
    if (this.#stopped || this.#looking !== null) return;
    this.#cancel?.();
    this.#cancel = null;
    const sight = this.#sight;
    if (sight === null) return;
    this.#ask(sight.rollout);
    this.#looking = this.#judge(sight).finally(() => {
      this.#looking = null;
      if (this.#sight === null || this.#stopped) return;
      if (this.#sight !== sight) return this.#look();
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

  async #judge(sight: CanarySight): Promise<void> {
    const { rollout } = sight;
    try {
      const looks = await sight.looks();
      if (this.#sight !== sight || this.#stopped) return;
      const trouble = troubleIn(looks, rollout);
      if (trouble !== null) {
        return await this.#halt(rollout, trouble, endsOf(looks));
      }
      if (!looks.every(({ ready }) => ready)) return;
      const elsewhere = looks.some(({ here }) => !here);
      const endsAt = sight.endsAt + (elsewhere ? ELSEWHERE_MS : 0);
      if (this.#clock.now() >= endsAt) {
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

function isSame(
  one: StagedRollout | null,
  other: StagedRollout | null,
): boolean {
  return one?.version === other?.version && one?.startedAt === other?.startedAt;
}

/** Why a rollout is to be halted; null where it is not. */
function troubleIn(
  looks: readonly Look[],
  rollout: StagedRollout,
): string | null {
  for (const { view } of looks) {
    const trouble = troubleOf(view, rollout);
    if (trouble !== null) return trouble;
  }
  const late = looks.find(({ overdue }) => overdue);
  return late === undefined
    ? null
    : `Router ${show(late.view.id)} has not applied it in time.`;
}

function endsOf(looks: readonly Look[]): CanaryEnd[] {
  return looks.map(({ view }) => endOf(view));
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
    checkTrial(await store.head(), { halts });
    throw new Error(`Version ${before} is not kept any more`);
  }
  return await store.commit(() => old.config, {
    author,
    message: `The rollout of version ${version} was ${outcome}${
      reason === null ? "" : `: ${reason}`
    }`,
  }, { halts, replaceDamaged: true });
}
