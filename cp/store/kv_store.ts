import type { z } from "zod";
import type { Logger } from "../../shared/log.ts";
import { assignments } from "./assignments.ts";
import { Committer } from "./committer.ts";
import { Database, type Kv } from "./database.ts";
import { openDatabase } from "./database_file.ts";
import { Garbage } from "./garbage.ts";
import { Alarm, watchHead } from "./head_watch.ts";
import {
  digestKey,
  HEAD_KEY,
  INFO_PREFIX,
  ROLLOUT_PREFIX,
  rolloutKey,
  ROOT_PREFIX,
  rulesKey,
  STORE_KEY,
} from "./keys.ts";
import { Newest, readVersion } from "./newest.ts";
import {
  decodeRecord,
  DIGEST_SHAPE,
  encodeRecord,
  HEAD_SHAPE,
  INFO_SHAPE,
  ROLLOUT_SHAPE,
  RULES_SHAPE,
  STORE_SHAPE,
} from "./records.ts";
import { deleteRouter, listRouters, saveRouters } from "./roster.ts";
import {
  type Assignments,
  type Attribution,
  type CanaryEnd,
  type CommitOptions,
  type Committed,
  type Edit,
  type EndedRollout,
  type Head,
  type Newest as NewestVersion,
  type Orders,
  type RouterRecord,
  StoreUnavailable,
  type Version,
  type VersionInfo,
  type VersionStore,
} from "./store.ts";
import {
  checkKeepVersions,
  checkLimit,
  checkTakeover,
  currentContents,
  emptyHead,
  type Takeover,
} from "./version_info.ts";

/** The layout this code reads and writes. */
const FORMAT = 1;
/**
 * Deno KV takes 800 KiB in one commit. What makes a version visible goes into the last one of its
 * chunks as well: at most 53 KB of manifest and two records below 64 KiB each.
 */
const BATCH_BYTES = 600 * 1024;

/** What a store counts from its opening on. */
export interface StoreStats {
  /** Versions this process made. */
  readonly commits: number;
  /** Commits tried again because another process had committed or swept meanwhile. */
  readonly conflicts: number;
  /** Bytes of the chunks, manifests and records of those versions. */
  readonly bytesWritten: number;
  /** Versions dropped because there were more than are kept. */
  readonly versionsDropped: number;
  /** Searches for garbage that came to their end. */
  readonly sweeps: number;
  /** Values of chunks that were deleted. */
  readonly chunksDeleted: number;
}

/** How a store is opened. */
export interface KvStoreOptions {
  /**
   * A path, `:memory:` or a KV Connect URL. The platform's own database if neither this nor `kv` is
   * given.
   */
  readonly path?: string | undefined;
  /** A database that is open already, in place of `path`; whoever opened it closes it. */
  readonly kv?: Kv;
  /** How many of the newest versions are kept, at least 1. */
  readonly keepVersions: number;
  readonly log: Logger;
  /**
   * Milliseconds between two strong reads of the head by a watch.
   *
   * @default {2000}
   */
  readonly watchIntervalMs?: number;
  /**
   * Milliseconds that one call of the database may take.
   *
   * @default {10000}
   */
  readonly timeoutMs?: number;
  /**
   * Bytes of chunks in one atomic commit.
   *
   * @default {614400}
   */
  readonly batchBytes?: number;
  /**
   * Milliseconds that the deleting of garbage waits for a commit of another process that has failed
   * several times.
   *
   * @default {5000}
   */
  readonly holdMs?: number;
}

/**
 * Opens a store in Deno KV. Makes it if the database is empty; garbage that a crash left is collected
 * in the background. A store whose head is damaged opens, and fails where it is used.
 *
 * @throws {StoreOwned} if another process owns the file.
 * @throws {StoreDamaged} if the file is not a database.
 * @throws {StoreUnavailable} if the database fails, or the layout is that of another release.
 */
export async function openKvStore(options: KvStoreOptions): Promise<KvStore> {
  checkKeepVersions(options.keepVersions);
  const opened = options.kv === undefined
    ? await openDatabase(options.path)
    : { kv: options.kv, files: null, release() {} };
  const db = new Database(opened.kv, {
    timeoutMs: options.timeoutMs ?? 10_000,
    files: opened.files,
  });
  function release(): void {
    db.close({ kv: options.kv === undefined });
    opened.release();
  }
  try {
    await prepare(db, options.log);
  } catch (error) {
    release();
    throw error;
  }
  return new KvStore(db, options, release);
}

/** Makes the first records of a store in an empty database; looks at them in any other. */
async function prepare(db: Database, log: Logger): Promise<void> {
  const entries = await db.snapshot([STORE_KEY, HEAD_KEY]);
  const fresh = entries.every(({ versionstamp }) => versionstamp === null) &&
    await isEmpty(db);
  if (fresh) {
    const createdAt = new Date().toISOString();
    // If a check fails, another process has made the same records first.
    await db.commit(
      db.atomic().check(...entries)
        .set(STORE_KEY, encodeRecord({ format: FORMAT, createdAt }))
        .set(HEAD_KEY, encodeRecord(emptyHead())),
      STORE_KEY,
    );
    return;
  }
  const [store, head] = entries;
  let format: number;
  try {
    decodeRecord(head, HEAD_SHAPE);
    format = decodeRecord(store, STORE_SHAPE).format;
  } catch (error) {
    log.error("the store is damaged", { error });
    return;
  }
  if (format !== FORMAT) {
    throw new StoreUnavailable(
      `Cannot open the store: its layout is number ${format}, and this release knows number ${FORMAT}`,
    );
  }
}

async function isEmpty(db: Database): Promise<boolean> {
  const all = db.list({ prefix: ROOT_PREFIX }, { limit: 1, batchSize: 1 });
  return (await all.next()).done === true;
}

/** The versions of a config, and the roster, in Deno KV (SPEC section 9). {@linkcode openKvStore} opens it. */
export class KvStore implements VersionStore {
  readonly #db: Database;
  readonly #options: KvStoreOptions;
  readonly #release: () => void;
  readonly #closing = new AbortController();
  readonly #newest: Newest;
  readonly #committer: Committer;
  readonly #garbage: Garbage;
  readonly #alarms = new Set<Alarm>();
  readonly #stats = {
    commits: 0,
    conflicts: 0,
    bytesWritten: 0,
    versionsDropped: 0,
    sweeps: 0,
    chunksDeleted: 0,
  };
  #closed: Promise<void> | null = null;

  /** `release` closes the database. */
  constructor(db: Database, options: KvStoreOptions, release: () => void) {
    this.#db = db;
    this.#options = options;
    this.#release = release;
    this.#newest = new Newest(db);
    const common = { db, stats: this.#stats, signal: this.#closing.signal };
    this.#committer = new Committer({
      ...common,
      newest: this.#newest,
      batchBytes: options.batchBytes ?? BATCH_BYTES,
    });
    this.#garbage = new Garbage({
      ...common,
      keepVersions: options.keepVersions,
      holdMs: options.holdMs ?? 5000,
      exclusive: (task) => this.#committer.exclusive(task),
      log: options.log,
    });
    this.#garbage.collectLater();
  }

  /** What this store counted since it was opened. */
  get stats(): StoreStats {
    return { ...this.#stats };
  }

  async head(): Promise<Head> {
    return (await this.#readHead()).head;
  }

  async current(): Promise<Version | null> {
    return (await this.#newest.read()).version;
  }

  async newest(): Promise<NewestVersion> {
    const { head, version } = await this.#newest.read();
    return { head, version };
  }

  async get(version: number): Promise<Version | null> {
    return await readVersion(this.#db, version, this.#newest);
  }

  async list(
    options: { before?: number; limit: number },
  ): Promise<VersionInfo[]> {
    return await this.#newestOf(INFO_PREFIX, INFO_SHAPE, options);
  }

  /** Records by version, newest first. */
  async #newestOf<T>(
    prefix: Deno.KvKey,
    shape: z.ZodType<T>,
    { before, limit }: { before?: number; limit: number },
  ): Promise<T[]> {
    checkLimit(limit);
    const selector = before === undefined
      ? { prefix }
      : { prefix, end: [...prefix, before] };
    const records: T[] = [];
    const entries = this.#db.list(selector, {
      limit,
      reverse: true,
      batchSize: Math.min(limit, 100),
    });
    for await (const entry of entries) {
      records.push(decodeRecord(entry, shape));
    }
    return records;
  }

  async digestOf(
    version: number,
  ): Promise<{ epoch: string; digest: string } | null> {
    const entry = await this.#db.get(digestKey(version));
    return entry.versionstamp === null
      ? null
      : decodeRecord(entry, DIGEST_SHAPE);
  }

  assignments(customers: readonly string[]): AsyncIterable<Assignments> {
    return assignments(this.#db, customers);
  }

  async commit(
    edit: Edit,
    attribution: Attribution,
    options?: CommitOptions,
  ): Promise<Committed> {
    return await this.#commit(edit, attribution, {
      takeover: null,
      ...options,
    });
  }

  async takeover(
    options: { above: number; epochs: readonly string[] },
    attribution: Attribution,
    check?: (current: Version | null, head: Head) => unknown,
  ): Promise<Committed> {
    checkTakeover(options);
    return await this.#commit(currentContents(check), attribution, {
      takeover: options,
    });
  }

  async rules(digest: string): Promise<string> {
    return decodeRecord(await this.#db.get(rulesKey(digest)), RULES_SHAPE).text;
  }

  async setAssertions(
    text: string | null,
    check: (current: Version | null) => void | Promise<void>,
  ): Promise<Head> {
    return this.#headChanged(await this.#committer.setAssertions(text, check));
  }

  async confirm(version: number): Promise<Head> {
    return this.#headChanged(await this.#committer.confirm(version));
  }

  async promote(
    version: number,
    by: string | null,
    ends?: readonly CanaryEnd[],
  ): Promise<Head> {
    return this.#headChanged(await this.#committer.promote(version, by, ends));
  }

  async rollouts(
    options: { before?: number; limit: number },
  ): Promise<EndedRollout[]> {
    return await this.#newestOf(ROLLOUT_PREFIX, ROLLOUT_SHAPE, options);
  }

  async rollout(version: number): Promise<EndedRollout | null> {
    const entry = await this.#db.get(rolloutKey(version));
    return entry.versionstamp === null
      ? null
      : decodeRecord(entry, ROLLOUT_SHAPE);
  }

  async changeOrders(
    change: (now: Orders, head: Head) => Orders,
  ): Promise<Head> {
    return this.#headChanged(await this.#committer.changeOrders(change));
  }

  #headChanged(head: Head): Head {
    for (const alarm of this.#alarms) alarm.ring();
    return head;
  }

  async *watch(signal: AbortSignal): AsyncGenerator<Head, void> {
    const alarm = new Alarm();
    const ended = new AbortController();
    const end = () => ended.abort();
    const signals = [signal, this.#closing.signal];
    if (signals.some(({ aborted }) => aborted)) return;
    for (const each of signals) each.addEventListener("abort", end);
    this.#alarms.add(alarm);
    try {
      yield* watchHead({
        read: () => this.#readHead(),
        changes: () => this.#db.watch(HEAD_KEY),
        intervalMs: this.#options.watchIntervalMs ?? 2000,
        log: this.#options.log,
      }, { alarm, signal: ended.signal });
    } finally {
      this.#alarms.delete(alarm);
      for (const each of signals) each.removeEventListener("abort", end);
    }
  }

  async routers(): Promise<RouterRecord[]> {
    return await listRouters(this.#db);
  }

  async saveRouters(records: readonly RouterRecord[]): Promise<void> {
    await saveRouters(this.#db, records);
  }

  async deleteRouter(id: string): Promise<boolean> {
    return await deleteRouter(this.#db, id);
  }

  /**
   * Drops versions past the number kept and deletes every chunk that no version has. This happens by
   * itself, at the opening and as versions are dropped; here it is done at once and waited for.
   *
   * @throws {StoreDamaged} if a manifest cannot be read, so that it is unknown what is garbage.
   * @throws {StoreUnavailable} if the database fails.
   */
  async collectGarbage(): Promise<void> {
    await this.#garbage.collect();
  }

  close(): Promise<void> {
    return this.#closed ??= this.#close();
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    // The commit under way is finished; those behind it find that the store closes.
    await this.#committer.exclusive(() => Promise.resolve());
    await this.#garbage.settled();
    this.#release();
  }

  async #commit(
    edit: Edit,
    attribution: Attribution,
    options: CommitOptions & { takeover: Takeover | null },
  ): Promise<Committed> {
    const committed = await this.#committer.commit(edit, attribution, options);
    if (committed.changed) {
      for (const alarm of this.#alarms) alarm.ring();
      this.#garbage.poke();
    }
    return committed;
  }

  async #readHead(): Promise<{ head: Head; stamp: string }> {
    const entry = await this.#db.get(HEAD_KEY);
    const head = decodeRecord(entry, HEAD_SHAPE);
    return { head, stamp: entry.versionstamp! };
  }
}
