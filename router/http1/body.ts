import { Buffer } from "node:buffer";
import { BODY_BUFFERS } from "./buffers.ts";
import { ChunkScanner } from "./chunked.ts";
import type { FieldSink } from "./fields.ts";
import type { Framing } from "./response_head.ts";
import { TAILROOM, type Wire } from "./wire.ts";

/** A body whose connection ended before it did. */
export class CutBodyError extends Error {
  override name = "CutBodyError";
}

const NOTHING = new Uint8Array(0);
const LAST_CHUNK = Buffer.from("0\r\n\r\n", "latin1");

/**
 * A body on its way through: what is read from one wire comes out in pieces that can be written to
 * another as they stand, with their framing. A body that ends with its connection comes out chunked.
 */
export class Body {
  framing: Framing = "none";
  /** The last piece was handed out. */
  done = true;
  /** Bytes handed out so far. */
  bytes = 0;
  #left = 0;
  #scanner: ChunkScanner;

  constructor(trailerFilter: FieldSink) {
    this.#scanner = new ChunkScanner(trailerFilter);
  }

  /** Begins a body; `length` counts where the framing is `length`. */
  begin(framing: Framing, length: number): void {
    this.framing = framing;
    this.#left = length;
    this.bytes = 0;
    this.done = framing === "none" || (framing === "length" && length === 0);
    if (framing === "chunked") this.#scanner.reset();
  }

  /**
   * What the wire holds of the body already, empty if nothing. It lies in the wire's buffer and is
   * valid until the next read.
   *
   * @throws {ProtocolError} if the chunked coding is broken.
   */
  take(wire: Wire): Uint8Array {
    if (this.done) return NOTHING;
    const piece = this.#take(wire);
    this.bytes += piece.length;
    return piece;
  }

  #take(wire: Wire): Uint8Array {
    const { start, end, bytes } = wire;
    switch (this.framing) {
      case "length": {
        const count = Math.min(this.#left, end - start);
        this.#left -= count;
        wire.start += count;
        this.done = this.#left === 0;
        return bytes.subarray(start, start + count);
      }
      case "chunked": {
        wire.start = this.#scanner.scan(bytes, start, end);
        const { passed, tail, done } = this.#scanner;
        this.done = done;
        const piece = bytes.subarray(start, start + passed);
        return tail === ""
          ? piece
          : Buffer.concat([piece, Buffer.from(tail, "latin1")]);
      }
      case "close":
        wire.start = end;
        return end === start ? NOTHING : chunkInPlace(wire, start, end);
      case "none":
        return NOTHING;
      default:
        return this.framing satisfies never;
    }
  }

  /**
   * Waits for the next piece; it may be empty, and comes with {@linkcode Body.done} when it is the
   * last. It is valid until the next call. A body that fills the wire's buffer goes on in a larger one.
   *
   * @throws {CutBodyError} if the connection ends before the body.
   * @throws {ProtocolError} if the chunked coding is broken.
   */
  async next(wire: Wire): Promise<Uint8Array> {
    if (wire.available === 0) {
      if (wire.end === wire.bytes.length - TAILROOM) wire.grow(BODY_BUFFERS);
      if (!wire.took(await wire.reading())) return this.#finish();
    }
    return this.take(wire);
  }

  #finish(): Uint8Array {
    if (this.framing !== "close") {
      throw new CutBodyError(
        "Cannot read the rest of a body: the connection ended before it",
      );
    }
    this.done = true;
    return LAST_CHUNK;
  }
}

/** Makes a chunk of `bytes[start..end)` by writing around it: a wire's buffer has room for that on both sides. */
function chunkInPlace(wire: Wire, start: number, end: number): Uint8Array {
  const { bytes } = wire;
  const size = `${(end - start).toString(16)}\r\n`;
  let at = start - size.length;
  const first = at;
  for (let i = 0; i < size.length; i++) bytes[at++] = size.charCodeAt(i);
  bytes[end] = 0x0d;
  bytes[end + 1] = 0x0a;
  return bytes.subarray(first, end + 2);
}
