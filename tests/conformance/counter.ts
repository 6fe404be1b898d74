import { TEST_CERT } from "../../router/upstream/testing.ts";
import type { WireFront } from "./front.ts";

const PART = new Uint8Array(256 * 1024).fill(0x78);

/**
 * A connection and how many bytes of a body went over it. It reads nothing that is not asked for, also
 * where it is encrypted, which sockets of `node:tls` do not promise.
 */
export class Counter {
  readonly #conn: Deno.TcpConn | Deno.TlsConn;
  bytes = 0;

  constructor(conn: Deno.TcpConn | Deno.TlsConn) {
    this.#conn = conn;
  }

  /** Connects to a router; an encrypted connection has its handshake behind it. */
  static async connect(front: WireFront): Promise<Counter> {
    const { hostname, port } = front;
    if (!front.secure) {
      return new Counter(await Deno.connect({ hostname, port }));
    }
    const conn = await Deno.connectTls({
      hostname,
      port,
      caCerts: [TEST_CERT],
    });
    await conn.handshake();
    return new Counter(conn);
  }

  /** Sends a body of `length` bytes. */
  async send(length: number): Promise<void> {
    for (let left = length; left > 0;) {
      const count = await this.#conn.write(
        left < PART.length ? PART.subarray(0, left) : PART,
      );
      left -= count;
      this.bytes += count;
    }
  }

  /** Sends text that counts as no body. */
  async text(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) {
      at += await this.#conn.write(bytes.subarray(at));
    }
  }

  /** Takes a head, byte by byte so that nothing of the body is taken. */
  async head(): Promise<string> {
    const byte = new Uint8Array(1);
    let text = "";
    while (!text.endsWith("\r\n\r\n")) {
      if (await this.#conn.read(byte) === null) {
        throw new Error(`The connection ended in a head: ${text}`);
      }
      text += String.fromCharCode(byte[0]!);
    }
    return text;
  }

  /** Takes `length` bytes of a body. */
  async take(length: number): Promise<void> {
    const buffer = new Uint8Array(1024 * 1024);
    while (this.bytes < length) {
      const count = await this.#conn.read(
        buffer.subarray(0, Math.min(buffer.length, length - this.bytes)),
      );
      if (count === null) {
        throw new Error(`The connection ended after ${this.bytes} bytes`);
      }
      this.bytes += count;
    }
  }

  /** Takes everything until the other end is gone; answers the last five bytes. */
  async tail(): Promise<string> {
    const buffer = new Uint8Array(1024 * 1024);
    let tail = "";
    let count;
    while ((count = await this.#conn.read(buffer)) !== null) {
      this.bytes += count;
      const last = buffer.subarray(Math.max(0, count - 5), count);
      tail = (tail + String.fromCharCode(...last)).slice(-5);
    }
    return tail;
  }

  /** Sends FIN, after the close_notify of an encrypted connection. */
  async finish(): Promise<void> {
    await this.#conn.closeWrite();
  }

  close(): void {
    this.#conn.close();
  }
}
