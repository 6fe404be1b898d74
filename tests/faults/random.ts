/** Choices from a seed: the same seed makes the same ones. */
export class Random {
  /** Set by the environment variable FAULT_SEED to see a run again. */
  readonly seed: number;
  #state: number;

  constructor(
    seed: number = Number(
      Deno.env.get("FAULT_SEED") ?? Math.floor(Math.random() * 2 ** 31),
    ),
  ) {
    this.seed = seed;
    this.#state = seed >>> 0;
  }

  /** From 0 up to, not including, 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}
