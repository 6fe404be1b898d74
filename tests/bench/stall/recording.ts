/** What the load has seen, in milliseconds since the Unix epoch with fractions. */
export interface Recording {
  /** When each request was due, and when it was answered, in the order of the answers. */
  readonly due: Float64Array;
  readonly answered: Float64Array;
  /** When the load looked what was due: where this has gaps, the load itself stood still. */
  readonly looked: Float64Array;
  /** What went wrong, by kind. */
  readonly failures: Readonly<Record<string, number>>;
}

/** A stretch of time, in milliseconds since the Unix epoch. */
export interface Stretch {
  readonly from: number;
  readonly to: number;
}

/** Now, to fractions of a millisecond, on a clock that all processes of the machine share. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/**
 * The longest time between two neighbours, in milliseconds: of those of which a part lies in the stretch,
 * because a stall may begin in it and end behind it. NaN if there are none.
 *
 * @param times sorted.
 */
export function longestGap(
  times: Float64Array,
  { from, to }: Stretch,
): number {
  let longest = NaN;
  for (let i = 1; i < times.length; i++) {
    const before = times[i - 1]!;
    const after = times[i]!;
    if (after <= from) continue;
    if (before >= to) break;
    if (!(after - before <= longest)) longest = after - before;
  }
  return longest;
}

/** How long the requests that were due in a stretch took, from then on, in milliseconds. */
export function latencies(
  { due, answered }: Recording,
  { from, to }: Stretch,
): number[] {
  const found: number[] = [];
  for (let i = 0; i < due.length; i++) {
    const since = due[i]!;
    if (since >= from && since < to) found.push(answered[i]! - since);
  }
  return found;
}

/** How many answers came in a stretch. */
export function answersIn(
  { answered }: Recording,
  { from, to }: Stretch,
): number {
  return answered.reduce(
    (sum, time) => time >= from && time < to ? sum + 1 : sum,
    0,
  );
}

/** How many things went wrong. */
export function failureCount(
  failures: Readonly<Record<string, number>>,
): number {
  return Object.values(failures).reduce((a, b) => a + b, 0);
}
