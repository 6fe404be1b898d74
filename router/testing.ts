import { parseConfigText } from "../shared/config.ts";
import type { ActiveConfig } from "./active.ts";
import { type AccessRecord, type AppDeps, createApp } from "./app.ts";
import { Fence, type FenceReport } from "./fence.ts";
import { parseTrustedProxies } from "./forwarding.ts";
import { type HoldReport, Holds, type HoldsOptions } from "./holds.ts";
import { Listener, type ListenOptions } from "./listen/listener.ts";
import { packConfig } from "./config/packed_config.ts";
import { compileRoutes } from "./routes.ts";
import { Traffic } from "./traffic.ts";
import { Upstream, type UpstreamOptions } from "./upstream/upstream.ts";

/** Helpers for tests of the data path: real sockets on loopback, and bytes as they are. */

/** One end of a connection, read by what is expected next. */
export class RawSocket implements AsyncDisposable {
  #conn: Deno.TcpConn | Deno.TlsConn;
  #text = "";
  #ended = false;

  constructor(conn: Deno.TcpConn | Deno.TlsConn) {
    this.#conn = conn;
  }

  static async connect(port: number): Promise<RawSocket> {
    return new RawSocket(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** Sends text, each character a byte. */
  async send(text: string): Promise<void> {
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
    for (let at = 0; at < bytes.length;) {
      at += await this.#conn.write(bytes.subarray(at));
    }
  }

  /** Takes everything up to and with `mark`. */
  async until(mark: string): Promise<string> {
    let at: number;
    while ((at = this.#text.indexOf(mark)) < 0) {
      if (!await this.#more()) {
        throw new Error(
          `Cannot find ${JSON.stringify(mark)}: the connection ended after ${
            JSON.stringify(this.#text.slice(0, 500))
          }`,
        );
      }
    }
    return this.#take(at + mark.length);
  }

  /** Takes a head, with the empty line behind it. */
  head(): Promise<string> {
    return this.until("\r\n\r\n");
  }

  /** Takes a head and the body its Content-Length announces. */
  async message(): Promise<string> {
    const head = await this.head();
    const length = Number(/content-length: *([0-9]+)/i.exec(head)?.[1] ?? 0);
    return head + await this.count(length);
  }

  /** Takes `length` bytes. */
  async count(length: number): Promise<string> {
    while (this.#text.length < length) {
      if (!await this.#more()) throw new Error("The connection ended early");
    }
    return this.#take(length);
  }

  /** Takes everything there is until the peer ends the connection, in whatever way. */
  async rest(): Promise<string> {
    while (await this.#more());
    return this.#take(this.#text.length);
  }

  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    const buffer = new Uint8Array(65536);
    const count = await this.#conn.read(buffer).catch(() => null);
    if (count === null) {
      this.#ended = true;
      return false;
    }
    for (let at = 0; at < count; at += 8192) {
      this.#text += String.fromCharCode(
        ...buffer.subarray(at, Math.min(count, at + 8192)),
      );
    }
    return true;
  }

  #take(length: number): string {
    const taken = this.#text.slice(0, length);
    this.#text = this.#text.slice(length);
    return taken;
  }

  /** Sends FIN. */
  finish(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    try {
      this.#conn.close();
    } catch {
      // Closed already.
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.close();
    return Promise.resolve();
  }
}

/** An endpoint whose every connection is played by a script. */
export class RawEndpoint implements AsyncDisposable {
  /** The connections taken so far. */
  readonly sockets: RawSocket[] = [];
  #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  #running: Promise<void>[] = [];
  #accepting: Promise<void>;

  /** `play` gets each connection and its number, from 0; the connection is closed when it is over. */
  constructor(play: (socket: RawSocket, index: number) => Promise<void>) {
    this.#accepting = this.#accept(play);
  }

  get port(): number {
    return this.#listener.addr.port;
  }

  async #accept(
    play: (socket: RawSocket, index: number) => Promise<void>,
  ): Promise<void> {
    for (;;) {
      const conn = await this.#listener.accept().catch(() => null);
      if (conn === null) return;
      const socket = new RawSocket(conn);
      const index = this.sockets.push(socket) - 1;
      // A script that fails for want of bytes just ends: the test sees what it was after.
      this.#running.push(
        play(socket, index).catch(() => {}).finally(() => socket.close()),
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const socket of this.sockets) socket.close();
    await this.#accepting;
    await Promise.all(this.#running);
  }
}

/** An endpoint that answers each request on a connection with `answer`, and remembers the requests. */
export class AnsweringEndpoint extends RawEndpoint {
  readonly requests: string[];

  constructor(answer: string | ((request: string) => string) = OK) {
    const requests: string[] = [];
    super(async (socket) => {
      for (;;) {
        const request = await socket.message();
        requests.push(request);
        await socket.send(
          typeof answer === "string" ? answer : answer(request),
        );
      }
    });
    this.requests = requests;
  }
}

/** A plain answer. */
export const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/** A request of the customer `acme`, with more field lines and a body. */
export function request(
  line = "GET / HTTP/1.1",
  fields = "",
  body = "",
): string {
  return `${line}\r\nHost: a.example\r\nX-Routing-Key: acme\r\n${fields}\r\n${body}`;
}

/** A served config that sends everyone to `default`, and `acme` to `cell`, both at one URL. */
export function activeAt(url: string, version = 7): ActiveConfig {
  const parsed = parseConfigText(JSON.stringify({
    default_placement: "default",
    customer_to_placement: { acme: "cell" },
    placement_to_endpoint: { default: url, cell: url },
  }));
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.problems));
  return {
    version,
    epoch: null,
    digest: "sha256:",
    source: "control_plane",
    appliedAt: 0,
    appliedAtMonotonic: 0,
    routes: compileRoutes(packConfig(parsed.config), version),
  };
}

/** A data path on a free port. */
export class TestRouter implements AsyncDisposable {
  active: ActiveConfig | null;
  readonly log: AccessRecord[] = [];
  readonly traffic: Traffic = new Traffic();
  /** What the fence has told. */
  readonly fenceReports: FenceReport[] = [];
  readonly fence = new Fence((report) => this.fenceReports.push(report));
  /** What of holds was told. */
  readonly holdReports: HoldReport[] = [];
  readonly holds: Holds;
  readonly upstream: Upstream;
  readonly app: ReturnType<typeof createApp>;
  readonly listener: Listener;

  /** `url` is the endpoint's; null for a router without a config. */
  constructor(
    url: string | null,
    options: {
      app?: Partial<AppDeps>;
      listen?: Partial<ListenOptions>;
      upstream?: Partial<UpstreamOptions>;
      holds?: Partial<HoldsOptions>;
    } = {},
  ) {
    this.active = url === null ? null : activeAt(url);
    const { traffic } = this;
    this.holds = new Holds({
      fence: this.fence,
      traffic,
      maxWaiting: 100,
      maxWait: 30_000,
      tell: (report) => this.holdReports.push(report),
      active: () => this.active,
      ...options.holds,
    });
    this.upstream = new Upstream({
      traffic,
      sweepInterval: 10,
      ...options.upstream,
    });
    const app = this.app = createApp({
      active: () => this.active,
      upstream: this.upstream,
      traffic,
      fence: this.fence,
      holds: this.holds,
      routingKey: { kind: "header", name: "x-routing-key" },
      trusted: parseTrustedProxies([]),
      via: "signalbox",
      timeouts: { response: 30_000, idle: 60_000, stream: 3_600_000 },
      tracing: null,
      accessLogLevel: "all",
      accessLog: (record) => this.log.push(record),
      ...options.app,
    });
    this.listener = Listener.listen({
      hostname: "127.0.0.1",
      port: 0,
      app,
      traffic,
      maxConnections: 1000,
      headerTimeout: 10_000,
      keepAliveTimeout: 75_000,
      idleTimeout: 60_000,
      sweepInterval: 10,
      ...options.listen,
    });
  }

  connect(): Promise<RawSocket> {
    return RawSocket.connect(this.listener.address.port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.listener.stop(0);
    this.upstream.close();
    this.holds.stop();
    this.fence.stop();
  }
}

/** Waits until a condition holds. */
export async function eventually(
  condition: () => boolean,
  what: string,
): Promise<void> {
  const by = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > by) throw new Error(`Never happened: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
