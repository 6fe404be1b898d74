/** The least time between two warnings, in milliseconds. */
const INTERVAL = 60_000;

/**
 * Tells of what may happen thousands of times a second: of its first time at once, then at most once a
 * minute, with how often it happened since.
 */
export class RareWarning {
  #tell: (times: number) => void;
  #told = -Infinity;
  #times = 0;

  constructor(tell: (times: number) => void) {
    this.#tell = tell;
  }

  /** It has happened once more; `now` in milliseconds. */
  happened(now: number): void {
    this.#times++;
    this.sweep(now);
  }

  /** Tells what was held back, once it is time; to be called regularly. */
  sweep(now: number): void {
    if (this.#times === 0 || now - this.#told < INTERVAL) return;
    const times = this.#times;
    this.#told = now;
    this.#times = 0;
    this.#tell(times);
  }
}
