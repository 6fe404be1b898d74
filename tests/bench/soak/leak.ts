import type { Residence } from "../residence.ts";

/** What a process held at the beginning of a time and at its end: the least of each part of it. */
export interface Growth {
  readonly from: number;
  readonly to: number;
  readonly leaks: boolean;
}

/** What a process does to warm up takes so long, in seconds: it compiles, and grows its heap to what it needs. */
const WARM_UP = 120;
/** Parts of the time. In each, the least counts: garbage comes and goes, what leaks is never given back. */
const PARTS = 5;
/** Fewer samples than these in a part tell nothing. */
const LEAST_SAMPLES = 15;

/** By how much what is measured may grow without being a leak. */
interface Tolerance {
  readonly share: number;
  readonly amount: number;
}

export const MEMORY: Tolerance = { share: 0.1, amount: 16 * 2 ** 20 };
export const DESCRIPTORS: Tolerance = { share: 0, amount: 4 };

/** Looks at what a process held since `from`; null if that is too short a time to tell. */
export function growth(
  samples: readonly Residence[],
  { from, of, tolerance: { share, amount } }: {
    from: number;
    of: (sample: Residence) => number;
    tolerance: Tolerance;
  },
): Growth | null {
  const counted = samples.filter(({ at }) => at >= from + WARM_UP);
  const length = Math.floor(counted.length / PARTS);
  if (length < LEAST_SAMPLES) return null;
  const least = (part: number) =>
    Math.min(...counted.slice(part * length, (part + 1) * length).map(of));
  const [first, last] = [least(0), least(PARTS - 1)];
  return {
    from: first,
    to: last,
    leaks: last - first > first * share + amount,
  };
}
