/**
 * A load generator as a process of its own: requests over kept connections, each as soon as the one before it is
 * answered, and each answer looked at. Its arguments are the router's URL and the number of connections. It ends when
 * its standard input does, and prints what it has seen as JSON, {@linkcode Seen}.
 *
 * A version says where customers are: `customer-<i>` is on cell (i + version) modulo the number of cells, so that an
 * answer tells by itself whether it came from where its version says.
 */
import { Buffer } from "node:buffer";

/** What the load has seen. */
export interface Seen {
  readonly answered: number;
  /** What went wrong, the first of each kind in words. */
  readonly failures: readonly string[];
  readonly failed: number;
  /** Versions that answers told of. */
  readonly versions: number;
}

/** The cells there are, and the customers that move between them. */
export const CELLS = 4;
export const CUSTOMERS = 16;

/** Where a version has a customer. */
export function cellOf(customer: number, version: number): number {
  return (customer + version) % CELLS;
}

const HEAD_END = "\r\n\r\n";
const KEPT_FAILURES = 10;

async function main(): Promise<void> {
  const [url, connections] = Deno.args;
  const { hostname, port } = new URL(url!);
  const load = new FullLoad({ hostname, port: Number(port) });
  const working = Array.from(
    { length: Number(connections) },
    () => load.work(),
  );
  for await (const _ of Deno.stdin.readable);
  load.running = false;
  await Promise.all(working);
  console.log(JSON.stringify(load.seen()));
  Deno.exit(0);
}

class FullLoad {
  running = true;
  readonly #address: Deno.ConnectOptions;
  readonly #versions = new Set<number>();
  readonly #failures: string[] = [];
  #failed = 0;
  #answered = 0;

  constructor(address: Deno.ConnectOptions) {
    this.#address = address;
  }

  seen(): Seen {
    return {
      answered: this.#answered,
      failures: this.#failures,
      failed: this.#failed,
      versions: this.#versions.size,
    };
  }

  /** Sends requests until it is to stop; a connection that breaks is a failure, and another one follows. */
  async work(): Promise<void> {
    while (this.running) {
      try {
        await this.#useConnection();
      } catch (error) {
        this.#fail(String(error));
      }
    }
  }

  async #useConnection(): Promise<void> {
    using connection = await Deno.connect(this.#address);
    connection.setNoDelay(true);
    const requests = Array.from(
      { length: CUSTOMERS },
      (_, i) =>
        Buffer.from(
          `GET / HTTP/1.1\r\nHost: a\r\nX-Routing-Key: customer-${i}\r\n\r\n`,
        ),
    );
    const buffer = Buffer.alloc(8192);
    let newest = 0;
    for (let i = 0; this.running; i = (i + 1) % CUSTOMERS) {
      await connection.write(requests[i]!);
      const text = await readAnswer(connection, buffer);
      const version = this.#look(text, i);
      // One connection's requests are answered one after the other, so a version that goes back did so in the router.
      if (version < newest) this.#fail(`version ${version} after ${newest}`);
      newest = Math.max(newest, version);
    }
  }

  /** Looks at an answer; answers the version that it tells of. */
  #look(text: string, customer: number): number {
    const version = Number(/\r\nX-Config-Version: (\d+)\r\n/.exec(text)?.[1]);
    const expected = cellOf(customer, version);
    const sound = text.startsWith("HTTP/1.1 200 ") &&
      text.includes(`\r\nX-Routed-To: cell-${expected}\r\n`) &&
      text.endsWith(`${HEAD_END}${expected}`);
    if (!sound) {
      this.#fail(`customer-${customer}: ${text}`);
      return 0;
    }
    this.#answered++;
    this.#versions.add(version);
    return version;
  }

  #fail(what: string): void {
    this.#failed++;
    if (this.#failures.length < KEPT_FAILURES) this.#failures.push(what);
  }
}

/** Reads one answer, whose body is one byte. */
async function readAnswer(
  connection: Deno.Conn,
  buffer: Buffer,
): Promise<string> {
  let text = "";
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) {
      throw new Error(`The connection ended after ${JSON.stringify(text)}`);
    }
    text += buffer.toString("latin1", 0, count);
    const head = text.indexOf(HEAD_END);
    if (head >= 0 && text.length > head + HEAD_END.length) return text;
  }
}

if (import.meta.main) await main();
