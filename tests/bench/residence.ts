import { commandOutput } from "./command_output.ts";
import { processUsage } from "./process_usage.ts";

/** What a process holds at one moment. */
export interface Residence {
  /** When that was: attempts made by then, or seconds. */
  readonly at: number;
  readonly residentBytes: number;
  /** The most that was resident until then. */
  readonly peakBytes: number;
  /** Open file descriptors. */
  readonly descriptors: number;
}

/** @throws {Error} if the process is gone. */
export async function residenceOf(
  pid: number,
  at: number,
): Promise<Residence> {
  const [{ residentBytes, peakBytes }, descriptors] = await Promise.all([
    processUsage([pid]),
    // Through a command, for the reason that processTree() has.
    commandOutput("ls", [`/proc/${pid}/fd`]),
  ]);
  return {
    at,
    residentBytes,
    peakBytes,
    descriptors: (descriptors ?? "").trim().split("\n").length,
  };
}

/** A straight line through what was measured. */
export interface Trend {
  /** By how much it rises in 1,000 of what `at` counts. */
  readonly perThousand: number;
  /** How far what was measured lies from it: the standard deviation. */
  readonly noise: number;
}

/** The line with the least squares of distances. */
export function trend(
  samples: readonly Residence[],
  of: (sample: Residence) => number,
): Trend {
  const middle = mean(samples.map(({ at }) => at));
  const level = mean(samples.map(of));
  const slope = mean(
    samples.map((one) => (one.at - middle) * (of(one) - level)),
  ) / mean(samples.map(({ at }) => (at - middle) ** 2));
  const distances = samples.map((one) =>
    of(one) - level - slope * (one.at - middle)
  );
  return {
    perThousand: 1000 * slope,
    noise: Math.sqrt(mean(distances.map((distance) => distance ** 2))),
  };
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}
