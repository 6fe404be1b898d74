/** WebSocket frames (RFC 6455), as a client reads and writes them. */

/** What a server said: a whole message, its fragments already joined, or a control frame. */
export type Incoming =
  | { readonly kind: "text"; readonly text: string; readonly bytes: number }
  | { readonly kind: "binary"; readonly data: Uint8Array }
  | { readonly kind: "ping"; readonly data: Uint8Array }
  | { readonly kind: "pong" }
  | { readonly kind: "close"; readonly code: number; readonly reason: string };

/** The largest messages that are taken, in bytes. */
export interface MessageLimits {
  readonly text: number;
  readonly binary: number;
}

/** The peer broke RFC 6455, or a limit; nothing after it on that connection can be trusted. */
export class FrameError extends Error {
  override name = "FrameError";
  readonly tooLarge: boolean;

  constructor(message: string, tooLarge = false) {
    super(message);
    this.tooLarge = tooLarge;
  }
}

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** No status in the peer's close frame (RFC 6455, section 7.4.1). */
const NO_STATUS = 1005;

/** Bytes that are set aside for a message before any has come: a length alone must cost nothing. */
const FIRST_RESERVE = 64 * 1024;

/**
 * Joins the bytes of a connection into messages. Of a message under way it holds what has come,
 * and never more than the limits.
 */
export class MessageReader {
  readonly #limits: MessageLimits;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  readonly #head = new Uint8Array(10);
  #headSize = 0;
  /** The frame whose payload is being read; null between frames. */
  #frame: { opcode: number; final: boolean; left: number } | null = null;
  /** The opcode of a message of which more fragments follow; 0 if there is none. */
  #message = 0;
  #payload = new Uint8Array(0);
  #size = 0;
  readonly #control = new Uint8Array(125);
  #controlSize = 0;

  constructor(limits: MessageLimits) {
    this.#limits = limits;
  }

  /**
   * Takes bytes from `chunk` until a message is whole.
   *
   * @param at where in the chunk to begin.
   * @returns the message, or null if the chunk ends first, and where in the chunk to go on.
   * @throws {FrameError}
   */
  next(
    chunk: Uint8Array,
    at: number,
  ): { readonly message: Incoming | null; readonly at: number } {
    for (;;) {
      if (this.#frame === null) {
        at = this.#readHead(chunk, at);
        if (this.#frame === null) return { message: null, at };
      }
      const frame: { opcode: number; final: boolean; left: number } =
        this.#frame;
      const piece = chunk.subarray(at, at + frame.left);
      this.#keep(frame.opcode, piece);
      at += piece.length;
      frame.left -= piece.length;
      if (frame.left > 0) return { message: null, at };
      this.#frame = null;
      const message = this.#finish(frame);
      if (message !== null) return { message, at };
    }
  }

  /** Reads a frame's head; sets `#frame` once it is whole. */
  #readHead(chunk: Uint8Array, at: number): number {
    const head = this.#head;
    for (;;) {
      const length = head[1]! & 0x7f;
      const size = this.#headSize < 2
        ? 2
        : length === 126
        ? 4
        : length === 127
        ? 10
        : 2;
      if (this.#headSize >= 2 && this.#headSize === size) break;
      if (at === chunk.length) return at;
      head[this.#headSize++] = chunk[at++]!;
    }
    this.#headSize = 0;
    const view = new DataView(head.buffer);
    const short = head[1]! & 0x7f;
    const left = short === 126
      ? view.getUint16(2)
      : short === 127
      ? Number(view.getBigUint64(2))
      : short;
    this.#begin(head[0]!, head[1]!, left);
    return at;
  }

  #begin(first: number, second: number, left: number): void {
    const opcode = first & 0x0f;
    const final = (first & 0x80) !== 0;
    if ((first & 0x70) !== 0) {
      throw new FrameError("a frame uses an extension nobody agreed on");
    }
    if ((second & 0x80) !== 0) {
      throw new FrameError("a server's frame is masked");
    }
    if (opcode >= CLOSE) {
      if (opcode > PONG) throw new FrameError(`opcode ${opcode} is unknown`);
      if (!final || left > 125) {
        throw new FrameError(
          "a control frame is fragmented or longer than 125 bytes",
        );
      }
      this.#controlSize = 0;
    } else {
      if (opcode > BINARY) throw new FrameError(`opcode ${opcode} is unknown`);
      if ((opcode === CONTINUATION) !== (this.#message !== 0)) {
        throw new FrameError(
          opcode === CONTINUATION
            ? "a fragment continues no message"
            : "a message begins inside another",
        );
      }
      if (opcode !== CONTINUATION) this.#message = opcode;
      const limit = this.#message === TEXT
        ? this.#limits.text
        : this.#limits.binary;
      if (this.#size + left > limit) {
        throw new FrameError(
          `a ${
            this.#message === TEXT ? "text" : "binary"
          } message is of at least ${
            this.#size + left
          } bytes, and ${limit} is the limit`,
          true,
        );
      }
    }
    this.#frame = { opcode, final, left };
  }

  #keep(opcode: number, piece: Uint8Array): void {
    if (opcode >= CLOSE) {
      this.#control.set(piece, this.#controlSize);
      this.#controlSize += piece.length;
      return;
    }
    const size = this.#size + piece.length;
    if (size > this.#payload.length) {
      const expected = this.#size + this.#frame!.left;
      const grown = new Uint8Array(
        Math.min(
          expected,
          Math.max(size, 2 * this.#payload.length, FIRST_RESERVE),
        ),
      );
      grown.set(this.#payload.subarray(0, this.#size));
      this.#payload = grown;
    }
    this.#payload.set(piece, this.#size);
    this.#size = size;
  }

  #finish(
    { opcode, final }: { opcode: number; final: boolean },
  ): Incoming | null {
    if (opcode >= CLOSE) return this.#finishControl(opcode);
    if (!final) return null;
    const data = this.#payload.subarray(0, this.#size);
    const isText = this.#message === TEXT;
    this.#message = 0;
    this.#payload = new Uint8Array(0);
    this.#size = 0;
    return isText
      ? { kind: "text", text: this.#utf8(data), bytes: data.length }
      : { kind: "binary", data };
  }

  #finishControl(opcode: number): Incoming {
    const data = this.#control.slice(0, this.#controlSize);
    if (opcode === PONG) return { kind: "pong" };
    if (opcode === PING) return { kind: "ping", data };
    if (data.length === 1) throw new FrameError("a close code is cut");
    return data.length === 0
      ? { kind: "close", code: NO_STATUS, reason: "" }
      : {
        kind: "close",
        code: new DataView(data.buffer).getUint16(0),
        reason: this.#utf8(data.subarray(2)),
      };
  }

  #utf8(data: Uint8Array): string {
    try {
      return this.#decoder.decode(data);
    } catch {
      throw new FrameError("a text is not UTF-8");
    }
  }
}

/** A text message in one frame, masked as a client's has to be. */
export function textFrame(text: string): Uint8Array {
  return frame(TEXT, new TextEncoder().encode(text));
}

/** The answer to a ping. */
export function pongFrame(data: Uint8Array): Uint8Array {
  return frame(PONG, data);
}

/** A close frame; the reason is cut to what a control frame can hold. */
export function closeFrame(code: number, reason: string): Uint8Array {
  if (code === NO_STATUS) return frame(CLOSE, new Uint8Array(0));
  const payload = new Uint8Array(125);
  new DataView(payload.buffer).setUint16(0, code);
  // encodeInto writes whole characters only.
  const { written } = new TextEncoder().encodeInto(reason, payload.subarray(2));
  return frame(CLOSE, payload.subarray(0, 2 + written));
}

function frame(opcode: number, payload: Uint8Array): Uint8Array {
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65536 ? 2 : 8;
  const bytes = new Uint8Array(2 + extended + 4 + length);
  const view = new DataView(bytes.buffer);
  bytes[0] = 0x80 | opcode;
  bytes[1] = 0x80 | (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) view.setUint16(2, length);
  if (extended === 8) view.setBigUint64(2, BigInt(length));
  // A fresh random mask for each frame (RFC 6455, section 5.3).
  const mask = bytes.subarray(2 + extended, 6 + extended);
  crypto.getRandomValues(mask);
  for (let i = 0, at = 6 + extended; i < length; i++, at++) {
    bytes[at] = payload[i]! ^ mask[i & 3]!;
  }
  return bytes;
}
