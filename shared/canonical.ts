import { createHash } from "node:crypto";
import type { Config } from "./config.ts";
import type { Bucket } from "./customers.ts";

/** The part of the canonical text behind the customers, from `},"default_placement"` on. */
export function canonicalTail(
  config: Pick<Config, "defaultPlacement" | "endpoints">,
): string {
  const names = [...config.endpoints.keys()].sort();
  const pairs = names.map((name) =>
    `"${name}":${JSON.stringify(config.endpoints.get(name))}`
  );
  return `},"default_placement":"${config.defaultPlacement}","placement_to_endpoint":{${
    pairs.join(",")
  }}}`;
}

/** What the canonical text begins with. */
export const CANONICAL_HEAD = '{"customer_to_placement":{';

/** About how many characters a piece has: few enough that making one holds up nothing else. */
const PIECE_CHARS = 256 * 1024;

/** The canonical text piece by piece, so that the text of a large config is never held whole. */
export function* canonicalPieces(config: Config): Generator<string, undefined> {
  let piece = CANONICAL_HEAD;
  let comma = "";
  for (const { fragment } of config.customers.buckets) {
    if (fragment === "") continue;
    piece += comma + fragment;
    comma = ",";
    if (piece.length >= PIECE_CHARS) {
      yield piece;
      piece = "";
    }
  }
  yield piece + canonicalTail(config);
}

/** The one fixed text of a config (SPEC section 3): a JSON text without white space. */
export function canonicalText(config: Config): string {
  return [...canonicalPieces(config)].join("");
}

/** Length of the canonical text without making it: characters and bytes alike, because all of it is ASCII. */
export function canonicalLength(config: Config): number {
  let length = CANONICAL_HEAD.length + canonicalTail(config).length;
  let fragments = 0;
  for (const { fragment } of config.customers.buckets) {
    if (fragment === "") continue;
    length += fragment.length;
    fragments++;
  }
  return length + Math.max(0, fragments - 1);
}

/** The digest of a config: `sha256:` and 64 hex digits (SPEC section 3). Only buckets never hashed before are hashed. */
export function configDigest(config: Config): string {
  return digestOf(
    createHash("sha256").update(canonicalTail(config)).digest(),
    config.customers.buckets,
  );
}

/** The digest from its parts: SHA-256 of the tail, and the buckets. */
export function digestOf(
  tail: Uint8Array,
  buckets: readonly Pick<Bucket, "digest">[],
): string {
  const parts = new Uint8Array(32 * (1 + buckets.length));
  parts.set(tail, 0);
  for (const [index, bucket] of buckets.entries()) {
    parts.set(bucket.digest, 32 * (index + 1));
  }
  return `sha256:${createHash("sha256").update(parts).digest("hex")}`;
}
