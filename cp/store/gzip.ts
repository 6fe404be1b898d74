import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { constants, crc32, deflateRawSync } from "node:zlib";
import { CANONICAL_HEAD, canonicalTail } from "../../shared/canonical.ts";
import type { Config } from "../../shared/config.ts";
import { type Bucket, finish, type Steps } from "../../shared/customers.ts";
import { combineCrc32 } from "./crc32.ts";

/**
 * Some text as raw deflate (RFC 1951) ended by a full flush: it ends on a byte, refers to nothing
 * before it and is not final, so such pieces can stand in a row in any order and number.
 */
export interface Piece {
  readonly bytes: Uint8Array;
  /** CRC-32 of `bytes`. */
  readonly check: number;
  /** CRC-32 of the text. */
  readonly crc: number;
  /** Bytes of the text. */
  readonly length: number;
}

/** The part of a canonical text behind the customers. */
export interface Tail {
  readonly text: string;
  /** SHA-256 of the text. */
  readonly digest: Uint8Array;
  readonly piece: Piece;
}

/** Of a million random names, level 6 makes 2 % less than this in 1.5 times the time. */
const LEVEL = 4;
/** A comma between two fragments, as a stored block. */
const COMMA: Piece = {
  bytes: new Uint8Array([0x00, 0x01, 0x00, 0xfe, 0xff, 0x2c]),
  check: 0,
  crc: crc32(","),
  length: 1,
};
const HEAD = pieceOf(CANONICAL_HEAD);
/** RFC 1952 section 2.3: deflate, no flags, no time, unknown operating system. */
const GZIP_HEADER = new Uint8Array([31, 139, 8, 0, 0, 0, 0, 0, 0, 255]);
/** An empty block that is the last one. */
const END = new Uint8Array([0x03, 0x00]);
const TRAILER_BYTES = 8;

const bucketPieces = new WeakMap<Bucket, Piece>();
const tails = new WeakMap<Config["endpoints"], Map<string, Tail>>();

function pieceOf(text: string): Piece {
  // Canonical text is ASCII. "latin1" would give the same bytes, at fifty times the cost.
  const raw = Buffer.from(text);
  // A copy, because zlib answers a view of a larger buffer, and pieces are kept.
  const bytes = new Uint8Array(
    deflateRawSync(raw, {
      finishFlush: constants.Z_FULL_FLUSH,
      level: LEVEL,
      // In one go, not in steps of 16 KiB that are then joined.
      chunkSize: raw.length + 64,
    }),
  );
  return { bytes, check: crc32(bytes), crc: crc32(raw), length: raw.length };
}

/** The fragment of a bucket as a piece; compressed when first asked for, then kept as long as the bucket. */
export function bucketPiece(bucket: Bucket): Piece {
  let piece = bucketPieces.get(bucket);
  if (piece === undefined) {
    bucketPieces.set(bucket, piece = pieceOf(bucket.fragment));
  }
  return piece;
}

/** Keeps a piece of a bucket that was not compressed here but read. */
export function keepBucketPiece(bucket: Bucket, piece: Piece): void {
  bucketPieces.set(bucket, piece);
}

/** The tail of a config; made when first asked for, then kept as long as its map of endpoints. */
export function tailOf(
  config: Pick<Config, "defaultPlacement" | "endpoints">,
): Tail {
  let byDefault = tails.get(config.endpoints);
  if (byDefault === undefined) {
    tails.set(config.endpoints, byDefault = new Map());
  }
  let tail = byDefault.get(config.defaultPlacement);
  if (tail === undefined) {
    const text = canonicalTail(config);
    const digest = createHash("sha256").update(text).digest();
    tail = { text, digest, piece: pieceOf(text) };
    // One is enough: a default changes seldom, and the map may be large.
    byDefault.clear();
    byDefault.set(config.defaultPlacement, tail);
  }
  return tail;
}

/**
 * The canonical text of a config as one gzip member (RFC 1952) that every reader takes. Only buckets
 * never compressed before are compressed, so after one edit it is little more than a copy.
 */
export function gzipMember(config: Config): Uint8Array {
  return finish(gzipping(config));
}

/** Makes {@linkcode gzipMember} step by step: that of a million customers takes up to 35 ms. */
export function* gzipping(config: Config): Steps<Uint8Array> {
  const pieces: Piece[] = [HEAD];
  for (const bucket of config.customers.buckets) {
    if (bucket.size === 0) continue;
    if (pieces.length > 1) pieces.push(COMMA);
    pieces.push(bucketPiece(bucket));
    yield;
  }
  pieces.push(tailOf(config).piece);
  let size = GZIP_HEADER.length + END.length + TRAILER_BYTES;
  for (const piece of pieces) size += piece.bytes.length;

  const member = new Uint8Array(size);
  member.set(GZIP_HEADER);
  let at = GZIP_HEADER.length;
  let crc = 0;
  let length = 0;
  for (const piece of pieces) {
    member.set(piece.bytes, at);
    at += piece.bytes.length;
    crc = combineCrc32(crc, piece);
    length += piece.length;
    yield;
  }
  member.set(END, at);
  const trailer = new DataView(member.buffer, at + END.length);
  trailer.setUint32(0, crc, true);
  trailer.setUint32(4, length % 2 ** 32, true);
  return member;
}
