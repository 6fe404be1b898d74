import { median } from "../statistics.ts";
import type { Table } from "../table.ts";
import type { Residence } from "../residence.ts";
import { DESCRIPTORS, type Growth, growth, MEMORY } from "./leak.ts";
import { clock, type Outcome } from "./measurement.ts";

/** Rows of the table at most. */
const ROWS = 30;

export const LEGEND = [
  "Latencies are those of router a, which is never restarted; of those of a second, the median of the stretch, and the",
  "longest of all. Memory is what is resident in MiB, the median of the stretch, and descriptors those that are open. The",
  "control plane's begin with its last start. A leak is judged by what was held at least in the first and the last fifth",
  "of the time, two minutes of warm-up left out.",
].join("\n");

/** Everything over time. */
export function curveTable(outcome: Outcome, minutes: number): Table {
  const stretch = Math.ceil(minutes * 60 / ROWS);
  const rows: string[][] = [];
  for (let from = 0; from < outcome.seconds.length; from += stretch) {
    const seconds = outcome.seconds.slice(from, from + stretch);
    const within = ({ at }: { at: number }) =>
      at >= from && at < from + stretch;
    const figures = (of: "p50" | "p99" | "longest") =>
      seconds.map((second) => second[of]).filter((ms) => ms !== null);
    const router = outcome.router.filter(within);
    const controlPlane = outcome.controlPlane.filter(within);
    rows.push([
      clock(from),
      String(outcome.deeds.filter(within).length),
      count(sum(seconds.map(({ answered }) => answered))),
      count(sum(seconds.map(({ failures }) => failures.length))),
      median(figures("p50")).toFixed(2),
      median(figures("p99")).toFixed(1),
      Math.max(...figures("longest")).toFixed(0),
      ...held(router),
      ...held(controlPlane),
    ]);
  }
  return {
    title: "Load, edits, restarts and faults mixed, over time",
    columns: [
      "from",
      "faults",
      "answered",
      "failed",
      "p50 ms",
      "p99 ms",
      "longest ms",
      "router MiB",
      "descriptors",
      "control plane MiB",
      "descriptors",
    ].map((name) => ({ name, align: "right" as const })),
    rows,
  };
}

function held(samples: readonly Residence[]): [string, string] {
  if (samples.length === 0) return ["–", "–"];
  return [
    (median(samples.map(({ residentBytes }) => residentBytes)) / 2 ** 20)
      .toFixed(0),
    median(samples.map(({ descriptors }) => descriptors)).toFixed(0),
  ];
}

/** How often what happened. */
export function deedsTable({ deeds }: Outcome): Table {
  const times = Map.groupBy(deeds, ({ name }) => name);
  return {
    title: "What happened",
    columns: [
      { name: "fault", align: "left" },
      { name: "times", align: "right" },
    ],
    rows: [...times].map(([name, all]) => [name, count(all.length)]).sort(),
  };
}

/** What it comes to: in words, and whether everything held. */
export function verdict(outcome: Outcome): { lines: string[]; held: boolean } {
  const { seconds, edits, router, controlPlane, lastStartAt } = outcome;
  const failed = seconds.flatMap(({ failures }) => failures);
  const answered = sum(seconds.map(({ answered }) => answered));
  const lines = [
    `Requests: ${count(answered)} answered, ${count(failed.length)} failed`,
    `Edits: ${count(edits.acknowledged)} acknowledged, ${
      count(edits.unanswered)
    } without an answer or with 503 while the control plane was broken`,
  ];
  let held = failed.length === 0 && outcome.failures.length === 0;
  for (
    const [name, samples, from] of [
      ["router", router, 0],
      ["control plane", controlPlane, lastStartAt],
    ] as const
  ) {
    for (
      const { what, unit, of, tolerance } of [
        {
          what: "memory",
          unit: 2 ** 20,
          of: ({ residentBytes }: Residence) => residentBytes,
          tolerance: MEMORY,
        },
        {
          what: "descriptors",
          unit: 1,
          of: ({ descriptors }: Residence) => descriptors,
          tolerance: DESCRIPTORS,
        },
      ]
    ) {
      const seen = growth(samples, { from, of, tolerance });
      lines.push(`${name}, ${what}: ${growthText(seen, unit)}`);
      if (seen?.leaks) held = false;
    }
  }
  for (const failure of [...outcome.failures, ...failed].slice(0, 20)) {
    lines.push(`FAILED: ${failure}`);
  }
  lines.push(held ? "Everything held." : "NOT everything held.");
  return { lines, held };
}

function growthText(growth: Growth | null, unit: number): string {
  if (growth === null) return "too short a time to tell a leak";
  const { from, to, leaks } = growth;
  return `at least ${(from / unit).toFixed(0)} at first, ${
    (to / unit).toFixed(0)
  } at last: ${leaks ? "A LEAK" : "no leak"}`;
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

function count(value: number): string {
  return value.toLocaleString("en");
}
