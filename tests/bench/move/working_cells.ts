/** How long a cell works on a request, in milliseconds: at least, and how much longer at most. */
const WORK_MS = 5;
const MORE_MS = 20;

/**
 * Two cells that work on each request for a while, and see whether a customer's requests ever run on both of them at
 * once.
 */
export class WorkingCells implements AsyncDisposable {
  readonly #customer: string;
  readonly #running = [0, 0];
  /** Requests of the customer that began on one cell while others of it ran on the other. */
  overlaps = 0;
  readonly #servers: readonly Deno.HttpServer<Deno.NetAddr>[];

  constructor(names: readonly [string, string], customer: string) {
    this.#customer = customer;
    this.#servers = names.map((name, index) =>
      Deno.serve(
        { hostname: "127.0.0.1", port: 0, onListen: () => {} },
        (request) => this.#work(request, { name, index }),
      )
    );
  }

  endpoint(index: 0 | 1): string {
    return `http://127.0.0.1:${this.#servers[index]!.addr.port}`;
  }

  async #work(
    request: Request,
    { name, index }: { name: string; index: number },
  ): Promise<Response> {
    const mine = request.headers.get("x-routing-key") === this.#customer;
    if (mine) {
      if (this.#running[1 - index]! > 0) this.overlaps++;
      this.#running[index]!++;
    }
    const ms = WORK_MS + Math.random() * MORE_MS;
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (mine) this.#running[index]!--;
    return Response.json({ cell: name });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#servers.map((server) => server.shutdown()));
  }
}
