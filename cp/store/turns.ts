import type { CustomerMap, Steps } from "../../shared/customers.ts";

/** How long work may go on before everything else gets its turn, in milliseconds. */
const TURN_MS = 2;

/** Breaks long work up, so that routers are heard and other calls are answered while it goes on. */
export class Turns {
  #began = performance.now();

  /** Lets the others have their turn if this one is long enough. Call it after every few buckets. */
  async next(): Promise<void> {
    if (performance.now() - this.#began < TURN_MS) return;
    await new Promise<void>((resolve) => setTimeout(resolve, 1));
    this.#began = performance.now();
  }
}

/** Does long work in turns, and answers what it does. */
export async function inTurns<T>(work: Steps<T>): Promise<T> {
  const turns = new Turns();
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
    await turns.next();
  }
}

/** Makes the digests of all buckets, which are kept with them, in turns. */
export async function makeDigests(customers: CustomerMap): Promise<void> {
  const turns = new Turns();
  for (const bucket of customers.buckets) {
    void bucket.digest;
    await turns.next();
  }
}
