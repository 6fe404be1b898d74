import { Buffer } from "node:buffer";
import type { Config } from "../../../shared/config.ts";
import { Bucket, CustomerMap } from "../../../shared/customers.ts";
import { bucketPiece, keepBucketPiece, type Piece } from "../../store/gzip.ts";
import { Turns } from "../../store/turns.ts";

/**
 * A config on its way between two threads: a few buffers, which are given away, in place of a thousand
 * strings, which would be copied in one go. Buckets that it shares with a config that the receiver has
 * are left out.
 */
export interface PackedConfig {
  readonly defaultPlacement: string;
  readonly endpoints: ReadonlyMap<string, string>;
  /** For each bucket that is here {@linkcode FIELDS} numbers, as the fields of {@linkcode readFields} say. */
  readonly fields: Uint32Array<ArrayBuffer>;
  /** The fragments, one behind the other. */
  readonly text: Uint8Array<ArrayBuffer>;
  /** The SHA-256 of each fragment; nothing where they are not made yet. */
  readonly digests: Uint8Array<ArrayBuffer>;
  /** The compressed fragments, one behind the other; nothing where they are not made yet. */
  readonly pieces: Uint8Array<ArrayBuffer>;
}

/** Numbers that are kept of a bucket. */
const FIELDS = 6;
const DIGEST_BYTES = 32;

/** A bucket that is packed, and its place. */
type Slot = readonly [index: number, bucket: Bucket];

/** Packs a config in turns, without digests and compressed fragments. */
export async function packPlain(config: Config): Promise<PackedConfig> {
  const slots = [...config.customers.buckets.entries()]
    .filter(([, { size }]) => size > 0);
  const packed = emptyPack(config, slots, { digests: 0, pieces: 0 });
  const turns = new Turns();
  let at = 0;
  for (const [n, [index, bucket]] of slots.entries()) {
    packed.fields.set([index, bucket.size, bucket.fragment.length], n * FIELDS);
    at += writeText(packed.text, { fragment: bucket.fragment, at });
    await turns.next();
  }
  return packed;
}

/**
 * Packs a config with all that a commit needs, in one go; what it shares with `base` is left out. This
 * is for a thread that has time.
 */
export function packReady(config: Config, base: Config | null): PackedConfig {
  const slots = [...config.customers.buckets.entries()].filter((
    [index, bucket],
  ) => bucket !== (base?.customers.buckets[index] ?? Bucket.EMPTY));
  const pieces = slots.map(([, bucket]) =>
    bucket.size === 0 ? null : bucketPiece(bucket)
  );
  const packed = emptyPack(config, slots, {
    digests: slots.length * DIGEST_BYTES,
    pieces: pieces.reduce((sum, piece) => sum + (piece?.bytes.length ?? 0), 0),
  });
  let textAt = 0;
  let pieceAt = 0;
  for (const [n, [index, bucket]] of slots.entries()) {
    const { fragment, size, digest } = bucket;
    const piece = pieces[n];
    packed.fields.set([
      index,
      size,
      fragment.length,
      piece?.bytes.length ?? 0,
      piece?.check ?? 0,
      piece?.crc ?? 0,
    ], n * FIELDS);
    textAt += writeText(packed.text, { fragment, at: textAt });
    packed.digests.set(digest, n * DIGEST_BYTES);
    if (piece === null || piece === undefined) continue;
    packed.pieces.set(piece.bytes, pieceAt);
    pieceAt += piece.bytes.length;
  }
  return packed;
}

/** The config that was packed, in turns; buckets that are not in it are those of `base`. */
export async function unpack(
  packed: PackedConfig,
  base: Config | null,
): Promise<Config> {
  const buckets = [...(base?.customers ?? CustomerMap.EMPTY).buckets];
  const text = Buffer.from(packed.text.buffer);
  const turns = new Turns();
  let textAt = 0;
  let pieceAt = 0;
  for (let n = 0; n * FIELDS < packed.fields.length; n++) {
    const { index, size, length, stored, check, crc } = readFields(packed, n);
    const digestAt = n * DIGEST_BYTES;
    // Fragments are ASCII, and for nothing else is a string made of bytes as fast.
    const bucket = size === 0 ? Bucket.EMPTY : new Bucket(
      text.toString("ascii", textAt, textAt + length),
      size,
      packed.digests.length === 0
        ? undefined
        : packed.digests.slice(digestAt, digestAt + DIGEST_BYTES),
    );
    if (stored > 0) {
      // A copy, because pieces are kept one by one.
      const bytes = packed.pieces.slice(pieceAt, pieceAt + stored);
      keepBucketPiece(bucket, { bytes, check, crc, length } satisfies Piece);
    }
    buckets[index] = bucket;
    textAt += length;
    pieceAt += stored;
    await turns.next();
  }
  return Object.freeze({
    defaultPlacement: packed.defaultPlacement,
    endpoints: packed.endpoints,
    customers: new CustomerMap(buckets),
  });
}

/** What is given away with a packed config instead of being copied. */
export function packedBuffers(packed: PackedConfig): ArrayBuffer[] {
  const { fields, text, digests, pieces } = packed;
  return [fields.buffer, text.buffer, digests.buffer, pieces.buffer];
}

function emptyPack(
  config: Config,
  slots: readonly Slot[],
  bytes: { digests: number; pieces: number },
): PackedConfig {
  const length = slots.reduce(
    (sum, [, { fragment }]) => sum + fragment.length,
    0,
  );
  return {
    defaultPlacement: config.defaultPlacement,
    endpoints: config.endpoints,
    fields: new Uint32Array(slots.length * FIELDS),
    text: new Uint8Array(length),
    digests: new Uint8Array(bytes.digests),
    pieces: new Uint8Array(bytes.pieces),
  };
}

function writeText(
  target: Uint8Array<ArrayBuffer>,
  { fragment, at }: { fragment: string; at: number },
): number {
  return ENCODER.encodeInto(fragment, target.subarray(at)).written;
}

const ENCODER = new TextEncoder();

function readFields({ fields }: PackedConfig, n: number): {
  readonly index: number;
  readonly size: number;
  /** Bytes of the fragment. */
  readonly length: number;
  /** Bytes of the compressed fragment; 0 where it is not made yet. */
  readonly stored: number;
  /** CRC-32 of the compressed fragment. */
  readonly check: number;
  /** CRC-32 of the fragment. */
  readonly crc: number;
} {
  const [index, size, length, stored, check, crc] = fields.subarray(
    n * FIELDS,
    (n + 1) * FIELDS,
  ) as unknown as [number, number, number, number, number, number];
  return { index, size, length, stored, check, crc };
}
