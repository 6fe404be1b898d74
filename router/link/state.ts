import type { ToControlPlane, ToRouter } from "../../shared/protocol.ts";
import type { JsonDocument } from "../../shared/json.ts";
import type { Parsed } from "../../shared/protocol.ts";
import type { Counted, Order } from "../../shared/protocol.ts";
import type { FenceReport } from "../fence.ts";
import type { HoldReport } from "../holds.ts";
import type { PushHead, Serving } from "./verdict.ts";

/** Numbers a link is run with; times are in milliseconds. */
export interface LinkLimits {
  /** How many control planes are tried in turn. */
  readonly targets: number;
  readonly handshakeMs: number;
  /** A connection on which nothing came for so long is dropped. */
  readonly silenceMs: number;
  /** What a peer has to answer a close. */
  readonly closeMs: number;
  /** A connection that was heard from for so long after it opened resets the backoff. */
  readonly healthyMs: number;
  /** The largest config, in bytes of JSON. */
  readonly maxConfigBytes: number;
}

/** The limits of SPEC section 4. */
export const DEFAULT_LIMITS = {
  handshakeMs: 5000,
  closeMs: 1000,
  healthyMs: 10_000,
} as const;

/** A config that comes in parts and is not complete. */
export interface Transfer {
  readonly push: PushHead;
  /** Bytes in all, and bytes that have come. */
  readonly bytes: number;
  readonly received: number;
  /** False where it is too large to keep: its parts are counted, so that it can be answered. */
  readonly kept: boolean;
}

/** A push that has come whole. */
export interface WholePush {
  readonly push: PushHead;
  readonly body: PushBody;
}

/** Where the contents of a push are: in the message itself, or in the parts collected, or nowhere. */
export type PushBody =
  | { readonly kind: "document"; readonly document: JsonDocument }
  | { readonly kind: "collected" }
  /** It was too large to be kept; `bytes` says how large. */
  | { readonly kind: "too_large"; readonly bytes: number };

/** Where the connection stands. Moments are on the monotonic clock, in milliseconds. */
export type Phase =
  | { readonly kind: "idle" }
  | { readonly kind: "waiting"; readonly until: number }
  | {
    readonly kind: "connecting";
    readonly socket: number;
    readonly deadline: number;
  }
  | {
    readonly kind: "open";
    readonly socket: number;
    readonly since: number;
    readonly heardAt: number;
    readonly transfer: Transfer | null;
    /** Came while another push was being applied; while it is there, nothing is read. */
    readonly pending: WholePush | null;
  }
  | {
    readonly kind: "closing";
    readonly socket: number;
    readonly deadline: number;
    readonly healthy: boolean;
    readonly stopping: boolean;
    readonly reason: string;
  }
  | { readonly kind: "stopped" };

/** All that the link's decisions depend on. */
export interface LinkState {
  readonly phase: Phase;
  /** Attempts that failed since the link was last healthy. */
  readonly failures: number;
  /** The control plane that is next to be tried, or is being used. */
  readonly target: number;
  /** The number of the next connection: what comes late from an earlier one is told by it. */
  readonly nextSocket: number;
  readonly serving: Serving | null;
  /** The push being applied, and the connection it came on; it outlives the connection. */
  readonly applying:
    | { readonly push: PushHead; readonly socket: number }
    | null;
  /** The newest version the control plane told of, and since when this router has been behind it. */
  readonly head: {
    readonly version: number;
    readonly epoch: string | null;
    readonly behindSince: number | null;
  } | null;
  /** What was told last of what still runs that a config would send elsewhere; null before. */
  readonly fence: FenceReport | null;
  /** The requests that were told of last; null before. */
  readonly counted: Counted | null;
}

/** What became of a push that was given to be applied. */
export type Outcome =
  | {
    readonly status: "applied";
    readonly digest: string;
    readonly durable: boolean;
  }
  /** It was being served already; `durable` as it is now. */
  | { readonly status: "unchanged"; readonly durable: boolean }
  | { readonly status: "rejected"; readonly error: string };

/** What happens to a link. */
export type LinkEvent =
  | { readonly type: "start" }
  | { readonly type: "stop" }
  /** The timer fired, `late` milliseconds after the moment it was set for. */
  | { readonly type: "timer"; readonly late: number }
  | { readonly type: "opened"; readonly socket: number }
  | { readonly type: "heard"; readonly socket: number }
  | {
    readonly type: "text";
    readonly socket: number;
    readonly parsed: Parsed<ToRouter>;
    readonly bytes: number;
  }
  | {
    readonly type: "part";
    readonly socket: number;
    readonly data: Uint8Array;
  }
  | {
    readonly type: "broken";
    readonly socket: number;
    readonly reason: string;
    readonly tooLarge: boolean;
  }
  | {
    readonly type: "closing";
    readonly socket: number;
    readonly code: number;
    readonly reason: string;
  }
  | {
    readonly type: "closed";
    readonly socket: number;
    readonly code: number;
    readonly reason: string;
  }
  | { readonly type: "applied"; readonly outcome: Outcome }
  /** A config is on the disk after all, too late for the outcome to say so. */
  | { readonly type: "saved"; readonly head: Omit<Serving, "durable"> }
  /** The data path has told what is old under a config: at once when it serves that, and again as it changes. */
  | { readonly type: "fence"; readonly report: FenceReport }
  /** The data path has told of the requests that are over. */
  | { readonly type: "counted"; readonly counted: Counted }
  /** The data path has told how a hold stands. */
  | { readonly type: "holding"; readonly report: HoldReport };

/** What is to be done, in this order. */
export type Effect =
  | {
    readonly type: "connect";
    readonly socket: number;
    readonly target: number;
    readonly serving: Serving | null;
  }
  | { readonly type: "send"; readonly message: ToControlPlane }
  | { readonly type: "close"; readonly code: number; readonly reason: string }
  | { readonly type: "destroy" }
  | { readonly type: "pause" }
  | { readonly type: "resume" }
  /** Make room for a config in parts, forgetting any unfinished one. */
  | { readonly type: "collect"; readonly bytes: number }
  | {
    readonly type: "keep";
    readonly data: Uint8Array;
    readonly at: number;
  }
  | { readonly type: "forget" }
  /** Apply a push; `sameAs` asks only whether its digest is that one. */
  | {
    readonly type: "apply";
    readonly push: PushHead;
    readonly body: PushBody;
    readonly sameAs: string | null;
  }
  /** Have the data path do something. */
  | { readonly type: "order"; readonly order: Order }
  | { readonly type: "note"; readonly note: Note };

/** What is worth a log line or a count. */
export type Note =
  | { readonly kind: "connected"; readonly target: number }
  | {
    readonly kind: "lost";
    readonly target: number;
    readonly reason: string;
    readonly failures: number;
    readonly waitMs: number;
  }
  | { readonly kind: "ignored"; readonly messageType: string }
  /** A newer push came before this one was whole, or before its turn. */
  | { readonly kind: "dropped"; readonly version: number }
  | {
    readonly kind: "answered";
    readonly push: PushHead;
    readonly outcome: Outcome;
  };

/** A link that has not begun. */
export function initialState(serving: Serving | null): LinkState {
  return {
    phase: { kind: "idle" },
    failures: 0,
    target: 0,
    nextSocket: 1,
    serving,
    applying: null,
    head: null,
    fence: null,
    counted: null,
  };
}

/** How many versions the router is behind the newest it was told of, and for how many milliseconds. */
export function lag(
  { head, serving }: Pick<LinkState, "head" | "serving">,
  now: number,
): { readonly versions: number; readonly ms: number } {
  if (head === null || head.behindSince === null) return { versions: 0, ms: 0 };
  return {
    versions: head.version - (serving?.version ?? 0),
    ms: now - head.behindSince,
  };
}

/** When the link has to be looked at again, on the monotonic clock; null for not before something happens. */
export function deadline(
  { phase }: LinkState,
  limits: LinkLimits,
): number | null {
  switch (phase.kind) {
    case "waiting":
      return phase.until;
    case "connecting":
    case "closing":
      return phase.deadline;
    case "open":
      // While nothing is read, silence says nothing of the peer.
      return phase.pending === null ? phase.heardAt + limits.silenceMs : null;
    case "idle":
    case "stopped":
      return null;
    default:
      return phase satisfies never;
  }
}
