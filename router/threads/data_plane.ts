import type { ListenAddress } from "../../shared/settings.ts";
import { viaName } from "../../shared/via.ts";
import { systemClock } from "../../shared/clock.ts";
import { logger } from "../../shared/log.ts";
import {
  activate,
  activeConfig,
  isHeld,
  type NextConfig,
  readyConfig,
} from "../active.ts";
import { DataPath } from "../data_path.ts";
import type { TlsFiles, TlsIdentity } from "../listen/tls_identity.ts";
import type { RouterSettings } from "../settings.ts";
import { uncaughtErrors } from "../uncaught.ts";
import { type FenceReport, joinReports } from "../fence.ts";
import { HoldReports } from "../hold_reports.ts";
import type { HoldReport } from "../holds.ts";
import type { Counted, Order } from "../../shared/protocol.ts";
import { addRecord, countsOf, sumCounts, type Totals } from "./counts.ts";
import type { SentListener } from "./serving_messages.ts";
import { Threads } from "./threads.ts";

const log = logger("threads");

/** What {@linkcode DataPlane} needs besides the settings. */
export interface DataPlaneOptions {
  /** The settings as they stood in the environment, for the other threads. */
  readonly env: Readonly<Record<string, string>>;
  readonly tls: TlsFiles;
  /** Hears what still runs that a config would send elsewhere, as {@linkcode Fence} tells it, of all threads in one. */
  readonly fence: (report: FenceReport) => void;
  /** Hears how each hold stands, as {@linkcode Holds} tells it, of all threads in one. */
  readonly holding: (report: HoldReport) => void;
}

/** All that serves customers: the data path of the main thread, and those of the others if there are any. */
export class DataPlane {
  readonly #settings: RouterSettings;
  readonly #options: DataPlaneOptions;
  readonly #own: DataPath;
  readonly #listeners: SentListener[] = [];
  readonly #via = viaName();
  #threads: Threads | null = null;
  #losses = 0;
  #ownFence: FenceReport | null = null;
  #fence: FenceReport | null = null;
  readonly #holdReports = new HoldReports();

  constructor(settings: RouterSettings, options: DataPlaneOptions) {
    this.#settings = settings;
    this.#options = options;
    this.#own = new DataPath(settings, {
      ca: options.tls.ca,
      threads: settings.ROUTER_THREADS,
      via: this.#via,
      fence: (report) => {
        this.#ownFence = report;
        this.#fenceChanged();
      },
      holding: (report) => this.#holding(this.#own, report),
    });
  }

  /** How many threads serve. */
  get serving(): number {
    return 1 + (this.#threads?.serving ?? 0);
  }

  /**
   * Takes requests on an address from now on.
   *
   * @returns where it listens.
   * @throws the platform's errors, such as {@linkcode Deno.errors.AddrInUse}.
   */
  async listen(
    address: ListenAddress,
    protocol: SentListener["protocol"],
  ): Promise<Deno.NetAddr> {
    const alone = this.#settings.ROUTER_THREADS === 1;
    const bound = await this.#own.listen(alone ? address : vacant(address), {
      protocol,
      tls: this.#options.tls.identity,
    });
    const { hostname } = address;
    this.#listeners.push({ protocol, address: { hostname, port: bound.port } });
    return bound;
  }

  /**
   * Starts the other threads, which listen where this one does.
   *
   * @throws if one of them cannot listen.
   */
  async startThreads(): Promise<void> {
    const count = this.#settings.ROUTER_THREADS - 1;
    if (count === 0) return;
    this.#threads = await Threads.start({
      ...this.#options,
      count,
      listeners: this.#listeners,
      active: activeConfig,
      via: this.#via,
      fenceChanged: () => this.#fenceChanged(),
      holds: () => this.#own.holds(),
      holding: (thread, report) => this.#holding(thread, report),
    });
  }

  /**
   * Has a config served, by all threads or by none: this one serves it at once, in one assignment between two
   * requests, and all do when this resolves.
   *
   * @returns whether nobody reads the config before it any more.
   * @throws if a thread cannot hold it ready; then the one before it stays.
   */
  async serve(next: NextConfig): Promise<boolean> {
    const config = readyConfig(next);
    await this.#threads?.prepare(config);
    const before = activeConfig();
    const active = {
      ...config,
      appliedAt: systemClock.wall(),
      appliedAtMonotonic: systemClock.now(),
    };
    activate(active);
    try {
      this.#own.served(active);
    } catch (error) {
      // The config is in service, whatever becomes of what the one before it has left.
      log.error("cannot give up what an old config has left", { error });
    }
    await this.#threads?.serve(config);
    return before === null || !isHeld(before) && !this.#lostThread();
  }

  /** What was last known to run that the config being served would send elsewhere; null before there was a config. */
  get fence(): FenceReport | null {
    return this.#fence;
  }

  /** Does what it is told to do beside serving a config, on all threads. */
  order(order: Order): void {
    this.#own.order(order);
    this.#threads?.order(order);
  }

  /** A thread has told how a hold stands on it, or has ended: all of them have to, before it counts. */
  #holding(thread: object, report: HoldReport | null): void {
    const all = [this.#own, ...this.#threads?.all ?? []];
    const joined = report === null
      ? this.#holdReports.leave(thread, all)
      : [this.#holdReports.take(thread, report, all)];
    for (const each of joined) if (each !== null) this.#options.holding(each);
  }

  /** A thread has told what is old on it: all of them have to, before it counts. */
  #fenceChanged(): void {
    const active = activeConfig();
    if (active === null) return;
    const threads = this.#threads?.fences() ?? [];
    const report = joinReports(active, [this.#ownFence, ...threads]);
    if (report === null) return;
    this.#fence = report;
    this.#options.fence(report);
  }

  /** Whether a thread was lost since this was asked last: one that hangs may still read what it served. */
  #lostThread(): boolean {
    const losses = this.#threads?.losses ?? 0;
    const before = this.#losses;
    this.#losses = losses;
    return losses > before;
  }

  /** The requests of all threads that are over; those of other threads as they told within the last second. */
  counted(): Counted {
    const { answered, failed } = this.#own.traffic;
    const sum = { requests: answered, errors: failed };
    for (const part of this.#threads?.counted() ?? []) addRecord(sum, part);
    return sum;
  }

  /** Counts over all threads. */
  async totals(): Promise<Totals> {
    const own = { traffic: this.#own.traffic, uncaught: uncaughtErrors() };
    if (this.#threads === null) return own;
    return sumCounts([countsOf(own), ...await this.#threads.counts()]);
  }

  /**
   * Shows another certificate in the handshakes from now on; connections that are open go on.
   *
   * @throws {TypeError} if the certificate and its key cannot be used.
   */
  renew(identity: TlsIdentity): void {
    this.#own.renew(identity);
    this.#threads?.renew(identity);
  }

  /** Takes no more requests, lets those under way end within `graceMs` milliseconds, and ends the rest. */
  async stop(graceMs: number): Promise<void> {
    await Promise.all([
      this.#own.stop(graceMs),
      this.#threads?.stop(graceMs),
    ]);
  }
}

/**
 * An address that no other process has, with its port chosen: an address that threads share could be
 * shared with another router by mistake, and nobody would be told.
 */
function vacant({ hostname, port }: ListenAddress): ListenAddress {
  const listener = Deno.listen({ hostname, port });
  const { port: chosen } = listener.addr;
  listener.close();
  return { hostname, port: chosen };
}
