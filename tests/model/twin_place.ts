import { Alarm, watchHead } from "../../cp/store/head_watch.ts";
import { MemoryDatabase, MemoryStore } from "../../cp/store/memory_store.ts";
import { ProblemError } from "../../cp/api/problem.ts";
import { SILENT } from "../../cp/store/store_contract.ts";
import {
  type Assignments,
  type Attribution,
  type CanaryEnd,
  type CommitOptions,
  type Committed,
  type Edit,
  EmptyStore,
  type EndedRollout,
  type Head,
  type Newest,
  NothingBefore,
  OnTrial,
  type Orders,
  RolloutUnderWay,
  type RouterRecord,
  StoreUnavailable,
  TooManyCanaries,
  type Version,
  type VersionInfo,
  type VersionStore,
} from "../../cp/store/store.ts";
import { ChangeStreams } from "./change_streams.ts";
import { customersOf, type History, type Node } from "./history.ts";
import { OLDER_SOFTWARE, type Place, type Snapshot } from "./place.ts";
import { CALL_TIMEOUT_MS, type RemoteCalls } from "./remote_calls.ts";
import type { Simulation } from "./simulation.ts";

interface TwinSnapshot extends Snapshot {
  readonly database: MemoryDatabase;
}

/** A place whose store is the one in memory: each call of it takes effect at one moment, or fails. */
export class TwinPlace implements Place {
  readonly snapshots: TwinSnapshot[] = [];
  readonly streams: ChangeStreams;
  readonly #history: History;
  readonly #keepVersions: number;
  #database = new MemoryDatabase();
  #memory: MemoryStore;

  constructor(
    simulation: Simulation,
    options: { history: History; keepVersions: number },
  ) {
    this.#history = options.history;
    this.#keepVersions = options.keepVersions;
    this.streams = new ChangeStreams(simulation);
    this.#memory = this.#use(this.#database);
    this.#remember(null);
  }

  get memory(): MemoryStore {
    return this.#memory;
  }

  open(calls: RemoteCalls): Promise<VersionStore> {
    return Promise.resolve(new TwinStore(this, calls));
  }

  /** Commits, at one moment; the history hears of it. */
  async change(commit: () => Promise<Committed>): Promise<Committed> {
    const before = this.#database.head;
    const committed = await commit();
    if (committed.version.author === OLDER_SOFTWARE && committed.changed) {
      // It leaves no word of a guard behind, and a head without one counts from its own version.
      const { head } = this.#database;
      this.#database.head = { ...head, guardedSince: head.version };
    }
    const { head } = this.#database;
    if (head !== before) {
      const node = this.#history.committed(head);
      node.customers = customersOf(committed.version);
      this.#remember(node);
      this.streams.ring();
    }
    return committed;
  }

  async changeOrders(
    change: (now: Orders, head: Head) => Orders,
  ): Promise<Head> {
    const head = await this.#memory.changeOrders(change);
    this.streams.ring();
    return head;
  }

  async confirm(version: number): Promise<Head> {
    const head = await this.#memory.confirm(version);
    this.#history.headChanged(head);
    this.streams.ring();
    return head;
  }

  async promote(
    version: number,
    by: string | null,
    ends?: readonly CanaryEnd[],
  ): Promise<Head> {
    const head = await this.#memory.promote(version, by, ends);
    this.#history.headChanged(head);
    this.streams.ring();
    return head;
  }

  async setAssertions(
    ...args: Parameters<VersionStore["setAssertions"]>
  ): Promise<Head> {
    const head = await this.#memory.setAssertions(...args);
    this.#history.headChanged(head);
    this.streams.ring();
    return head;
  }

  get head(): Head {
    return this.#database.head;
  }

  stamped(): { head: Head; stamp: string } {
    const { head, stamp } = this.#database;
    return { head, stamp: String(stamp) };
  }

  lists(router: string): boolean {
    return this.#database.routers.has(router);
  }

  restore(snapshot: Snapshot): void {
    const { database, node } = snapshot as TwinSnapshot;
    const { stamp } = this.#database;
    this.#memory = this.#use(copyOf(database));
    this.#database.stamp = stamp + 1;
    this.#history.restored(node);
    this.streams.ring();
  }

  wipe(): void {
    const { stamp } = this.#database;
    this.#memory = this.#use(new MemoryDatabase());
    this.#database.stamp = stamp + 1;
    this.#history.restored(null);
    this.streams.ring();
  }

  silenceWatches(until: number): void {
    this.streams.silentUntil = until;
  }

  #use(database: MemoryDatabase): MemoryStore {
    this.#database = database;
    return new MemoryStore({
      database,
      keepVersions: this.#keepVersions,
      log: SILENT,
    });
  }

  #remember(node: Node | null): void {
    this.snapshots.push({ node, database: copyOf(this.#database) });
  }
}

function copyOf(database: MemoryDatabase): MemoryDatabase {
  const copy = new MemoryDatabase();
  copy.head = database.head;
  copy.stamp = database.stamp;
  for (const [key, value] of database.versions) copy.versions.set(key, value);
  for (const [key, value] of database.digests) copy.digests.set(key, value);
  for (const [key, value] of database.rules) copy.rules.set(key, value);
  for (const [key, value] of database.rollouts) copy.rollouts.set(key, value);
  for (const [key, value] of database.routers) copy.routers.set(key, value);
  return copy;
}

/** The store of one process. */
class TwinStore implements VersionStore {
  readonly #place: TwinPlace;
  readonly #calls: RemoteCalls;
  readonly #closing = new AbortController();
  readonly #alarms = new Set<Alarm>();

  constructor(place: TwinPlace, calls: RemoteCalls) {
    this.#place = place;
    this.#calls = calls;
  }

  head(): Promise<Head> {
    return this.#call("head", () => this.#place.memory.head());
  }

  current(): Promise<Version | null> {
    return this.#call("current", () => this.#place.memory.current());
  }

  newest(): Promise<Newest> {
    return this.#call("newest", () => this.#place.memory.newest());
  }

  get(version: number): Promise<Version | null> {
    return this.#call("get", () => this.#place.memory.get(version));
  }

  list(options: { before?: number; limit: number }): Promise<VersionInfo[]> {
    return this.#call("list", () => this.#place.memory.list(options));
  }

  digestOf(
    version: number,
  ): Promise<{ epoch: string; digest: string } | null> {
    return this.#call("digest", () => this.#place.memory.digestOf(version));
  }

  /** No part of the model asks for it. */
  assignments(customers: readonly string[]): AsyncIterable<Assignments> {
    return this.#place.memory.assignments(customers);
  }

  commit(
    edit: Edit,
    attribution: Attribution,
    options?: CommitOptions,
  ): Promise<Committed> {
    return this.#change(
      "commit",
      () => this.#place.memory.commit(edit, attribution, options),
    );
  }

  takeover(
    options: { above: number; epochs: readonly string[] },
    attribution: Attribution,
    check?: (current: Version | null, head: Head) => unknown,
  ): Promise<Committed> {
    return this.#change(
      "takeover",
      () => this.#place.memory.takeover(options, attribution, check),
    );
  }

  /** Beside the calls: an edit asks for it in the middle of a commit, which is one moment here. */
  rules(digest: string): Promise<string> {
    return this.#place.memory.rules(digest);
  }

  async setAssertions(
    ...args: Parameters<VersionStore["setAssertions"]>
  ): Promise<Head> {
    const head = await this.#call(
      "set assertions",
      () => this.#place.setAssertions(...args),
      { write: true },
    );
    for (const alarm of this.#alarms) alarm.ring();
    return head;
  }

  async confirm(version: number): Promise<Head> {
    const head = await this.#call(
      "confirm",
      () => this.#place.confirm(version),
      { write: true },
    );
    for (const alarm of this.#alarms) alarm.ring();
    return head;
  }

  async promote(
    version: number,
    by: string | null,
    ends?: readonly CanaryEnd[],
  ): Promise<Head> {
    const head = await this.#call(
      "promote",
      () => this.#place.promote(version, by, ends),
      { write: true },
    );
    for (const alarm of this.#alarms) alarm.ring();
    return head;
  }

  rollouts(
    options: { before?: number; limit: number },
  ): Promise<EndedRollout[]> {
    return this.#call("rollouts", () => this.#place.memory.rollouts(options));
  }

  rollout(version: number): Promise<EndedRollout | null> {
    return this.#call("rollout", () => this.#place.memory.rollout(version));
  }

  async changeOrders(
    change: (now: Orders, head: Head) => Orders,
  ): Promise<Head> {
    const head = await this.#call(
      "orders",
      () => this.#place.changeOrders(change),
      { write: true },
    );
    for (const alarm of this.#alarms) alarm.ring();
    return head;
  }

  async *watch(signal: AbortSignal): AsyncGenerator<Head, void> {
    const alarm = new Alarm();
    const ended = new AbortController();
    const end = () => ended.abort();
    for (const each of [signal, this.#closing.signal]) {
      each.addEventListener("abort", end);
    }
    this.#alarms.add(alarm);
    try {
      yield* watchHead({
        read: () => this.#call("head", () => this.#place.stamped()),
        changes: () => this.#place.streams.open(this.#calls.process),
        intervalMs: 2000,
        log: SILENT,
      }, { alarm, signal: ended.signal });
    } finally {
      this.#alarms.delete(alarm);
    }
  }

  routers(): Promise<RouterRecord[]> {
    return this.#call("routers", () => this.#place.memory.routers());
  }

  saveRouters(records: readonly RouterRecord[]): Promise<void> {
    return this.#call(
      "save routers",
      () => this.#place.memory.saveRouters(records),
      { write: true },
    );
  }

  deleteRouter(id: string): Promise<boolean> {
    return this.#call(
      "delete router",
      () => this.#place.memory.deleteRouter(id),
      { write: true },
    );
  }

  close(): Promise<void> {
    this.#closing.abort();
    return Promise.resolve();
  }

  async #change(
    what: string,
    commit: () => Promise<Committed>,
  ): Promise<Committed> {
    const committed = await this.#call(
      what,
      () => this.#place.change(commit),
      { write: true },
    );
    for (const alarm of this.#alarms) alarm.ring();
    return committed;
  }

  async #call<T>(
    what: string,
    effect: () => T | Promise<T>,
    options: { write?: boolean } = {},
  ): Promise<T> {
    const { clock } = this.#calls.process;
    let cancel = () => {};
    const late = new Promise<never>((_, reject) => {
      cancel = clock.after(
        CALL_TIMEOUT_MS,
        () => reject(new Error("simulated: no answer in time")),
      );
    });
    try {
      return await Promise.race([
        this.#calls.call(what, effect, options),
        late,
      ]);
    } catch (cause) {
      // What the edit itself throws is the caller's.
      if (
        cause instanceof EmptyStore || cause instanceof RangeError ||
        cause instanceof ProblemError || cause instanceof OnTrial ||
        cause instanceof NothingBefore || cause instanceof RolloutUnderWay ||
        cause instanceof TooManyCanaries
      ) {
        throw cause;
      }
      throw new StoreUnavailable(`Cannot ${what}: the database failed`, {
        cause,
      });
    } finally {
      cancel();
    }
  }
}
