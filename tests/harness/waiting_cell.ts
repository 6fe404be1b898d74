/** A cell whose answers wait, each until it is let go; on `/events` a stream begins at once, and ends then. */
export class WaitingCell implements AsyncDisposable {
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => this.#answer(request),
  );
  readonly #waiting: (() => void)[] = [];

  /** Its endpoint, as a config has it. */
  get endpoint(): string {
    return `http://127.0.0.1:${this.#server.addr.port}`;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Lets those go that have waited longest. */
  release(count = 1): void {
    for (const go of this.#waiting.splice(0, count)) go();
  }

  async #answer(request: Request): Promise<Response> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    if (new URL(request.url).pathname !== "/events") {
      await promise;
      return new Response("late");
    }
    const stream = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(new TextEncoder().encode("data: 1\n\n"));
        await promise;
        // Whoever has gone has cancelled it.
        try {
          controller.close();
        } catch {
          // Cancelled.
        }
      },
    });
    return new Response(stream, {
      headers: { "content-type": "text/event-stream" },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.release(this.waiting);
    await this.#server.shutdown();
  }
}
