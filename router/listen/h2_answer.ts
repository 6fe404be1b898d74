import { Buffer } from "node:buffer";

/** The head of a final answer, as it goes out over HTTP/2. */
export interface AnswerHead {
  readonly status: number;
  readonly fields: [string, string][];
  /** The connection it was written to takes no other request. */
  readonly closes: boolean;
}

/** Fields of one connection, which HTTP/2 does not have (RFC 9113 section 8.2.2). */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** A copy; `slice` of a buffer of `node:buffer` would be none, and its memory is used again. */
function copy(
  bytes: Uint8Array,
  from: number,
  to: number,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes.subarray(from, to));
}

/** Where in a chunked body the reader is. */
type At = "size" | "extension" | "data" | "data-end" | "trailers";

/**
 * Reads the answer that the app has written as HTTP/1.1, piece by piece. It is well-formed: the app
 * has checked what it passes on. Informational answers and trailers end here, since the runtime's
 * server has no way to send them.
 */
export class AnswerReader {
  /** The final head, once it has come. */
  head: AnswerHead | null = null;
  /** The whole answer was read. */
  done = false;
  #method: string;
  #text = "";
  #chunked = false;
  #left = 0;
  #at: At = "size";
  #line = "";

  constructor(method: string) {
    this.#method = method;
  }

  /** Takes more bytes; answers those of the body among them, copied. */
  take(bytes: Uint8Array): Uint8Array<ArrayBuffer>[] {
    let at = 0;
    while (this.head === null) {
      at = this.#takeHead(bytes, at);
      if (at === bytes.length && this.head === null) return [];
    }
    if (this.done) return [];
    return this.#chunked
      ? this.#takeChunks(bytes, at)
      : this.#takeCounted(bytes, at);
  }

  /** Takes a head, or what there is of it; answers where in `bytes` it ends. */
  #takeHead(bytes: Uint8Array, from: number): number {
    const before = this.#text.length;
    this.#text += Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
      .toString("latin1", from);
    const end = this.#text.indexOf("\r\n\r\n", Math.max(0, before - 3));
    if (end < 0) return bytes.length;
    const lines = this.#text.slice(0, end).split("\r\n");
    this.#text = "";
    const status = Number(lines[0]!.slice(9, 12));
    if (status >= 200) this.#begin(status, lines);
    return from + end + 4 - before;
  }

  #begin(status: number, lines: readonly string[]): void {
    const fields: [string, string][] = [];
    let length = 0;
    let closes = false;
    for (let i = 1; i < lines.length; i++) {
      const line = lines[i]!;
      const colon = line.indexOf(":");
      const name = line.slice(0, colon);
      const lower = name.toLowerCase();
      const value = line.slice(colon + 1);
      if (lower === "content-length") length = Number(value);
      else if (lower === "transfer-encoding") this.#chunked = true;
      else if (lower === "connection") closes = true;
      if (!CONNECTION_FIELDS.has(lower)) fields.push([name, value]);
    }
    const bodyless = this.#method === "HEAD" || status === 204 ||
      status === 304;
    this.#left = bodyless ? 0 : length;
    if (bodyless) this.#chunked = false;
    this.done = !this.#chunked && this.#left === 0;
    this.head = { status, fields, closes };
  }

  #takeCounted(bytes: Uint8Array, from: number): Uint8Array<ArrayBuffer>[] {
    const count = Math.min(this.#left, bytes.length - from);
    this.#left -= count;
    this.done = this.#left === 0;
    return count === 0 ? [] : [copy(bytes, from, from + count)];
  }

  /** Takes the chunked coding off (RFC 9112 section 7.1.3). */
  #takeChunks(bytes: Uint8Array, from: number): Uint8Array<ArrayBuffer>[] {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    let at = from;
    while (at < bytes.length && !this.done) {
      if (this.#at === "data") {
        const count = Math.min(this.#left, bytes.length - at);
        pieces.push(copy(bytes, at, at += count));
        this.#left -= count;
        if (this.#left === 0) this.#at = "data-end";
      } else this.#step(bytes[at++]!);
    }
    return pieces;
  }

  #step(byte: number): void {
    const lineEnd = byte === 0x0a;
    switch (this.#at) {
      case "size":
      case "extension":
        if (lineEnd) {
          this.#left = parseInt(this.#line, 16);
          this.#line = "";
          this.#at = this.#left === 0 ? "trailers" : "data";
        } else if (byte === 0x3b) this.#at = "extension";
        else if (this.#at === "size") this.#line += String.fromCharCode(byte);
        return;
      case "data-end":
        if (lineEnd) this.#at = "size";
        return;
      case "trailers":
        // An empty line is the end; what else a line holds does not matter.
        if (!lineEnd) this.#line += String.fromCharCode(byte);
        else if (this.#line === "\r") this.done = true;
        else this.#line = "";
        return;
      case "data":
        return;
      default:
        this.#at satisfies never;
    }
  }
}
