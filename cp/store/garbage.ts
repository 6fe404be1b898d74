import { Buffer } from "node:buffer";
import type { Logger } from "../../shared/log.ts";
import { partsOf } from "./chunks.ts";
import type { Database } from "./database.ts";
import {
  CHUNK_PREFIX,
  chunkKey,
  HEAD_KEY,
  HOLD_KEY,
  INFO_PREFIX,
  infoKey,
  MANIFEST_PREFIX,
  manifestKey,
  ROLLOUT_PREFIX,
  rolloutKey,
  SWEPT_KEY,
} from "./keys.ts";
import { ID_BYTES, Manifest } from "./manifest.ts";
import { pause } from "./pause.ts";
import { damaged, decodeRecord, encodeRecord, HEAD_SHAPE } from "./records.ts";
import { StoreUnavailable } from "./store.ts";
import { Turns } from "./turns.ts";
import { keptNow } from "./version_info.ts";

/** Chunks looked at in one sweep, so that memory has a bound: some 20 MB. */
const MAX_CANDIDATES = 50_000;
/** Values deleted in one commit. Small, because commits of versions wait for it. */
const BATCH = 200;
/** Times a batch is tried when other processes commit at the same time. */
const MAX_TRIES = 50;
/** Milliseconds between two batches, in which other processes' commits find their chunks undisturbed. */
const BATCH_PAUSE_MS = 50;
/** One sweep for so many dropped versions at a full history: its cost is reading every kept manifest. */
const SWEEP_SHARE = 16;

/** What the collector counts. */
export interface GarbageStats {
  versionsDropped: number;
  sweeps: number;
  chunksDeleted: number;
}

/** What the collector works with. */
export interface GarbageOptions {
  readonly db: Database;
  /** How many of the newest versions stay, at least 1; more by {@linkcode keptNow}. */
  readonly keepVersions: number;
  /** Runs a task while no commit of this process runs. */
  readonly exclusive: <T>(task: () => Promise<T>) => Promise<T>;
  /** Milliseconds to wait for a commit of another process that has failed several times. */
  readonly holdMs: number;
  readonly stats: GarbageStats;
  readonly log: Logger;
  /** Ends all work. */
  readonly signal: AbortSignal;
}

/** Chunks that may be garbage: id → the parts that are stored. Ids are those of {@linkcode Manifest.ids}. */
type Candidates = Map<string, number[]>;

/** How far the manifests have been looked at. */
interface Mark {
  /** The head's versionstamp, read before the manifests were. */
  stamp: string | null;
  /** The newest version whose manifest was seen. */
  last: number;
  /** The versionstamp of the last wish to wait that was granted. */
  hold: string | null;
}

/**
 * Drops versions past the number kept, and deletes chunks that no kept version has.
 *
 * A chunk may be deleted only while nobody makes a version of it. So a batch of deletes checks that
 * the head is the one from before the manifests were read: every version that is visible has been
 * looked at. And it writes the `swept` key, which a commit reads before it writes chunks and checks
 * when it makes them visible: a commit whose chunks were deleted under it fails, and writes them again.
 * One that fails several times writes the `hold` key; for as long as that changes nothing is deleted.
 */
export class Garbage {
  readonly #options: GarbageOptions;
  /** Versions that are kept, oldest first, as far as they were listed. */
  #kept: number[] = [];
  /** The manifest of the oldest of them, if it was read. */
  #oldest: { version: number; manifest: Manifest | null } | null = null;
  #dropped: Candidates = new Map();
  #droppedVersions = 0;
  #running: Promise<void> | null = null;
  #again = false;

  constructor(options: GarbageOptions) {
    this.#options = options;
  }

  /** Drops what is past the number kept, in the background. */
  poke(): void {
    if (this.#options.signal.aborted) return;
    if (this.#running !== null) {
      this.#again = true;
      return;
    }
    this.#start(() => this.#drop()).catch((error) => this.#failed(error));
  }

  /** Collects everything a crash may have left, in the background; errors are logged. */
  collectLater(): void {
    this.collect().catch((error) => this.#failed(error));
  }

  /**
   * Drops what is past the number kept and deletes every chunk that no version has, in all of the store.
   *
   * @throws {StoreDamaged} if a manifest cannot be read, so that it is unknown what is garbage.
   * @throws {StoreUnavailable} if the database fails.
   */
  async collect(): Promise<void> {
    await this.settled();
    await this.#start(async () => {
      await this.#drop();
      await this.#sweepAll();
    });
  }

  /** Waits for the end of the work under way. */
  async settled(): Promise<void> {
    while (this.#running !== null) await this.#running;
  }

  #start(work: () => Promise<void>): Promise<void> {
    this.#again = false;
    const result = work();
    this.#running = result.catch(() => {}).finally(() => {
      this.#running = null;
      if (this.#again) this.poke();
    });
    return result;
  }

  #failed(error: unknown): void {
    if (this.#options.signal.aborted) return;
    this.#options.log.warn("collecting the store's garbage failed", { error });
  }

  /** Drops versions past the number kept; sweeps what they leave once it is worth it. */
  async #drop(): Promise<void> {
    const { db, keepVersions, stats, log, signal } = this.#options;
    const start = infoKey((this.#kept.at(-1) ?? 0) + 1);
    const listed = db.list({ prefix: INFO_PREFIX, start }, { batchSize: 100 });
    for await (const { key } of listed) this.#kept.push(key.at(-1) as number);
    // Read after the list: a version of it that may be returned to is one then, or was one.
    const head = decodeRecord(await db.get(HEAD_KEY), HEAD_SHAPE);
    const excess = this.#kept.length - keptNow(head, keepVersions);
    for (let n = 0; n < excess && !signal.aborted; n++) {
      const [version, next] = this.#kept as [number, number, ...number[]];
      await this.#addCandidates(version, next);
      await db.commit(
        db.atomic().delete(infoKey(version)).delete(manifestKey(version)),
        manifestKey(version),
      );
      this.#kept.shift();
      this.#droppedVersions++;
      stats.versionsDropped++;
      if (this.#dropped.size >= MAX_CANDIDATES) await this.#sweepDropped();
    }
    if (this.#droppedVersions * SWEEP_SHARE >= keepVersions) {
      await this.#sweepDropped();
    }
    if (excess > 0) {
      await this.#dropRollouts(this.#kept[0]!);
      log.debug("old versions were dropped", {
        dropped: excess,
        oldest: this.#kept[0],
      });
    }
  }

  /** Deletes how rollouts of versions before the oldest that is kept ended, but for the newest rollout of all. */
  async #dropRollouts(oldest: number): Promise<void> {
    const { db } = this.#options;
    const before = { prefix: ROLLOUT_PREFIX, end: rolloutKey(oldest) };
    const old: Deno.KvKey[] = [];
    for await (const { key } of db.list(before, { batchSize: 100 })) {
      old.push(key);
    }
    if (old.length === 0) return;
    const newest = db.list({ prefix: ROLLOUT_PREFIX }, {
      limit: 1,
      reverse: true,
      batchSize: 1,
    });
    for await (const { key } of newest) {
      if (key.at(-1) === old.at(-1)!.at(-1)) old.pop();
    }
    for (let at = 0; at < old.length; at += BATCH) {
      const operation = db.atomic();
      for (const key of old.slice(at, at + BATCH)) operation.delete(key);
      await db.commit(operation, ROLLOUT_PREFIX);
    }
  }

  /** Deletes what the versions dropped since the last time have left; what a failure leaves, the next opening finds. */
  async #sweepDropped(): Promise<void> {
    const candidates = this.#dropped;
    this.#dropped = new Map();
    this.#droppedVersions = 0;
    await this.#sweep(candidates);
  }

  /** Notes the chunks of a version that the one after it has not; a chunk in both is noted when that one goes. */
  async #addCandidates(version: number, next: number): Promise<void> {
    const oldest = this.#oldest?.version === version
      ? this.#oldest.manifest
      : await this.#manifest(version);
    const kept = await this.#manifest(next);
    this.#oldest = { version: next, manifest: kept };
    if (oldest === null) return;
    const shared = new Set(kept?.ids());
    for (const [, ref] of oldest.entries()) {
      const id = Buffer.from(ref.id).toString("latin1");
      if (shared.has(id)) continue;
      this.#dropped.set(
        id,
        Array.from({ length: partsOf(ref) }, (_, part) => part),
      );
    }
  }

  /** A version's manifest; null if it cannot be used, which leaves its chunks for a sweep of the whole store. */
  async #manifest(version: number): Promise<Manifest | null> {
    const entry = await this.#options.db.get(manifestKey(version));
    // Another process has dropped it, and sweeps what it left.
    if (entry.value === null) return null;
    try {
      return Manifest.decode(entry);
    } catch (error) {
      this.#options.log.error("a manifest of the store is damaged", { error });
      return null;
    }
  }

  /** Sweeps the whole store, some ten thousand chunks at a time. */
  async #sweepAll(): Promise<void> {
    const { db, signal } = this.#options;
    const turns = new Turns();
    let start: Deno.KvKey | null = null;
    do {
      const candidates: Candidates = new Map();
      const selector: { prefix: Deno.KvKey; start?: Deno.KvKey } =
        start === null
          ? { prefix: CHUNK_PREFIX }
          : { prefix: CHUNK_PREFIX, start };
      start = null;
      // Values come with their keys, up to 60 KB each: few at a time.
      for await (const { key } of db.list(selector, { batchSize: 50 })) {
        if (signal.aborted) return;
        if (candidates.size >= MAX_CANDIDATES) {
          start = key;
          break;
        }
        const [id, part] = key.slice(-2) as [Uint8Array, number];
        const name = Buffer.from(id).toString("latin1");
        const parts = candidates.get(name);
        if (parts === undefined) candidates.set(name, [part]);
        else parts.push(part);
        await turns.next();
      }
      await this.#sweep(candidates);
    } while (start !== null);
  }

  /** Deletes those of the candidates that no version has. */
  async #sweep(candidates: Candidates): Promise<void> {
    const { exclusive, stats, log, signal } = this.#options;
    const mark: Mark = { stamp: null, last: 0, hold: null };
    mark.hold = (await this.#options.db.get(HOLD_KEY)).versionstamp;
    await this.#mark(candidates, mark);
    const before = stats.chunksDeleted;
    while (candidates.size > 0 && !signal.aborted) {
      await this.#grantHold(mark);
      await exclusive(() => this.#deleteBatch(candidates, mark));
      if (candidates.size > 0) await pause(BATCH_PAUSE_MS, signal);
    }
    stats.sweeps++;
    const deleted = stats.chunksDeleted - before;
    if (deleted > 0) {
      log.info("garbage of the store was collected", { values: deleted });
    }
  }

  /** Takes away the candidates that a version has: looks at all versions, or at those since the last mark. */
  async #mark(candidates: Candidates, mark: Mark): Promise<void> {
    const { db, signal } = this.#options;
    // Before the manifests, so that a version that is not among them has changed the head since.
    const entry = await db.get(HEAD_KEY);
    const head = decodeRecord(entry, HEAD_SHAPE);
    const selector = {
      prefix: MANIFEST_PREFIX,
      start: manifestKey(mark.last + 1),
    };
    const turns = new Turns();
    for await (const entry of db.list(selector, { batchSize: 8 })) {
      if (signal.aborted) return;
      for (const id of Manifest.decode(entry).ids()) candidates.delete(id);
      mark.last = entry.key.at(-1) as number;
      await turns.next();
    }
    if (mark.last < head.version) {
      throw damaged(manifestKey(head.version), "it is missing");
    }
    mark.stamp = entry.versionstamp;
  }

  /** Waits until no commit has asked for it for a while. */
  async #grantHold(mark: Mark): Promise<void> {
    const { db, holdMs, signal } = this.#options;
    while (!signal.aborted) {
      const { versionstamp } = await db.get(HOLD_KEY);
      if (versionstamp === mark.hold) return;
      mark.hold = versionstamp;
      await pause(holdMs, signal);
    }
  }

  /** Deletes some of the candidates; none if a commit asks to wait. */
  async #deleteBatch(candidates: Candidates, mark: Mark): Promise<void> {
    const { db, stats, signal } = this.#options;
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      if (signal.aborted) return;
      const [head, hold] = await db.snapshot([HEAD_KEY, HOLD_KEY]);
      if (hold.versionstamp !== mark.hold) return;
      if (head.versionstamp !== mark.stamp) await this.#mark(candidates, mark);
      // A mark that was broken off has left candidates that a version has.
      if (signal.aborted) return;
      const batch = firstParts(candidates, BATCH);
      if (batch.length === 0) return;
      const operation = db.atomic()
        .check({ key: HEAD_KEY, versionstamp: mark.stamp })
        .check({ key: HOLD_KEY, versionstamp: mark.hold })
        .set(SWEPT_KEY, encodeRecord({ at: new Date().toISOString() }));
      for (const [id, part] of batch) {
        operation.delete(chunkKey(idBytes(id), part));
      }
      if (await db.commit(operation, SWEPT_KEY) !== null) {
        for (const [id, part] of batch) forget(candidates, id, part);
        stats.chunksDeleted += batch.length;
        return;
      }
      await pause(Math.random() * Math.min(50, 2 ** attempt), signal);
    }
    throw new StoreUnavailable(
      `Cannot delete garbage of the store: others committed during each of ${MAX_TRIES} tries`,
    );
  }
}

function firstParts(candidates: Candidates, limit: number): [string, number][] {
  const batch: [string, number][] = [];
  for (const [id, parts] of candidates) {
    for (const part of parts) {
      if (batch.length === limit) return batch;
      batch.push([id, part]);
    }
  }
  return batch;
}

function forget(candidates: Candidates, id: string, part: number): void {
  const left = candidates.get(id)!.filter((other) => other !== part);
  if (left.length === 0) candidates.delete(id);
  else candidates.set(id, left);
}

function idBytes(id: string): Uint8Array {
  const bytes = Buffer.from(id, "latin1");
  if (bytes.length !== ID_BYTES) {
    throw new TypeError(
      `Cannot name a chunk by ${bytes.length} bytes: an id has ${ID_BYTES}`,
    );
  }
  return new Uint8Array(bytes);
}
