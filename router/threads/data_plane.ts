import type { ListenAddress } from "../../shared/settings.ts";
import { activeConfig } from "../active.ts";
import type { OtherThreads, ReadyConfig } from "../applier.ts";
import { DataPath } from "../data_path.ts";
import type { TlsFiles, TlsIdentity } from "../listen/tls_identity.ts";
import type { Placement } from "../routes.ts";
import type { RouterSettings } from "../settings.ts";
import { uncaughtErrors } from "../uncaught.ts";
import { countsOf, sumCounts, type Totals } from "./counts.ts";
import type { SentListener } from "./messages.ts";
import { Threads } from "./threads.ts";

/** What {@linkcode DataPlane} needs besides the settings. */
export interface DataPlaneOptions {
  /** The settings as they stood in the environment, for the other threads. */
  readonly env: Readonly<Record<string, string>>;
  readonly tls: TlsFiles;
}

/** All that serves customers: the data path of the main thread, and those of the others if there are any. */
export class DataPlane implements OtherThreads {
  readonly #settings: RouterSettings;
  readonly #options: DataPlaneOptions;
  readonly #own: DataPath;
  readonly #listeners: SentListener[] = [];
  #threads: Threads | null = null;

  constructor(settings: RouterSettings, options: DataPlaneOptions) {
    this.#settings = settings;
    this.#options = options;
    this.#own = new DataPath(settings, {
      ca: options.tls.ca,
      threads: settings.ROUTER_THREADS,
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
    });
  }

  /**
   * Has the other threads read a config, and hold it ready.
   *
   * @throws if one of them cannot; then none will serve it.
   */
  async prepare(config: ReadyConfig): Promise<void> {
    await this.#threads?.prepare(config);
  }

  /** Has the other threads serve a config. */
  async serve(config: ReadyConfig): Promise<void> {
    await this.#threads?.serve(config);
  }

  /** Gives up what belongs to placements that this thread's new config no longer names. */
  retain(placements: ReadonlyMap<string, Placement>): void {
    this.#own.retain(placements);
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
