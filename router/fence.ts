import type { CutStreams } from "../shared/protocol.ts";
import type { ActiveConfig } from "./active.ts";
import type { Exchange } from "./listen/exchange.ts";
import type { Route } from "./routes.ts";

/** How often old work is told of while there is any, in milliseconds. */
const TELL_INTERVAL = 1000;

/** A request that was sent on its way and is not over. */
export interface RunningRequest {
  readonly exchange: Exchange;
  readonly customer: string;
  /** The route it was given; null before that. */
  readonly route: Route | null;
  /** Where it stands in the fence's list. */
  place: number;
  /** It would go to another endpoint under the config being served. */
  old: boolean;
}

/** What still runs that the config being served would send elsewhere. */
export interface OldWork {
  /** Without those that stream. */
  readonly requests: number;
  /** Event streams and tunnels. */
  readonly streams: number;
  /** Milliseconds since the oldest of them began; 0 where there is none. */
  readonly oldestMs: number;
}

/** The old work under a version; none left means that the version is drained. All of it is plain data. */
export interface FenceReport extends OldWork {
  readonly version: number;
  readonly epoch: string | null;
}

/**
 * Knows the requests that run on one thread, and which of them are old: begun on an endpoint where their customer would
 * not go any more. Those of other customers do not matter, however long they last.
 */
export class Fence {
  readonly #tell: (report: FenceReport) => void;
  /** In no order, so that one that is over leaves without a search. */
  readonly #running: RunningRequest[] = [];
  #config: Pick<ActiveConfig, "version" | "epoch"> | null = null;
  #old = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
  readonly #cuts = new Set<ReturnType<typeof setTimeout>>();
  /** Hears of the customer of each request that is over; null where nobody does. */
  ended: ((customer: string) => void) | null = null;

  /** `tell` hears how each config stands when it is served, each second while there is old work, and when the last is over. */
  constructor(tell: (report: FenceReport) => void) {
    this.#tell = tell;
  }

  add(request: RunningRequest): void {
    request.place = this.#running.length;
    this.#running.push(request);
  }

  /** A request is over. */
  remove(request: RunningRequest): void {
    const last = this.#running.pop()!;
    if (last !== request) {
      this.#running[request.place] = last;
      last.place = request.place;
    }
    if (this.ended !== null) this.ended(request.customer);
    if (!request.old) return;
    this.#old--;
    if (this.#old === 0) this.#report();
  }

  /** A config is served from now on: finds what is old under it. */
  raise(config: ActiveConfig): void {
    const { version, epoch, routes } = config;
    this.#config = { version, epoch };
    this.#old = 0;
    for (const request of this.#running) {
      const { url } = routes.find(request.customer).placement.endpoint;
      request.old = request.route!.placement.endpoint.url !== url;
      if (request.old) this.#old++;
    }
    this.#report();
  }

  /** The old work of this moment. */
  work(): OldWork {
    return this.#old === 0 ? NOTHING : sum(this.#running, ({ old }) => old);
  }

  /** What runs of some customers. */
  workOf(customers: Customers): { work: OldWork; count: number } {
    const work = sum(
      this.#running,
      ({ customer }) => customers.has(customer),
    );
    return { work, count: work.requests + work.streams };
  }

  /** Ends the event streams and tunnels of some customers; where none are named, those that are old. */
  cutStreams(customers: Customers | null): void {
    for (const { exchange, customer, old } of [...this.#running]) {
      if (!exchange.streaming) continue;
      if (customers === null ? !old : !customers.has(customer)) continue;
      exchange.abort("moved");
      exchange.cut();
    }
  }

  /** Ends the event streams and tunnels that are old under a version, or under a newer one, after a while. */
  cutOldStreams(
    { version, after_ms }: Pick<CutStreams, "version" | "after_ms">,
  ): void {
    if (this.#config === null || this.#config.version < version) return;
    const timer = setTimeout(() => {
      this.#cuts.delete(timer);
      this.cutStreams(null);
    }, after_ms);
    this.#cuts.add(timer);
  }

  /** Ends telling. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    for (const timer of this.#cuts) clearTimeout(timer);
    this.#config = null;
  }

  #report(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#config === null) return;
    this.#tell({ ...this.#config, ...this.work() });
    if (this.#old > 0) {
      this.#timer = setTimeout(() => this.#report(), TELL_INTERVAL);
    }
  }
}

/** Names of customers. */
interface Customers {
  has(customer: string): boolean;
}

const NOTHING: OldWork = { requests: 0, streams: 0, oldestMs: 0 };

function sum(
  running: readonly RunningRequest[],
  counts: (request: RunningRequest) => boolean,
): OldWork {
  let requests = 0;
  let streams = 0;
  let oldest = Infinity;
  for (const request of running) {
    if (!counts(request)) continue;
    const { exchange } = request;
    if (exchange.streaming) streams++;
    else requests++;
    oldest = Math.min(oldest, exchange.startedAt);
  }
  if (oldest === Infinity) return NOTHING;
  const oldestMs = Math.max(0, Math.round(performance.now() - oldest));
  return { requests, streams, oldestMs };
}

/** What several threads report of one version, in one; null while one of them has not reported it. */
export function joinReports(
  { version, epoch }: Pick<ActiveConfig, "version" | "epoch">,
  reports: Iterable<FenceReport | null>,
): FenceReport | null {
  let requests = 0;
  let streams = 0;
  let oldestMs = 0;
  for (const report of reports) {
    if (report?.version !== version || report.epoch !== epoch) return null;
    requests += report.requests;
    streams += report.streams;
    oldestMs = Math.max(oldestMs, report.oldestMs);
  }
  return { version, epoch, requests, streams, oldestMs };
}

/** Whether nothing old is left. */
export function isDrained({ requests, streams }: OldWork): boolean {
  return requests + streams === 0;
}
