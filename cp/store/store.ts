import type { Config } from "../../shared/config.ts";
import type { Counted } from "../../shared/protocol.ts";

/** What is known of a version without its config. */
export interface VersionInfo {
  /** 1, 2, 3 …; numbers may be skipped by a takeover, never reused. */
  readonly version: number;
  /** The history this version was committed in. */
  readonly epoch: string;
  /** `sha256:` and 64 hex digits. */
  readonly digest: string;
  /** RFC 3339, UTC. */
  readonly createdAt: string;
  readonly author: string | null;
  readonly message: string | null;
  /** The trace that its edit belongs to (W3C Trace Context); only where edits are traced. */
  readonly traceparent?: string | undefined;
  /** How many customers are assigned. */
  readonly customers: number;
  /** How many placements there are. */
  readonly placements: number;
  /** The digest of the rules that it was found to satisfy; absent where there were none. */
  readonly assertions?: string | undefined;
}

/** A committed version, whole and verified against its digest. */
export interface Version extends VersionInfo {
  readonly config: Config;
}

/** New requests of some customers are to wait, on every router, until it is taken away or its time is over. */
export interface HoldOrder {
  readonly id: string;
  /** The newest version when it was placed. */
  readonly version: number;
  readonly customers: readonly string[];
  /** Whether no version ends it, only its release and its time. */
  readonly untilReleased: boolean;
  /**
   * The version that sends its customers elsewhere than they went when it was placed, which ends it on each router that
   * serves that one; null where there is none.
   */
  readonly endedBy: number | null;
  /** RFC 3339, on the clock of the control plane that made it; so is `until`. */
  readonly createdAt: string;
  readonly until: string;
  readonly author: string | null;
  /** So many milliseconds after it began, event streams and tunnels of its customers are ended; null: they are left. */
  readonly cutStreamsMs: number | null;
}

/** Event streams and tunnels that a version would send elsewhere are to be ended, on every router that serves it. */
export interface CutOrder {
  readonly version: number;
  /** How long after a router serves the version, in milliseconds. */
  readonly afterMs: number;
  /** RFC 3339: routers that serve the version later are not told any more. */
  readonly until: string;
}

/** What routers are to do beside serving a config. It has no version, and is over after minutes at most. */
export interface Orders {
  readonly holds: readonly HoldOrder[];
  readonly cuts: readonly CutOrder[];
}

/** The newest version, where it is to be confirmed: else the contents before it return. */
export interface Trial {
  readonly version: number;
  /** The version whose contents return. */
  readonly before: number;
  /** RFC 3339, on the clock of the control plane that committed it. */
  readonly until: string;
  /** How long it was given. */
  readonly withinMs: number;
}

/** A router that gets a version before the others do. */
export interface Canary {
  readonly id: string;
  /** The process that it ran in when it was chosen; null if it does not say. */
  readonly instance: string | null;
  /** What it had counted since its start when it was chosen; null if it does not tell. */
  readonly counted: Counted | null;
  /** The part of it that it counted in the last minute before; null if that is not known. */
  readonly before: Counted | null;
}

/** How a version is to come to the routers: to some first, to all others if it does well there. */
export interface Staging {
  readonly canaries: readonly Canary[];
  /** How long it has to do well. */
  readonly holdMs: number;
  /** By how much a canary's share of errors may rise, from 0 to 1. */
  readonly maxErrors: number;
}

/** The newest version, where only canaries get it yet; all other routers are to serve the one before. */
export interface StagedRollout extends Staging {
  readonly version: number;
  /** The version of all others, whose contents return if it does not do well. */
  readonly before: number;
  /** RFC 3339, on the clock of the control plane that committed it; so is `until`. */
  readonly startedAt: string;
  readonly until: string;
  readonly author: string | null;
}

/** How a rollout ended: `halted` by what its canaries did, `aborted` by somebody. */
export type RolloutOutcome = "promoted" | "halted" | "aborted";

/** How a canary stood when its rollout ended. */
export interface CanaryEnd {
  readonly id: string;
  readonly state: string;
  /** Its requests under the version, of the last minute at most; null if it does not count. */
  readonly counted: Counted | null;
}

/** A staged rollout that is over. */
export interface EndedRollout extends StagedRollout {
  readonly outcome: RolloutOutcome;
  /** RFC 3339. */
  readonly endedAt: string;
  /** Who ended it; null where it ended by itself. */
  readonly endedBy: string | null;
  /** Why it was taken back; null where it was promoted, or nobody said. */
  readonly reason: string | null;
  /** The version that took it back; null where it was promoted. */
  readonly takenBackBy: number | null;
  /** How its canaries stood then, as far as was known. */
  readonly ends: readonly CanaryEnd[];
}

/** Where a store stands. */
export interface Head {
  /** 0 while nothing has been committed. */
  readonly version: number;
  readonly epoch: string;
  /** Null while nothing has been committed. */
  readonly digest: string | null;
  /** The epochs this one replaces, its own predecessors and foreign ones, oldest first. */
  readonly supersedes: readonly string[];
  readonly orders: Orders;
  /** Null unless the newest version waits to be confirmed: then nobody else commits. */
  readonly trial: Trial | null;
  /** Null unless the newest version is for canaries only: then nobody else commits. */
  readonly rollout: StagedRollout | null;
  /** Each version after this one passed the guard of edits, or was confirmed: software that knows of the guard made it. */
  readonly guardedSince: number;
  /** The digest of the rules that every version has to satisfy; null for none. */
  readonly assertions: string | null;
}

/** Who edits, and why: kept with the version. */
export interface Attribution {
  readonly author: string | null;
  readonly message: string | null;
  /** The trace that the edit belongs to; only where edits are traced. */
  readonly traceparent?: string;
}

/**
 * Makes the next config of the current one. It may run more than once, for concurrent edits, so it
 * has no effects; what it throws ends the commit and reaches the caller. Commits behind it wait for
 * one that takes long.
 */
export type Edit = (
  current: Version | null,
  head: Head,
) => Config | Promise<Config>;

/** What a commit answers. */
export interface Committed {
  /** The version that holds the edit: the new one or, where nothing changed, the current one. */
  readonly version: Version;
  /** The version the edit was made of; null for the first, and where it replaced a damaged one. */
  readonly previous: Version | null;
  /** False where the edit changed nothing and so made no version. */
  readonly changed: boolean;
}

/** How an edit is committed. */
export interface CommitOptions {
  /**
   * Where the newest version is damaged and the head is sound, makes the edit of null and writes all of
   * it anew, so that a config that does not build on the current one repairs the store.
   *
   * @default {false}
   */
  readonly replaceDamaged?: boolean;
  /**
   * The version has to be confirmed within so many milliseconds; see {@linkcode Trial}. Of no account where the edit
   * changes nothing.
   */
  readonly confirmWithinMs?: number;
  /** This version was not confirmed in time, and the edit takes it back: it makes a version also where it changes nothing. */
  readonly reverts?: number;
  /** The version goes to canaries first; see {@linkcode StagedRollout}. Of no account where the edit changes nothing. */
  readonly staging?: Staging;
  /** The edit takes this version back, which canaries serve: it makes a version also where it changes nothing. */
  readonly halts?: {
    readonly version: number;
    readonly outcome: Exclude<RolloutOutcome, "promoted">;
    /** Null where somebody aborts it and does not say. */
    readonly reason: string | null;
    readonly ends?: readonly CanaryEnd[];
  };
}

/** The head, and the version it stands for. */
export interface Newest {
  readonly head: Head;
  /** Null while the store is empty. */
  readonly version: Version | null;
}

/** Where customers were assigned in a version, in the order they were asked for; null where one was not. */
export interface Assignments {
  readonly version: number;
  readonly placements: readonly (string | null)[];
}

/** How a hold stands on a router. */
export interface HoldState {
  readonly id: string;
  /** What still runs of its customers; as in {@linkcode OldWork}. */
  readonly requests: number;
  readonly streams: number;
  readonly oldestMs: number;
  /** How many requests wait. */
  readonly waiting: number;
}

/** What a router told last of what still runs there, and would go elsewhere under the version it serves. */
export interface OldWork {
  readonly version: number;
  /** Null if it did not say. */
  readonly epoch: string | null;
  /** Without those that stream. */
  readonly requests: number;
  /** Event streams and tunnels. */
  readonly streams: number;
  /** Since when the oldest of them has run. */
  readonly oldestMs: number;
}

/** A router as the roster keeps it, so that one that is gone stays listed. */
export interface RouterRecord {
  readonly id: string;
  readonly instance: string | null;
  /** The remote address it connected from. */
  readonly address: string;
  /** RFC 3339. */
  readonly connectedSince: string;
  /** RFC 3339; null while it is connected. */
  readonly goneSince: string | null;
  /** The control plane process it is or was connected to. */
  readonly controlPlane: string;
  /** RFC 3339: until when the record may be taken for live without having been written again. */
  readonly liveUntil: string;
  /** What it serves, as last announced or acked; null if unknown. */
  readonly version: number | null;
  readonly epoch: string | null;
  readonly digest: string | null;
  readonly durable: boolean | null;
  /** RFC 3339; when it applied what it serves, null if unknown. */
  readonly appliedAt: string | null;
  /** Null if it never told. */
  readonly oldWork: OldWork | null;
  readonly holds: readonly HoldState[];
  /** What it told last of what it counted since its start; null if it does not tell. */
  readonly counted: Counted | null;
  /** What of that it counted within the last minute; null if that is not known. */
  readonly lastMinute: Counted | null;
  /** What it can do beyond what every router must. */
  readonly features: readonly string[];
  readonly status: string;
  readonly error: string | null;
  /** RFC 3339; null before the first pong. */
  readonly lastPong: string | null;
}

/**
 * The versions of a routing config and the roster of routers. Everything that is committed survives
 * `kill -9` an instant later; every read verifies its digest.
 */
export interface VersionStore {
  /** Where the store stands, by a strong read: also what other processes committed. */
  head(): Promise<Head>;
  /** The newest version, by a strong read; null while the store is empty. */
  current(): Promise<Version | null>;
  /** The head and the newest version of one moment, by a strong read. */
  newest(): Promise<Newest>;
  /** One version, whole; null if there is none, or it is no longer kept. */
  get(version: number): Promise<Version | null>;
  /** Versions that are kept, newest first, below `before`. */
  list(options: { before?: number; limit: number }): Promise<VersionInfo[]>;
  /** Epoch and digest of a version: known for ever, also when the version is no longer kept. */
  digestOf(version: number): Promise<{ epoch: string; digest: string } | null>;
  /**
   * Some customers through the versions that are kept, the newest first.
   *
   * @throws {StoreDamaged} if what tells of it is damaged.
   */
  assignments(customers: readonly string[]): AsyncIterable<Assignments>;
  /**
   * Commits what `edit` makes of the current version. Concurrent commits, in this process and in
   * others, all land, each as a version of its own, by a bounded compare-and-set loop.
   *
   * @throws {OnTrial} if the newest version waits to be confirmed, or is not the one to be reverted.
   * @throws {RolloutUnderWay} if the newest version is for canaries only, or is not the one to be halted.
   * @throws {NothingBefore} if it is to be confirmed, or staged, and there is nothing to go back to.
   * @throws {TooManyCanaries} if there are more than can be kept.
   * @throws {StoreUnavailable} if the database fails or the loop's bound is reached.
   * @throws {StoreDamaged} if the current version is damaged and not to be replaced, or the head is.
   */
  commit(
    edit: Edit,
    attribution: Attribution,
    options?: CommitOptions,
  ): Promise<Committed>;
  /**
   * Commits the current contents as version max(head, `above`) + 1 under a new epoch that supersedes
   * the store's own, all it superseded, and `epochs`. `check` is run on the very version that is
   * committed anew, for each try, and waited for; what it throws ends the takeover and reaches the
   * caller.
   *
   * @throws {EmptyStore} if there are no contents.
   */
  takeover(
    options: { above: number; epochs: readonly string[] },
    attribution: Attribution,
    check?: (current: Version | null, head: Head) => unknown,
  ): Promise<Committed>;
  /**
   * Rules by the digest that a head or a version names, as text.
   *
   * @throws {StoreDamaged} if they are damaged, or not there.
   */
  rules(digest: string): Promise<string>;
  /**
   * Sets the rules that every version has to satisfy, as text; null for none. `check` is run on the version that is
   * committed by then; what it throws ends it and reaches the caller.
   *
   * @throws {RangeError} if the text is longer than 60,000 characters.
   * @throws {StoreUnavailable} if the database fails, or others change the head each time.
   */
  setAssertions(
    text: string | null,
    check: (current: Version | null) => void | Promise<void>,
  ): Promise<Head>;
  /**
   * Keeps a version that waits to be confirmed.
   *
   * @throws {OnTrial} if another version waits, or none.
   * @throws {StoreUnavailable} if the database fails, or others change the head each time.
   */
  confirm(version: number): Promise<Head>;
  /**
   * Gives a version that canaries serve to all; `by`: who says so, null where its time is over; `ends`: how they stand.
   *
   * @throws {RolloutUnderWay} if another version is for canaries only, or none.
   * @throws {StoreUnavailable} if the database fails, or others change the head each time.
   */
  promote(
    version: number,
    by: string | null,
    ends?: readonly CanaryEnd[],
  ): Promise<Head>;
  /**
   * Staged rollouts that are over, newest first, below version `before`: those of versions that are kept, or newer than
   * the oldest of these, and the newest of all.
   */
  rollouts(
    options: { before?: number; limit: number },
  ): Promise<EndedRollout[]>;
  /** The staged rollout of a version, once it is over; null if there was none, or it is no longer kept. */
  rollout(version: number): Promise<EndedRollout | null>;
  /**
   * Changes what routers are to do beside; what `change` throws ends it and reaches the caller. Orders whose time is over
   * are dropped.
   *
   * @throws {RangeError} if there would be more than fit into the head.
   * @throws {StoreUnavailable} if the database fails, or others change the head each time.
   */
  changeOrders(change: (now: Orders, head: Head) => Orders): Promise<Head>;
  /**
   * The head, now and after each change: by `watch`, and by a strong read every 2 s should a watch
   * stall. Steps may be skipped, the newest never is. A failing read is retried for ever and told
   * through the store's log. Ends when `signal` aborts.
   */
  watch(signal: AbortSignal): AsyncIterable<Head>;
  /** All records of the roster, by id. */
  routers(): Promise<RouterRecord[]>;
  /** Writes records, in as few commits as the database allows. */
  saveRouters(records: readonly RouterRecord[]): Promise<void>;
  /** Forgets a router; false if it was not listed. */
  deleteRouter(id: string): Promise<boolean>;
  /** Ends background work and closes the database. */
  close(): Promise<void>;
}

/** The database failed, is full, or too many edits compete: nothing was committed. Try again later. */
export class StoreUnavailable extends Error {
  override name = "StoreUnavailable";
}

/** The database gave no answer in time; what it was to do may be done, or be done yet. */
export class StoreTimedOut extends StoreUnavailable {
  override name = "StoreTimedOut";
}

/** A commit failed, and it cannot be told whether before or after it was made. */
export class CommitInDoubt extends StoreUnavailable {
  override name = "CommitInDoubt";
}

/** What is stored does not match its digest. Names the key; nothing made of it is ever pushed. */
export class StoreDamaged extends Error {
  override name = "StoreDamaged";
  /** The key of the damaged value, as text. */
  readonly key: string;

  constructor(message: string, key: string, options?: ErrorOptions) {
    super(message, options);
    this.key = key;
  }
}

/** The newest version waits to be confirmed, or does not wait any more; `trial` is the one that waits. */
export class OnTrial extends Error {
  override name = "OnTrial";
  readonly trial: Trial | null;

  constructor(message: string, trial: Trial | null) {
    super(message);
    this.trial = trial;
  }
}

/** The newest version is for canaries only, or is not any more; `rollout` is the one under way. */
export class RolloutUnderWay extends Error {
  override name = "RolloutUnderWay";
  readonly rollout: StagedRollout | null;

  constructor(message: string, rollout: StagedRollout | null) {
    super(message);
    this.rollout = rollout;
  }
}

/** There are more canaries than can be kept. */
export class TooManyCanaries extends Error {
  override name = "TooManyCanaries";
}

/** A version that is to be confirmed, or staged, has nothing before it that could return. */
export class NothingBefore extends Error {
  override name = "NothingBefore";
}

/** The call needs a committed version and there is none. */
export class EmptyStore extends Error {
  override name = "EmptyStore";
}
