import { errorCode } from "../../shared/errors.ts";
import { type Logger, logger } from "../../shared/log.ts";
import type { Transport } from "../http1/transport.ts";
import { type Refusal, refusalText } from "../refusal.ts";
import type { Traffic } from "../traffic.ts";
import { type Acceptor, type Arrivals, TcpAcceptor } from "./acceptor.ts";
import { type App, Client, type ClientHost } from "./client.ts";
import { OpenConnections } from "./open_connections.ts";
import { RareWarning } from "../../shared/rare_warning.ts";
import { TlsAcceptor } from "./tls_acceptor.ts";
import type { TlsIdentity } from "./tls_identity.ts";

/** The most refused connections that are told why at a time; others are just closed. */
const MAX_BACKLOG = 256;
/** The same while files are short, as each of them is one. */
const MAX_BACKLOG_SHORT = 8;
/** How many connections are given up at the limit of open files: what endpoints, operators and the disk may need. */
const SPARE_FILES = 32;
/** How long a refused connection may take to read its answer, in milliseconds. */
const REFUSAL_TIME = 1000;

/**
 * How long an idle connection is kept when the listener stops, in milliseconds: a request may be on its way
 * on it, which is answered, and told that the connection ends.
 */
const LAST_REQUEST_TIME = 500;
/** How often deadlines are looked at then, in milliseconds: the stop waits for them. */
const STOPPING_SWEEP_INTERVAL = 50;

/** What is told of when it is reached. */
type Limit = "max_connections" | "max_per_address" | "accept";

const TOO_MANY: Refusal = {
  kind: "too-many-connections",
  status: 503,
  detail: "This router has no room for another connection",
  closes: true,
};

/** How {@linkcode Listener.listen} listens. */
export interface ListenOptions {
  readonly hostname: string;
  /** 0 takes a free port. */
  readonly port: number;
  readonly app: App;
  readonly traffic: Traffic;
  /**
   * Other threads of this process listen on the same address.
   *
   * @default {false}
   */
  readonly reusePort?: boolean;
  /** The most connections open at a time. */
  readonly maxConnections: number;
  /** The most connections of one address; no limit if not given. */
  readonly maxConnectionsPerAddress?: number;
  /** How long a head may take from its first byte on, in milliseconds. */
  readonly headerTimeout: number;
  /** How long a connection may wait for a request, in milliseconds. */
  readonly keepAliveTimeout: number;
  /** How long a body may be silent, and a reader take nothing, in milliseconds. */
  readonly idleTimeout: number;
  /**
   * How often deadlines are looked at, in milliseconds.
   *
   * @default {1_000}
   */
  readonly sweepInterval?: number;
  /** Where the limits that are reached are told of. */
  readonly log?: Logger;
}

/** The data listener: takes clients' connections, and serves HTTP/1.1 on each. */
export class Listener implements ClientHost, Arrivals {
  readonly app: App;
  readonly headerTimeout: number;
  keepAliveTimeout: number;
  readonly idleTimeout: number;
  stopping = false;
  #options: ListenOptions;
  #acceptor: Acceptor;
  readonly #clients: OpenConnections<Client>;
  #refusals = new Map<Transport, number>();
  #timer: ReturnType<typeof setInterval>;
  #stopped: Promise<void> | null = null;
  #lastFailure: unknown;
  readonly #warnings: Readonly<Record<Limit, RareWarning>>;

  /**
   * Listens on an address.
   *
   * @throws {Deno.errors.AddrInUse} and other errors of the platform, if it cannot.
   */
  static listen(options: ListenOptions): Listener {
    return new Listener(new TcpAcceptor(options), options);
  }

  /**
   * Listens on an address for TLS connections that speak HTTP/1.1.
   *
   * @throws {TypeError} if the certificate and its key cannot be used.
   * @throws the platform's errors, if the address cannot.
   */
  static async listenTls(
    options: ListenOptions & TlsIdentity,
  ): Promise<Listener> {
    const acceptor = await TlsAcceptor.listen({
      ...options,
      handshakeTimeout: options.headerTimeout,
      maxHandshakes: options.maxConnections,
    });
    return new Listener(acceptor, options);
  }

  private constructor(acceptor: Acceptor, options: ListenOptions) {
    this.#acceptor = acceptor;
    this.#options = options;
    this.#clients = new OpenConnections(options);
    this.app = options.app;
    this.headerTimeout = options.headerTimeout;
    this.keepAliveTimeout = options.keepAliveTimeout;
    this.idleTimeout = options.idleTimeout;
    this.#warnings = this.#limitWarnings(options.log ?? logger("listener"));
    this.#timer = setInterval(
      () => this.#sweep(performance.now()),
      options.sweepInterval ?? 1000,
    );
    acceptor.start(this);
  }

  /** Where it listens. */
  get address(): Deno.NetAddr {
    return this.#acceptor.address;
  }

  /**
   * Shows another certificate from now on, if it listens for TLS.
   *
   * @throws {TypeError} if the certificate and its key cannot be used.
   */
  renew(identity: TlsIdentity): void {
    this.#acceptor.renew?.(identity);
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#clients.size;
  }

  /**
   * Takes no more connections, lets running requests finish for at most `graceMs` milliseconds, and ends
   * what is left; idle connections may carry one more request, if it comes soon. Resolves when all are
   * gone; a second call waits for the first.
   */
  stop(graceMs: number): Promise<void> {
    return this.#stopped ??= this.#stop(graceMs);
  }

  async #stop(graceMs: number): Promise<void> {
    this.stopping = true;
    await this.#acceptor.stop();
    this.keepAliveTimeout = Math.min(this.keepAliveTimeout, LAST_REQUEST_TIME);
    for (const client of this.#clients) client.retime();
    clearInterval(this.#timer);
    this.#timer = setInterval(
      () => this.#sweep(performance.now()),
      STOPPING_SWEEP_INTERVAL,
    );
    await this.#clients.drain(graceMs, (client) => client.cut());
    for (const refused of this.#refusals.keys()) close(refused);
    this.#refusals.clear();
    clearInterval(this.#timer);
  }

  /** Takes a connection; see {@linkcode Arrivals}. */
  arrived(transport: Transport, peer: string): void {
    const reason = this.stopping ? "stopping" : this.#clients.limitFor(peer);
    if (reason !== null) {
      this.#options.traffic.refused[reason]++;
      if (reason !== "stopping") this.#reached(reason);
      void this.#refuse(transport);
      return;
    }
    const { secure } = this.#acceptor;
    void this.#clients.serve(
      new Client(transport, { peer, secure, host: this }),
    );
  }

  /** Counts a connection that could not be taken; see {@linkcode Arrivals}. */
  failed(reason: unknown): void {
    this.#options.traffic.acceptErrors++;
    this.#lastFailure = reason;
    this.#reached("accept");
    if (errorCode(reason) !== "EMFILE") return;
    // What is at the limit of open files cannot connect to an endpoint, answer its operator or save a config either.
    this.#clients.shed(SPARE_FILES, {
      now: performance.now(),
      end: (client) => client.leaveIfIdle(),
    });
    for (const refused of this.#refusals.keys()) close(refused);
    this.#refusals.clear();
  }

  #reached(limit: Limit): void {
    this.#warnings[limit].happened(performance.now());
  }

  #limitWarnings(log: Logger): Record<Limit, RareWarning> {
    const { maxConnections, maxConnectionsPerAddress } = this.#options;
    return {
      max_connections: new RareWarning((refused) =>
        log.warn("connections are refused: the most allowed are open", {
          limit: maxConnections,
          refused,
        })
      ),
      max_per_address: new RareWarning((refused) =>
        log.warn(
          "connections are refused: the most allowed of one address are open",
          { limit: maxConnectionsPerAddress, refused },
        )
      ),
      accept: new RareWarning((failures) =>
        log.warn(
          "connections cannot be accepted; at the limit of open files, that limit should be raised",
          {
            failures,
            connections: this.#clients.size,
            limit: maxConnections,
            error: this.#lastFailure,
          },
        )
      ),
    };
  }

  /** Tells a connection why it is not taken, if its peer reads that soon. */
  async #refuse(transport: Transport): Promise<void> {
    const most = this.#clients.short ? MAX_BACKLOG_SHORT : MAX_BACKLOG;
    if (this.#refusals.size >= most) {
      this.#options.traffic.refused.backlog++;
      close(transport);
      return;
    }
    this.#refusals.set(transport, performance.now() + REFUSAL_TIME);
    try {
      const { head, body } = refusalText(TOO_MANY, { closes: true });
      const bytes = new TextEncoder().encode(
        head + new TextDecoder().decode(body),
      );
      for (let at = 0; at < bytes.length;) {
        at += await transport.write(bytes.subarray(at));
      }
      await transport.closeWrite();
      const rest = new Uint8Array(512);
      while (await transport.read(rest) !== null);
    } catch {
      // It is gone, or was too slow.
    }
    if (this.#refusals.delete(transport)) close(transport);
  }

  #sweep(now: number): void {
    this.#acceptor.sweep(now);
    for (const warning of Object.values(this.#warnings)) warning.sweep(now);
    for (const client of this.#clients) client.sweep(now);
    this.#clients.sweep(now);
    for (const [transport, by] of this.#refusals) {
      if (now > by) {
        this.#refusals.delete(transport);
        close(transport);
      }
    }
  }
}

function close(transport: Transport): void {
  try {
    transport.close();
  } catch {
    // Closed already.
  }
}
