import type { Counted } from "../../shared/protocol.ts";

/** What a router had counted at a moment of the clock that never jumps. */
export interface CountSample extends Counted {
  readonly at: number;
}

/** How far back the counts of a router are known, in milliseconds. */
export const COUNTS_MS = 60_000;
/** How many samples are kept: two a second. Who sends more has the last one replaced. */
const MAX_SAMPLES = 120;

/** The samples with one more, as far back as they are needed; one that counts from 0 again begins anew. */
export function withSample(
  samples: readonly CountSample[],
  next: CountSample,
): readonly CountSample[] {
  const last = samples.at(-1);
  if (last === undefined || next.requests < last.requests) return [next];
  const from = samples.findLastIndex(({ at }) => at <= next.at - COUNTS_MS);
  const kept = samples.slice(Math.max(0, from));
  return [...kept.slice(0, MAX_SAMPLES - 1), next];
}

/** What was counted between a moment and the newest sample; null where there is none. */
export function countedSince(
  samples: readonly CountSample[],
  from: number,
): Counted | null {
  const newest = samples.at(-1);
  if (newest === undefined) return null;
  return difference(
    newest,
    samples.findLast(({ at }) => at <= from) ?? samples[0]!,
  );
}

/** What was counted from one moment to another. */
export function difference(now: Counted, before: Counted): Counted {
  return {
    requests: Math.max(0, now.requests - before.requests),
    errors: Math.max(0, now.errors - before.errors),
  };
}
