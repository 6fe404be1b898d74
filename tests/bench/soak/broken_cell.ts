/** Ways in which a cell can be broken: what it does with a connection once it has read from it. */
const WAYS: readonly ((connection: Deno.Conn) => Promise<void>)[] = [
  async (connection) => {
    await connection.write(new TextEncoder().encode("not HTTP at all\r\n\r\n"));
  },
  async (connection) => {
    await connection.write(
      new TextEncoder().encode(
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
      ),
    );
  },
  // It just ends the connection.
  async () => {},
];

/** A cell that breaks every answer, each time in another way. */
export class BrokenCell implements AsyncDisposable {
  readonly endpoint: string;
  readonly #listener: Deno.TcpListener;
  readonly #serving: Promise<void>;

  constructor() {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.endpoint = `http://127.0.0.1:${this.#listener.addr.port}`;
    this.#serving = this.#serve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#serving;
  }

  async #serve(): Promise<void> {
    let number = 0;
    for await (const connection of this.#listener) {
      void answer(connection, WAYS[number++ % WAYS.length]!);
    }
  }
}

async function answer(
  connection: Deno.TcpConn,
  way: (connection: Deno.Conn) => Promise<void>,
): Promise<void> {
  using open = connection;
  try {
    await open.read(new Uint8Array(4096));
    await way(open);
  } catch {
    // The router has gone, which is its right.
  }
}
