import { Buffer } from "node:buffer";
import { constants, crc32, inflateRawSync } from "node:zlib";
import type { Database } from "./database.ts";
import type { Piece } from "./gzip.ts";
import { chunkKey } from "./keys.ts";
import { type ChunkRef, ID_BYTES } from "./manifest.ts";
import { damaged } from "./records.ts";

/** Bytes of a chunk in one value; Deno KV takes at most 65,536. */
export const PART_BYTES = 60_000;
/** Roughly what a key and its framing cost in a commit, in bytes. */
const KEY_BYTES = 100;
/** Deno KV takes 1,000 mutations in one commit. */
const MAX_MUTATIONS = 500;

/** The name of a piece in a manifest. `digest` is the SHA-256 of its text. */
export function chunkRef(
  piece: Piece,
  of: { readonly digest: Uint8Array; readonly count: number },
): ChunkRef {
  const id = new Uint8Array(ID_BYTES);
  id.set(of.digest);
  new DataView(id.buffer).setUint32(32, piece.check);
  return {
    id,
    crc: piece.crc,
    length: piece.length,
    stored: piece.bytes.length,
    count: of.count,
  };
}

/** The keys that a chunk's values have. */
export function chunkKeys(ref: ChunkRef): Deno.KvKey[] {
  return Array.from(
    { length: partsOf(ref) },
    (_, part) => chunkKey(ref.id, part),
  );
}

/** How many values a chunk is in. */
export function partsOf(ref: Pick<ChunkRef, "stored">): number {
  return Math.ceil(ref.stored / PART_BYTES);
}

/** Collects the chunks of one version and writes them in as few commits as the database allows. */
export class ChunkWriter {
  readonly #db: Database;
  readonly #maxBytes: number;
  /** Chunks that are there already. */
  readonly #skip: ReadonlySet<string>;
  readonly #written = new Set<string>();
  #operation: Deno.AtomicOperation;
  #pending: string[] = [];
  #mutations = 0;
  #cost = 0;
  #bytes = 0;

  /** `maxBytes` is how much goes into one commit; `written` are chunks that need not be written again. */
  constructor(
    db: Database,
    options: { maxBytes: number; written: ReadonlySet<string> },
  ) {
    this.#db = db;
    this.#maxBytes = options.maxBytes;
    this.#skip = options.written;
    this.#operation = db.atomic();
  }

  /** Bytes of all chunks added, whether they are committed yet or not. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Chunks that are in the database whether or not {@linkcode ChunkWriter.rest} gets there. */
  get written(): ReadonlySet<string> {
    return this.#written.union(this.#skip);
  }

  /** Adds a chunk, which may commit those before it. */
  async add(ref: ChunkRef, bytes: Uint8Array): Promise<void> {
    const name = ref.id.toHex();
    if (this.#skip.has(name)) return;
    for (const [part, key] of chunkKeys(ref).entries()) {
      const value = bytes.subarray(part * PART_BYTES, (part + 1) * PART_BYTES);
      const cost = value.length + KEY_BYTES;
      if (
        this.#mutations > 0 &&
        (this.#cost + cost > this.#maxBytes ||
          this.#mutations === MAX_MUTATIONS)
      ) {
        await this.#flush(key);
      }
      this.#operation.set(key, value);
      this.#cost += cost;
      this.#mutations++;
      this.#bytes += value.length;
    }
    // Only with its last part, which may be in a later commit than its first.
    this.#pending.push(name);
  }

  /**
   * The operation that holds what is not committed yet. What makes the version visible goes into it
   * as well: a version of few chunks is one commit, and leaves no garbage if it fails.
   */
  rest(): Deno.AtomicOperation {
    return this.#operation;
  }

  async #flush(key: Deno.KvKey): Promise<void> {
    await this.#db.commit(this.#operation, key);
    for (const name of this.#pending) this.#written.add(name);
    this.#operation = this.#db.atomic();
    this.#pending = [];
    this.#cost = 0;
    this.#mutations = 0;
  }
}

/**
 * Puts a chunk together from its values and takes it apart, checking its sums; that its text has the
 * SHA-256 of its address is the caller's to check.
 *
 * @throws {StoreDamaged} if a value is missing or is not what was written.
 */
export function readChunk(
  ref: ChunkRef,
  values: readonly { readonly key: Deno.KvKey; readonly value: unknown }[],
): { piece: Piece; text: string } {
  for (const { key, value } of values) {
    if (!(value instanceof Uint8Array)) {
      throw damaged(
        key,
        value === null ? "the chunk is missing" : "it is no bytes",
      );
    }
  }
  const key = values[0]!.key;
  const bytes = values.length === 1
    ? values[0]!.value as Uint8Array
    : new Uint8Array(Buffer.concat(values.map((v) => v.value as Uint8Array)));
  const check = new DataView(ref.id.buffer, ref.id.byteOffset).getUint32(32);
  if (bytes.length !== ref.stored || crc32(bytes) !== check) {
    throw damaged(key, "its bytes are not those that were written");
  }
  let raw: Buffer;
  try {
    raw = inflateRawSync(bytes, {
      // The piece is not the end of its stream, and that is no error.
      finishFlush: constants.Z_SYNC_FLUSH,
      maxOutputLength: ref.length,
      // In one go, not in steps of 16 KiB that are then joined.
      chunkSize: ref.length + 64,
    });
  } catch (cause) {
    throw damaged(key, "it cannot be decompressed", { cause });
  }
  if (raw.length !== ref.length || crc32(raw) !== ref.crc) {
    throw damaged(key, "its text is not the one that was written");
  }
  return {
    piece: { bytes, check, crc: ref.crc, length: ref.length },
    text: raw.toString("latin1"),
  };
}
