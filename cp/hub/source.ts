import type { Logger } from "../../shared/log.ts";
import {
  type Head,
  type StagedRollout,
  StoreDamaged,
  type Version,
  type VersionStore,
} from "../store/store.ts";
import type { Clock } from "../../shared/clock.ts";
import type { Recorded } from "./conflict.ts";
import { type Connection, stateOf } from "./connection.ts";
import { Payload } from "./payload.ts";
import type { Target } from "./session.ts";

/** A version that routers should be serving. */
export interface Offer {
  /** Null while the store is empty or what it holds cannot be trusted. */
  readonly version: Version | null;
  /** Why nothing is pushed although there is a version; null otherwise. */
  readonly damage: string | null;
  /** Its name, also where it cannot be trusted; null while the store is empty. */
  readonly target: Target | null;
  /** The forms of a push; null where `version` is. */
  readonly payload: Payload | null;
}

/** What the store says, as this process last read it; offers the committed version. */
export interface Standing extends Offer {
  readonly head: Head;
  /** While the committed version is for canaries only, what all others are offered; null otherwise. */
  readonly stable: Offer | null;
}

/** What a router is offered. One that serves the committed version already never goes back. */
export function offerTo(
  standing: Standing,
  connection: Connection,
): Offer {
  const { head, stable } = standing;
  if (stable === null || isCanary(head.rollout, connection.id)) {
    return standing;
  }
  const { served } = stateOf(connection);
  return served.version === head.version && served.epoch === head.epoch
    ? standing
    : stable;
}

/** Whether a router is one of those that get the version of a rollout first. */
export function isCanary(rollout: StagedRollout | null, id: string): boolean {
  return rollout?.canaries.some((canary) => canary.id === id) ?? false;
}

/** Retries after a failed read: doubling from the first to the last of these. */
const RETRY_MS = 500;
const MAX_RETRY_MS = 10_000;
/** How many digests of older versions are kept in memory. */
const MAX_RECORDED = 4096;

/** Follows the store's head and holds what has to be pushed. */
export class Source {
  readonly #store: VersionStore;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #changed: (standing: Standing) => void;
  readonly #ordered: (head: Head) => void;
  readonly #wanted: () => boolean;
  readonly #ended = new AbortController();
  /** What the store keeps of older versions, as read since it has the head it has. */
  #recorded = new Map<number, Recorded | null>();
  readonly #lookups = new Map<number, Promise<boolean>>();
  #standing: Standing | null = null;
  #running: Promise<boolean> | null = null;
  #queued: Promise<boolean> | null = null;
  #cancelRetry: (() => void) | null = null;
  #retryMs = RETRY_MS;
  /** The orders, the trial and the rollout last told of, as text. */
  #orders: string | null = null;
  #failing = false;
  #watching: Promise<void> | null = null;

  /**
   * `changed` is called with each new standing, and `ordered` with a head of other orders, another trial or another
   * rollout, never from within a call to the source; `wanted` tells whether there is anybody to push to.
   */
  constructor(options: {
    store: VersionStore;
    log: Logger;
    clock: Clock;
    changed: (standing: Standing) => void;
    ordered: (head: Head) => void;
    wanted: () => boolean;
  }) {
    this.#store = options.store;
    this.#log = options.log;
    this.#clock = options.clock;
    this.#changed = options.changed;
    this.#ordered = options.ordered;
    this.#wanted = options.wanted;
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
    await Promise.all(this.#lookups.values());
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
      const standing = this.#standing;
      const recorded = await this.#store.digestOf(version);
      if (this.#ended.signal.aborted) return false;
      // With another head the store may have another history as well, also one that was not heard of yet.
      const head = await this.#store.head();
      if (standing === null || !sameHead(standing.head, head)) {
        void this.refresh();
      } else if (this.#standing === standing) {
        this.#remember(version, recorded);
      }
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
    try {
      const { head, version } = await this.#store.newest();
      const standing = this.#standing;
      const known = standing !== null && standing.damage === null &&
        (standing.stable?.damage ?? null) === null &&
        sameHead(standing.head, head);
      if (known) {
        this.#standing = { ...standing, head };
        this.#order(head);
        return this.#settle(null);
      }
      const recorded = await this.#readPrevious();
      const stable = await this.#readStable(head);
      const next = this.#stand(head, { version, damage: null, stable });
      if (this.#wanted()) {
        await next.stable?.payload?.prepare();
        await next.payload?.prepare();
      }
      this.#settle(next, recorded);
      const damage = next.stable?.damage ?? null;
      if (damage !== null) {
        if (standing?.stable?.damage !== damage) {
          this.#log.error(
            "the version that most routers should serve is damaged: they keep what they have",
            { version: head.rollout!.before, problem: damage },
          );
        }
        this.#retry();
      }
      return true;
    } catch (error) {
      if (error instanceof StoreDamaged) return await this.#readDamaged(error);
      this.#fail("the store cannot be read; trying again", error);
      return false;
    }
  }

  /** What all but canaries are offered while there are canaries; null where there are none. */
  async #readStable(head: Head): Promise<Offer | null> {
    const { rollout, epoch } = head;
    if (rollout === null) return null;
    const standing = this.#standing;
    // A store that was set back may have other contents under that number by now.
    const recorded = await this.#store.digestOf(rollout.before);
    const known = [standing?.version, standing?.stable?.version].find((each) =>
      each?.version === rollout.before && each.epoch === recorded?.epoch &&
      each.digest === recorded.digest
    );
    let damage: string | null = null;
    const version = known ??
      await this.#store.get(rollout.before).catch((error) => {
        if (!(error instanceof StoreDamaged)) throw error;
        damage =
          `Version ${rollout.before} is not pushed: the store is damaged at ${error.key}. ${error.message}`;
        return null;
      });
    if (version !== null) return this.#offer(head, version);
    damage ??=
      `Version ${rollout.before} is not pushed: it is not kept any more.`;
    const digest = recorded?.digest ?? "";
    const target = {
      version: rollout.before,
      epoch,
      digest,
      committedAt: this.#clock.now(),
    };
    return { version, damage, target, payload: null };
  }

  /** What the store keeps by now of the version that most routers serve: they are about to be judged anew. */
  async #readPrevious(): Promise<Map<number, Recorded | null>> {
    const previous = this.#standing?.head.version ?? 0;
    if (previous === 0) return new Map();
    try {
      return new Map([[previous, await this.#store.digestOf(previous)]]);
    } catch {
      // It is asked for again where it is needed.
      return new Map();
    }
  }

  /** Where the store stands is worth knowing also where the version cannot be read. */
  async #readDamaged(error: StoreDamaged): Promise<boolean> {
    const head = await this.#store.head().catch(() => null);
    const known = head ?? this.#standing?.head;
    if (known === undefined) {
      this.#fail("the store cannot be read; trying again", error);
    } else {
      // Whom it is not for it does not concern.
      const stable = await this.#readStable(known).catch(() => null);
      this.#damaged(known, error, stable);
    }
    return head !== null;
  }

  /** A read went well; `standing` is null where it told nothing new. */
  #settle(
    standing: Standing | null,
    recorded = new Map<number, Recorded | null>(),
  ): true {
    if (this.#failing || this.#standing?.damage) {
      this.#log.info("the store can be read again", {
        version: (standing ?? this.#standing)?.head.version,
      });
    }
    this.#failing = false;
    this.#retryMs = RETRY_MS;
    this.#cancelRetry?.();
    this.#cancelRetry = null;
    if (standing !== null) this.#become(standing, recorded);
    return true;
  }

  #damaged(head: Head, error: StoreDamaged, stable: Offer | null): void {
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
          stable,
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
    { version, damage, stable }: Pick<
      Standing,
      "version" | "damage" | "stable"
    >,
  ): Standing {
    if (version !== null) {
      return { head, stable, ...this.#offer(head, version) };
    }
    const { digest } = head;
    const committedAt = this.#clock.now();
    return {
      head,
      version,
      damage,
      target: digest === null
        ? null
        : { version: head.version, epoch: head.epoch, digest, committedAt },
      payload: null,
      stable,
    };
  }

  /** A sound version as it is offered; what was made of it for a push is used again. */
  #offer(head: Head, version: Version): Offer {
    const before = this.#standing;
    const payload =
      [before?.payload, before?.stable?.payload].find((each) =>
        each?.isOf(version, head)
      ) ?? new Payload(version, head);
    const { epoch, digest } = version;
    // To most routers it is new from now on.
    const promoted = head.rollout === null &&
      before?.head.rollout?.version === version.version;
    const age = promoted
      ? 0
      : this.#clock.wall() - Date.parse(version.createdAt);
    const committedAt = this.#clock.now() - Math.max(0, age);
    return {
      version,
      damage: null,
      target: { version: version.version, epoch, digest, committedAt },
      payload,
    };
  }

  #become(
    standing: Standing,
    recorded = new Map<number, Recorded | null>(),
  ): void {
    const { head } = standing;
    // What was read before may be of another history: a store can be restored under a running process.
    this.#recorded = recorded;
    if (head.digest !== null) {
      this.#remember(head.version, { epoch: head.epoch, digest: head.digest });
    }
    const stable = standing.stable?.version;
    if (stable) {
      const { epoch, digest } = stable;
      this.#remember(stable.version, { epoch, digest });
    }
    this.#standing = standing;
    this.#order(head);
    if (!this.#ended.signal.aborted) this.#changed(standing);
  }

  #order(head: Head): void {
    const text = JSON.stringify([head.orders, head.trial, head.rollout]);
    if (text === this.#orders) return;
    this.#orders = text;
    if (!this.#ended.signal.aborted) this.#ordered(head);
  }
}

function sameHead(a: Head, b: Head): boolean {
  return a.version === b.version && a.epoch === b.epoch &&
    a.digest === b.digest && a.supersedes.length === b.supersedes.length &&
    a.guardedSince === b.guardedSince &&
    a.rollout?.version === b.rollout?.version &&
    a.rollout?.startedAt === b.rollout?.startedAt;
}
