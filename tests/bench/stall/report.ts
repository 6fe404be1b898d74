import { median } from "../statistics.ts";
import { type Column, formatTable, type TableForm } from "../table.ts";
import { noteLine } from "../proxy/report.ts";
import type { Figures } from "./figures.ts";
import { KIND_TITLES, type Lookup, LOOKUP_KINDS } from "./lookup_kinds.ts";
import type { Served } from "./serving.ts";
import { type Started, startFailures, startMs } from "./start.ts";
import { type Measured, verdictsOf } from "./targets.ts";

const MEBIBYTE = 2 ** 20;

/** All tables, and what went wrong. */
export function report(measured: Measured, form: TableForm): string {
  const { served, lookups, started } = measured;
  const tables = [
    ...served.length > 0
      ? [servingTable(served, form), usageTable(served, form)]
      : [],
    ...lookups.length > 0 ? [lookupTable(lookups, form)] : [],
    ...started.length > 0 ? [startTable(started, form)] : [],
    verdictTable(measured, form),
  ];
  const faults = [
    ...served.some(([, { disturbed }]) => disturbed)
      ? ["(!) Other programs kept cores busy in every round"]
      : [],
    ...served.flatMap(([{ size, form, recording }]) =>
      faultLines(`${size} customers, ${form.title}`, recording.failures)
    ),
    ...started.flatMap(({ size, starts }) =>
      starts.flatMap(({ failures }) =>
        faultLines(`${size} customers, start`, failures)
      )
    ),
  ];
  return [
    ...tables.flatMap((table) => [table, ""]),
    ...faults.map((fault) => noteLine(fault, form)),
  ].join("\n").trimEnd();
}

function faultLines(
  where: string,
  failures: Readonly<Record<string, number>>,
): string[] {
  return Object.entries(failures).map(([what, count]) =>
    `(!) ${where}: ${count} × ${what}`
  );
}

function left(...names: string[]): Column[] {
  return names.map((name) => ({ name, align: "left" }));
}

function right(...names: string[]): Column[] {
  return names.map((name) => ({ name, align: "right" }));
}

function servingTable(served: Measured["served"], form: TableForm): string {
  return formatTable({
    title: "Serving while a config is applied, in milliseconds",
    columns: [
      ...right("customers"),
      ...left("push"),
      ...right(
        "longest gap before",
        "during",
        "after",
        "added, median",
        "added, worst",
        "load's own",
        "p99.9 before",
        "during",
        "after",
        "push, median",
        "apply, median",
        "apply, worst",
      ),
    ],
    rows: served.map(([{ size, form }, figures]) => [
      size.toLocaleString("en"),
      form.title + (figures.disturbed ? " (!)" : ""),
      ...[
        figures.gap.before,
        figures.gap.during,
        figures.gap.after,
        median(figures.added),
        Math.max(...figures.added),
        figures.loadGap,
        figures.p999.before,
        figures.p999.during,
        figures.p999.after,
      ].map((ms) => ms.toFixed(1)),
      figures.push?.median.toFixed(0) ?? "–",
      figures.apply?.median.toFixed(0) ?? "–",
      figures.apply?.worst.toFixed(0) ?? "–",
    ]),
  }, form);
}

function usageTable(served: Measured["served"], form: TableForm): string {
  const row = (
    [{ size, form, peakBytes, restBytes, recording }, { cpuMicros }]: readonly [
      Served,
      Figures,
    ],
  ) => [
    size.toLocaleString("en"),
    form.title,
    (peakBytes / MEBIBYTE).toFixed(0),
    (restBytes / MEBIBYTE).toFixed(0),
    cpuMicros.toFixed(1),
    recording.answered.length.toLocaleString("en"),
  ];
  return formatTable({
    title: "The router's process",
    columns: [
      ...right("customers"),
      ...left("push"),
      ...right("peak MiB", "at rest MiB", "CPU-µs a request", "answers"),
    ],
    rows: served.map(row),
  }, form);
}

function lookupTable(lookups: readonly Lookup[], form: TableForm): string {
  const sizes = [...new Set(lookups.map(({ size }) => size))];
  return formatTable({
    title: "A lookup by itself, in nanoseconds",
    columns: [
      ...left("name"),
      ...right(
        ...sizes.map((size) => `${size.toLocaleString("en")} customers`),
      ),
    ],
    rows: LOOKUP_KINDS.map((kind) => [
      KIND_TITLES[kind],
      ...sizes.map((size) =>
        lookups.find((one) => one.kind === kind && one.size === size)!
          .nanoseconds.toFixed(0)
      ),
    ]),
  }, form);
}

function startTable(started: readonly Started[], form: TableForm): string {
  return formatTable({
    title: "Start from the last-known-good config, in milliseconds",
    columns: right(
      "customers",
      "ready, median",
      "ready, worst",
      "first answer, median",
      "answers 503",
      "wrong answers",
      "peak MiB",
    ),
    rows: started.map((one) => {
      const { size, starts } = one;
      const times = starts.map(startMs);
      return [
        size.toLocaleString("en"),
        median(times).toFixed(0),
        Math.max(...times).toFixed(0),
        median(starts.map(({ routedMs }) => routedMs)).toFixed(0),
        `${starts.reduce((sum, { early }) => sum + early, 0)}`,
        `${startFailures(one)}`,
        (Math.max(...starts.map(({ peakBytes }) => peakBytes)) / MEBIBYTE)
          .toFixed(0),
      ];
    }),
  }, form);
}

function verdictTable(measured: Measured, form: TableForm): string {
  return formatTable({
    title: "Targets",
    columns: [...left("what"), ...right("measured", "target"), ...left("")],
    rows: verdictsOf(measured).map((
      { what, measured, target, result },
    ) => [what, measured, target, result]),
  }, form);
}

/** What the columns mean. */
export const LEGEND =
  `A gap is the time between two answers, of whichever connections; one that goes beyond a stretch of time counts in
it as a whole. "During" is from the first byte of a push to 0.1 s after its ack, at least 0.4 s; "before" and "after"
are as long, and the worst of all rounds stands here. "Added" is during minus before, round by round; "load's own" is
how long the load itself looked at nothing. The latency counts from when a request was due. "Push" is from the first
byte to the ack, "apply" from when the last byte had left. In the rows without a push nothing happens for as long as a
push takes, or another program keeps a core busy meanwhile. The peak is the largest resident memory since the start
(VmHWM), "at rest" what is resident 10 s after the last push (VmRSS), the load still running; the CPU time is that of
the whole process in the 5 s before. Of the names that are looked up, those "one character off" differ from known ones
in the last character, "colliding" ones are known and have one FNV-1a hash in common, as an attacker would choose
them, and the "longest" ones have 256 characters, each of them escaped; the names of the others have 16 characters,
and 400,000 of them are looked up in turn. Beside the last-known-good config of a start lies a bootstrap config that
is never to be seen: requests are sent from when the port opens.`;
