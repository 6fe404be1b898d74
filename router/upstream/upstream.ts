import type { Endpoint } from "../../shared/endpoint.ts";
import { Body } from "../http1/body.ts";
import { RESPONSE_TRAILER_FILTER } from "../http1/chunked.ts";
import { ResponseHead } from "../http1/response_head.ts";
import { Wire } from "../http1/wire.ts";
import type { Placement } from "../routes.ts";
import type { PlacementTraffic, Traffic } from "../traffic.ts";
import { connectEndpoint, type ConnectOptions, ownBuffer } from "./connect.ts";

/** How {@linkcode Upstream} keeps connections. */
export interface UpstreamOptions {
  readonly traffic: Traffic;
  /**
   * How long opening a connection may take, in milliseconds.
   *
   * @default {5_000}
   */
  readonly connectTimeout?: number;
  /**
   * The most idle connections kept to one placement.
   *
   * @default {64}
   */
  readonly maxIdle?: number;
  /**
   * The most idle connections kept in all.
   *
   * @default {1_024}
   */
  readonly maxIdleTotal?: number;
  /**
   * How long a connection is kept idle, in milliseconds. Servers commonly close after 5 s or more.
   *
   * @default {15_000}
   */
  readonly maxIdleTime?: number;
  /**
   * How often deadlines are looked at, in milliseconds.
   *
   * @default {1_000}
   */
  readonly sweepInterval?: number;
  /** Certificates trusted for https endpoints, in PEM; the system's roots if not given. */
  readonly caCerts?: readonly string[];
  /**
   * Opens a connection.
   *
   * @default {connectEndpoint}
   */
  readonly connect?: typeof connectEndpoint;
}

/** A connection to an endpoint, with the answer that is being read from it. */
export class UpstreamConnection {
  readonly cell: Cell;
  readonly wire: Wire;
  readonly head: ResponseHead = new ResponseHead();
  readonly body: Body = new Body(RESPONSE_TRAILER_FILTER);
  /** A byte of the answer to the current request has come. */
  answering = false;
  /** The head of its final answer was read. */
  committed = false;
  /** A deadline of the wire has passed, and ended it: after this many milliseconds; null otherwise. */
  timedOut: number | null = null;
  /** When it became idle, in milliseconds of `performance.now()`; -1 while it carries a request. */
  idleSince = -1;

  constructor(cell: Cell, wire: Wire) {
    this.cell = cell;
    this.wire = wire;
  }

  /** Ends the connection; more than once is the same as once. */
  close(): void {
    this.cell.discard(this);
  }

  /** {@linkcode UpstreamConnection.close}, as a function of its own. */
  readonly cancel = (): void => this.close();

  /** An idle connection should be silent: whatever it does, it is of no more use. */
  readonly disturbed = (): void => {
    if (this.idleSince >= 0) this.close();
  };
}

/** The connections to one endpoint of one placement. */
export class Cell {
  readonly endpoint: Endpoint;
  readonly traffic: PlacementTraffic;
  /** No config names it any more: its connections end with the requests they carry. */
  retired = false;
  #owner: Upstream;
  #idle: UpstreamConnection[] = [];

  constructor(
    owner: Upstream,
    placement: Placement,
    traffic: PlacementTraffic,
  ) {
    this.#owner = owner;
    this.endpoint = placement.endpoint;
    this.traffic = traffic;
  }

  /** Takes the connection used last, if there is one and it has been idle for less than `maxAge` milliseconds. */
  take(maxAge: number): UpstreamConnection | null {
    const last = this.#idle.at(-1);
    if (
      last === undefined ||
      (maxAge !== Infinity && performance.now() - last.idleSince > maxAge)
    ) return null;
    this.#idle.pop();
    last.idleSince = -1;
    last.answering = last.committed = false;
    this.traffic.idle--;
    this.traffic.active++;
    this.#owner.idle--;
    return last;
  }

  /**
   * Opens a connection.
   *
   * @throws {UpstreamError} if it cannot, or not in time.
   * @throws the reason of `signal`, if that is aborted.
   */
  async connect(signal: AbortSignal): Promise<UpstreamConnection> {
    const { connect, connecting } = this.#owner;
    const transport = await connect(this.endpoint, signal, connecting);
    const wire = new Wire(transport, ownBuffer());
    const connection = new UpstreamConnection(this, wire);
    this.#owner.connections.add(connection);
    this.traffic.active++;
    return connection;
  }

  /** Takes a connection back whose answer was read to the end, to keep it or to end it. */
  release(connection: UpstreamConnection, now: number): void {
    const { wire } = connection;
    wire.shrink();
    if (
      this.retired || wire.closed || wire.broken || wire.ended ||
      wire.available > 0 || !this.#makeRoom()
    ) {
      connection.close();
      return;
    }
    wire.awaitBytes(Infinity);
    connection.idleSince = now;
    this.#idle.push(connection);
    this.traffic.active--;
    this.traffic.idle++;
    this.#owner.idle++;
    wire.guard(connection.disturbed);
  }

  /**
   * Ends the connection that has been idle longest, if there are too many. Were the new one ended, old
   * ones that a POST does not take would keep fresh ones out, and each POST would open its own.
   */
  #makeRoom(): boolean {
    if (this.#owner.hasRoom(this.#idle.length)) return true;
    const [oldest] = this.#idle;
    oldest?.close();
    return oldest !== undefined;
  }

  /** Ends a connection, in whatever state. */
  discard(connection: UpstreamConnection): void {
    if (!this.#owner.connections.delete(connection)) return;
    if (connection.idleSince >= 0) {
      connection.idleSince = -1;
      this.#idle.splice(this.#idle.indexOf(connection), 1);
      this.traffic.idle--;
      this.#owner.idle--;
    } else {
      this.traffic.active--;
    }
    connection.wire.close();
  }

  /** Ends its idle connections, and each of the others when its request has ended. */
  retire(): void {
    this.retired = true;
    for (const connection of [...this.#idle]) connection.close();
  }
}

/** The connections to all endpoints, kept alive between requests. */
export class Upstream {
  /** All connections, idle or not. */
  readonly connections: Set<UpstreamConnection> = new Set();
  readonly connect: typeof connectEndpoint;
  readonly connecting: ConnectOptions;
  /** How many connections are idle. */
  idle = 0;
  #traffic: Traffic;
  #maxIdle: number;
  #maxIdleTotal: number;
  #maxIdleTime: number;
  #cells = new Map<string, { placement: string; cell: Cell }>();
  /** The way of a request: an endpoint object is the same as long as its config is served. */
  #known = new WeakMap<Endpoint, Cell>();
  #timer: ReturnType<typeof setInterval>;

  constructor(options: UpstreamOptions) {
    this.#traffic = options.traffic;
    this.#maxIdle = options.maxIdle ?? 64;
    this.#maxIdleTotal = options.maxIdleTotal ?? 1024;
    this.#maxIdleTime = options.maxIdleTime ?? 15_000;
    this.connect = options.connect ?? connectEndpoint;
    this.connecting = {
      timeout: options.connectTimeout ?? 5000,
      ...(options.caCerts === undefined ? {} : { caCerts: options.caCerts }),
    };
    this.#timer = setInterval(
      () => this.#sweep(performance.now()),
      options.sweepInterval ?? 1000,
    );
  }

  /** The connections to a placement's endpoint. */
  cell(placement: Placement): Cell {
    return this.#known.get(placement.endpoint) ?? this.#find(placement);
  }

  #find(placement: Placement): Cell {
    const { name, endpoint } = placement;
    const key = `${name} ${endpoint.url}`;
    let entry = this.#cells.get(key);
    if (entry === undefined) {
      const cell = new Cell(this, placement, this.#traffic.of(name));
      entry = { placement: name, cell };
      this.#cells.set(key, entry);
    }
    this.#known.set(endpoint, entry.cell);
    return entry.cell;
  }

  /** Whether one more idle connection may be kept beside `beside` others of its cell. */
  hasRoom(beside: number): boolean {
    return beside < this.#maxIdle && this.idle < this.#maxIdleTotal;
  }

  /**
   * Gives up the connections to endpoints that a config no longer names; requests under way end on
   * theirs. To be called after each change of config, with its endpoints, by placement.
   */
  retain(endpoints: ReadonlyMap<string, string>): void {
    for (const [key, { placement, cell }] of this.#cells) {
      if (endpoints.get(placement) === cell.endpoint.url) continue;
      this.#cells.delete(key);
      cell.retire();
    }
  }

  /** Ends all connections and the sweep of deadlines. */
  close(): void {
    clearInterval(this.#timer);
    for (const { cell } of this.#cells.values()) cell.retire();
    for (const connection of [...this.connections]) connection.close();
  }

  #sweep(now: number): void {
    for (const connection of this.connections) {
      const { wire, idleSince } = connection;
      if (idleSince >= 0) {
        if (now - idleSince > this.#maxIdleTime) connection.close();
      } else if (wire.overdue(now) !== null) {
        connection.timedOut = wire.waited(now);
        connection.close();
      }
    }
  }
}
