import { Buffer } from "node:buffer";
import { digestOf } from "../../shared/canonical.ts";
import { BUCKETS } from "../../shared/customers.ts";
import { damaged, seal, unseal } from "./records.ts";

/** A chunk as a manifest names it. */
export interface ChunkRef {
  /**
   * Its address, 36 bytes: SHA-256 of the text, CRC-32 of the compressed bytes. The second is there
   * because two releases of zlib may compress one text differently; so a key has one value for ever.
   */
  readonly id: Uint8Array;
  /** CRC-32 of the text. */
  readonly crc: number;
  /** Bytes of the text. */
  readonly length: number;
  /** Bytes of the compressed text. */
  readonly stored: number;
  /** How many customers it holds. */
  readonly count: number;
}

/** Where the default placement and the endpoints stand, behind the buckets. */
export const TAIL_SLOT = BUCKETS;
/** Bytes of {@linkcode ChunkRef.id}. */
export const ID_BYTES = 36;

const SLOTS = BUCKETS + 1;
const ENTRY_BYTES = ID_BYTES + 16;
const BITMAP_BYTES = Math.ceil(SLOTS / 8);
const NO_DIGEST = new Uint8Array(
  Buffer.from(
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "hex",
  ),
);

/**
 * Which chunks a version is made of: one for each bucket that is not empty, and the tail. Stored as a
 * bitmap of the slots that are used and 52 bytes for each of them, in order. Full, with its seal,
 * that is 129 + 1,025 × 52 + 32 = 53,461 bytes: one value of a database that takes 65,536.
 */
export class Manifest {
  /** All slots, used or not; an unused one is all zeros. */
  readonly #slots: Uint8Array;
  readonly #view: DataView;

  private constructor(slots: Uint8Array) {
    this.#slots = slots;
    this.#view = new DataView(slots.buffer, slots.byteOffset, slots.byteLength);
  }

  /** A manifest of these chunks, by slot. */
  static of(refs: Iterable<readonly [slot: number, ref: ChunkRef]>): Manifest {
    const manifest = new Manifest(new Uint8Array(SLOTS * ENTRY_BYTES));
    for (const [slot, ref] of refs) {
      const at = slot * ENTRY_BYTES;
      manifest.#slots.set(ref.id, at);
      manifest.#view.setUint32(at + ID_BYTES, ref.crc);
      manifest.#view.setUint32(at + ID_BYTES + 4, ref.length);
      manifest.#view.setUint32(at + ID_BYTES + 8, ref.stored);
      manifest.#view.setUint32(at + ID_BYTES + 12, ref.count);
    }
    return manifest;
  }

  /**
   * Reads a stored manifest.
   *
   * @throws {StoreDamaged} if it is missing or damaged.
   */
  static decode(
    entry: { readonly key: Deno.KvKey; readonly value: unknown },
  ): Manifest {
    const bytes = unseal(entry.key, entry.value);
    const slots = new Uint8Array(SLOTS * ENTRY_BYTES);
    let at = BITMAP_BYTES;
    for (let slot = 0; slot < SLOTS && at <= bytes.length; slot++) {
      if ((bytes[slot >> 3]! & (1 << (slot & 7))) === 0) continue;
      slots.set(bytes.subarray(at, at + ENTRY_BYTES), slot * ENTRY_BYTES);
      at += ENTRY_BYTES;
    }
    if (at !== bytes.length) {
      throw damaged(
        entry.key,
        `its length of ${bytes.length} bytes is not what its bitmap says, ${at}`,
      );
    }
    return new Manifest(slots);
  }

  /** The sealed bytes of this manifest. */
  encode(): Uint8Array {
    const used: number[] = [];
    for (let slot = 0; slot < SLOTS; slot++) {
      if (this.has(slot)) used.push(slot);
    }
    const bytes = new Uint8Array(BITMAP_BYTES + used.length * ENTRY_BYTES);
    let at = BITMAP_BYTES;
    for (const slot of used) {
      bytes[slot >> 3]! |= 1 << (slot & 7);
      const from = slot * ENTRY_BYTES;
      bytes.set(this.#slots.subarray(from, from + ENTRY_BYTES), at);
      at += ENTRY_BYTES;
    }
    return seal(bytes);
  }

  /** Whether there is a chunk in a slot. */
  has(slot: number): boolean {
    // A chunk holds at least a pair and the bytes of its flush, so its lengths are never 0.
    return this.#view.getUint32(slot * ENTRY_BYTES + ID_BYTES + 8) !== 0;
  }

  /** The chunk in a slot; null if the slot is not used. */
  get(slot: number): ChunkRef | null {
    if (!this.has(slot)) return null;
    const at = slot * ENTRY_BYTES;
    return {
      id: this.#slots.subarray(at, at + ID_BYTES),
      crc: this.#view.getUint32(at + ID_BYTES),
      length: this.#view.getUint32(at + ID_BYTES + 4),
      stored: this.#view.getUint32(at + ID_BYTES + 8),
      count: this.#view.getUint32(at + ID_BYTES + 12),
    };
  }

  /** SHA-256 of the text in a slot; that of nothing if the slot is not used. */
  digestAt(slot: number): Uint8Array {
    const at = slot * ENTRY_BYTES;
    return this.has(slot) ? this.#slots.subarray(at, at + 32) : NO_DIGEST;
  }

  /** The ids of all chunks, in order, each as a string of 36 characters below 256. */
  *ids(): Generator<string> {
    const slots = Buffer.from(this.#slots.buffer, this.#slots.byteOffset);
    for (let slot = 0; slot < SLOTS; slot++) {
      if (!this.has(slot)) continue;
      const at = slot * ENTRY_BYTES;
      yield slots.toString("latin1", at, at + ID_BYTES);
    }
  }

  /** All slots that are used, with their chunks. */
  *entries(): Generator<[slot: number, ref: ChunkRef]> {
    for (let slot = 0; slot < SLOTS; slot++) {
      const ref = this.get(slot);
      if (ref !== null) yield [slot, ref];
    }
  }

  /** The digest of the config these chunks make. */
  get digest(): string {
    return digestOf(
      this.digestAt(TAIL_SLOT),
      Array.from({ length: BUCKETS }, (_, slot) => ({
        digest: this.digestAt(slot),
      })),
    );
  }
}
