import { type Column, formatTable, type TableForm } from "../table.ts";
import type { Case } from "./cases.ts";
import type { Outcome } from "./measurement.ts";
import { figuresOf, ratioOf } from "./figures.ts";
import { errorCount, flawless, isDisturbed } from "./sample.ts";
import { verdictsOf, verdictText } from "./targets.ts";

const MEBIBYTE = 2 ** 20;
/** Below this, bytes a second say nothing that requests do not. */
const LARGE = 65_536;

/** The table of one case, and under it what went wrong in it. */
export function caseReport(
  item: Case,
  outcomes: readonly Outcome[],
  options: { versions: ReadonlyMap<string, string>; form: TableForm },
): string {
  const large = item.receives >= LARGE;
  const unit = item.webSocket ? "message" : "request";
  const ours = outcomes.find(({ peer }) => peer.id === "ours");
  const columns: Column[] = [
    { name: "proxy", align: "left" },
    { name: "version", align: "left" },
    { name: `${unit}s/s`, align: "right" },
    ...large ? [{ name: "MiB/s", align: "right" } as const] : [],
    { name: "p50 ms", align: "right" },
    { name: "p99 ms", align: "right" },
    { name: `CPU-µs a ${unit}`, align: "right" },
    { name: "cores", align: "right" },
    { name: "peak MiB", align: "right" },
    { name: "ours ÷ it: rate", align: "right" },
    { name: "ours ÷ it: CPU", align: "right" },
  ];
  const rows = outcomes.map((outcome) => {
    const figures = figuresOf(outcome);
    const version = options.versions.get(outcome.peer.id) ?? "";
    if (figures === undefined) {
      return columns.map((_, i) =>
        i === 0 ? outcome.peer.name : i === 1 ? version : "–"
      );
    }
    const faulty = !flawless(outcome.samples) ||
      outcome.failure !== undefined;
    return [
      outcome.peer.name + (faulty ? " (!)" : ""),
      version,
      figures.requestsPerSecond.toLocaleString("en", {
        maximumFractionDigits: 0,
      }),
      ...large
        ? [(figures.requestsPerSecond * item.receives / MEBIBYTE).toFixed(0)]
        : [],
      figures.p50Ms.toFixed(2),
      figures.p99Ms.toFixed(2),
      figures.cpuMicros.toFixed(1),
      figures.cores.toFixed(2),
      (figures.peakBytes / MEBIBYTE).toFixed(0),
      ratioOf("rate", { ours, its: outcome })?.ratio.toFixed(2) ?? "–",
      ratioOf("CPU", { ours, its: outcome })?.ratio.toFixed(2) ?? "–",
    ];
  });
  const table = formatTable({ title: item.title, columns, rows }, options.form);
  const notes = [
    ...verdictsOf(item, outcomes).map(verdictText),
    ...disturbance(outcomes),
    ...faults(outcomes),
  ];
  return [table, "", ...notes.map((note) => noteLine(note, options.form))]
    .join("\n").trimEnd();
}

/** What went wrong, a line each. */
function faults(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ peer, samples, failure }) => [
    ...samples.flatMap((sample, i) =>
      errorCount(sample) === 0 ? [] : [
        `(!) ${peer.name}, sample ${
          i + 1
        } of ${samples.length} with ${sample.requests} answers: ${
          Object.entries(sample.errors)
            .filter(([, count]) => count > 0)
            .map(([kind, count]) => `${count} × ${kind}`).join(", ")
        }`,
      ]
    ),
    ...failure === undefined ? [] : [
      `${peer.name} was not measured${
        samples.length > 0 ? " to the end" : ""
      }: ${failure}`,
    ],
  ]);
}

/** A line below a table. */
export function noteLine(note: string, form: TableForm): string {
  return form === "markdown" ? `- ${note}` : note;
}

/** Says so if the machine was not the benchmark's alone. */
function disturbance(outcomes: readonly Outcome[]): string[] {
  const all = outcomes.flatMap(({ samples }) => samples);
  const disturbed = all.filter(isDisturbed);
  return disturbed.length === 0 ? [] : [
    `(!) Other programs kept up to ${
      Math.max(...disturbed.map(({ othersCores }) => othersCores)).toFixed(1)
    } cores busy in ${disturbed.length} of ${all.length} samples. These do not count where there are better ones`,
  ];
}

/** What the columns mean. */
export const LEGEND =
  `Medians of the samples; each round measures every proxy, and begins with another. The ratios are
the medians of the rounds' own, so they need not be the quotients of the columns. The CPU time is
that of the proxy with all its threads and children, "cores" how many it kept busy, the peak its
largest resident memory. The row "direct" has no proxy; its CPU and memory are the endpoint's own,
a raw TCP server on Deno with answers made beforehand.`;
