import type { Outcome } from "./state.ts";

/** A push that was refused. */
export interface Rejection {
  readonly version: number;
  readonly epoch: string | null;
  /** All problems, as one line. */
  readonly error: string;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
}

/** Where the link stands. */
export interface LinkStatus {
  readonly connected: boolean;
  /** The newest version the control plane told of; null before it told of any. */
  readonly version: number | null;
  /** How many versions behind it this router is; while nothing is heard, the last that is known. */
  readonly lag: number;
  /** For how many seconds the lag has been above 0. */
  readonly behindSeconds: number;
  /** Milliseconds since the Unix epoch; null before anything was heard. */
  readonly lastHeardAt: number | null;
  readonly lastRejected: Rejection | null;
}

/** What has happened on the link, as numbers that only grow. */
export interface LinkCounters {
  connects: number;
  failures: number;
  /** Messages of types this router does not know. */
  ignored: number;
  /** Pushes replaced by a newer one before they were whole. */
  dropped: number;
  readonly updates: Record<Outcome["status"], number>;
}

/** Counters of a link on which nothing has happened. */
export function noCounts(): LinkCounters {
  return {
    connects: 0,
    failures: 0,
    ignored: 0,
    dropped: 0,
    updates: { applied: 0, rejected: 0, unchanged: 0 },
  };
}
