import type { RefusalReason, Traffic } from "../traffic.ts";

/** How many connections may be open, and where they are counted. */
export interface OpenConnectionsOptions {
  readonly traffic: Traffic;
  /** The most connections open at a time. */
  readonly maxConnections: number;
  /** The most connections of one address; no limit if not given. */
  readonly maxConnectionsPerAddress?: number;
}

/** A connection to be held: whose it is, and what serves it to its end. */
export interface HeldConnection {
  /** The client's address. */
  readonly peer: string;
  /** Settles when the connection has ended; never rejects. */
  serve(): Promise<void>;
}

/** After a shed it is tried so often, in milliseconds, whether more may be open again. */
const RAISE_INTERVAL = 30_000;
/** How many more each time: as many idle clients are ended should that be too many. */
const RAISE = 32;

/** The clients' connections a listener has open, within its limits. */
export class OpenConnections<T extends HeldConnection> {
  readonly #options: OpenConnectionsOptions;
  /** The most that are taken now: fewer than are allowed while files are short. */
  #most: number;
  /** When it was lowered or raised last, of those on {@linkcode performance.now}. */
  #changedAt = 0;
  readonly #open = new Set<T>();
  readonly #perAddress = new Map<string, number>();
  #emptied: (() => void) | null = null;

  constructor(options: OpenConnectionsOptions) {
    this.#options = options;
    this.#most = options.maxConnections;
  }

  /** How many there are. */
  get size(): number {
    return this.#open.size;
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.#open.values();
  }

  /** Whether fewer are taken than are allowed, because of a {@linkcode OpenConnections.shed}. */
  get short(): boolean {
    return this.#most < this.#options.maxConnections;
  }

  /** The limit that keeps a connection of this address out; null if there is room. */
  limitFor(
    peer: string,
  ): Extract<RefusalReason, "max_connections" | "max_per_address"> | null {
    const { maxConnectionsPerAddress = Infinity } = this.#options;
    if (this.#open.size >= this.#most) return "max_connections";
    return (this.#perAddress.get(peer) ?? 0) >= maxConnectionsPerAddress
      ? "max_per_address"
      : null;
  }

  /** Serves a connection, and counts it meanwhile. */
  async serve(connection: T): Promise<void> {
    const { traffic } = this.#options;
    const { peer } = connection;
    this.#open.add(connection);
    this.#perAddress.set(peer, (this.#perAddress.get(peer) ?? 0) + 1);
    traffic.connections++;
    await connection.serve();
    traffic.connections--;
    const left = this.#perAddress.get(peer)! - 1;
    if (left === 0) this.#perAddress.delete(peer);
    else this.#perAddress.set(peer, left);
    this.#open.delete(connection);
    if (this.#open.size <= this.#most / 2) {
      this.#most = this.#options.maxConnections;
    }
    if (this.#open.size === 0) this.#emptied?.();
  }

  /**
   * Takes `count` connections fewer than there are from now on, and ends the newest above that which `end` lets go. As
   * many as before are taken again when half of those are gone, and little by little with time: who was short of files
   * may not be the clients.
   */
  shed(
    count: number,
    { now, end }: { now: number; end: (connection: T) => boolean },
  ): void {
    const most = Math.max(1, Math.min(this.#most, this.#open.size) - count);
    this.#most = most;
    this.#changedAt = now;
    let over = this.#open.size - most;
    for (const connection of [...this.#open].reverse()) {
      if (over <= 0) return;
      if (end(connection)) over--;
    }
  }

  /** To be called now and then: takes more again some time after a {@linkcode OpenConnections.shed}. */
  sweep(now: number): void {
    if (!this.short || now - this.#changedAt < RAISE_INTERVAL) return;
    this.#changedAt = now;
    this.#most = Math.min(this.#most + RAISE, this.#options.maxConnections);
  }

  /** Resolves when none is open; those that still are after `graceMs` milliseconds are ended by `cut`. */
  async drain(graceMs: number, cut: (connection: T) => void): Promise<void> {
    if (this.#open.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#emptied = resolve;
    const timer = setTimeout(() => {
      for (const connection of this.#open) cut(connection);
    }, graceMs);
    await promise;
    clearTimeout(timer);
  }
}
