import { median } from "../statistics.ts";
import type { Outcome } from "./measurement.ts";
import { isDisturbed, type Sample } from "./sample.ts";

/** The medians of a proxy's samples. */
export interface Figures {
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the proxy, for one request. */
  readonly cpuMicros: number;
  /** How many cores the proxy kept busy. */
  readonly cores: number;
  readonly peakBytes: number;
}

/** Undefined if there is no sample. Disturbed ones count only where all are. */
export function figuresOf({ samples }: Outcome): Figures | undefined {
  if (samples.length === 0) return undefined;
  const quiet = samples.filter((sample) => !isDisturbed(sample));
  const counted = quiet.length > 0 ? quiet : samples;
  const of = (value: (sample: Sample) => number) => median(counted.map(value));
  return {
    requestsPerSecond: of(({ requests, seconds }) => requests / seconds),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
    cpuMicros: of(({ cpuSeconds, requests }) => cpuSeconds / requests * 1e6),
    cores: of(({ cpuSeconds, seconds }) => cpuSeconds / seconds),
    peakBytes: of(({ peakBytes }) => peakBytes),
  };
}

/** What is compared. */
export type Measure = "rate" | "CPU";

/**
 * Ours divided by another's, as the median over the rounds: what the machine does besides changes from
 * minute to minute, and the samples of a round are near each other. Disturbed rounds count only where
 * all are, and `disturbed` says so. Undefined without a common round.
 */
export function ratioOf(
  measure: Measure,
  { ours, its }: { ours: Outcome | undefined; its: Outcome },
): { ratio: number; disturbed: boolean } | undefined {
  const value = ({ requests, seconds, cpuSeconds }: Sample) =>
    measure === "rate" ? requests / seconds : cpuSeconds / requests;
  const rounds = its.samples.flatMap((sample, round) => {
    const own = ours?.samples[round];
    return own === undefined ? [] : [{ own, sample }];
  });
  if (rounds.length === 0) return undefined;
  const quiet = rounds.filter(({ own, sample }) =>
    !isDisturbed(own) && !isDisturbed(sample)
  );
  const disturbed = quiet.length === 0;
  const ratios = (disturbed ? rounds : quiet)
    .map(({ own, sample }) => value(own) / value(sample));
  return { ratio: median(ratios), disturbed };
}
