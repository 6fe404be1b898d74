/** The body of a request that came over HTTP/2. */
export class BodySource {
  #reader: ReadableStreamDefaultReader<Uint8Array>;
  /** A read that was begun and that nobody has taken. */
  #begun: Promise<Uint8Array | null> | null = null;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** The next piece, never empty; null at the end. Rejects if the stream was reset. */
  next(): Promise<Uint8Array | null> {
    const begun = this.#begun ?? this.#read();
    this.#begun = null;
    return begun;
  }

  async #read(): Promise<Uint8Array | null> {
    for (;;) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      if (value.length > 0) return value;
    }
  }

  /**
   * Whether it has turned out within `patience` milliseconds that there is nothing in it: the runtime
   * does not tell a request without a body from one whose body has yet to come.
   */
  async empty(patience: number): Promise<boolean> {
    this.#begun = this.#read();
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), patience);
    this.#begun.then(
      (piece) => resolve(piece === null),
      () => resolve(false),
    );
    const empty = await promise;
    clearTimeout(timer);
    return empty;
  }

  /** Gives up what is left. */
  cancel(): void {
    this.#reader.cancel().catch(() => {
      // Its stream has ended before.
    });
  }
}
