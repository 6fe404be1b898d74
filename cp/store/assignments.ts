import { Buffer } from "node:buffer";
import { Bucket, bucketOf } from "../../shared/customers.ts";
import { chunkKeys, readChunk } from "./chunks.ts";
import type { Database } from "./database.ts";
import { MANIFEST_PREFIX } from "./keys.ts";
import { type ChunkRef, Manifest } from "./manifest.ts";
import type { Assignment } from "./store.ts";

/** A manifest is up to 53 KiB. */
const MANIFESTS_PER_READ = 10;

/**
 * One customer through the versions that are kept, the newest first. A customer is always in the same bucket, so
 * a version whose bucket has the digest of the one before it is not read: only its manifest is.
 *
 * @throws {StoreDamaged} if a manifest or a chunk is damaged.
 */
export async function* assignments(
  db: Database,
  customer: string,
): AsyncGenerator<Assignment, void> {
  const slot = bucketOf(customer);
  let digest: Uint8Array | null = null;
  let placement: string | null = null;
  const entries = db.list({ prefix: MANIFEST_PREFIX }, {
    reverse: true,
    batchSize: MANIFESTS_PER_READ,
  });
  for await (const entry of entries) {
    const manifest = Manifest.decode(entry);
    const found = manifest.digestAt(slot);
    if (digest === null || Buffer.compare(found, digest) !== 0) {
      try {
        placement = await read(db, manifest.get(slot), customer);
      } catch (error) {
        // Its chunks may be gone because it was dropped meanwhile, and with it all that are older.
        if ((await db.get(entry.key)).value === null) return;
        throw error;
      }
      digest = found;
    }
    yield { version: entry.key.at(-1) as number, placement };
  }
}

async function read(
  db: Database,
  ref: ChunkRef | null,
  customer: string,
): Promise<string | null> {
  if (ref === null) return null;
  const values = await Array.fromAsync(db.getMany(chunkKeys(ref)));
  const { text } = readChunk(ref, values);
  return new Bucket(text, ref.count).get(customer) ?? null;
}
