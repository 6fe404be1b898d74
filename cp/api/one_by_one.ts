import { busy } from "./problem.ts";

/** How many calls may wait for the one that runs. */
const MAX_WAITING = 16;

/** Runs what takes much memory and time one after the other, and refuses what would wait for too long. */
export class OneByOne {
  #last: Promise<unknown> = Promise.resolve();
  #size = 0;
  #refused = 0;

  /** How many tasks have not ended, the running one among them. */
  get size(): number {
    return this.#size;
  }

  /** How many were refused. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * Runs a task after all before it.
   *
   * @throws {ProblemError} `unavailable` if too many wait already.
   */
  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#size > MAX_WAITING) {
      this.#refused++;
      throw busy(
        `${MAX_WAITING} calls that read or compare old versions wait already, which is the most; try again.`,
      );
    }
    this.#size++;
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    // What a task answers is not kept until the next one comes: it may be large.
    this.#last = promise;
    try {
      await before;
      return await task();
    } finally {
      this.#size--;
      resolve();
    }
  }
}
