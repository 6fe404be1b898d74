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
