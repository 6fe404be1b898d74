import { median, percentile } from "../statistics.ts";
import { formatTable, type TableForm } from "../table.ts";
import type { Burst, Measured } from "./measurement.ts";
import type { Step } from "./scene.ts";

const KIBIBYTE = 2 ** 10;
const MEBIBYTE = 2 ** 20;
const GIBIBYTE = 2 ** 30;
/** What the project wants with this many customers (SPEC section 11). */
const TARGET_CUSTOMERS = 1_000_000;
const MAX_GAP_MS = 50;
const MAX_PUT_MS = 10_000;
const MAX_EDIT_MS = 20;
const MAX_EDIT_BYTES = 128 * KIBIBYTE;
const MAX_FILE_BYTES = 2 * GIBIBYTE;

type Row = [what: string, measured: string, target: string, verdict: string];

/** Everything measured, in one table. */
export function report(all: readonly Measured[], form: TableForm): string {
  return formatTable({
    title: "Edits, and how they hold up the control plane",
    columns: [
      { name: "what", align: "left" },
      { name: "measured", align: "right" },
      { name: "target", align: "right" },
      { name: "", align: "left" },
    ],
    rows: all.flatMap(rowsOf),
  }, form);
}

function rowsOf(measured: Measured): Row[] {
  const { customers, steps, editMs, burst } = measured;
  const judged = customers === TARGET_CUSTOMERS;
  const bound = (limit: number) => judged ? limit : null;
  return [
    [`${customers.toLocaleString("en")} customers`, "", "", ""],
    row("PATCH of a customer, median", median(editMs), ms, bound(MAX_EDIT_MS)),
    row("PATCH of a customer, 99th percentile", percentile(editMs, 0.99), ms),
    row(
      "written for one edit",
      measured.writtenBytes,
      kibibytes,
      bound(MAX_EDIT_BYTES),
    ),
    row(
      "growth of the store's files for one edit",
      measured.grownBytes,
      kibibytes,
    ),
    row(
      "peak memory, PUT and edits",
      measured.peakBytes.edits,
      mebibytes,
    ),
    row("peak memory, all", measured.peakBytes.all, mebibytes),
    row(
      "the store's files at the end",
      measured.fileBytes,
      mebibytes,
      bound(MAX_FILE_BYTES),
    ),
    ...burst === null ? [] : burstRows(burst),
    ...steps.flatMap((step) => stepRows(step, judged)),
  ];
}

function stepRows({ name, ms: time, gaps }: Step, judged: boolean): Row[] {
  const isPut = name === "PUT /v1/config";
  const limit = judged ? MAX_GAP_MS : null;
  const [, , target, verdict] = row(name, gaps.longest, ms, limit);
  return [
    row(name, time, ms, judged && isPut ? MAX_PUT_MS : null),
    [
      "  longest gap (without waits, running)",
      `${ms(gaps.longest)} (${gaps.longestOwn.toFixed(0)}, ${
        gaps.longestRun.toFixed(0)
      })`,
      target,
      verdict === "MISSED" && gaps.longestOwn <= MAX_GAP_MS
        ? "MISSED (met but for waits)"
        : verdict,
    ],
  ];
}

function burstRows(burst: Burst): Row[] {
  const { edits, committedMs, answeredMs, pushes, untrue } = burst;
  return [
    row(`burst of ${edits}: first to last version`, committedMs, ms),
    row(`burst of ${edits}: to the last answer`, answeredMs, ms),
    row(`burst of ${edits}: pushes to the router`, pushes, String),
    row(`burst of ${edits}: answers that were not true`, untrue, String, 0),
  ];
}

function row(
  what: string,
  value: number,
  form: (value: number) => string,
  limit: number | null = null,
): Row {
  return [
    what,
    form(value),
    limit === null ? "" : `≤ ${form(limit)}`,
    limit === null ? "" : value <= limit ? "met" : "MISSED",
  ];
}

function ms(value: number): string {
  return `${value.toFixed(value < 100 ? 1 : 0)} ms`;
}

function kibibytes(value: number): string {
  return `${(value / KIBIBYTE).toFixed(1)} KiB`;
}

function mebibytes(value: number): string {
  return `${(value / MEBIBYTE).toFixed(0)} MiB`;
}
