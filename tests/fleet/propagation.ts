/** Milliseconds that a histogram tells apart; what takes longer counts as this. */
const LONGEST_MS = 600_000;

/** Spans of time, counted in steps of a millisecond. */
export class Propagation {
  readonly #counts: number[] = [];
  #count = 0;

  /** How many were added. */
  get count(): number {
    return this.#count;
  }

  /** Adds a span of so many milliseconds; one below 0, from two clocks' rounding, counts as 0. */
  add(ms: number): void {
    const step = Math.min(LONGEST_MS, Math.max(0, Math.round(ms)));
    this.#counts[step] = (this.#counts[step] ?? 0) + 1;
    this.#count++;
  }

  /** Adds what another has. */
  addAll(other: Propagation): void {
    other.#counts.forEach((count, ms) => {
      this.#counts[ms] = (this.#counts[ms] ?? 0) + count;
    });
    this.#count += other.#count;
  }

  /**
   * The milliseconds that a share of the spans are at or below (the nearest rank); NaN of nothing.
   *
   * @param share above 0, up to 1: 0.99 for the 99th percentile.
   */
  percentile(share: number): number {
    const rank = Math.ceil(this.#count * share);
    let seen = 0;
    for (const ms in this.#counts) {
      seen += this.#counts[ms]!;
      if (seen >= rank) return Number(ms);
    }
    return Number.NaN;
  }

  /** How many spans are above `above` and at most `upTo`, in milliseconds. */
  between(above: number, upTo: number): number {
    let sum = 0;
    this.#counts.forEach((count, ms) => {
      if (ms > above && ms <= upTo) sum += count;
    });
    return sum;
  }
}
