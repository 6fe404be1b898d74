/** What a load saw in one stretch of time. */
export interface LoadResult {
  /** Answered requests, or echoed messages. */
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** What went wrong, by kind; nothing is what a sample needs to be good. */
  readonly errors: Readonly<Record<string, number>>;
}

/** One stretch of load on a proxy, and what the proxy used in it. */
export interface Sample extends LoadResult {
  /** Of the processor, over all threads and children of the proxy. */
  readonly cpuSeconds: number;
  /** What programs that are none of the benchmark's kept busy meanwhile. */
  readonly othersCores: number;
  /** The most memory the proxy had had by the end. */
  readonly peakBytes: number;
}

/** Whether all that was asked in these samples was answered well. */
export function flawless(samples: readonly LoadResult[]): boolean {
  return samples.every((sample) => errorCount(sample) === 0);
}

/** Below this the kernel's own work and rounding are in it. */
const QUIET_CORES = 0.2;

/** Whether other programs took so much of the machine that the sample says little of the proxy. */
export function isDisturbed(
  { othersCores }: Pick<Sample, "othersCores">,
): boolean {
  return othersCores > QUIET_CORES;
}

/** How many things went wrong. */
export function errorCount({ errors }: LoadResult): number {
  return Object.values(errors).reduce((a, b) => a + b, 0);
}
