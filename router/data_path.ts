import { logger } from "../shared/log.ts";
import type { Hold, Order } from "../shared/protocol.ts";
import type { ListenAddress } from "../shared/settings.ts";
import { type ActiveConfig, activeConfig } from "./active.ts";
import { type AccessRecord, createApp } from "./app.ts";
import { Fence, type FenceReport } from "./fence.ts";
import { type HoldReport, Holds } from "./holds.ts";
import { Listener } from "./listen/listener.ts";
import { H2Listener } from "./listen/h2_listener.ts";
import type { TlsIdentity } from "./listen/tls_identity.ts";
import { RequestTracing } from "./request_tracing.ts";
import type { RouterSettings } from "./settings.ts";
import { Traffic } from "./traffic.ts";
import { Upstream } from "./upstream/upstream.ts";

const accessLog = logger("access");

/** How {@linkcode DataPath.listen} listens; all of it is plain data. */
export interface DataListenOptions {
  /** HTTP/2 needs TLS. */
  readonly protocol: "http/1.1" | "h2";
  /** Null for connections that are not encrypted. */
  readonly tls: TlsIdentity | null;
}

/** What a thread's data path needs besides the settings. */
export interface DataPathOptions {
  /** Certificates trusted for endpoints besides the system's, in PEM; null for none. */
  readonly ca: string | null;
  /** How many threads serve; they share the addresses, and share out the connections allowed. */
  readonly threads: number;
  /** The name in `Via` fields, one for all threads. */
  readonly via: string;
  /** See {@linkcode Fence}. */
  readonly fence: (report: FenceReport) => void;
  /** See {@linkcode Holds}. */
  readonly holding: (report: HoldReport) => void;
}

/**
 * The data path of one thread: its listeners, its app, and its connections to the cells. It serves
 * the active config of its thread.
 */
export class DataPath {
  readonly traffic: Traffic = new Traffic();
  readonly #settings: RouterSettings;
  readonly #sweepInterval: number;
  readonly #upstream: Upstream;
  readonly #app: ReturnType<typeof createApp>;
  readonly #threads: number;
  readonly #fence: Fence;
  readonly #holds: Holds;
  #listeners: (Listener | H2Listener)[] = [];

  constructor(settings: RouterSettings, options: DataPathOptions) {
    const { ca, threads, via } = options;
    this.#threads = threads;
    this.#settings = settings;
    this.#sweepInterval = sweepMs(settings);
    const { traffic } = this;
    this.#fence = new Fence(options.fence);
    this.#holds = new Holds({
      fence: this.#fence,
      traffic,
      maxWaiting: Math.ceil(settings.ROUTER_HOLD_REQUESTS / threads),
      maxWait: settings.ROUTER_HOLD_TIMEOUT,
      tell: options.holding,
    });
    this.#upstream = new Upstream({
      traffic,
      connectTimeout: settings.ROUTER_CONNECT_TIMEOUT,
      sweepInterval: this.#sweepInterval,
      ...(ca === null ? {} : { caCerts: [ca] }),
    });
    this.#app = createApp({
      active: activeConfig,
      upstream: this.#upstream,
      traffic,
      fence: this.#fence,
      holds: this.#holds,
      routingKey: settings.ROUTER_KEY,
      trusted: settings.ROUTER_TRUSTED_PROXIES,
      via,
      timeouts: {
        response: settings.ROUTER_RESPONSE_TIMEOUT,
        idle: settings.ROUTER_IDLE_TIMEOUT,
        stream: settings.ROUTER_STREAM_TIMEOUT,
      },
      tracing: RequestTracing.open(),
      accessLogLevel: settings.ROUTER_ACCESS_LOG,
      accessLog: logAccess,
    });
  }

  /**
   * Begins to take requests on an address.
   *
   * @returns where it listens.
   * @throws {TypeError} if HTTP/2 is to be spoken without TLS, or the certificate cannot be used.
   * @throws the platform's errors, such as {@linkcode Deno.errors.AddrInUse}.
   */
  async listen(
    address: ListenAddress,
    { protocol, tls }: DataListenOptions,
  ): Promise<Deno.NetAddr> {
    const settings = this.#settings;
    const perAddress = settings.ROUTER_MAX_CONNECTIONS_PER_ADDRESS;
    const listenOptions = {
      ...address,
      app: this.#app,
      traffic: this.traffic,
      reusePort: this.#threads > 1,
      maxConnections: Math.ceil(
        settings.ROUTER_MAX_CONNECTIONS / this.#threads,
      ),
      ...(perAddress === undefined
        ? {}
        : { maxConnectionsPerAddress: perAddress }),
      headerTimeout: settings.ROUTER_HEADER_TIMEOUT,
      keepAliveTimeout: settings.ROUTER_KEEPALIVE_TIMEOUT,
      idleTimeout: settings.ROUTER_IDLE_TIMEOUT,
      sweepInterval: this.#sweepInterval,
    };
    let listener;
    if (protocol === "h2") {
      if (tls === null) throw new TypeError("Cannot speak HTTP/2 without TLS");
      const http1 = this.#listeners.find((other) => other instanceof Listener);
      listener = await H2Listener.listen({
        ...listenOptions,
        ...tls,
        http1Port: http1?.address.port ?? settings.ROUTER_LISTEN.port,
      });
    } else {
      listener = tls === null
        ? Listener.listen(listenOptions)
        : await Listener.listenTls({ ...listenOptions, ...tls });
    }
    this.#listeners.push(listener);
    return listener.address;
  }

  /**
   * Shows another certificate in the handshakes from now on; connections that are open go on.
   *
   * @throws {TypeError} if the certificate and its key cannot be used.
   */
  renew(identity: TlsIdentity): void {
    for (const listener of this.#listeners) listener.renew(identity);
  }

  /** A config is served from now on: finds what is old under it, and gives up what belongs to placements it no longer names. */
  served(config: ActiveConfig): void {
    this.#fence.raise(config);
    this.#holds.raise(config);
    const { endpoints } = config.routes.packed;
    this.#upstream.retain(endpoints);
    this.traffic.retain(endpoints);
  }

  /** Does what it is told to do beside serving a config. */
  order(order: Order): void {
    switch (order.type) {
      case "hold":
        this.#holds.hold(order);
        return;
      case "release":
        this.#holds.release(order.id);
        return;
      case "cut_streams":
        this.#fence.cutOldStreams(order);
        return;
      default:
        order satisfies never;
    }
  }

  /** The holds as they stand, for a thread that comes later. */
  holds(): Hold[] {
    return this.#holds.orders();
  }

  /** Takes no more requests, lets those under way end within `graceMs` milliseconds, and ends the rest. */
  async stop(graceMs: number): Promise<void> {
    this.#holds.stop();
    await Promise.all(
      this.#listeners.map((listener) => listener.stop(graceMs)),
    );
    this.#upstream.close();
    this.#fence.stop();
  }
}

/**
 * How often deadlines are looked at, in milliseconds: twice a second, so that a client that is gone is
 * noticed within one, and a deadline shorter than two seconds is missed by a quarter of it at most.
 */
function sweepMs(settings: RouterSettings): number {
  const shortest = Math.min(
    settings.ROUTER_HEADER_TIMEOUT,
    settings.ROUTER_KEEPALIVE_TIMEOUT,
    settings.ROUTER_IDLE_TIMEOUT,
    settings.ROUTER_RESPONSE_TIMEOUT,
    settings.ROUTER_STREAM_TIMEOUT,
  );
  return Math.max(10, Math.min(500, shortest / 4));
}

function logAccess(record: AccessRecord): void {
  const { requestId, milliseconds, error, kind, waited, ...rest } = record;
  accessLog[error === null ? "info" : "warn"]("request", {
    ...rest,
    ms: Math.round(milliseconds * 1000) / 1000,
    request_id: requestId,
    ...(error === null ? {} : { error }),
    ...(kind === null ? {} : { error_kind: kind }),
    ...(waited === null ? {} : { waited_ms: Math.round(waited) }),
  });
}
