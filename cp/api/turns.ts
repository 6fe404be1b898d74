/** How long work may go on before everything else gets its turn, in milliseconds. */
const TURN_MS = 10;

/** Breaks long work up, so that routers are heard and other calls are answered while it goes on. */
export class Turns {
  #began = performance.now();

  /** Lets the others have their turn if this one is long enough. Call it after every few buckets. */
  async next(): Promise<void> {
    if (performance.now() - this.#began < TURN_MS) return;
    await new Promise<void>((resolve) => setTimeout(resolve));
    this.#began = performance.now();
  }
}
