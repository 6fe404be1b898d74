/** How long to wait between attempts. */
export interface Backoff {
  /** The span of the first wait, in milliseconds. */
  readonly baseMs: number;
  /** No wait is longer, in milliseconds. */
  readonly capMs: number;
}

/** The waits of a router's link: 250 ms, doubling, at most 5 s (SPEC section 4). */
export const LINK_BACKOFF: Backoff = { baseMs: 250, capMs: 5000 };

/**
 * The wait before an attempt, in milliseconds, with full jitter: anything from 0 to the span, so
 * that a fleet that lost its control plane at one moment does not come back at one moment.
 *
 * @param attempt how many attempts failed before, from 0.
 * @param random a number from 0 up to, not including, 1.
 */
export function backoffMs(
  attempt: number,
  random: number,
  backoff: Backoff = LINK_BACKOFF,
): number {
  return random * Math.min(backoff.capMs, backoff.baseMs * 2 ** attempt);
}
