import { gzipSync } from "node:zlib";
import { configDigest } from "../../shared/canonical.ts";
import { parseConfigText } from "../../shared/config.ts";
import { MAX_PART_BYTES, SUBPROTOCOL } from "../../shared/protocol.ts";

/** The two ends of the draft protocol, bare: they know the five messages and nothing else. */

// Messages of the wire, looked at field by field where they are asserted.
// deno-lint-ignore no-explicit-any
export type Message = any;

/** Messages that come besides pushes and their answers. */
const BESIDE: ReadonlySet<string> = new Set(["ping", "drained", "draining"]);

/** Messages in the order they came, each waited for. */
export class Inbox {
  readonly #messages: Message[] = [];
  readonly #waiting: ((message: Message) => void)[] = [];

  put(message: Message): void {
    const waiting = this.#waiting.shift();
    if (waiting) waiting(message);
    else this.#messages.push(message);
  }

  /** The next message that is neither a ping nor tells of old work. */
  async next(): Promise<Message> {
    for (;;) {
      const message = await this.#take();
      if (!BESIDE.has(message.type)) return message;
    }
  }

  /** The next ping. Messages before it are passed over. */
  async ping(): Promise<Message> {
    for (;;) {
      const message = await this.#take();
      if (message.type === "ping") return message;
    }
  }

  /** How many messages wait to be taken, those aside that {@linkcode Inbox.next} passes over. */
  get pending(): number {
    return this.#messages.filter(({ type }) => !BESIDE.has(type)).length;
  }

  #take(): Promise<Message> {
    const message = this.#messages.shift();
    if (message !== undefined) return Promise.resolve(message);
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    const timer = setTimeout(
      () => reject(new Error("No message came within 20 s")),
      20_000,
    );
    this.#waiting.push((message) => {
      clearTimeout(timer);
      resolve(message);
    });
    return promise;
  }
}

/** A router that speaks the draft alone: it connects, announces nothing and answers. */
export class DraftRouter implements AsyncDisposable {
  readonly inbox = new Inbox();
  readonly closed: Promise<CloseEvent>;
  readonly #socket: WebSocket;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "ping") this.send({ type: "pong" });
      this.inbox.put(message);
    };
    this.closed = new Promise((resolve) => socket.onclose = resolve);
  }

  static async connect(url: string): Promise<DraftRouter> {
    const socket = new WebSocket(url);
    const router = new DraftRouter(socket);
    await new Promise<void>((resolve, reject) => {
      socket.onopen = () => resolve();
      socket.onerror = (event) =>
        reject(new Error(`Cannot connect: ${String(event)}`));
    });
    return router;
  }

  send(message: Message): void {
    this.#socket.send(
      typeof message === "string" ? message : JSON.stringify(message),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await this.closed;
  }
}

/** A config as it is sent in parts. */
export interface PackedText {
  readonly digest: string;
  readonly gzip: Uint8Array<ArrayBuffer>;
}

/** Makes a config ready to be sent in parts, as it stands; it must be valid. */
export function packText(text: string): PackedText {
  const result = parseConfigText(text);
  if (!result.ok) throw new TypeError(JSON.stringify(result.problems));
  const digest = configDigest(result.config);
  return { digest, gzip: new Uint8Array(gzipSync(text)) };
}

/** A control plane that speaks the draft alone, unless it is told to send a config in parts. */
export class DraftControlPlane implements AsyncDisposable {
  readonly inbox = new Inbox();
  /** The query parameters of each connection. */
  readonly announced: URLSearchParams[] = [];
  /** The codes that routers closed their connections with. */
  readonly closes: number[] = [];
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #sockets = new Set<WebSocket>();

  constructor(port = 0) {
    const options = { hostname: "127.0.0.1", port, onListen: () => {} };
    this.#server = Deno.serve(options, (request) => {
      const offered = request.headers.has("sec-websocket-protocol");
      const { socket, response } = Deno.upgradeWebSocket(
        request,
        offered ? { protocol: SUBPROTOCOL } : {},
      );
      this.announced.push(new URL(request.url).searchParams);
      this.#sockets.add(socket);
      socket.onclose = ({ code }) => {
        this.#sockets.delete(socket);
        this.closes.push(code);
      };
      socket.onmessage = ({ data }) => this.inbox.put(JSON.parse(data));
      return response;
    });
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#server.addr.port}/v1/connect`;
  }

  get connected(): number {
    return [...this.#sockets].filter(({ readyState }) =>
      readyState === WebSocket.OPEN
    ).length;
  }

  /** Ends all connections, and takes new ones. */
  disconnect(): void {
    for (const socket of this.#sockets) socket.close();
  }

  /** Sends every router a binary frame. */
  sendBinary(bytes: Uint8Array<ArrayBuffer>): void {
    for (const socket of this.#sockets) socket.send(bytes);
  }

  /** Says it to every router. */
  send(message: Message): void {
    const text = typeof message === "string"
      ? message
      : JSON.stringify(message);
    for (const socket of this.#sockets) socket.send(text);
  }

  /** Sends a config in parts to every router. */
  sendParts(version: number, { digest, gzip }: PackedText): void {
    this.send({
      type: "config_begin",
      version,
      epoch: "e1",
      digest,
      encoding: "gzip",
      bytes: gzip.length,
    });
    for (let at = 0; at < gzip.length; at += MAX_PART_BYTES) {
      this.sendBinary(gzip.slice(at, at + MAX_PART_BYTES));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.close();
    await this.#server.shutdown();
  }
}
