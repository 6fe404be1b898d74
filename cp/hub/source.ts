import type { Logger } from "../../shared/log.ts";
import {
  type Head,
  StoreDamaged,
  StoreUnavailable,
  type Version,
  type VersionStore,
} from "../store/store.ts";
import type { Clock } from "../../shared/clock.ts";
import type { Recorded } from "./conflict.ts";
import { Payload } from "./payload.ts";
import type { Target } from "./session.ts";

/** What the store says, as this process last read it. */
export interface Standing {
  readonly head: Head;
  /** The committed version; null while the store is empty or what it holds cannot be trusted. */
  readonly version: Version | null;
  /** Why nothing is pushed although there is a version; null otherwise. */
  readonly damage: string | null;
  /** What the routers should be serving; null while the store is empty. */
  readonly target: Target | null;
  /** The forms of a push; null where `version` is. */
  readonly payload: Payload | null;
}

/** Retries after a failed read: doubling from the first to the last of these. */
const RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;
/** How often a head may move while one version is read, before it counts as failed. */
const MAX_READS = 5;
/** How many digests of older versions are kept in memory. */
const MAX_RECORDED = 4096;

/** Follows the store's head and holds what has to be pushed. */
export class Source {
  readonly #store: VersionStore;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #changed: (standing: Standing) => void;
  readonly #ended = new AbortController();
  readonly #recorded = new Map<number, Recorded | null>();
  readonly #lookups = new Map<number, Promise<boolean>>();
  #standing: Standing | null = null;
  #noticedAt: number | null = null;
  #running: Promise<boolean> | null = null;
  #queued: Promise<boolean> | null = null;
  #cancelRetry: (() => void) | null = null;
  #retryMs = RETRY_MS;
  #failing = false;
  #watching: Promise<void> | null = null;

  /** `changed` is called with each new standing, never from within a call to the source. */
  constructor(options: {
    store: VersionStore;
    log: Logger;
    clock: Clock;
    changed: (standing: Standing) => void;
  }) {
    this.#store = options.store;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#changed = options.changed;
  }

  /** Null until the store has been read for the first time. */
  get standing(): Standing | null {
    return this.#standing;
  }

  /** Begins to follow the store. */
  start(): void {
    this.#watching ??= this.#watch();
  }

  /** Ends following; nothing is called any more once it is over. */
  async stop(): Promise<void> {
    this.#ended.abort();
    this.#cancelRetry?.();
    await this.#watching;
    await this.#queued;
    await this.#running;
  }

  /**
   * Reads the head strongly and, where it is a new one, its version. The read begins after the call.
   * Answers false if the head could not be read; that is told in the log and tried again.
   */
  refresh(): Promise<boolean> {
    this.#queued ??= (async () => {
      await this.#running;
      this.#queued = null;
      this.#running = this.#read();
      const ok = await this.#running;
      this.#running = null;
      return ok;
    })();
    return this.#queued;
  }

  /** What the store keeps of a version; null if nothing, undefined if it has not been asked yet. */
  recorded(version: number): Recorded | null | undefined {
    return this.#recorded.get(version);
  }

  /** Asks the store for what it keeps of a version. Answers false if it could not be asked. */
  lookup(version: number): Promise<boolean> {
    let lookup = this.#lookups.get(version);
    if (lookup === undefined) {
      lookup = this.#lookup(version);
      this.#lookups.set(version, lookup);
    }
    return lookup;
  }

  async #lookup(version: number): Promise<boolean> {
    try {
      this.#remember(version, await this.#store.digestOf(version));
      return true;
    } catch (error) {
      this.#fail("the digest of a version cannot be read; trying again", error);
      return false;
    } finally {
      this.#lookups.delete(version);
    }
  }

  #remember(version: number, recorded: Recorded | null): void {
    this.#recorded.set(version, recorded);
    if (this.#recorded.size > MAX_RECORDED) {
      for (const oldest of this.#recorded.keys()) {
        this.#recorded.delete(oldest);
        break;
      }
    }
  }

  async #watch(): Promise<void> {
    const { signal } = this.#ended;
    while (!signal.aborted) {
      try {
        for await (const _head of this.#store.watch(signal)) {
          this.#noticedAt ??= this.#clock.now();
          await this.refresh();
        }
      } catch (error) {
        this.#fail("the watch of the store failed; beginning anew", error);
      }
      if (signal.aborted) return;
      await new Promise<void>((resolve) => {
        const cancel = this.#clock.after(RETRY_MS, resolve);
        signal.addEventListener("abort", () => {
          cancel();
          resolve();
        }, { once: true });
      });
    }
  }

  async #read(): Promise<boolean> {
    if (this.#ended.signal.aborted) return false;
    let head: Head | null = null;
    try {
      for (let reads = 0; reads < MAX_READS; reads++) {
        head = await this.#store.head();
        const standing = this.#standing;
        if (
          standing !== null && standing.damage === null &&
          sameHead(standing.head, head)
        ) return this.#settle(null);
        const version = head.version === 0 ? null : await this.#store.current();
        if (head.version === 0 || matches(head, version)) {
          return this.#settle(this.#stand(head, { version, damage: null }));
        }
      }
      throw new StoreUnavailable(
        `Cannot read the current version: the head moved ${MAX_READS} times meanwhile and is at ${
          head?.version ?? 0
        }`,
      );
    } catch (error) {
      const known = head ?? this.#standing?.head;
      if (error instanceof StoreDamaged && known !== undefined) {
        this.#damaged(known, error);
        return head !== null;
      }
      this.#fail("the store cannot be read; trying again", error);
      return false;
    }
  }

  /** A read went well; `standing` is null where it told nothing new. */
  #settle(standing: Standing | null): true {
    if (this.#failing || this.#standing?.damage) {
      this.#log.info("the store can be read again", {
        version: (standing ?? this.#standing)?.head.version,
      });
    }
    this.#failing = false;
    this.#noticedAt = null;
    this.#retryMs = RETRY_MS;
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    if (standing !== null) this.#become(standing);
    return true;
  }

  #damaged(head: Head, error: StoreDamaged): void {
    const before = this.#standing;
    const known = before !== null && before.damage !== null &&
      sameHead(before.head, head);
    if (!known) {
      this.#log.error(
        "the store is damaged: nothing is pushed, the routers keep what they have",
        { key: error.key, version: head.version, error },
      );
      this.#become(
        this.#stand(head, {
          version: null,
          damage:
            `Nothing is pushed: the store is damaged at ${error.key}. ${error.message}`,
        }),
      );
    }
    this.#retry();
  }

  #fail(message: string, error: unknown): void {
    if (this.#ended.signal.aborted) return;
    if (!this.#failing) {
      this.#failing = true;
      if (error instanceof StoreDamaged) {
        this.#log.error(message, { key: error.key, error });
      } else this.#log.warn(message, { error });
    }
    this.#retry();
  }

  #retry(): void {
    if (this.#cancelRetry !== null || this.#ended.signal.aborted) return;
    this.#cancelRetry = this.#clock.after(this.#retryMs, () => {
      this.#cancelRetry = null;
      void this.refresh();
    });
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS);
  }

  #stand(
    head: Head,
    { version, damage }: Pick<Standing, "version" | "damage">,
  ): Standing {
    const before = this.#standing?.target;
    const { digest } = head;
    const learnedAt = before?.version === head.version &&
        before.epoch === head.epoch
      ? before.learnedAt
      : this.#noticedAt ?? this.#clock.now();
    this.#noticedAt = null;
    return {
      head,
      version,
      damage,
      target: digest === null
        ? null
        : { version: head.version, epoch: head.epoch, digest, learnedAt },
      payload: version === null
        ? null
        : new Payload(version, { supersedes: head.supersedes }),
    };
  }

  #become(standing: Standing): void {
    const { head } = standing;
    // What the store did not have before, it may have now.
    for (const [version, recorded] of this.#recorded) {
      if (recorded === null) this.#recorded.delete(version);
    }
    if (head.digest !== null) {
      this.#remember(head.version, { epoch: head.epoch, digest: head.digest });
    }
    this.#standing = standing;
    if (!this.#ended.signal.aborted) this.#changed(standing);
  }
}

function sameHead(a: Head, b: Head): boolean {
  return a.version === b.version && a.epoch === b.epoch &&
    a.digest === b.digest && a.supersedes.length === b.supersedes.length;
}

function matches(head: Head, version: Version | null): boolean {
  return version !== null && version.version === head.version &&
    version.epoch === head.epoch && version.digest === head.digest;
}
