import { Buffer } from "node:buffer";
import { connect as connectTcp, createServer, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { TEST_CERT } from "../../router/upstream/testing.ts";
import type { WireFront } from "./front.ts";

/** How a connection ended, as the end that stayed saw it. */
export type End = "fin" | "reset";

/**
 * One end of a connection that can be reset. The platform's own connections cannot: they always send a
 * FIN first. Bytes are read only when they are asked for, up to 64 KiB ahead.
 */
export class Peer implements Disposable {
  readonly #socket: Socket;
  readonly #raw: Socket;
  #ended = false;
  #failure: Error | null = null;
  #wake: (() => void) | null = null;
  /** What was read and not yet taken. */
  #left: Buffer[] = [];
  #size = 0;

  /**
   * `socket` must be connected, paused, and allowed to be half open; `raw` is what it stands on where it is
   * encrypted, since a reset of an encrypted one is none.
   */
  constructor(socket: Socket, raw: Socket = socket) {
    this.#socket = socket;
    this.#raw = raw;
    const notify = () => {
      const wake = this.#wake;
      this.#wake = null;
      wake?.();
    };
    socket.on("readable", notify);
    socket.on("end", () => {
      this.#ended = true;
      notify();
    });
    socket.on("error", (error: Error) => {
      this.#failure ??= error;
      notify();
    });
    socket.on("close", () => {
      this.#failure ??= new Error("The connection was closed");
      notify();
    });
  }

  /** Connects to a router, with a handshake where the front has one. */
  static connect({ hostname: host, port, secure }: WireFront): Promise<Peer> {
    return new Promise((resolve, reject) => {
      const options = { host, port, allowHalfOpen: true };
      const raw = connectTcp(options);
      raw.once("error", reject);
      const ready = (socket: Socket) => {
        raw.off("error", reject);
        socket.off("error", reject);
        resolve(new Peer(socket, raw));
      };
      raw.once("connect", () => {
        raw.setNoDelay(true);
        if (!secure) return ready(raw);
        const socket = connectTls({
          ...options,
          socket: raw,
          servername: "localhost",
          ca: TEST_CERT,
        });
        socket.once("error", reject);
        socket.once("secureConnect", () => ready(socket));
      });
    });
  }

  /** Sends text, each character a byte, or bytes; fails if the connection ends before they have left. */
  send(data: string | Uint8Array): Promise<void> {
    const bytes = typeof data === "string" ? Buffer.from(data, "latin1") : data;
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      const closed = () =>
        reject(this.#failure ?? new Error("The connection was closed"));
      this.#socket.once("close", closed);
      this.#socket.write(bytes, (error) => {
        this.#socket.off("close", closed);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  /** The next bytes; null after a FIN. Fails if the connection is reset. */
  async read(): Promise<Uint8Array | null> {
    for (;;) {
      const chunk: Uint8Array | null = this.#socket.read();
      if (chunk !== null) return chunk;
      if (this.#ended) return null;
      if (this.#failure !== null) throw this.#failure;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  /** Takes `length` bytes. */
  async bytes(length: number): Promise<Uint8Array> {
    while (this.#size < length) {
      if (!await this.#more()) {
        throw new Error(
          `The connection ended ${length - this.#size} bytes early`,
        );
      }
    }
    const all = this.#takeAll();
    this.#keep(all.subarray(length));
    return all.subarray(0, length);
  }

  /** Takes everything up to and with `mark`. */
  async until(mark: string): Promise<string> {
    for (;;) {
      const all = this.#takeAll();
      const at = all.indexOf(mark, 0, "latin1");
      if (at >= 0) {
        this.#keep(all.subarray(at + mark.length));
        return all.toString("latin1", 0, at + mark.length);
      }
      this.#keep(all);
      if (!await this.#more()) {
        throw new Error(
          `Cannot find ${JSON.stringify(mark)}: the connection ended after ${
            JSON.stringify(all.toString("latin1", 0, 500))
          }`,
        );
      }
    }
  }

  /** Takes everything there is until the other end is gone; `end` tells how it went. */
  async rest(): Promise<{ text: string; end: End }> {
    let end: End = "fin";
    try {
      while (await this.#more());
    } catch {
      end = "reset";
    }
    return { text: this.#takeAll().toString("latin1"), end };
  }

  async #more(): Promise<boolean> {
    const bytes = await this.read();
    if (bytes !== null) this.#keep(bytes);
    return bytes !== null;
  }

  #keep(bytes: Uint8Array): void {
    this.#left.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    this.#size += bytes.length;
  }

  #takeAll(): Buffer {
    const all = this.#left.length === 1
      ? this.#left[0]!
      : Buffer.concat(this.#left);
    this.#left = [];
    this.#size = 0;
    return all;
  }

  /** Reads and drops everything until the other end is gone. */
  async end(): Promise<End> {
    try {
      while (await this.read() !== null);
      return "fin";
    } catch {
      return "reset";
    }
  }

  /** Sends FIN. */
  finish(): void {
    this.#socket.end();
  }

  /** Sends RST: the other end loses what it has not read. */
  reset(): void {
    this.#raw.resetAndDestroy();
  }

  /** Closes both ways, with a FIN where nothing is unread. */
  close(): void {
    this.#socket.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** An endpoint of {@linkcode Peer}s, each played by a script and closed after it. */
export class PeerEndpoint implements AsyncDisposable {
  readonly port: number;
  /** The connections taken so far. */
  readonly peers: Peer[];
  readonly #close: () => Promise<void>;

  private constructor(
    parts: { port: number; peers: Peer[]; close: () => Promise<void> },
  ) {
    this.port = parts.port;
    this.peers = parts.peers;
    this.#close = parts.close;
  }

  static async listen(
    play: (peer: Peer, index: number) => Promise<void>,
    { hostname = "127.0.0.1", port = 0 } = {},
  ): Promise<PeerEndpoint> {
    const peers: Peer[] = [];
    const running: Promise<void>[] = [];
    const server = createServer(
      { allowHalfOpen: true, noDelay: true },
      (socket) => {
        const peer = new Peer(socket);
        const index = peers.push(peer) - 1;
        // A script that fails for want of bytes just ends: the test sees what it was after.
        running.push(
          play(peer, index).catch(() => {}).finally(() => peer.close()),
        );
      },
    );
    const listening = Promise.withResolvers<void>();
    server.listen(port, hostname, () => listening.resolve());
    await listening.promise;
    const address = server.address();
    if (address === null || typeof address === "string") {
      throw new TypeError(`Cannot tell the port of ${address}`);
    }
    return new PeerEndpoint({
      port: address.port,
      peers,
      close: async () => {
        for (const peer of peers) peer.close();
        await new Promise((closed) => server.close(closed));
        await Promise.all(running);
      },
    });
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}
