import { Buffer } from "node:buffer";

/** An answer as it came: nothing was tried again, followed or decoded. */
export interface RawAnswer {
  readonly status: number;
  /** Names in lower case; of a name that stands twice, the last. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

const BUFFER_BYTES = 64 * 1024;
const HEAD_END = "\r\n\r\n";

/**
 * One connection that carries request after request. Unlike `fetch` it never sends a request again, so a
 * request that was lost is seen to be.
 */
export class KeepAlive implements Disposable {
  readonly #connection: Deno.TcpConn;
  readonly #host: string;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  /** What was read and belongs to no answer yet, a character a byte. */
  #rest = "";

  private constructor(connection: Deno.TcpConn, host: string) {
    this.#connection = connection;
    this.#host = host;
  }

  /** Connects to an `http:` URL. */
  static async connect(url: string): Promise<KeepAlive> {
    const { hostname, port, host } = new URL(url);
    const connection = await Deno.connect({ hostname, port: Number(port) });
    connection.setNoDelay(true);
    return new KeepAlive(connection, host);
  }

  /** {@linkcode KeepAlive.send} of a GET; `fields` are lines, each ended by CR LF. */
  async get(path: string, fields: string): Promise<RawAnswer> {
    return await this.send("GET", path, { fields });
  }

  /**
   * Sends a request and waits for its answer.
   *
   * @throws if the connection ends, or breaks, before the answer does.
   */
  async send(
    method: string,
    path: string,
    { fields = "", json }: { fields?: string; json?: unknown } = {},
  ): Promise<RawAnswer> {
    const content = json === undefined ? "" : JSON.stringify(json);
    const type = json === undefined
      ? ""
      : `Content-Type: application/json\r\nContent-Length: ${
        Buffer.byteLength(content)
      }\r\n`;
    await this.#write(
      Buffer.from(
        `${method} ${path} HTTP/1.1\r\nHost: ${this.#host}\r\n${fields}${type}\r\n`,
        "latin1",
      ),
      Buffer.from(content),
    );
    const head = await this.#until(HEAD_END);
    const [line, ...lines] = head.slice(0, -HEAD_END.length).split("\r\n");
    const headers = new Map(lines.map((line) => {
      const colon = line.indexOf(":");
      return [
        line.slice(0, colon).toLowerCase(),
        line.slice(colon + 1).trim(),
      ];
    }));
    const body = headers.get("transfer-encoding") === "chunked"
      ? await this.#chunks()
      : await this.#take(Number(headers.get("content-length") ?? 0));
    return { status: Number(line!.split(" ")[1]), headers, body };
  }

  async #write(...pieces: Uint8Array[]): Promise<void> {
    const bytes = Buffer.concat(pieces);
    for (let at = 0; at < bytes.length;) {
      at += await this.#connection.write(bytes.subarray(at));
    }
  }

  async #chunks(): Promise<string> {
    let body = "";
    for (;;) {
      const size = parseInt(await this.#until("\r\n"), 16);
      const chunk = await this.#take(size + 2);
      if (size === 0) return body;
      body += chunk.slice(0, -2);
    }
  }

  /** Everything up to and with `mark`. */
  async #until(mark: string): Promise<string> {
    for (;;) {
      const at = this.#rest.indexOf(mark);
      if (at >= 0) return await this.#take(at + mark.length);
      await this.#more();
    }
  }

  async #take(length: number): Promise<string> {
    while (this.#rest.length < length) await this.#more();
    const taken = this.#rest.slice(0, length);
    this.#rest = this.#rest.slice(length);
    return taken;
  }

  async #more(): Promise<void> {
    const count = await this.#connection.read(this.#buffer);
    if (count === null) {
      throw new Error("The connection ended before its answer");
    }
    this.#rest += Buffer.from(this.#buffer.buffer, 0, count)
      .toString("latin1");
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}
