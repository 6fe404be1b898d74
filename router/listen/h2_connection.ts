import { Buffer } from "node:buffer";
import type { Transport } from "../http1/transport.ts";
import { tunnel } from "../http1/tunnel.ts";
import { Wire } from "../http1/wire.ts";
import { refusalText } from "../refusal.ts";
import { Client, type ClientHost } from "./client.ts";
import { Lane } from "./h2_lane.ts";

/** What every client of HTTP/2 sends first (RFC 9113 section 3.4). */
const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** Where the runtime's server listens, and these connections come from. */
export const INNER_HOST = "127.0.0.1";

/** The buffers of a connection; they grow where they are filled. */
const OWN_BUFFER_BYTES = 4096;

/** How long one side may stay open after the other has ended, in milliseconds. */
const LINGER_TIME = 2000;

/** What a connection needs of its listener. */
export interface H2Host extends ClientHost {
  /** The port of the runtime's server, on loopback. */
  readonly innerPort: number;
  /** Where HTTP/1.1 is spoken. */
  readonly http1Port: number;
  /** The runtime's server will see this connection under `port`. */
  known(port: number, connection: H2Connection): void;
  /** It will no more. */
  over(port: number, connection: H2Connection): void;
}

/**
 * A client's encrypted connection. Its bytes go to the runtime's HTTP/2 server and back, while it is
 * held here: so it can be counted, swept and cut, which that server offers no way to do.
 */
export class H2Connection {
  /** The client's address. */
  readonly peer: string;
  /** Requests under way. */
  active = 0;
  #host: H2Host;
  #outer: Wire;
  #inner: Wire | null = null;
  #greeted = false;
  #idleSince = 0;
  #lanes = new Map<Lane, Client>();
  #free: Lane[] = [];

  constructor(transport: Transport, options: { peer: string; host: H2Host }) {
    this.peer = options.peer;
    this.#host = options.host;
    this.#outer = new Wire(transport, Buffer.allocUnsafeSlow(OWN_BUFFER_BYTES));
  }

  /** Carries bytes until the connection ends; never rejects. */
  async serve(): Promise<void> {
    const outer = this.#outer;
    try {
      outer.awaitBytes(this.#host.headerTimeout);
      if (await this.#greets()) {
        this.#greeted = true;
        outer.awaitBytes(Infinity);
        await this.#carry();
      } else await this.#refuse();
    } catch {
      // The connection broke, or a deadline ended it: nobody is left to tell.
    }
    this.cut();
  }

  /** Whether the client begins as one of HTTP/2 does. */
  async #greets(): Promise<boolean> {
    const outer = this.#outer;
    for (;;) {
      const { bytes, start, available } = outer;
      const count = Math.min(available, PREFACE.length);
      if (
        bytes.compare(PREFACE, 0, count, start, start + count) !== 0
      ) return false;
      if (count === PREFACE.length) return true;
      if (!await outer.fill()) return false;
    }
  }

  async #carry(): Promise<void> {
    const conn = await Deno.connect({
      hostname: INNER_HOST,
      port: this.#host.innerPort,
    });
    conn.setNoDelay(true);
    const { port } = conn.localAddr;
    this.#inner = new Wire(conn, Buffer.allocUnsafeSlow(OWN_BUFFER_BYTES));
    if (this.#outer.closed) return this.#inner.close();
    this.#host.known(port, this);
    try {
      await tunnel(this.#outer, this.#inner, {
        stream: Infinity,
        closing: LINGER_TIME,
      });
    } finally {
      this.#host.over(port, this);
    }
  }

  /** Tells a client of HTTP/1 where to go, in its own words. */
  async #refuse(): Promise<void> {
    const outer = this.#outer;
    if (outer.available === 0) return;
    const { head, body } = refusalText({
      kind: "bad-request",
      status: 505,
      detail:
        `Cannot speak HTTP/1 here: HTTP/2 is spoken on this port, and HTTP/1.1 on port ${this.#host.http1Port}`,
      closes: true,
    }, { closes: true });
    outer.awaitBytes(LINGER_TIME);
    await outer.send(head, body, LINGER_TIME);
    await outer.closeWrite();
    while (await outer.fill()) outer.start = outer.end;
  }

  /** A lane for one request. */
  lane(): Lane {
    let lane = this.#free.pop();
    while (lane !== undefined && !lane.open) lane = this.#free.pop();
    lane ??= this.#newLane();
    this.active++;
    this.#idleSince = 0;
    return lane;
  }

  #newLane(): Lane {
    const lane = new Lane();
    const { peer } = this;
    const client = new Client(lane, { peer, secure: true, host: this.#host });
    this.#lanes.set(lane, client);
    void client.serve().then(() => this.#lanes.delete(lane));
    return lane;
  }

  /** Takes a lane back whose request is over. */
  release(lane: Lane): void {
    this.active--;
    if (lane.open && !this.#host.stopping) this.#free.push(lane);
  }

  /** Ends what has waited too long; to be called regularly. */
  sweep(now: number): void {
    for (const client of this.#lanes.values()) client.sweep(now);
    const overdue = this.#outer.overdue(now) ?? this.#inner?.overdue(now);
    if (overdue != null) return this.cut();
    if (!this.#greeted || this.active > 0) this.#idleSince = 0;
    else if (this.#idleSince === 0) this.#idleSince = now;
    else if (now - this.#idleSince > this.#host.keepAliveTimeout) this.cut();
  }

  /** Ends the connection if it has not come to a request yet. */
  closeIdle(): void {
    if (this.#inner === null) this.cut();
  }

  /**
   * Ends the connection, whatever it carries: nothing else would tell its requests, since nobody sweeps a connection
   * that is closed.
   */
  cut(): void {
    this.#outer.close();
    this.#inner?.close();
    for (const client of this.#lanes.values()) client.cut();
  }
}
