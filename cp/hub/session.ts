import type { Parsed, ToControlPlane } from "../../shared/protocol.ts";
import type { HoldState, OldWork } from "../store/store.ts";
import type { CountSample } from "./counts.ts";
import type { RouterStatus } from "./fleet.ts";

/**
 * What the control plane knows of one connection, and how it moves on: see {@linkcode step} in
 * `step.ts`. All times are milliseconds of a clock that never jumps.
 */

/** A version without its contents, as pushes, acks and announcements name it. */
export interface VersionName {
  readonly version: number;
  readonly epoch: string;
  readonly digest: string;
}

/** A version a router should be serving. */
export interface Target extends VersionName {
  /** When it was committed, as near as the clocks tell. */
  readonly committedAt: number;
}

/** What a router serves, as it last announced, acked or ponged; what is null it has not told. */
export interface Served {
  readonly version: number | null;
  readonly epoch: string | null;
  readonly digest: string | null;
  /** Whether it is on the router's disk. */
  readonly durable: boolean | null;
  /** When the router was heard to have applied it; in a process that is known to serve it since. */
  readonly appliedAt: number | null;
}

/** A version a router refused, and why. */
export interface Rejection extends VersionName {
  readonly error: string;
}

/** What is to happen to a router as things stand; decided outside, by the store's head and its peers. */
export type Want =
  /** Nothing is known yet: the store has not been read, or what the router announced not judged. */
  | { readonly kind: "undecided" }
  /** The store is empty. */
  | { readonly kind: "nothing" }
  /** It should serve `target`. */
  | { readonly kind: "push"; readonly target: Target }
  /** It should, and nothing may be pushed to it now. */
  | {
    readonly kind: "held";
    readonly target: VersionName;
    readonly reason: string;
  }
  /** It serves another history and is left alone. */
  | {
    readonly kind: "conflict";
    readonly target: VersionName | null;
    readonly reason: string;
  };

/** Where pushing to a router stands. At most one config is on its way: while `sending` or `awaiting`. */
export type Push =
  | { readonly kind: "idle" }
  /** Waits for its turn; newer versions replace the target. */
  | {
    readonly kind: "waiting";
    readonly target: Target;
    readonly resend: boolean;
  }
  /** Bytes are leaving. */
  | {
    readonly kind: "sending";
    readonly target: Target;
    /** True if the answer came before the last byte was seen to leave. */
    readonly answered: boolean;
    /** When a byte last left. */
    readonly movedAt: number;
    /** How much longer silence is borne, because bytes within one frame cannot be seen leaving. */
    readonly graceMs: number;
  }
  /** All has left; the answer is due. */
  | {
    readonly kind: "awaiting";
    readonly target: Target;
    readonly until: number;
  }
  /** The answer did not come in time. It still counts, should it come. */
  | { readonly kind: "unanswered"; readonly target: Target }
  /** The one frame this router can take cannot hold the config. */
  | { readonly kind: "too_large"; readonly target: Target };

/** A push that has begun on this connection. */
export interface Pushed {
  readonly target: Target;
  /** From when its propagation counts; null for one that was asked for again. */
  readonly since: number | null;
  readonly answered: boolean;
}

/** Intervals and bounds of a session. */
export interface SessionRules {
  readonly pingIntervalMs: number;
  /** Silence after which a router is dropped. */
  readonly timeoutMs: number;
  /** How long after its last byte a push counts as on its way. */
  readonly answerMs: number;
  /** How long a push may stand still while the router goes on talking. */
  readonly stallMs: number;
  /** How much a router may say at once; each message costs 1, and 1 more for each 4 KiB. */
  readonly burst: number;
  /** How much of that comes back each second. */
  readonly perSecond: number;
}

export const SESSION_RULES: SessionRules = {
  pingIntervalMs: 5_000,
  timeoutMs: 12_000,
  answerMs: 30_000,
  stallMs: 60_000,
  burst: 1_000,
  perSecond: 100,
};

/** A session while its connection is open. */
export interface OpenSession {
  readonly kind: "open";
  readonly rules: SessionRules;
  readonly openedAt: number;
  readonly served: Served;
  readonly want: Want;
  readonly push: Push;
  /** The newest pushes of this connection, oldest first: what an ack may answer. */
  readonly pushed: readonly Pushed[];
  /** The newest rejection of this instance. */
  readonly rejected: Rejection | null;
  /** Since when it has not served what it should; null while it does. */
  readonly behindSince: number | null;
  /** When a message came from it or a byte of a push left. */
  readonly heardAt: number;
  readonly pingedAt: number;
  /** Null before the first pong. */
  readonly pongAt: number | null;
  /** What it told of its requests within the last minute. */
  readonly counts: readonly CountSample[];
  /** What it told last of its old work; null before it did. */
  readonly oldWork: OldWork | null;
  /** What it told last of each hold that is not over. */
  readonly holds: readonly HoldState[];
  /** What it may still say; see `burst`. */
  readonly allowance: number;
  readonly allowanceAt: number;
}

/** A session that has ended itself. Nothing moves it any more. */
export interface ClosedSession {
  readonly kind: "closed";
  readonly last: OpenSession;
}

export type Session = OpenSession | ClosedSession;

/** What happens to a session. */
export type SessionEvent =
  /** What the router should serve was decided anew. */
  | { readonly type: "want"; readonly now: number; readonly want: Want }
  /** The waiting push has its turn and its first byte leaves. */
  | { readonly type: "begun"; readonly now: number; readonly graceMs: number }
  /** The waiting push has its turn and does not fit. */
  | { readonly type: "too_large"; readonly now: number }
  /** Bytes of the push have left. */
  | { readonly type: "moved"; readonly now: number }
  /** The last byte of the push has left. */
  | { readonly type: "sent"; readonly now: number }
  | {
    readonly type: "received";
    readonly now: number;
    readonly parsed: Parsed<ToControlPlane>;
    /** Characters of the message. */
    readonly length: number;
  }
  /** The push stands still, and others need the memory it holds. */
  | { readonly type: "evict"; readonly now: number }
  /** Somebody asked for the config to be pushed again. */
  | { readonly type: "resend"; readonly now: number }
  /** Only these holds are not over. */
  | {
    readonly type: "holds";
    readonly now: number;
    readonly ids: ReadonlySet<string>;
  }
  /** Time has gone by; `heldUpMs` of it this process was held up and could hear nobody. */
  | { readonly type: "tick"; readonly now: number; readonly heldUpMs: number };

/** What the driver of a session has to do. */
export type SessionEffect =
  /** Ask for a turn to push. */
  | { readonly type: "enqueue" }
  /** Give back the place in the queue. */
  | { readonly type: "dequeue" }
  | { readonly type: "ping" }
  | {
    readonly type: "close";
    readonly reason: CloseReason;
    readonly detail: string;
  }
  /** The router answered a push. `ms` is the time from learning of the version; null for a resend. */
  | {
    readonly type: "answered";
    readonly status: "applied";
    readonly target: Target;
    readonly ms: number | null;
  }
  | {
    readonly type: "answered";
    readonly status: "rejected";
    readonly target: Target;
    readonly ms: number | null;
    readonly error: string;
  }
  | { readonly type: "unanswered"; readonly target: VersionName }
  | { readonly type: "too_large"; readonly target: VersionName }
  /** What the router serves is another version than was known: it has to be judged again. */
  | { readonly type: "served" }
  /** It told how a hold stands. */
  | { readonly type: "holding"; readonly id: string }
  /** Whether what it serves is on its disk has changed. */
  | { readonly type: "saved" }
  /** It told of its old work anew. */
  | {
    readonly type: "fence";
    readonly drained: boolean;
    /** Whether there is old work, or was before. */
    readonly mattered: boolean;
  }
  | { readonly type: "unknown"; readonly name: string }
  /** An ack for a version that was not pushed on this connection. */
  | { readonly type: "unsolicited"; readonly version: number };

/** Why a session ends itself. */
export type CloseReason = "malformed" | "flooded" | "silent" | "stalled";

/** A session at the moment its connection opens; nothing is decided for it yet. */
export function openSession(
  served: Served,
  options: { now: number; rejected: Rejection | null; rules: SessionRules },
): OpenSession {
  const { now, rejected, rules } = options;
  return {
    kind: "open",
    rules,
    openedAt: now,
    served,
    want: { kind: "undecided" },
    push: { kind: "idle" },
    pushed: [],
    rejected,
    behindSince: null,
    heardAt: now,
    pingedAt: now,
    pongAt: null,
    counts: [],
    oldWork: null,
    holds: [],
    allowance: rules.burst,
    allowanceAt: now,
  };
}

/** Whether two names mean the same version. */
export function sameVersion(a: VersionName, b: VersionName): boolean {
  return a.version === b.version && a.epoch === b.epoch &&
    a.digest === b.digest;
}

/** Whether a router serves exactly this version. */
export function serves(served: Served, target: VersionName): boolean {
  return served.version === target.version && served.epoch === target.epoch &&
    served.digest === target.digest;
}

/** Whether this very version was refused: a store that was set back gives its number to other contents. */
export function refused(
  rejected: Rejection | null,
  target: VersionName,
): rejected is Rejection {
  return rejected !== null && sameVersion(rejected, target);
}

/** The version a session's router should be serving; null if that is not known or there is none. */
export function targetOf(session: OpenSession): VersionName | null {
  const { want } = session;
  switch (want.kind) {
    case "undecided":
    case "nothing":
      return null;
    case "push":
    case "held":
    case "conflict":
      return want.target;
    default:
      return want satisfies never;
  }
}

/** How a connected router stands to the committed version, and what keeps it from being current. */
export function statusOf(
  session: OpenSession,
): { readonly status: RouterStatus; readonly error: string | null } {
  const { want, push, served, rejected } = session;
  switch (want.kind) {
    case "undecided":
      return { status: "behind", error: null };
    case "nothing":
      return { status: "current", error: null };
    case "conflict":
      return { status: "conflict", error: want.reason };
    case "held":
    case "push": {
      const { target } = want;
      if (refused(rejected, target)) {
        return { status: "rejected", error: rejected.error };
      }
      if (serves(served, target)) return { status: "current", error: null };
      if (want.kind === "held") {
        return { status: "behind", error: want.reason };
      }
      if (
        (push.kind === "unanswered" || push.kind === "too_large") &&
        sameVersion(push.target, target)
      ) {
        return {
          status: push.kind,
          error: push.kind === "too_large" ? TOO_LARGE : null,
        };
      }
      return { status: "behind", error: null };
    }
    default:
      return want satisfies never;
  }
}

/** Why a router without the subprotocol cannot have a config. */
export const TOO_LARGE =
  "The config does not fit into one frame of 64 MiB, and this router takes no parts.";
