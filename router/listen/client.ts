import { Buffer } from "node:buffer";
import { HEAD_BUFFERS, LONG_HEAD_BUFFERS } from "../http1/buffers.ts";
import { MAX_REQUEST_LINE_BYTES, ProtocolError } from "../http1/fields.ts";
import { takeHead } from "../http1/head.ts";
import { requestLineTooLong } from "../http1/request_head.ts";
import type { Transport } from "../http1/transport.ts";
import { Wire } from "../http1/wire.ts";
import { Exchange, type ExchangeHost } from "./exchange.ts";

/** The size of a connection's own read buffer: what an idle connection costs. Most heads fit. */
const OWN_BUFFER_BYTES = 1024;

/** How long a connection that will be closed is read from, so that its peer can read the answer first, in milliseconds. */
const LINGER_TIME = 2000;

/** The app as a connection calls it. */
export interface App {
  fetch(request: Request, exchange: Exchange): unknown;
}

/** What a connection needs of its listener. */
export interface ClientHost extends ExchangeHost {
  readonly app: App;
  /** How long a head may take from its first byte on, in milliseconds. */
  readonly headerTimeout: number;
  /** How long a connection may wait for a request, in milliseconds. */
  readonly keepAliveTimeout: number;
}

/** What a connection is waiting for. */
type Phase = "idle" | "head" | "request" | "closing";

/**
 * The part of a `Request` that the app's dispatch looks at. A real one would cost more than all the
 * rest of the dispatch, and its URL is not needed: the target goes on as it was received.
 */
class RequestView {
  readonly url = "http://data.invalid/";
  method = "GET";
}

/** One client's connection: its requests, one after the other. */
export class Client {
  /** The client's address. */
  readonly peer: string;
  #host: ClientHost;
  #wire: Wire;
  #exchange: Exchange;
  #view = new RequestView();
  #phase: Phase = "idle";
  /** An empty line came before the request. */
  #emptyLine = false;
  /** A head that took too long is being refused: what else comes of it is dropped. */
  #refused = false;

  constructor(
    transport: Transport,
    options: { peer: string; secure: boolean; host: ClientHost },
  ) {
    this.peer = options.peer;
    this.#host = options.host;
    this.#wire = new Wire(
      transport,
      Buffer.allocUnsafeSlow(OWN_BUFFER_BYTES),
    );
    this.#exchange = new Exchange(this.#wire, options);
  }

  /** Answers requests until the connection ends; never rejects. */
  async serve(): Promise<void> {
    const wire = this.#wire;
    try {
      wire.awaitBytes(this.#host.keepAliveTimeout);
      for (;;) {
        if (wire.available === 0 && !wire.took(await wire.reading())) break;
        // A head that came whole is taken here: another function to wait for would cost it 0.2 µs (bench:proxy, 1 KiB).
        const head = this.#takeHead(0) ?? await this.#restOfHead();
        if (head === null) break;
        wire.awaitBytes(Infinity);
        this.#emptyLine = false;
        await this.#begin(head);
        // Where the listener stops, an answer that had begun before did not say that the connection ends: the
        // client's next request may be on its way.
        if (!this.#exchange.keepAlive) break;
        wire.shrink();
        this.#phase = "idle";
        wire.awaitBytes(this.#host.keepAliveTimeout);
      }
      if (!wire.closed) await this.#linger();
    } catch {
      // The connection broke, or a deadline ended it: nobody is left to tell.
    }
    wire.close();
  }

  /** Hands a request to the app; answers what settles when it is over. */
  #begin(head: string | ProtocolError): Promise<void> | null {
    const exchange = this.#exchange;
    this.#phase = "request";
    exchange.begin(head, performance.now());
    this.#view.method = methodOf(head);
    this.#host.app.fetch(this.#view as unknown as Request, exchange);
    // An app that does not answer leaves nothing to go on with.
    if (exchange.done === null) exchange.keepAlive = false;
    return exchange.done;
  }

  /**
   * Takes a head off the wire; an error in place of one that cannot be taken, null where it is not
   * complete. `seen` bytes were searched before.
   */
  #takeHead(seen: number): string | ProtocolError | null {
    const wire = this.#wire;
    // One empty line before a request is allowed (RFC 9112 section 2.2).
    if (
      wire.bytes[wire.start] === 0x0d && seen < 2 && wire.available > 1 &&
      wire.bytes[wire.start + 1] === 0x0a && !this.#emptyLine
    ) {
      this.#emptyLine = true;
      wire.start += 2;
      seen = 0;
    }
    try {
      const head = takeHead(wire, seen);
      if (head !== null) return head;
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      // Where it is the line that makes the head too large, that is what helps its sender.
      return error.status === 431 && this.#lineTooLong()
        ? requestLineTooLong()
        : error;
    }
    return this.#lineTooLong() ? requestLineTooLong() : null;
  }

  /** Whether what there is begins with a line over the limit. */
  #lineTooLong(): boolean {
    const { bytes, start, available } = this.#wire;
    if (available <= MAX_REQUEST_LINE_BYTES) return false;
    const line = bytes.subarray(
      start,
      start + Math.min(available, MAX_REQUEST_LINE_BYTES + 2),
    );
    return !line.includes("\r\n");
  }

  /** Reads on until there is a head; null where none comes. */
  async #restOfHead(): Promise<string | ProtocolError | null> {
    const wire = this.#wire;
    for (;;) {
      const seen = wire.available;
      if (this.#phase === "idle" && seen > 0) {
        this.#phase = "head";
        wire.awaitBytes(this.#host.headerTimeout);
      }
      if (wire.full) {
        wire.grow(
          wire.bytes.length < HEAD_BUFFERS.size
            ? HEAD_BUFFERS
            : LONG_HEAD_BUFFERS,
        );
      }
      if (!await wire.fill() || this.#refused) return null;
      const head = this.#takeHead(seen);
      if (head !== null) return head;
    }
  }

  /** Ends what has waited too long; to be called regularly. */
  sweep(now: number): void {
    const wire = this.#wire;
    if (this.#phase === "request") this.#exchange.watch();
    const overdue = wire.overdue(now);
    if (overdue === null) return;
    switch (this.#phase) {
      case "idle":
      case "closing":
        wire.close();
        return;
      case "head":
        void this.#refuseSlowHead();
        return;
      case "request":
        if (overdue === "write" || this.#exchange.draining) {
          this.#exchange.abort("gone");
          wire.close();
        } else {
          wire.awaitBytes(Infinity);
          // A tunnel has no body: it just ends.
          if (this.#exchange.bodyDone) wire.close();
          else this.#exchange.abort("timeout");
        }
        return;
      default:
        this.#phase satisfies never;
    }
  }

  /** Answers a head that did not come to its end, while the read for the rest of it is still under way. */
  async #refuseSlowHead(): Promise<void> {
    this.#refused = true;
    this.#wire.awaitBytes(Infinity);
    await this.#begin(
      new ProtocolError("Cannot wait longer for the request's head", 408),
    );
    this.#phase = "closing";
    this.#wire.awaitBytes(LINGER_TIME);
    await this.#wire.closeWrite();
  }

  /**
   * Says that no more will be written, and waits a little for the client to end as well: closing with
   * bytes unread resets the connection, and the answer may be lost with it (RFC 9112 section 9.6).
   */
  async #linger(): Promise<void> {
    const wire = this.#wire;
    this.#phase = "closing";
    wire.awaitBytes(LINGER_TIME);
    await wire.closeWrite();
    while (await wire.fill()) wire.start = wire.end;
  }

  /** The time that a connection may wait for a request has changed. */
  retime(): void {
    if (this.#phase === "idle") {
      this.#wire.awaitBytes(this.#host.keepAliveTimeout);
    }
  }

  /** Ends the connection if it carries nothing; answers whether it did. */
  leaveIfIdle(): boolean {
    if (this.#phase !== "idle") return false;
    this.#wire.close();
    return true;
  }

  /** Ends the connection, whatever it carries. */
  cut(): void {
    this.#exchange.abort("stopping");
    this.#wire.close();
  }
}

function methodOf(head: string | ProtocolError): string {
  return typeof head === "string" ? head.slice(0, head.indexOf(" ")) : "GET";
}
