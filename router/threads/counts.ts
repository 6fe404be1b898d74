import type { Histogram } from "../../shared/metrics.ts";
import { type PlacementTraffic, Traffic } from "../traffic.ts";

/** The counters of one thread's data path as plain data, which can be sent to another thread. */
export interface TrafficCounts {
  readonly inFlight: number;
  readonly connections: number;
  readonly acceptErrors: number;
  /** Errors that nobody caught. */
  readonly uncaught: number;
  readonly refused: Traffic["refused"];
  readonly held: Traffic["held"];
  readonly placements: readonly PlacementCounts[];
}

/** What of {@linkcode PlacementTraffic} is data. */
type PlacementCounts =
  & Omit<PlacementTraffic, "request" | "error" | "duration">
  & {
    readonly duration: HistogramCounts;
  };

/** What of a {@linkcode Histogram} is data. */
export type HistogramCounts = Readonly<Pick<Histogram, "counts" | "sum">>;

/** A copy of the counters. */
export function countsOf({ traffic, uncaught }: Totals): TrafficCounts {
  const { inFlight, connections, acceptErrors, refused, held } = traffic;
  return {
    inFlight,
    connections,
    acceptErrors,
    uncaught,
    refused: { ...refused },
    held: { ...held },
    placements: Array.from(traffic.placements(), (placement) => ({
      ...placement,
      duration: {
        counts: placement.duration.counts,
        sum: placement.duration.sum,
      },
    })),
  };
}

/** What is left of the counters of a thread that has ended: what only grows. */
export function lastingCounts(counts: TrafficCounts): TrafficCounts {
  return {
    ...counts,
    inFlight: 0,
    connections: 0,
    held: { ...counts.held, waiting: 0 },
    placements: counts.placements.map((placement) => ({
      ...placement,
      inFlight: 0,
      active: 0,
      idle: 0,
      streams: { event_stream: 0, tunnel: 0 },
    })),
  };
}

/** What several threads have counted. */
export interface Totals {
  readonly traffic: Traffic;
  /** Errors that nobody caught. */
  readonly uncaught: number;
}

/** The counters of several threads in one. */
export function sumCounts(parts: Iterable<TrafficCounts>): Totals {
  const sum = new Traffic();
  let uncaught = 0;
  for (const part of parts) {
    uncaught += part.uncaught;
    sum.inFlight += part.inFlight;
    sum.connections += part.connections;
    sum.acceptErrors += part.acceptErrors;
    addRecord(sum.refused, part.refused);
    addRecord(sum.held, part.held);
    for (const placement of part.placements) {
      addPlacement(sum.of(placement.placement), placement);
    }
  }
  return { traffic: sum, uncaught };
}

function addPlacement(sum: PlacementTraffic, part: PlacementCounts): void {
  sum.inFlight += part.inFlight;
  sum.active += part.active;
  sum.idle += part.idle;
  addRecord(sum.streams, part.streams);
  for (const [index, count] of part.requests.entries()) {
    sum.requests[index]! += count;
  }
  for (const [kind, count] of part.errors) {
    sum.errors.set(kind, (sum.errors.get(kind) ?? 0) + count);
  }
  addHistogram(sum.duration, part.duration);
}

/** Adds what another thread has observed. */
export function addHistogram(sum: Histogram, part: HistogramCounts): void {
  for (const [index, count] of part.counts.entries()) {
    sum.counts[index]! += count;
  }
  sum.sum += part.sum;
}

/** Adds to each count the one of the same name. */
export function addRecord<K extends string>(
  sum: Record<K, number>,
  part: Readonly<Record<K, number>>,
): void {
  for (const name in part) sum[name] += part[name];
}
