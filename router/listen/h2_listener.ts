import { atMost } from "../../shared/clock.ts";
import { logger } from "../../shared/log.ts";
import type { Transport } from "../http1/transport.ts";
import { type Refusal, refusalText } from "../refusal.ts";
import type { Traffic } from "../traffic.ts";
import type { Arrivals } from "./acceptor.ts";
import type { App } from "./client.ts";
import { BodySource } from "./h2_body.ts";
import { H2Connection, type H2Host, INNER_HOST } from "./h2_connection.ts";
import { CutStream } from "./h2_lane.ts";
import { type BodyFraming, requestText } from "./h2_request.ts";
import type { ListenOptions } from "./listener.ts";
import { OpenConnections } from "./open_connections.ts";
import { RareWarning } from "../../shared/rare_warning.ts";
import { TlsAcceptor } from "./tls_acceptor.ts";
import type { TlsIdentity } from "./tls_identity.ts";

const log = logger("h2");

/** How long that server may take to end when all clients are gone, in milliseconds: others may hold its port. */
const SHUTDOWN_TIME = 1000;

/** How long it may take to see that a request without a Content-Length has no body, in milliseconds. */
const EMPTY_TIME = 20;

const TOO_MANY: Refusal = {
  kind: "too-many-connections",
  status: 503,
  detail: "This router has no room for another request over HTTP/2",
  closes: false,
};

/** How {@linkcode H2Listener.listen} listens. */
export interface H2ListenOptions extends ListenOptions, TlsIdentity {
  /** The port of the listener of HTTP/1.1, told to whoever speaks that here. */
  readonly http1Port: number;
}

/**
 * The listener of HTTP/2 over TLS. The runtime's server speaks HTTP/2, on loopback; the connections
 * are taken and encrypted here, by what serves HTTP/1.1 as well. By itself that server delays small
 * answers by 40 ms, cannot close a connection, bounds no handshake, and keeps its first certificate.
 *
 * Each request becomes one of HTTP/1.1 on a connection in memory ({@linkcode H2Connection.lane}), so
 * that it is checked, forwarded, counted and told of like any other.
 */
export class H2Listener implements H2Host, Arrivals {
  readonly app: App;
  readonly headerTimeout: number;
  readonly keepAliveTimeout: number;
  readonly idleTimeout: number;
  readonly http1Port: number;
  readonly received = "2";
  stopping = false;
  #options: H2ListenOptions;
  #traffic: Traffic;
  #acceptor: TlsAcceptor;
  #server: Deno.HttpServer<Deno.NetAddr>;
  /** What the runtime writes for an authority that was not given. */
  #missing: string;
  readonly #connections: OpenConnections<H2Connection>;
  #byPort = new Map<number, H2Connection>();
  #active = 0;
  #timer: ReturnType<typeof setInterval>;
  #stopped: Promise<void> | null = null;
  #warning: RareWarning;
  #lastRefusal: unknown;

  /**
   * Listens on an address.
   *
   * @throws {TypeError} if the certificate and its key cannot be used.
   * @throws the platform's errors, if the address cannot.
   */
  static async listen(options: H2ListenOptions): Promise<H2Listener> {
    const acceptor = await TlsAcceptor.listen({
      ...options,
      handshakeTimeout: options.headerTimeout,
      maxHandshakes: options.maxConnections,
      // HTTP/1.1 is offered for the sake of an answer that says where it is spoken.
      protocols: ["h2", "http/1.1"],
    });
    return new H2Listener(acceptor, options);
  }

  private constructor(acceptor: TlsAcceptor, options: H2ListenOptions) {
    this.#acceptor = acceptor;
    this.#options = options;
    this.#traffic = options.traffic;
    this.#connections = new OpenConnections(options);
    this.app = options.app;
    this.headerTimeout = options.headerTimeout;
    this.keepAliveTimeout = options.keepAliveTimeout;
    this.idleTimeout = options.idleTimeout;
    this.http1Port = options.http1Port;
    this.#server = Deno.serve(
      {
        hostname: INNER_HOST,
        port: 0,
        onListen: () => {},
        onError: answerError,
      },
      (request, info) => this.#answer(request, info),
    );
    this.#missing = `localhost:${this.innerPort}`;
    this.#warning = new RareWarning((refused) =>
      (options.log ?? log).warn("connections over HTTP/2 are refused", {
        refused,
        limit: options.maxConnections,
        error: this.#lastRefusal,
      })
    );
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

  get innerPort(): number {
    return this.#server.addr.port;
  }

  /** How many connections are open. */
  get connections(): number {
    return this.#connections.size;
  }

  /**
   * Serves connections from now on with another certificate.
   *
   * @throws {TypeError} if the certificate and its key cannot be used.
   */
  renew(identity: TlsIdentity): void {
    this.#acceptor.renew(identity);
  }

  /** Notes under which port the runtime's server sees a connection; see {@linkcode H2Host}. */
  known(port: number, connection: H2Connection): void {
    this.#byPort.set(port, connection);
  }

  /** Forgets that; another connection may have the port by now. */
  over(port: number, connection: H2Connection): void {
    if (this.#byPort.get(port) === connection) this.#byPort.delete(port);
  }

  /** Takes a connection; see {@linkcode Arrivals}. */
  arrived(transport: Transport, peer: string): void {
    const reason = this.stopping
      ? "stopping"
      : this.#connections.limitFor(peer);
    if (reason === null) {
      void this.#connections.serve(
        new H2Connection(transport, { peer, host: this }),
      );
      return;
    }
    this.#traffic.refused[reason]++;
    if (reason !== "stopping") this.#refused(reason);
    transport.close();
  }

  /** Counts a connection that could not be taken; see {@linkcode Arrivals}. */
  failed(reason: unknown): void {
    this.#traffic.acceptErrors++;
    this.#refused(reason);
  }

  #refused(reason: unknown): void {
    this.#lastRefusal = reason;
    this.#warning.happened(performance.now());
  }

  async #answer(
    request: Request,
    info: Deno.ServeHandlerInfo<Deno.NetAddr>,
  ): Promise<Response> {
    const { hostname, port } = info.remoteAddr;
    const connection = hostname === INNER_HOST
      ? this.#byPort.get(port)
      : undefined;
    // Whoever found the port on loopback is none of our clients.
    if (connection === undefined) return new Response(null, { status: 421 });
    if (this.#active >= this.#options.maxConnections) return this.#overload();
    this.#active++;
    const { framing, body } = await bodyOf(request);
    const lane = connection.lane();
    const { method, signal } = request;
    const head = requestText(request, { framing, missing: this.#missing });
    return await lane.answer(
      { method, head, body, chunked: framing === "chunked", signal },
      () => {
        this.#active--;
        connection.release(lane);
      },
    );
  }

  #overload(): Response {
    this.#traffic.refused.max_connections++;
    this.#refused("max_connections");
    const { body } = refusalText(TOO_MANY, { closes: false });
    return new Response(body.slice(), {
      status: 503,
      headers: { "content-type": "application/problem+json" },
    });
  }

  #sweep(now: number): void {
    this.#acceptor.sweep(now);
    this.#warning.sweep(now);
    for (const connection of this.#connections) connection.sweep(now);
  }

  /**
   * Takes no more connections and requests, lets running ones finish for at most `graceMs` milliseconds,
   * and ends what is left. Resolves when all are gone; a second call waits for the first.
   */
  stop(graceMs: number): Promise<void> {
    return this.#stopped ??= this.#stop(graceMs);
  }

  async #stop(graceMs: number): Promise<void> {
    this.stopping = true;
    await this.#acceptor.stop();
    for (const connection of this.#connections) connection.closeIdle();
    // It tells all clients to go away, and ends each connection with its last stream.
    const down = this.#server.shutdown();
    await this.#connections.drain(graceMs, (connection) => connection.cut());
    await atMost(SHUTDOWN_TIME, down);
    clearInterval(this.#timer);
  }
}

/** How the body of a request is framed, and where it comes from. */
async function bodyOf(
  request: Request,
): Promise<{ framing: BodyFraming; body: BodySource | null }> {
  const stream = request.body;
  const given = request.headers.has("content-length");
  if (stream === null) {
    return { framing: given ? "dropped" : "none", body: null };
  }
  const body = new BodySource(stream);
  if (given) return { framing: "given", body };
  return await body.empty(EMPTY_TIME)
    ? { framing: "none", body: null }
    : { framing: "chunked", body };
}

/** What the runtime's server asks when a handler or a body fails. */
function answerError(error: unknown): Response {
  if (!(error instanceof CutStream)) {
    log.error("a request over HTTP/2 could not be answered", { error });
  }
  return new Response(null, { status: 500 });
}
