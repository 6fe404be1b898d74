import { Buffer } from "node:buffer";
import { Bucket, bucketOf } from "../../shared/customers.ts";
import { chunkKeys, readChunk } from "./chunks.ts";
import type { Database } from "./database.ts";
import { MANIFEST_PREFIX } from "./keys.ts";
import { type ChunkRef, Manifest } from "./manifest.ts";
import type { Assignments } from "./store.ts";

/** A manifest is up to 53 KiB. */
const MANIFESTS_PER_READ = 10;

/**
 * Some customers through the versions that are kept, the newest first. A customer is always in the same bucket, so
 * a bucket that has the digest it had in the version before is not read: only the manifest is.
 *
 * @throws {StoreDamaged} if a manifest or a chunk is damaged.
 */
export async function* assignments(
  db: Database,
  customers: readonly string[],
): AsyncGenerator<Assignments, void> {
  const slots = customers.map(bucketOf);
  /** What was read last of each bucket that is looked at. */
  const buckets = new Map<number, { digest: Uint8Array; bucket: Bucket }>();
  const entries = db.list({ prefix: MANIFEST_PREFIX }, {
    reverse: true,
    batchSize: MANIFESTS_PER_READ,
  });
  for await (const entry of entries) {
    const manifest = Manifest.decode(entry);
    for (const slot of new Set(slots)) {
      const digest = manifest.digestAt(slot);
      const known = buckets.get(slot);
      if (known !== undefined && Buffer.compare(known.digest, digest) === 0) {
        continue;
      }
      try {
        const bucket = await read(db, manifest.get(slot));
        buckets.set(slot, { digest, bucket });
      } catch (error) {
        // Its chunks may be gone because it was dropped meanwhile, and with it all that are older.
        if ((await db.get(entry.key)).value === null) return;
        throw error;
      }
    }
    yield {
      version: entry.key.at(-1) as number,
      placements: customers.map((customer, index) =>
        buckets.get(slots[index]!)!.bucket.get(customer) ?? null
      ),
    };
  }
}

async function read(db: Database, ref: ChunkRef | null): Promise<Bucket> {
  if (ref === null) return Bucket.EMPTY;
  const values = await Array.fromAsync(db.getMany(chunkKeys(ref)));
  return new Bucket(readChunk(ref, values).text, ref.count);
}
