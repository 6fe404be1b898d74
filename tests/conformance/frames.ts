import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { Peer } from "./peer.ts";

/** WebSocket frames as both ends write and read them (RFC 6455 section 5). */

/** What a frame carries. */
export const OPCODE = { text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/** A frame, its mask taken off. */
export interface Frame {
  readonly final: boolean;
  /** The bit that marks a compressed message (RFC 7692 section 6). */
  readonly compressed: boolean;
  readonly opcode: number;
  readonly payload: Uint8Array;
}

/** The bytes of a frame; a client's are masked, and the mask of a large one is zero, which changes nothing. */
export function frameBytes(
  frame: Partial<Frame> & { opcode: number },
  masked: boolean,
): Uint8Array {
  const { final = true, compressed = false, opcode } = frame;
  const payload = frame.payload ?? new Uint8Array(0);
  const { length } = payload;
  const extended = length < 126 ? 0 : length < 65536 ? 2 : 8;
  const start = 2 + extended + (masked ? 4 : 0);
  const bytes = Buffer.alloc(start + length);
  bytes[0] = (final ? 0x80 : 0) | (compressed ? 0x40 : 0) | opcode;
  bytes[1] = (masked ? 0x80 : 0) |
    (extended === 0 ? length : extended === 2 ? 126 : 127);
  if (extended === 2) bytes.writeUInt16BE(length, 2);
  if (extended === 8) bytes.writeBigUInt64BE(BigInt(length), 2);
  bytes.set(payload, start);
  if (masked && length <= 65536) {
    const mask = crypto.getRandomValues(
      bytes.subarray(2 + extended, 6 + extended),
    );
    for (let i = 0; i < length; i++) bytes[start + i]! ^= mask[i & 3]!;
  }
  return bytes;
}

/** A frame that ends a WebSocket (RFC 6455 section 5.5.1). */
export function closePayload(code: number, reason: string): Uint8Array {
  const text = Buffer.from(reason);
  const payload = Buffer.alloc(2 + text.length);
  payload.writeUInt16BE(code, 0);
  payload.set(text, 2);
  return payload;
}

/** What answers a key (RFC 6455 section 4.2.2). */
export function acceptOf(key: string): string {
  return createHash("sha1")
    .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
}

/** One end of a WebSocket whose handshake is done. */
export class FrameSocket {
  readonly peer: Peer;
  readonly #masked: boolean;

  /** `masked` is what a client's frames are. */
  constructor(peer: Peer, masked: boolean) {
    this.peer = peer;
    this.#masked = masked;
  }

  async send(frame: Partial<Frame> & { opcode: number }): Promise<void> {
    await this.peer.send(frameBytes(frame, this.#masked));
  }

  /** Takes the next frame. */
  async next(): Promise<Frame> {
    const [first = 0, second = 0] = await this.peer.bytes(2);
    const masked = (second & 0x80) !== 0;
    let length = second & 0x7f;
    if (length === 126) {
      length = Buffer.from(await this.peer.bytes(2)).readUInt16BE(0);
    } else if (length === 127) {
      const size = Buffer.from(await this.peer.bytes(8));
      length = Number(size.readBigUInt64BE(0));
    }
    const mask = masked ? await this.peer.bytes(4) : null;
    const payload = await this.peer.bytes(length);
    if (mask?.some((byte) => byte !== 0)) {
      for (let i = 0; i < length; i++) payload[i]! ^= mask[i & 3]!;
    }
    return {
      final: (first & 0x80) !== 0,
      compressed: (first & 0x40) !== 0,
      opcode: first! & 0x0f,
      payload,
    };
  }
}
