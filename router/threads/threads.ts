import { logger } from "../../shared/log.ts";
import type { ActiveConfig } from "../active.ts";
import type { ReadyConfig } from "../applier.ts";
import type { TlsFiles, TlsIdentity } from "../listen/tls_identity.ts";
import { lastingCounts, type TrafficCounts } from "./counts.ts";
import type { SentListener } from "./messages.ts";
import { sent, Thread } from "./worker.ts";

const log = logger("threads");

/** How long it takes to put another thread in the place of a lost one, in milliseconds. */
const REPLACE_TIME = 1000;

export interface ThreadsOptions {
  /** How many threads, besides the main one. */
  readonly count: number;
  /** The settings as they stood in the environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly tls: TlsFiles;
  /** What each thread listens on; the main thread has opened the same. */
  readonly listeners: readonly SentListener[];
  readonly active: () => ActiveConfig | null;
  /**
   * What a thread runs.
   *
   * @default {"./thread.ts"}
   */
  readonly module?: string;
}

/**
 * The serving threads besides the main one. Each has its own listeners on the same addresses, between
 * which the system shares out connections, its own connections to the cells, and its own copy of the
 * config. The main thread alone knows the control plane; what it applies, it hands on.
 */
export class Threads {
  readonly #options: ThreadsOptions;
  #tls: TlsFiles;
  #threads: Thread[] = [];
  /** The counters of threads that have ended. */
  #ended: TrafficCounts[] = [];
  #replacing = new Set<ReturnType<typeof setTimeout>>();

  private constructor(options: ThreadsOptions) {
    this.#options = options;
    this.#tls = options.tls;
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
    const thread = new Thread(
      (error) => this.#lost(thread, error),
      this.#options.module ?? import.meta.resolve("./thread.ts"),
    );
    this.#threads.push(thread);
    try {
      await thread.start({
        type: "start",
        env: this.#options.env,
        tls: this.#tls,
        listeners: this.#options.listeners,
        threads: this.#options.count + 1,
        config: active === null ? null : sent(active),
      });
    } catch (error) {
      this.#remove(thread);
      throw error;
    }
  }

  #remove(thread: Thread): void {
    const index = this.#threads.indexOf(thread);
    if (index >= 0) this.#threads.splice(index, 1);
    thread.end();
  }

  /** Replaces a thread that has died. */
  #lost(thread: Thread, error: string): void {
    if (!this.#threads.includes(thread)) return;
    this.#remove(thread);
    if (thread.counts !== null) this.#ended.push(lastingCounts(thread.counts));
    log.error("a serving thread is lost; another one will take its place", {
      error,
    });
    this.#replaceSoon();
  }

  #replaceSoon(): void {
    const timer = setTimeout(() => {
      this.#replacing.delete(timer);
      this.#add().then(
        () => log.info("a serving thread took the place of a lost one"),
        (error) => {
          log.error("a serving thread could not be replaced; trying again", {
            error,
          });
          this.#replaceSoon();
        },
      );
    }, REPLACE_TIME);
    this.#replacing.add(timer);
  }

  /**
   * Has every thread read a config, and hold it ready.
   *
   * @throws if one of them cannot; then none will serve it.
   */
  async prepare(config: ReadyConfig): Promise<void> {
    await this.#all((thread) => thread.prepare(config));
  }

  /** Has every thread serve a config; resolves when all do. */
  async serve(config: ReadyConfig): Promise<void> {
    await this.#all(async (thread) => {
      // One that was started meanwhile has not heard of it.
      if (thread.ready !== config) await thread.prepare(config);
      await thread.swap();
    });
  }

  /** Does something with each thread; one that is lost meanwhile is not waited for. */
  async #all(work: (thread: Thread) => Promise<void>): Promise<void> {
    await Promise.all(this.#threads.map(async (thread) => {
      try {
        await work(thread);
      } catch (error) {
        if (!thread.over) throw error;
      }
    }));
  }

  /** The counters of all these threads, those of ended ones included. */
  async counts(): Promise<TrafficCounts[]> {
    const counts = await Promise.all(
      this.#threads.map((thread) => thread.count()),
    );
    return [...this.#ended, ...counts.filter((part) => part !== null)];
  }

  /** Shows another certificate in the handshakes from now on. */
  renew(identity: TlsIdentity): void {
    this.#tls = { ...this.#tls, identity };
    for (const thread of this.#threads) thread.renew(identity);
  }

  /** Lets requests under way end within `graceMs` milliseconds, and ends the threads. */
  async stop(graceMs: number): Promise<void> {
    for (const timer of this.#replacing) clearTimeout(timer);
    await Promise.all(this.#threads.map((thread) => thread.stop(graceMs)));
  }
}
