import type { Table } from "../table.ts";
import { type Outcome, STRETCHES } from "./measurement.ts";
import { type Residence, trend } from "../residence.ts";

export const LEGEND = [
  "What one process of many links holds, read from the operating system: resident memory in MiB, and open descriptors.",
  "Start: before the first attempt. 0 %: after a warm-up. Garbage is collected before each of 41 samples, so that what is",
  "seen is what is kept; peak is what was resident at most. Slope: of the straight line through the samples, for 1,000",
  "attempts (KiB; descriptors). Noise: their standard deviation from it (KiB; descriptors). While the links try, each may",
  "have one descriptor open; when they are stopped, there have to be as many as at the start.",
].join("\n");

/** Resident memory and descriptors over each outage. */
export function outageTable(outcomes: readonly Outcome[]): Table {
  return {
    title: "Memory and descriptors over long outages",
    columns: [
      { name: "port", align: "left" },
      { name: "", align: "left" },
      ...[
        "start",
        "0 %",
        "25 %",
        "50 %",
        "75 %",
        "100 %",
        "stopped",
        "peak",
        "slope",
        "noise",
        "seconds",
      ].map((name) => ({ name, align: "right" as const })),
    ],
    rows: outcomes.flatMap((outcome) => [
      row(outcome, {
        what: "resident",
        of: ({ residentBytes }) => residentBytes,
        peak: (outcome.after.peakBytes / 2 ** 20).toFixed(1),
        unit: 2 ** 20,
        digits: 1,
        slopeUnit: 2 ** 10,
      }),
      row(outcome, {
        what: "descriptors",
        of: ({ descriptors }) => descriptors,
        peak: "",
        unit: 1,
        digits: 0,
        slopeUnit: 1,
      }),
    ]),
  };
}

function row(
  { port, before, during, after, seconds }: Outcome,
  { what, of, peak, unit, digits, slopeUnit }: {
    what: string;
    of: (sample: Residence) => number;
    peak: string;
    unit: number;
    digits: number;
    slopeUnit: number;
  },
): string[] {
  const quarters = [0, 1, 2, 3, 4].map((quarter) =>
    during[quarter * STRETCHES / 4]!
  );
  const { perThousand, noise } = trend(during, of);
  return [
    port,
    what,
    ...[before, ...quarters, after].map((sample) =>
      (of(sample) / unit).toFixed(digits)
    ),
    peak,
    (perThousand / slopeUnit).toFixed(1),
    (noise / slopeUnit).toFixed(1),
    seconds.toFixed(0),
  ];
}
