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
    let streams = 0;
    let oldest = Infinity;
    if (this.#old > 0) {
      for (const { old, exchange } of this.#running) {
        if (!old) continue;
        if (exchange.streaming) streams++;
        oldest = Math.min(oldest, exchange.startedAt);
      }
    }
    return {
      requests: this.#old - streams,
      streams,
      oldestMs: oldest === Infinity
        ? 0
        : Math.max(0, Math.round(performance.now() - oldest)),
    };
  }

  /** Ends telling. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
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
