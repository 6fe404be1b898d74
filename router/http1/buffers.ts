import { Buffer } from "node:buffer";

/** Buffers of one size, lent out and taken back, so that bodies and long heads cost no garbage. */
export class BufferPool {
  /** The size of each buffer, in bytes. */
  readonly size: number;
  #free: Buffer[] = [];
  #keep: number;

  /** `keep` is the most buffers held while nobody uses them. */
  constructor(size: number, keep: number) {
    this.size = size;
    this.#keep = keep;
  }

  /** Lends a buffer; what it holds is left over from its last use. */
  take(): Buffer {
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.size);
  }

  /** Takes a buffer back. No read or write may still be under way in it. */
  give(buffer: Buffer): void {
    if (this.#free.length < this.#keep) this.#free.push(buffer);
  }
}

/** For heads that outgrow a connection's own buffer, and for writing heads. */
export const HEAD_BUFFERS: BufferPool = new BufferPool(16 * 1024, 256);

/** For the longest heads allowed, with room for the bytes that follow them. */
export const LONG_HEAD_BUFFERS: BufferPool = new BufferPool(72 * 1024, 16);

/** For bodies and tunnels that fill a smaller buffer. */
export const BODY_BUFFERS: BufferPool = new BufferPool(128 * 1024, 64);
