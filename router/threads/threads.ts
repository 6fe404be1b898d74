import { errorLine } from "../../shared/errors.ts";
import { logger } from "../../shared/log.ts";
import { type ActiveConfig, nextConfig, type ReadyConfig } from "../active.ts";
import type { Counted, Hold, Order } from "../../shared/protocol.ts";
import type { FenceReport } from "../fence.ts";
import type { HoldReport } from "../holds.ts";
import type { TlsFiles, TlsIdentity } from "../listen/tls_identity.ts";
import {
  addRecord,
  countsOf,
  lastingCounts,
  sumCounts,
  type TrafficCounts,
} from "./counts.ts";
import { Replacement } from "./replacement.ts";
import type { SentListener } from "./serving_messages.ts";
import { ServingThread } from "./serving_thread.ts";

const log = logger("threads");

export interface ThreadsOptions {
  /** How many threads, besides the main one. */
  readonly count: number;
  /** The settings as they stood in the environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly tls: TlsFiles;
  /** What each thread listens on; the main thread has opened the same. */
  readonly listeners: readonly SentListener[];
  readonly active: () => ActiveConfig | null;
  /** Their name in `Via` fields. */
  readonly via: string;
  /** What {@linkcode Threads.fences} answers has changed. */
  readonly fenceChanged: () => void;
  /** The holds as they stand. */
  readonly holds: () => readonly Hold[];
  /** A thread, of all that serve, has told how a hold stands on it; null for one that has ended. */
  readonly holding: (thread: object, report: HoldReport | null) => void;
  /**
   * What a thread runs.
   *
   * @default {"./serving_worker.ts"}
   */
  readonly module?: string;
  /** See {@linkcode ReplacementOptions.time}. */
  readonly replaceTime?: number;
}

/**
 * The serving threads besides the main one. Each has its own listeners on the same addresses, between
 * which the system shares out connections, its own connections to the cells; the config
 * lies in memory that all share. The main thread alone knows the control plane; what it applies, it hands on.
 */
export class Threads {
  readonly #options: ThreadsOptions;
  #tls: TlsFiles;
  #threads: ServingThread[] = [];
  /** The counters of threads that have ended; null before one has. */
  #ended: TrafficCounts | null = null;
  /** What those have told last of requests. */
  readonly #endedCounted = { requests: 0, errors: 0 };
  readonly #replacement: Replacement;
  /** How many have been lost. */
  losses = 0;

  private constructor(options: ThreadsOptions) {
    this.#options = options;
    this.#tls = options.tls;
    this.#replacement = new Replacement({
      what: "a serving thread",
      time: options.replaceTime,
      replace: async () => {
        while (this.#threads.length < options.count) {
          await this.#add();
          log.info("a serving thread took the place of a lost one");
        }
      },
    });
  }

  /**
   * Starts the threads.
   *
   * @throws if one of them cannot listen.
   */
  static async start(options: ThreadsOptions): Promise<Threads> {
    const threads = new Threads(options);
    try {
      await Promise.all(
        Array.from({ length: options.count }, () => threads.#add()),
      );
    } catch (error) {
      for (const thread of [...threads.#threads]) threads.#remove(thread);
      throw error;
    }
    return threads;
  }

  /** How many of them take requests. */
  get serving(): number {
    return this.#threads.filter((thread) => thread.listening).length;
  }

  async #add(): Promise<void> {
    const active = this.#options.active();
    const thread: ServingThread = new ServingThread({
      module: this.#options.module ??
        import.meta.resolve("./serving_worker.ts"),
      lost: (error) => this.#lost(thread, error),
      fenceChanged: this.#options.fenceChanged,
      holding: (report) => this.#options.holding(thread, report),
    });
    this.#threads.push(thread);
    try {
      await thread.start({
        type: "start",
        env: this.#options.env,
        tls: this.#tls,
        listeners: this.#options.listeners,
        threads: this.#options.count + 1,
        via: this.#options.via,
        config: active === null ? null : nextConfig(active),
        holds: this.#options.holds(),
      });
    } catch (error) {
      this.#remove(thread);
      throw error;
    }
  }

  #remove(thread: ServingThread): void {
    const index = this.#threads.indexOf(thread);
    if (index >= 0) {
      this.#threads.splice(index, 1);
      addRecord(this.#endedCounted, thread.counted);
    }
    thread.end();
    // Its requests have ended with it.
    this.#options.fenceChanged();
    this.#options.holding(thread, null);
  }

  /** Replaces a thread that served; one that dies before is told of by its start. */
  #lost(thread: ServingThread, error: string): void {
    if (!thread.listening || !this.#threads.includes(thread)) return;
    this.#remove(thread);
    this.losses++;
    if (thread.counts !== null) {
      const parts = [lastingCounts(thread.counts)];
      if (this.#ended !== null) parts.push(this.#ended);
      this.#ended = countsOf(sumCounts(parts));
    }
    log.error("a serving thread is lost; another one will take its place", {
      error,
    });
    this.#replacement.begin();
  }

  /**
   * Has every thread hold a config ready. One that is lost meanwhile is not waited for.
   *
   * @throws if one of them cannot; then none will serve it.
   */
  async prepare(config: ReadyConfig): Promise<void> {
    await Promise.all(this.#threads.map(async (thread) => {
      try {
        await thread.prepare(config);
      } catch (error) {
        if (!thread.over) throw error;
      }
    }));
  }

  /**
   * Has every thread serve a config; resolves when all do. One that cannot is lost: the others serve it
   * already.
   */
  async serve(config: ReadyConfig): Promise<void> {
    await Promise.all(this.#threads.map(async (thread) => {
      try {
        // One that was started meanwhile has not heard of it.
        if (thread.ready !== config) {
          await thread.prepare(config);
        }
        await thread.swap();
      } catch (error) {
        thread.lose(
          `it cannot serve version ${config.version}: ${errorLine(error)}`,
        );
      }
    }));
  }

  /** Has each of them do something beside serving. */
  order(order: Order): void {
    for (const thread of this.#threads) thread.order(order);
  }

  /** How many there are, also those that do not take requests yet. */
  get all(): readonly object[] {
    return this.#threads;
  }

  /** What each of them has told last of what is old on it. */
  fences(): (FenceReport | null)[] {
    return this.#threads.map((thread) => thread.fence);
  }

  /** The requests of all these threads, those of ended ones included, as they told last. */
  counted(): Counted[] {
    return [this.#endedCounted, ...this.#threads.map(({ counted }) => counted)];
  }

  /** The counters of all these threads, those of ended ones included. */
  async counts(): Promise<TrafficCounts[]> {
    const counts = await Promise.all(
      this.#threads.map((thread) => thread.count()),
    );
    return [this.#ended, ...counts].filter((part) => part !== null);
  }

  /** Shows another certificate in the handshakes from now on. */
  renew(identity: TlsIdentity): void {
    this.#tls = { ...this.#tls, identity };
    for (const thread of this.#threads) thread.renew(identity);
  }

  /** Lets requests under way end within `graceMs` milliseconds, and ends the threads. */
  async stop(graceMs: number): Promise<void> {
    this.#replacement.stop();
    await Promise.all(this.#threads.map((thread) => thread.stop(graceMs)));
  }
}
