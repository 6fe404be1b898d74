import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { CANONICAL_HEAD } from "../../shared/canonical.ts";
import type { Config } from "../../shared/config.ts";
import { Bucket, BUCKETS, CustomerMap } from "../../shared/customers.ts";
import { readJson } from "../../shared/json.ts";
import { chunkKeys, readChunk } from "./chunks.ts";
import type { Database, Entry } from "./database.ts";
import { keepBucketPiece, tailOf } from "./gzip.ts";
import { chunkKey } from "./keys.ts";
import { type ChunkRef, type Manifest, TAIL_SLOT } from "./manifest.ts";
import { damaged } from "./records.ts";
import { Turns } from "./turns.ts";

/**
 * Reads the config that a manifest stands for. Buckets that `known` has as well are shared with it,
 * not read.
 *
 * @throws {StoreDamaged} if a chunk is missing or does not match its digest.
 */
export async function readConfig(
  db: Database,
  manifest: Manifest,
  known: Config | null,
): Promise<Config> {
  const buckets = new Array<Bucket>(BUCKETS).fill(Bucket.EMPTY);
  const wanted: [slot: number, ref: ChunkRef][] = [];
  let tail: Pick<Config, "defaultPlacement" | "endpoints"> | null =
    known !== null && same(tailOf(known).digest, manifest.digestAt(TAIL_SLOT))
      ? known
      : null;
  for (const [slot, ref] of manifest.entries()) {
    if (slot === TAIL_SLOT) {
      if (tail === null) wanted.push([slot, ref]);
      continue;
    }
    const bucket = known?.customers.buckets[slot];
    if (
      bucket !== undefined && same(bucket.digest, manifest.digestAt(slot))
    ) buckets[slot] = bucket;
    else wanted.push([slot, ref]);
  }
  const keys = wanted.map(([, ref]) => chunkKeys(ref));
  const entries = db.getMany(keys.flat());
  const turns = new Turns();
  for (const [index, [slot, ref]] of wanted.entries()) {
    const values: Entry[] = [];
    for (let part = 0; part < keys[index]!.length; part++) {
      values.push((await entries.next()).value as Entry);
    }
    if (slot === TAIL_SLOT) tail = readTail(ref, values);
    else buckets[slot] = readBucket(ref, values);
    await turns.next();
  }
  await entries.return(undefined);
  if (tail === null) {
    throw new TypeError("Cannot read a config of a manifest without a tail");
  }
  return Object.freeze({
    defaultPlacement: tail.defaultPlacement,
    endpoints: tail.endpoints,
    customers: new CustomerMap(buckets),
  });
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function readBucket(ref: ChunkRef, values: readonly Entry[]): Bucket {
  const { piece, text } = readChunk(ref, values);
  const bucket = new Bucket(text, ref.count);
  checkText(ref, bucket.digest);
  keepBucketPiece(bucket, piece);
  return bucket;
}

function readTail(
  ref: ChunkRef,
  values: readonly Entry[],
): Pick<Config, "defaultPlacement" | "endpoints"> {
  const { text } = readChunk(ref, values);
  checkText(ref, createHash("sha256").update(text).digest());
  const { value } = readJson(CANONICAL_HEAD + text);
  if (value instanceof Map) {
    const defaultPlacement = value.get("default_placement");
    const endpoints = value.get("placement_to_endpoint");
    if (typeof defaultPlacement === "string" && endpoints instanceof Map) {
      // Its text matches its digest, so it is a tail that a valid config had.
      return {
        defaultPlacement,
        endpoints: endpoints as ReadonlyMap<string, string>,
      };
    }
  }
  throw damaged(values[0]!.key, "it is not the tail of a config");
}

function checkText(ref: ChunkRef, digest: Uint8Array): void {
  if (!same(digest, ref.id.subarray(0, 32))) {
    throw damaged(
      chunkKey(ref.id, 0),
      "its text does not match the SHA-256 of its address",
    );
  }
}
