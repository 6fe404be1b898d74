import { Histogram, SECONDS_BOUNDS } from "../shared/metrics.ts";
import type { UpstreamErrorKind } from "./upstream/error.ts";

/** Why a connection was refused. */
export type RefusalReason =
  | "max_connections"
  | "max_per_address"
  | "stopping"
  /** Too many others are just being told why they are refused. */
  | "backlog";

/** What stays open beyond an answer: it has its own timeout, and a stop waits for it in vain. */
export type StreamKind = "event_stream" | "tunnel";

/** What one placement saw. All fields are plain numbers that only the data path adds to. */
export class PlacementTraffic {
  /** The placement's name; empty for requests that were answered before one was chosen. */
  readonly placement: string;
  /** Requests answered, by class of status: index 0 is `1xx`, 4 is `5xx`. */
  readonly requests: number[] = [0, 0, 0, 0, 0];
  /** From a request's head to the end of its answer, in seconds. */
  readonly duration: Histogram = new Histogram(SECONDS_BOUNDS);
  readonly errors: Map<UpstreamErrorKind, number> = new Map();
  /** Requests being worked on. */
  inFlight = 0;
  /** Streams open. */
  readonly streams: Record<StreamKind, number> = { event_stream: 0, tunnel: 0 };
  /** Connections that carry a request. */
  active = 0;
  /** Connections that wait for one. */
  idle = 0;

  constructor(placement: string) {
    this.placement = placement;
  }

  /** Counts a request that was answered with `status` after `seconds`. */
  request(status: number, seconds: number): void {
    // A class that does not exist counts as a failure (RFC 9110 section 15).
    this.requests[Math.min(Math.floor(status / 100), 5) - 1]! += 1;
    this.duration.observe(seconds);
  }

  /** Counts a failure of the way to the placement. */
  error(kind: UpstreamErrorKind): void {
    this.errors.set(kind, (this.errors.get(kind) ?? 0) + 1);
  }
}

/** The counters of the data path, read when metrics are asked for. */
export class Traffic {
  /** Requests being worked on. */
  inFlight = 0;
  /**
   * Requests that are over, and those of them that went wrong: a 5xx, or a failure of the endpoint. Without those that
   * were given no placement, and those that began under another config than the one that was served at their end.
   */
  answered = 0;
  failed = 0;
  /** Client connections open. */
  connections = 0;
  readonly refused: Record<RefusalReason, number> = {
    max_connections: 0,
    max_per_address: 0,
    stopping: 0,
    backlog: 0,
  };
  /** Requests of customers that are held: how many wait, and what became of the others. */
  readonly held = { waiting: 0, released: 0, timed_out: 0, refused: 0 };
  /** Failures to accept a connection, as at the limit of open descriptors. */
  acceptErrors = 0;
  #placements = new Map<string, PlacementTraffic>();
  /** Requests without a placement. */
  readonly unrouted: PlacementTraffic = this.of("");

  /** The counters of a placement, which must be named by a config. */
  of(placement: string): PlacementTraffic {
    let traffic = this.#placements.get(placement);
    if (traffic === undefined) {
      traffic = new PlacementTraffic(placement);
      this.#placements.set(placement, traffic);
    }
    return traffic;
  }

  /** All counters by placement; the one with the empty name counts requests without a placement. */
  placements(): IterableIterator<PlacementTraffic> {
    return this.#placements.values();
  }

  /**
   * Forgets placements that a config no longer names and that nobody uses: no connection is open to
   * them, and no request under way has yet to be counted.
   */
  retain(placements: { has(name: string): boolean }): void {
    for (const [name, { inFlight, active, idle }] of this.#placements) {
      if (
        name !== "" && !placements.has(name) && inFlight + active + idle === 0
      ) {
        this.#placements.delete(name);
      }
    }
  }
}
