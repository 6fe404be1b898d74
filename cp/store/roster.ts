import type { Database } from "./database.ts";
import { ROUTER_PREFIX, routerKey } from "./keys.ts";
import { decodeRecord, encodeRecord, ROUTER_SHAPE } from "./records.ts";
import type { RouterRecord } from "./store.ts";
import { keptRouter } from "./version_info.ts";

/** Bytes and mutations of one commit; Deno KV takes 800 KiB and 1,000. */
const BATCH_BYTES = 600 * 1024;
const BATCH_RECORDS = 500;
/** Roughly what a key and its framing cost in a commit, in bytes. */
const KEY_BYTES = 200;

/** All records, by id. */
export async function listRouters(db: Database): Promise<RouterRecord[]> {
  const records: RouterRecord[] = [];
  const entries = db.list({ prefix: ROUTER_PREFIX }, { batchSize: 100 });
  for await (const entry of entries) {
    records.push(decodeRecord(entry, ROUTER_SHAPE));
  }
  return records;
}

/** Writes records, in as few commits as the database allows; of two with one id the later one stays. */
export async function saveRouters(
  db: Database,
  records: readonly RouterRecord[],
): Promise<void> {
  const byId = new Map(records.map((record) => [record.id, record]));
  let operation = db.atomic();
  let bytes = 0;
  let count = 0;
  for (const record of byId.values()) {
    const value = encodeRecord(keptRouter(record));
    const cost = value.length + KEY_BYTES;
    if (
      count === BATCH_RECORDS || (count > 0 && bytes + cost > BATCH_BYTES)
    ) {
      await db.commit(operation, ROUTER_PREFIX);
      operation = db.atomic();
      bytes = 0;
      count = 0;
    }
    operation.set(routerKey(record.id), value);
    bytes += cost;
    count++;
  }
  if (count > 0) await db.commit(operation, ROUTER_PREFIX);
}

/** Forgets a router; false if it was not listed. Works for a damaged record as well. */
export async function deleteRouter(db: Database, id: string): Promise<boolean> {
  const key = routerKey(id);
  const { versionstamp } = await db.get(key);
  if (versionstamp === null) return false;
  await db.commit(db.atomic().delete(key), key);
  return true;
}
