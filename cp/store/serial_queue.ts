/** Runs tasks one after the other, in the order they came. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** How many tasks have not ended, the running one among them. */
  get size(): number {
    return this.#waiting;
  }

  /** Runs a task after all before it; answers, or throws, what it does. */
  run<T>(task: () => Promise<T>): Promise<T> {
    this.#waiting++;
    const result = this.#last.then(task).finally(() => this.#waiting--);
    this.#last = result.catch(() => {});
    return result;
  }
}
