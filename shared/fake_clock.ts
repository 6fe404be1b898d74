import type { Clock } from "./clock.ts";

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  #now: number;
  #wall: number;
  readonly #timers = new Set<
    { readonly at: number; readonly callback: () => void }
  >();

  constructor(now = 1000, wall = 1_700_000_000_000) {
    this.#now = now;
    this.#wall = wall;
  }

  /** How many timers are set. */
  get timers(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.#now;
  }

  wall(): number {
    return this.#wall;
  }

  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves time on, firing what falls due, each at its moment. */
  advance(ms: number): void {
    const end = this.#now + ms;
    while (this.fireBy(end));
    this.#move(end);
  }

  /** Fires the first timer that falls due by `end`, at its moment; false if there is none. */
  protected fireBy(end: number): boolean {
    let first: { readonly at: number; readonly callback: () => void } | null =
      null;
    for (const timer of this.#timers) {
      if (timer.at <= end && (first === null || timer.at < first.at)) {
        first = timer;
      }
    }
    if (first === null) return false;
    this.#timers.delete(first);
    this.#move(first.at);
    first.callback();
    return true;
  }

  /** Fires the next timer, at its moment; false if none is set. */
  next(): boolean {
    const [first] = [...this.#timers].sort((a, b) => a.at - b.at);
    if (first === undefined) return false;
    this.advance(Math.max(0, first.at - this.#now));
    return true;
  }

  /** Moves time on as a stop of this process does: nothing fires until it is over. */
  suspend(ms: number): void {
    this.#move(this.#now + ms);
    this.advance(0);
  }

  /** Puts the wall clock right, or wrong. */
  setWall(ms: number): void {
    this.#wall = ms;
  }

  #move(to: number): void {
    this.#wall += Math.max(0, to - this.#now);
    this.#now = Math.max(this.#now, to);
  }
}
