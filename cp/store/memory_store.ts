import { configDigest } from "../../shared/canonical.ts";
import type { Logger } from "../../shared/log.ts";
import { Alarm, watchHead } from "./head_watch.ts";
import { SerialQueue } from "./serial_queue.ts";
import {
  type Assignments,
  type Attribution,
  type CanaryEnd,
  type CommitOptions,
  type Committed,
  type Edit,
  type EndedRollout,
  type Head,
  type Newest,
  type Orders,
  type RouterRecord,
  StoreDamaged,
  StoreUnavailable,
  type Version,
  type VersionInfo,
  type VersionStore,
} from "./store.ts";
import {
  alwaysMakes,
  checkAttribution,
  checkKeepVersions,
  checkLimit,
  checkTakeover,
  checkTrial,
  confirmedHead,
  currentContents,
  emptyHead,
  haltedBy,
  keptNow,
  keptRouter,
  nextHead,
  nextInfo,
  orderedHead,
  promoted,
  rulesDigest,
  type Takeover,
} from "./version_info.ts";

/** What several stores may share, as several processes share a database. */
export class MemoryDatabase {
  head: Head = emptyHead();
  /** Changes with the head. */
  stamp = 0;
  /** Versions that are kept, oldest first. */
  readonly versions = new Map<number, Version>();
  readonly digests = new Map<number, { epoch: string; digest: string }>();
  readonly routers = new Map<string, RouterRecord>();
  readonly rules = new Map<string, string>();
  /** Staged rollouts that are over, by version. */
  readonly rollouts = new Map<number, EndedRollout>();
  readonly alarms = new Set<Alarm>();
  /** Commits of all stores, one after the other. */
  readonly queue = new SerialQueue();
}

/** How a {@linkcode MemoryStore} is made. */
export interface MemoryStoreOptions {
  /** How many of the newest versions are kept, at least 1. */
  readonly keepVersions: number;
  readonly log: Logger;
  /**
   * The memory it is in.
   *
   * @default {its own}
   */
  readonly database?: MemoryDatabase;
}

/** A store in memory, for tests: what {@linkcode KvStore} does, but nothing survives the process. */
export class MemoryStore implements VersionStore {
  readonly #options: MemoryStoreOptions;
  readonly #database: MemoryDatabase;
  readonly #closing = new AbortController();

  constructor(options: MemoryStoreOptions) {
    checkKeepVersions(options.keepVersions);
    this.#options = options;
    this.#database = options.database ?? new MemoryDatabase();
  }

  async head(): Promise<Head> {
    return (await this.#open()).head;
  }

  async current(): Promise<Version | null> {
    const { versions, head } = await this.#open();
    return versions.get(head.version) ?? null;
  }

  async newest(): Promise<Newest> {
    const { versions, head } = await this.#open();
    return { head, version: versions.get(head.version) ?? null };
  }

  async get(version: number): Promise<Version | null> {
    return (await this.#open()).versions.get(version) ?? null;
  }

  async list(
    options: { before?: number; limit: number },
  ): Promise<VersionInfo[]> {
    const { before = Infinity, limit } = options;
    checkLimit(limit);
    const { versions } = await this.#open();
    return [...versions.values()].reverse()
      .filter(({ version }) => version < before)
      .slice(0, limit)
      .map(({ config: _, ...info }) => info);
  }

  async digestOf(
    version: number,
  ): Promise<{ epoch: string; digest: string } | null> {
    return (await this.#open()).digests.get(version) ?? null;
  }

  async *assignments(
    customers: readonly string[],
  ): AsyncGenerator<Assignments, void> {
    const { versions } = await this.#open();
    for (const { version, config } of [...versions.values()].reverse()) {
      const placements = customers.map((customer) =>
        config.customers.get(customer) ?? null
      );
      yield { version, placements };
    }
  }

  /** Nothing here is ever damaged, so there is no such version to replace. */
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
    const text = (await this.#open()).rules.get(digest);
    if (text !== undefined) return text;
    const why = `There are no rules of digest ${digest}`;
    throw new StoreDamaged(why, digest);
  }

  async setAssertions(
    text: string | null,
    check: (current: Version | null) => void | Promise<void>,
  ): Promise<Head> {
    const assertions = rulesDigest(text);
    const { rules, versions } = await this.#open();
    return await this.#changeHead(async (head) => {
      await check(versions.get(head.version) ?? null);
      if (text !== null) rules.set(assertions!, text);
      return { ...head, assertions };
    });
  }

  confirm(version: number): Promise<Head> {
    return this.#changeHead((head) => confirmedHead(head, version));
  }

  promote(
    version: number,
    by: string | null,
    ends?: readonly CanaryEnd[],
  ): Promise<Head> {
    return this.#changeHead((head) => {
      const { head: next, ended } = promoted(head, version, { by, ends });
      this.#database.rollouts.set(version, ended);
      return next;
    });
  }

  async rollouts(
    options: { before?: number; limit: number },
  ): Promise<EndedRollout[]> {
    const { before = Infinity, limit } = options;
    checkLimit(limit);
    const { rollouts } = await this.#open();
    return [...rollouts.values()].reverse()
      .filter(({ version }) => version < before).slice(0, limit);
  }

  async rollout(version: number): Promise<EndedRollout | null> {
    return (await this.#open()).rollouts.get(version) ?? null;
  }

  changeOrders(
    change: (now: Orders, head: Head) => Orders,
  ): Promise<Head> {
    return this.#changeHead((head) => orderedHead(head, change, Date.now()));
  }

  async #changeHead(
    change: (head: Head) => Head | Promise<Head>,
  ): Promise<Head> {
    const database = await this.#open();
    return await database.queue.run(async () => {
      database.head = await change(database.head);
      database.stamp++;
      for (const alarm of database.alarms) alarm.ring();
      return database.head;
    });
  }

  async *watch(signal: AbortSignal): AsyncGenerator<Head, void> {
    const alarm = new Alarm();
    const { alarms } = this.#database;
    alarms.add(alarm);
    try {
      yield* watchHead({
        read: async () => {
          const { head, stamp } = await this.#open();
          return { head, stamp: String(stamp) };
        },
        // The alarms tell of every change, so this one never does.
        changes: () => new ReadableStream(),
        intervalMs: 2000,
        log: this.#options.log,
      }, { alarm, signal: AbortSignal.any([signal, this.#closing.signal]) });
    } finally {
      alarms.delete(alarm);
    }
  }

  async routers(): Promise<RouterRecord[]> {
    const { routers } = await this.#open();
    return [...routers.values()].sort((a, b) => a.id < b.id ? -1 : 1);
  }

  async saveRouters(records: readonly RouterRecord[]): Promise<void> {
    const { routers } = await this.#open();
    for (const record of records) routers.set(record.id, keptRouter(record));
  }

  async deleteRouter(id: string): Promise<boolean> {
    return (await this.#open()).routers.delete(id);
  }

  close(): Promise<void> {
    this.#closing.abort();
    return Promise.resolve();
  }

  /** The memory, in a later turn, as a database would be. */
  async #open(): Promise<MemoryDatabase> {
    await Promise.resolve();
    if (this.#closing.signal.aborted) {
      throw new StoreUnavailable("Cannot use the store: it is closed");
    }
    return this.#database;
  }

  async #commit(
    edit: Edit,
    attribution: Attribution,
    options: CommitOptions & { takeover: Takeover | null },
  ): Promise<Committed> {
    checkAttribution(attribution);
    const database = await this.#open();
    return await database.queue.run(() =>
      this.#commitTo(database, { edit, attribution, options })
    );
  }

  async #commitTo(
    database: MemoryDatabase,
    { edit, attribution, options }: {
      edit: Edit;
      attribution: Attribution;
      options: CommitOptions & { takeover: Takeover | null };
    },
  ): Promise<Committed> {
    const { takeover } = options;
    checkTrial(database.head, options);
    const previous = database.versions.get(database.head.version) ?? null;
    const config = await edit(previous, database.head);
    const digest = configDigest(config);
    if (previous?.digest === digest && !alwaysMakes(takeover, options)) {
      return { version: previous, previous, changed: false };
    }
    const info = nextInfo(database.head, digest, {
      config,
      attribution,
      takeover,
    });
    const version = Object.freeze({ ...info, config });
    const halted = haltedBy(database.head, info, options);
    if (halted !== null) database.rollouts.set(halted.version, halted);
    database.head = nextHead(database.head, info, {
      takeover,
      commit: options,
      before: previous?.config ?? null,
      config,
    });
    database.stamp++;
    database.versions.set(info.version, version);
    database.digests.set(info.version, { epoch: info.epoch, digest });
    const kept = keptNow(database.head, this.#options.keepVersions);
    for (const dropped of database.versions.keys()) {
      if (database.versions.size <= kept) break;
      database.versions.delete(dropped);
    }
    const [oldest = 0] = database.versions.keys();
    const newestRollout = Math.max(...database.rollouts.keys());
    for (const over of database.rollouts.keys()) {
      if (over < oldest && over !== newestRollout) {
        database.rollouts.delete(over);
      }
    }
    for (const alarm of database.alarms) alarm.ring();
    return { version, previous, changed: true };
  }
}
