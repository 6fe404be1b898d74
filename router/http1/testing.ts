import { Buffer } from "node:buffer";
import type { Transport } from "./transport.ts";
import { Wire } from "./wire.ts";

/** A transport whose bytes come from memory, in the parts given, and whose writes are kept. */
export class MemoryTransport implements Transport {
  written = "";
  closed = false;
  #parts: Uint8Array[];
  #writeSize: number;

  constructor(parts: Uint8Array[], writeSize = Infinity) {
    this.#parts = parts.filter((part) => part.length > 0);
    this.#writeSize = writeSize;
  }

  read(buffer: Uint8Array): Promise<number | null> {
    const part = this.#parts.shift();
    if (part === undefined) return Promise.resolve(null);
    const count = Math.min(part.length, buffer.length);
    buffer.set(part.subarray(0, count));
    if (count < part.length) this.#parts.unshift(part.subarray(count));
    return Promise.resolve(count);
  }

  write(bytes: Uint8Array): Promise<number> {
    const count = Math.min(bytes.length, this.#writeSize);
    this.written += latin1(bytes.subarray(0, count));
    return Promise.resolve(count);
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.closed = true;
  }
}

/** A read or write that waits for the peer. */
interface Waiting {
  readonly bytes: Uint8Array;
  readonly resolve: (count: number | null) => void;
  readonly reject: (error: Error) => void;
}

/**
 * A transport whose peer is played by a test. Like the platform's it takes a part of what is written,
 * reads the memory of a write that waits only when the peer makes room, and ends at
 * {@linkcode Transport.close} what is under way.
 */
export class PeerTransport implements Transport {
  /** What the peer has taken, each character a byte. */
  taken = "";
  closed = false;
  /** How many bytes more the peer takes without being asked. */
  room: number;
  #arrived: Uint8Array[] = [];
  #ended = false;
  #read: Waiting | null = null;
  #writes: Waiting[] = [];

  constructor(room = Infinity) {
    this.room = room;
  }

  /** Whether a write waits for the peer. */
  get writing(): boolean {
    return this.#writes.length > 0;
  }

  /** The peer sends bytes. */
  arrive(text: string): void {
    this.#arrived.push(Buffer.from(text, "latin1"));
    this.#answerRead();
  }

  /** The peer sends FIN. */
  finish(): void {
    this.#ended = true;
    this.#answerRead();
  }

  /** The peer makes room for `count` more bytes. */
  take(count: number): void {
    this.room += count;
    this.#answerWrites();
  }

  read(buffer: Uint8Array): Promise<number | null> {
    if (this.closed) return Promise.reject(new Error("It was closed"));
    const { promise, resolve, reject } = Promise.withResolvers<number | null>();
    this.#read = { bytes: buffer, resolve, reject };
    this.#answerRead();
    return promise;
  }

  #answerRead(): void {
    const [part] = this.#arrived;
    if (this.#read === null || (part === undefined && !this.#ended)) return;
    const { bytes, resolve } = this.#read;
    this.#read = null;
    if (part === undefined) return resolve(null);
    const count = Math.min(part.length, bytes.length);
    bytes.set(part.subarray(0, count));
    if (count === part.length) this.#arrived.shift();
    else this.#arrived[0] = part.subarray(count);
    resolve(count);
  }

  async write(bytes: Uint8Array): Promise<number> {
    if (this.closed) throw new Error("It was closed");
    if (bytes.length === 0) return 0;
    const { promise, resolve, reject } = Promise.withResolvers<number | null>();
    this.#writes.push({ bytes, resolve, reject });
    this.#answerWrites();
    return await promise ?? 0;
  }

  #answerWrites(): void {
    while (this.room > 0 && this.#writes.length > 0) {
      const { bytes, resolve } = this.#writes.shift()!;
      const count = Math.min(bytes.length, this.room);
      this.taken += latin1(bytes.subarray(0, count));
      this.room -= count;
      resolve(count);
    }
  }

  closeWrite(): Promise<void> {
    return Promise.resolve();
  }

  close(): void {
    this.closed = true;
    for (const waiting of [this.#read, ...this.#writes]) {
      waiting?.reject(new Error("It was closed"));
    }
    this.#read = null;
    this.#writes = [];
  }
}

/** A wire over the given parts, with a buffer of `size` bytes. */
export function wireOf(parts: (string | Uint8Array)[], size = 1024): Wire {
  const bytes = parts.map((part) =>
    typeof part === "string" ? Buffer.from(part, "latin1") : part
  );
  return new Wire(new MemoryTransport(bytes), Buffer.alloc(size));
}

/** Bytes as a string, each a character. */
export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

/** Cuts `text` at the given places, taken modulo its length. */
export function cutAt(text: string, places: readonly number[]): string[] {
  const sorted = places.map((place) => place % (text.length + 1)).sort((a, b) =>
    a - b
  );
  const parts: string[] = [];
  let from = 0;
  for (const place of sorted) {
    parts.push(text.slice(from, place));
    from = place;
  }
  parts.push(text.slice(from));
  return parts.filter((part) => part !== "");
}
