import { isDisturbed } from "../proxy/sample.ts";
import { percentile } from "../statistics.ts";
import { formatTable, type TableForm } from "../table.ts";
import type { Case } from "./cases.ts";
import type { Measured } from "./measurement.ts";

/** What came of a case: with routers that misbehave, and without where that was measured. */
export interface Outcome {
  readonly item: Case;
  readonly trouble: Measured;
  readonly plain: Measured | null;
}

/** A figure of a case, and what is wanted of it. */
interface Figure {
  readonly name: string;
  readonly of: (measured: Measured) => number;
  readonly text: (value: number) => string;
  /** Null where nothing is wanted. */
  readonly atMost: number | null;
  /** Whether it is a span of time, which other programs make longer. */
  readonly timed?: boolean;
}

const MEBIBYTE = 2 ** 20;

const milliseconds = (value: number) => `${value.toFixed(0)} ms`;
const seconds = (value: number) => `${(value / 1000).toFixed(2)} s`;
const mebibytes = (value: number) => `${(value / MEBIBYTE).toFixed(0)} MiB`;
const kibibytes = (value: number) => `${(value / 1024).toFixed(1)} KiB`;

/** All the figures, in one table. */
export function reportTable(
  outcomes: readonly Outcome[],
  form: TableForm,
): string {
  return formatTable({
    title: "A control plane and its fleet",
    columns: [
      { name: "fleet", align: "left" },
      { name: "figure", align: "left" },
      { name: "measured", align: "right" },
      { name: "without trouble", align: "right" },
      { name: "target", align: "right" },
      { name: "result", align: "left" },
    ],
    rows: outcomes.flatMap(rowsOf),
  }, form);
}

function rowsOf({ item, trouble, plain }: Outcome): string[][] {
  return figuresOf(item).map(({ name, of, text, atMost, timed }, i) => {
    const value = of(trouble);
    return [
      i === 0 ? item.title : "",
      name,
      text(value),
      plain === null ? "–" : text(of(plain)),
      atMost === null ? "–" : `≤ ${text(atMost)}`,
      atMost === null
        ? ""
        : value <= atMost
        ? "met"
        : timed && isDisturbed(trouble)
        ? "not judged: other programs ran"
        : "MISSED",
    ];
  });
}

/** What goes below the table, a line each. */
export function notesOf(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ item, trouble, plain }) => {
    const runs = [trouble, ...plain === null ? [] : [plain]];
    const others = Math.max(...runs.map(({ othersCores }) => othersCores));
    return [
      ...runs.flatMap(({ faults }) =>
        faults.map((fault) => `(!) ${item.id}: ${fault}`)
      ),
      ...!runs.some(isDisturbed) ? [] : [
        `(!) ${item.id}: other programs kept up to ${
          others.toFixed(1)
        } cores busy meanwhile, so its times say less`,
      ],
    ];
  });
}

function figuresOf(item: Case): Figure[] {
  const last = (share: number) => ({ edits }: Measured) =>
    percentile(edits, share);
  const connect: Figure = {
    name: `all current, connecting over ${seconds(item.rampMs)}`,
    of: ({ connectMs }) => connectMs,
    text: seconds,
    atMost: null,
  };
  const peak: Figure = {
    name: "control plane, peak memory",
    of: ({ peakBytes }) => peakBytes,
    text: mebibytes,
    atMost: item.id === "fleet" ? 256 * MEBIBYTE : null,
  };
  const cpu: Figure[] = [{
    name: "CPU for an edit, control plane",
    of: ({ editCpu }) => editCpu.controlPlane,
    text: milliseconds,
    atMost: null,
  }, {
    name: "CPU for an edit, all the routers",
    of: ({ editCpu }) => editCpu.fleet,
    text: milliseconds,
    atMost: null,
  }];
  switch (item.id) {
    case "small":
      return [
        connect,
        edit("p50", last(0.5), milliseconds),
        edit("p99", last(0.99), milliseconds, 100),
        edit("longest", last(1), milliseconds),
        ...cpu,
        peak,
      ];
    case "fleet":
      return [
        connect,
        edit("p50", last(0.5), seconds),
        edit("longest", last(1), seconds, 2500),
        ...cpu,
        peak,
      ];
    default:
      return [
        connect,
        edit("longest", last(1), seconds),
        ...cpu,
        peak,
        ...wide(item),
      ];
  }
}

function edit(
  which: string,
  of: Figure["of"],
  text: Figure["text"],
  atMost: number | null = null,
): Figure {
  return { name: `PATCH to last ack, ${which}`, of, text, atMost, timed: true };
}

function wide({ routers }: Case): Figure[] {
  return [
    {
      name: "the same for each link",
      of: ({ idleBytes, peakBytes }) => (peakBytes - idleBytes) / routers,
      text: kibibytes,
      atMost: 40 * 1024,
    },
    {
      name: "control plane, CPU while held",
      of: ({ wide }) => wide!.heldCores,
      text: (cores) => `${(cores * 100).toFixed(1)} % of a core`,
      atMost: null,
    },
    {
      name: "connections opened while held",
      of: ({ wide }) => wide!.heldConnects,
      text: String,
      atMost: null,
    },
    {
      name: "restart: SIGTERM to its end",
      of: ({ wide }) => wide!.restart.ended,
      text: seconds,
      atMost: null,
    },
    {
      name: "restart: SIGTERM to listening again",
      of: ({ wide }) => wide!.restart.listens,
      text: seconds,
      atMost: null,
    },
    {
      name: "restart: SIGTERM to all current",
      of: ({ wide }) => wide!.restart.back,
      text: seconds,
      atMost: 10_000,
      timed: true,
    },
  ];
}
