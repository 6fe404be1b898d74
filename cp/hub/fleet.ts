import type { Canary, Head, StagedRollout, Version } from "../store/store.ts";
import type { CanaryView, Candidate } from "./canaries.ts";
import type { UnknownReason } from "./fence.ts";
import type { VersionPropagation } from "./propagation.ts";

/** How a router stands to the committed version. */
export type RouterStatus =
  /** It serves the committed version. */
  | "current"
  /** It serves an older one, or none, and a push is on its way or waiting. */
  | "behind"
  /** It refused the committed version. */
  | "rejected"
  /** It got the committed version and has not answered within 30 s. */
  | "unanswered"
  /** The config does not fit into the one frame it can take. */
  | "too_large"
  /** What it serves belongs to another history than the store's: it is not pushed to. */
  | "conflict"
  /** It is not connected. */
  | "gone";

/** What still runs on a router, and would go elsewhere under the version it serves. */
export interface OldWorkView {
  /** Without those that stream. */
  readonly requests: number;
  /** Event streams and tunnels. */
  readonly streams: number;
  /** Since when the oldest of them has run. */
  readonly oldest_seconds: number;
}

/** A router as the API shows it. Times are RFC 3339. */
export interface RouterView {
  readonly id: string;
  /** Null where it did not say. */
  readonly instance: string | null;
  readonly address: string;
  readonly connected: boolean;
  readonly connected_since: string;
  /** Null while it is connected. */
  readonly gone_since: string | null;
  /** True while another live router has the same id. */
  readonly duplicate_id: boolean;
  /** What it serves, as last announced or acked; null if unknown. */
  readonly version: number | null;
  readonly epoch: string | null;
  readonly digest: string | null;
  /** Whether what it serves is on its disk; null if it does not say. */
  readonly durable: boolean | null;
  /** When it applied what it serves; null where that was before anybody heard of it. */
  readonly applied_at: string | null;
  /** Null where it has not told. */
  readonly old_work: OldWorkView | null;
  readonly status: RouterStatus;
  /** Why it rejected, or what else keeps it from being current. */
  readonly error: string | null;
  /** How far it is behind the committed version, and for how many seconds; null where it cannot be told. */
  readonly lag: { readonly versions: number; readonly seconds: number } | null;
  readonly last_pong: string | null;
  readonly features: readonly string[];
  /** The control plane process it is connected to; "" for a draft router nobody names. */
  readonly control_plane: string;
}

/** How far the routers are done with what a version would send elsewhere (SPEC section 5, `?wait=drained`). */
export interface FenceRollout {
  /**
   * `drained`: no request runs anywhere that this version would send elsewhere. `draining`: some do, or a router has yet
   * to answer. `refused`: nothing is left to wait for, but some routers do not serve the version. `unknown`: likewise, but
   * some routers cannot prove that they are done. `superseded`: a newer version sends somebody back to where this one
   * took him from, so that requests run there again; the hub does not tell that.
   */
  readonly state: "drained" | "draining" | "refused" | "unknown" | "superseded";
  /** That newer version. */
  readonly superseded_by?: number;
  /** How many routers have proven it. */
  readonly drained: number;
  /** What runs where; without numbers where a router has yet to tell. */
  readonly draining:
    readonly ({ readonly id: string } & Partial<OldWorkView>)[];
  readonly unknown: readonly {
    readonly id: string;
    readonly reason: UnknownReason;
  }[];
}

/** How far a version has come (SPEC section 5, `?wait=applied`). */
export interface Rollout extends Partial<FenceRollout> {
  /** How many routers serve this version or a newer one. */
  readonly applied: number;
  readonly rejected: readonly { readonly id: string; readonly error: string }[];
  /** Routers that have not answered yet. */
  readonly pending: readonly string[];
  /** Routers connected at the commit, or since, that are connected no more. */
  readonly gone: readonly string[];
  readonly conflict: readonly string[];
  readonly waited_ms: number;
}

/** What a wait for a rollout is for. */
export type RolloutGoal = "applied" | "drained";

/** How a hold stands on all routers. */
export interface HoldRollout {
  /**
   * `drained`: every router holds, and nothing of the customers runs any more. `draining`: something does. `pending`: a
   * router has yet to answer, or the roster cannot be read. `unknown`: nothing is known to run, but some routers cannot hold or are not connected.
   */
  readonly state: "drained" | "draining" | "pending" | "unknown";
  readonly holding: readonly (
    & { readonly id: string; readonly waiting: number }
    & OldWorkView
  )[];
  readonly pending: readonly string[];
  /** Routers without the feature. */
  readonly cannot: readonly string[];
  /** Routers that are not connected. */
  readonly gone: readonly string[];
}

/** The same, with the processes that stand so: one that has started since does not hold. */
export interface HoldStanding extends HoldRollout {
  /** Whether the hold is there no more. */
  readonly over: boolean;
  /** By id; null where a router does not say. */
  readonly instances: ReadonlyMap<string, string | null>;
}

/** A hold as the API shows it. */
export interface HoldView extends HoldRollout {
  readonly id: string;
  readonly customers: readonly string[];
  readonly created_at: string;
  readonly until: string;
  readonly author: string | null;
}

/** Follows routers from before a commit on, so that none is missed that leaves right after it. */
export interface RolloutWatch {
  /**
   * Waits until every router has answered for this version or a newer one, or the time is up; where it waits `until`
   * they are drained, also until nothing runs any more that the version would send elsewhere.
   */
  wait(
    version: Pick<Version, "version" | "epoch">,
    options: {
      timeoutMs: number;
      signal?: AbortSignal;
      /** @default {"applied"} */
      until?: RolloutGoal;
    },
  ): Promise<Rollout>;
  /** Ends following; also after `wait`. */
  end(): void;
}

/** What happens to routers, for `GET /v1/events`. */
export interface FleetEvent {
  readonly kind:
    | "connected"
    | "applied"
    | "rejected"
    | "unanswered"
    | "too_large"
    | "conflict"
    /** Requests run on it that the version it serves would send elsewhere; told again each second. */
    | "draining"
    /** None does any more. */
    | "drained"
    | "gone";
  readonly router: RouterView;
}

/** What the routers in conflict announced: what a takeover has to be above of, and to supersede. */
export interface ConflictSummary {
  readonly count: number;
  /** The highest version announced; 0 if none. */
  readonly highestVersion: number;
  readonly epochs: readonly string[];
}

/** The routers of this control plane and, through the roster, those of the others on its store. */
export interface Fleet {
  /** What the statuses of routers are told by; absent or null where no head is known. */
  readonly standing?: { readonly head: Head } | null;
  /** All routers, connected or gone, sorted by id; by the head that the store has now. */
  routers(): Promise<RouterView[]>;
  /** The routers with this id: none, one, or several that are live at once. */
  router(id: string): Promise<RouterView[]>;
  /** Takes a router that is gone off the roster. */
  forget(id: string): Promise<"forgotten" | "connected" | "unknown">;
  /** Pushes the current config again, also where it was rejected; answers to how many connections. */
  resend(id: string): number;
  /** The routers in conflict here and, as far as the roster tells, at other control planes. */
  conflicts(): ConflictSummary | Promise<ConflictSummary>;
  /** Starts following; call it before the commit. */
  follow(): RolloutWatch;
  /** How far a version, or a newer one, has come by now, and how far its routers are drained. */
  rollout(version: Pick<Version, "version" | "epoch">): Promise<Rollout>;
  /** The routers that may be canaries: those that are connected, here or to other control planes of the store. */
  candidates(): Promise<Candidate[]>;
  /** Those that count their requests, and are connected here, with what they have counted by now. */
  counted(canaries: readonly Canary[]): Promise<Canary[]>;
  /** How the canaries of a rollout do that is under way. */
  canaries(rollout: StagedRollout): Promise<CanaryView[]>;
  /**
   * Gives the version of a rollout to all routers.
   *
   * @throws {RolloutUnderWay} if it is not for canaries only any more.
   */
  promote(rollout: StagedRollout, author: string | null): Promise<void>;
  /**
   * Takes the version of a rollout back.
   *
   * @throws {RolloutUnderWay} if it is not for canaries only any more.
   */
  abort(
    rollout: StagedRollout,
    options: { author: string | null; reason: string | null },
  ): Promise<void>;
  /** The holds whose time is not over, and how they stand. */
  holds(): Promise<HoldView[]>;
  /** Waits until `enough` says so of how a hold stands, or the time is up; answers how it stands then. */
  waitForHold(
    id: string,
    options: {
      timeoutMs: number;
      signal: AbortSignal;
      enough: (rollout: HoldStanding) => boolean;
    },
  ): Promise<HoldStanding>;
  /** Reads the store anew, as after orders were changed; routers are told before this resolves. */
  refresh(): Promise<boolean>;
  /** How fast the newest versions reached the routers connected here, the newest first. */
  propagation(limit: number): VersionPropagation[];
  /** Hears of every event until the answered function is called. A listener must not throw. */
  listen(listener: (event: FleetEvent) => void): () => void;
}
