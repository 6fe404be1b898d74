import type { Logger } from "../../shared/log.ts";
import type { RouterRecord, VersionStore } from "../store/store.ts";
import type { Clock } from "../../shared/clock.ts";

/** How long changes are gathered before they are written. */
const GATHER_MS = 500;
/** The same for routers that the store does not have. */
const SOON_MS = 20;
/** How many records one write holds, as long as none fails. */
const BATCH = 500;
/** A record counts as live for so long after it was written … */
const LIVE_MS = 60_000;
/** … and is written again after a third of that, so that two writes may fail. */
const RENEW_MS = LIVE_MS / 3;
/** Pause after a failed write: doubling from the first to the last of these. */
const RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;
/** After a start, routers of the process before have so long to come back before they are written off. */
const RETURN_MS = 30_000;
/** How many routers that are gone stay listed; past it, those longest gone are forgotten. */
const MAX_GONE = 10_000;

/**
 * The routers as the store keeps them, so that one that is gone stays listed, also after a restart.
 * Writes are gathered and batched; one that fails is tried again and harms nothing else.
 */
export class Roster {
  /** Writes that failed. */
  failures = 0;
  readonly #store: VersionStore;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #controlPlane: string;
  readonly #exclusive: boolean;
  readonly #live: (id: string) => RouterRecord | null;
  readonly #isLive: (id: string) => boolean;
  readonly #liveIds: () => Iterable<string>;
  readonly #maxGone: number;
  /** Those that are gone, the longest gone first; in a shared store also what others wrote. */
  #known = new Map<string, RouterRecord>();
  readonly #dirty = new Set<string>();
  /** Ids that the store is known to have had. */
  readonly #listed = new Set<string>();
  readonly #removed = new Set<string>();
  #loading: Promise<boolean> | null = null;
  #loaded = false;
  #writing: Promise<void> | null = null;
  #failing = false;
  /** Whether the last read of the store went well. */
  complete = false;
  #retryMs = RETRY_MS;
  #batch = BATCH;
  #cancelWrite: (() => void) | null = null;
  /** What is due is a router that is new. */
  #soon = false;
  #cancelRenewal: (() => void) | null = null;
  #cancelReturn: (() => void) | null = null;
  #stopped = false;

  /**
   * `exclusive`: no other process writes to this store, so whatever it lists and is not connected
   * here is gone. `live` makes the record of a connected router, null if it is not connected.
   */
  constructor(options: {
    store: VersionStore;
    log: Logger;
    clock: Clock;
    controlPlane: string;
    exclusive: boolean;
    live: (id: string) => RouterRecord | null;
    isLive: (id: string) => boolean;
    liveIds: () => Iterable<string>;
    maxGone?: number;
  }) {
    this.#store = options.store;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#controlPlane = options.controlPlane;
    this.#exclusive = options.exclusive;
    this.#live = options.live;
    this.#isLive = options.isLive;
    this.#liveIds = options.liveIds;
    this.#maxGone = options.maxGone ?? MAX_GONE;
  }

  /** Begins to load the roster, and to renew what is live. */
  start(): void {
    void this.#load();
    if (!this.#exclusive) this.#renewLater();
  }

  /** Writes what is still to be written, and ends. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRenewal?.();
    this.#cancelReturn?.();
    this.#cancelWrite?.();
    await this.#loading;
    await this.#writing;
    if (this.#dirty.size > 0) await this.#write();
  }

  /** RFC 3339: until when a record written now counts as live. */
  liveUntil(): string {
    return new Date(this.#clock.wall() + LIVE_MS).toISOString();
  }

  /** A connected router has changed: its record is to be written. */
  touch(id: string): void {
    this.#removed.delete(id);
    // What it left when it was last gone; in a shared store the next load tells anyway.
    if (this.#exclusive && this.#isLive(id)) this.#known.delete(id);
    this.#dirty.add(id);
    // Whether all routers are drained is asked of those that are listed: one that is new is listed at once.
    if (this.#listed.has(id)) this.#writeLater(GATHER_MS);
    else this.#writeSoon();
  }

  /**
   * A router has gone and leaves this record behind. Where this process ends as well and the store is its own, that
   * is not written: the next one finds the router connected, and knows that it is gone. Ten thousand such records
   * would keep a restart waiting for seconds (bench:fleet).
   */
  leave(record: RouterRecord, { ending }: { ending: boolean }): void {
    this.#keep(record);
    if (!ending || !this.#exclusive) this.touch(record.id);
  }

  /** What is known of a router that is not connected here; null if nothing. */
  last(id: string): RouterRecord | null {
    return this.#known.get(id) ?? null;
  }

  /**
   * The records of routers that are not connected here: gone, or connected to another control plane.
   * Where the store cannot be read, what was last known of them.
   */
  async records(): Promise<RouterRecord[]> {
    if (!this.#loaded || !this.#exclusive) await this.#load();
    const records: RouterRecord[] = [];
    for (const record of this.#known.values()) {
      if (!this.#isLive(record.id)) records.push(record);
    }
    return records;
  }

  /** Whether a record stands for a router that is connected to another control plane. */
  isElsewhere(record: RouterRecord): boolean {
    return !this.#exclusive && record.controlPlane !== this.#controlPlane &&
      record.goneSince === null &&
      Date.parse(record.liveUntil) > this.#clock.wall();
  }

  /**
   * Takes a router that is gone off the roster; false if it was not on it.
   *
   * @throws {StoreUnavailable} if the store cannot be written.
   */
  async forget(id: string): Promise<boolean> {
    this.#dirty.delete(id);
    // A write that is under way would bring it back.
    await this.#writing;
    this.#listed.delete(id);
    const known = this.#known.delete(id);
    this.#removed.add(id);
    const stored = await this.#store.deleteRouter(id);
    return known || stored;
  }

  #keep(record: RouterRecord): void {
    this.#known.delete(record.id);
    this.#known.set(record.id, record);
  }

  /** Takes those longest gone off the roster, where more are gone than stay listed. */
  async #forgetOldest(): Promise<void> {
    if (this.#known.size <= this.#maxGone) return;
    const gone = [...this.#known.values()]
      .filter((record) => !this.#isLive(record.id) && !this.isElsewhere(record))
      .sort((a, b) => endOf(a) < endOf(b) ? -1 : 1);
    for (
      const { id } of gone.slice(0, Math.max(0, gone.length - this.#maxGone))
    ) {
      // It may have come back meanwhile.
      if (this.#isLive(id)) continue;
      this.#dirty.delete(id);
      this.#known.delete(id);
      this.#listed.delete(id);
      try {
        await this.#store.deleteRouter(id);
      } catch (error) {
        // It stays in the store, and is taken off after the next start.
        this.#log.debug("a router could not be taken off the roster", {
          router: id,
          error,
        });
      }
    }
  }

  /** Reads the roster; answers whether it could. Several calls at a time share one read. */
  #load(): Promise<boolean> {
    this.#loading ??= this.#read().finally(() => this.#loading = null);
    return this.#loading;
  }

  async #read(): Promise<boolean> {
    try {
      const records = await this.#store.routers();
      for (const { id } of records) this.#listed.add(id);
      if (this.#exclusive) this.#adopt(records);
      else this.#refresh(records);
      this.#loaded = this.complete = true;
      return true;
    } catch (error) {
      // A store of its own tells nothing that this process does not know.
      this.complete = this.#exclusive && this.#loaded;
      this.#log.warn("the roster of routers cannot be read", { error });
      if (!this.#loaded && !this.#stopped) {
        this.#cancelReturn ??= this.#clock.after(RETRY_MS, () => {
          this.#cancelReturn = null;
          void this.#load();
        });
      }
      return false;
    }
  }

  /** Takes over what the process before left: whatever it had connected is gone with it. */
  #adopt(records: RouterRecord[]): void {
    if (this.#loaded) return;
    const goneSince = new Date(this.#clock.wall()).toISOString();
    const orphans: string[] = [];
    const gone = records.map((record) => {
      if (record.goneSince !== null) return record;
      orphans.push(record.id);
      return { ...record, goneSince, status: "gone" };
    });
    gone.sort((a, b) => a.goneSince! < b.goneSince! ? -1 : 1);
    const since = this.#known;
    this.#known = new Map(
      gone.filter(({ id }) => !this.#isLive(id)).map((record) => [
        record.id,
        record,
      ]),
    );
    for (const record of since.values()) this.#keep(record);
    void this.#forgetOldest();
    if (orphans.length === 0 || this.#stopped) return;
    // Most of them are about to come back: writing them off now would be for nothing.
    this.#cancelReturn?.();
    this.#cancelReturn = this.#clock.after(RETURN_MS, () => {
      for (const id of orphans) {
        if (this.#known.has(id) && !this.#isLive(id)) this.touch(id);
      }
    });
  }

  /** Takes over what is stored, except for what is still to be written from here. */
  #refresh(records: RouterRecord[]): void {
    const before = this.#known;
    this.#known = new Map();
    for (const record of records) {
      if (!this.#removed.has(record.id)) this.#known.set(record.id, record);
    }
    for (const id of this.#dirty) {
      const left = before.get(id);
      if (left === undefined) continue;
      const stored = this.#known.get(id);
      // It may have gone over to another control plane, whose record tells more than ours.
      const moved = stored !== undefined && this.isElsewhere(stored) &&
        stored.connectedSince >= left.connectedSince;
      if (!moved) this.#known.set(id, left);
    }
    this.#removed.clear();
  }

  #renewLater(): void {
    this.#cancelRenewal = this.#clock.after(RENEW_MS, () => {
      for (const id of this.#liveIds()) this.touch(id);
      this.#renewLater();
    });
  }

  /** As {@linkcode Roster.#writeLater}, but sooner than what is due already. */
  #writeSoon(): void {
    if (this.#soon) return;
    this.#cancelWrite?.();
    this.#cancelWrite = null;
    this.#writeLater(SOON_MS);
    this.#soon = this.#cancelWrite !== null;
  }

  #writeLater(ms: number): void {
    if (this.#cancelWrite !== null || this.#stopped) return;
    // One that is under way or has failed comes back for the rest itself.
    if (this.#writing !== null) return;
    this.#cancelWrite = this.#clock.after(ms, () => {
      this.#cancelWrite = null;
      this.#soon = false;
      this.#writing = this.#writeAll().finally(() => {
        this.#writing = null;
        if (this.#dirty.size > 0) {
          this.#writeLater(this.#failing ? this.#retryMs : GATHER_MS);
        }
      });
    });
  }

  async #writeAll(): Promise<void> {
    await this.#write();
    await this.#forgetOldest();
  }

  async #write(): Promise<void> {
    if (!this.#loaded || !this.#exclusive) await this.#load();
    while (this.#dirty.size > 0) {
      const ids: string[] = [];
      for (const id of this.#dirty) {
        ids.push(id);
        if (ids.length === this.#batch) break;
      }
      const records: RouterRecord[] = [];
      for (const id of ids) {
        this.#dirty.delete(id);
        const record = this.#live(id) ?? this.#left(id);
        if (record !== null) records.push(record);
      }
      try {
        await this.#store.saveRouters(records);
        for (const { id } of records) this.#listed.add(id);
      } catch (error) {
        // They come last from now on, and with fewer beside them: one that cannot be written keeps no others from it.
        for (const id of ids) this.#dirty.add(id);
        this.#batch = Math.max(1, this.#batch >> 1);
        this.failures++;
        if (!this.#failing) {
          this.#log.warn("the roster cannot be written; trying again", {
            error,
          });
        }
        this.#retryMs = this.#failing
          ? Math.min(this.#retryMs * 2, MAX_RETRY_MS)
          : RETRY_MS;
        this.#failing = true;
        return;
      }
      this.#batch = Math.min(BATCH, this.#batch * 2);
      if (this.#failing) this.#log.info("the roster can be written again");
      this.#failing = false;
    }
  }

  /** The record a router left here; null if it has gone to another control plane since. */
  #left(id: string): RouterRecord | null {
    const record = this.#known.get(id);
    return record === undefined || this.isElsewhere(record) ? null : record;
  }
}

/** When a router that is gone went, as far as its record tells. */
function endOf({ goneSince, liveUntil }: RouterRecord): string {
  return goneSince ?? liveUntil;
}
