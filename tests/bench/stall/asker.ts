import { Buffer } from "node:buffer";
import { NAME_BYTES } from "./customers.ts";

/** What a request was answered. */
export interface Answer {
  readonly status: number;
  /** By the cell itself, counted from 0; null if none answered. */
  readonly cell: number | null;
  /** By the router: whether the customer is in its config, and in which version; null if it does not say. */
  readonly reason: string | null;
  readonly version: number | null;
}

/** The endpoint knows this one: a body of 1 KiB. */
const PATH = "/1k";
const BUFFER_BYTES = 16_384;

/** A connection on which one request after another is asked; made to cost little. */
export class Asker {
  readonly #connection: Deno.TcpConn;
  readonly #request: Buffer;
  readonly #nameAt: number;
  readonly #buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);

  private constructor(connection: Deno.TcpConn, port: number) {
    connection.setNoDelay(true);
    this.#connection = connection;
    const head =
      `GET ${PATH} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Routing-Key: `;
    this.#nameAt = head.length;
    this.#request = Buffer.from(`${head}${" ".repeat(NAME_BYTES)}\r\n\r\n`);
  }

  /** @throws {Deno.errors.ConnectionRefused} if nobody listens. */
  static async connect(port: number): Promise<Asker> {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    return new Asker(connection, port);
  }

  /**
   * Asks for a customer.
   *
   * @param name of 16 bytes.
   * @throws if the answer is cut, larger than the buffer, or none at all.
   */
  async ask(name: Uint8Array): Promise<Answer> {
    this.#request.set(name, this.#nameAt);
    // A socket that has just answered takes so few bytes at once.
    await this.#connection.write(this.#request);
    const buffer = this.#buffer;
    let end = 0;
    for (;;) {
      const size = await this.#connection.read(buffer.subarray(end));
      if (size === null) {
        throw new Error("the router ended the connection inside an answer");
      }
      end += size;
      const headEnd = buffer.subarray(0, end).indexOf("\r\n\r\n");
      if (headEnd >= 0) {
        const head = buffer.toString("latin1", 0, headEnd + 2);
        const length = fieldOf(head, "content-length");
        if (end === headEnd + 4 + Number(length)) return answerOf(head);
      }
      if (end === buffer.length) {
        throw new Error("an answer is larger than any that was asked for");
      }
    }
  }

  close(): void {
    this.#connection.close();
  }
}

function answerOf(head: string): Answer {
  const number = (text: string | null) => text === null ? null : Number(text);
  return {
    status: Number(head.slice(9, 12)),
    cell: number(fieldOf(head, "x-cell")),
    reason: fieldOf(head, "x-route-reason"),
    version: number(fieldOf(head, "x-config-version")),
  };
}

const patterns = new Map<string, RegExp>();

function fieldOf(head: string, name: string): string | null {
  let pattern = patterns.get(name);
  if (pattern === undefined) {
    patterns.set(name, pattern = new RegExp(`\r\n${name}: *([^\r]*)\r`, "i"));
  }
  return pattern.exec(head)?.[1] ?? null;
}
