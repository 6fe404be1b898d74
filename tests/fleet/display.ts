import {
  expectedCurrent,
  type FleetOptions,
  type FleetState,
} from "./fleet.ts";
import type { Propagation } from "./propagation.ts";
import type { VersionBook } from "./version_book.ts";

/** Where a histogram's rows end, in milliseconds; the last row has no end. */
const BOUNDS = [
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  1000,
  2000,
  5000,
  10_000,
  Infinity,
];
/** Characters of the longest bar. */
const BAR = 40;

/** A fleet at one moment, for programs. Times are in milliseconds. */
export interface Figures extends FleetState {
  readonly routers: number;
  /** How many are to be current once all has settled. */
  readonly expected: number;
  /** Versions that were seen. */
  readonly versions: number;
  /** Of the newest version; null before any. */
  readonly propagation: Percentiles | null;
}

/** From the first router that a version reached to the others. */
export interface Percentiles {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export function figuresOf(
  state: FleetState,
  options: { readonly book: VersionBook; readonly fleet: FleetOptions },
): Figures {
  const { book, fleet } = options;
  const newest = book.figures(state.newest);
  return {
    routers: fleet.routers,
    expected: expectedCurrent(fleet),
    ...state,
    versions: book.count,
    propagation: newest === null ? null : percentilesOf(newest.propagation),
  };
}

/** Null where nothing was measured. */
export function percentilesOf(propagation: Propagation): Percentiles | null {
  return propagation.count === 0 ? null : {
    count: propagation.count,
    p50: propagation.percentile(0.5),
    p99: propagation.percentile(0.99),
    max: propagation.percentile(1),
  };
}

/** A fleet in one line. */
export function line(figures: Figures): string {
  const { routers, connected, newest, current, stalled, propagation } = figures;
  const parts = [
    `${grouped(connected)} of ${grouped(routers)} connected`,
    newest === 0
      ? "no version yet"
      : `${grouped(current)} current at version ${newest}`,
    ...stalled === 0 ? [] : [`${grouped(stalled)} stalled`],
    ...propagation === null ? [] : [
      `p50 ${span(propagation.p50)}, p99 ${span(propagation.p99)}, max ${
        span(propagation.max)
      }`,
    ],
    size(figures.bytes),
  ];
  return parts.join(" | ");
}

/** What came of it all: a histogram of how versions went out, and what was counted. */
export function summary(figures: Figures, total: Propagation): string {
  const all = percentilesOf(total);
  const counted = (name: string, list: Figures["losses"]) =>
    list.length === 0
      ? []
      : [name, ...list.map(([what, times]) => `  ${grouped(times)} × ${what}`)];
  return [
    line(figures),
    `${grouped(figures.versions)} version${
      figures.versions === 1 ? "" : "s"
    } seen, applied ${grouped(figures.applied)} times, rejected ${
      grouped(figures.rejected)
    } times, contents checked ${grouped(figures.decoded)} times`,
    ...counted(
      `${
        grouped(figures.connects)
      } connections opened; of others it came to no more, or they ended:`,
      figures.losses,
    ),
    ...counted(
      "WRONG on the control plane's side:",
      figures.faults,
    ),
    ...all === null ? ["No version went out while routers were connected."] : [
      `From the first router a version reached to each of the others, over all versions: p50 ${
        span(all.p50)
      }, p99 ${span(all.p99)}, max ${span(all.max)}`,
      ...histogram(total),
    ],
  ].join("\n");
}

/** A row for each span that something fell into, and those between. */
function histogram(total: Propagation): string[] {
  const rows = BOUNDS.map((upTo, i) => ({
    name: upTo === Infinity
      ? `above ${span(BOUNDS[i - 1]!)}`
      : `to ${span(upTo)}`,
    count: total.between(i === 0 ? -1 : BOUNDS[i - 1]!, upTo),
  }));
  const filled = rows.map(({ count }) => count > 0);
  const shown = rows.slice(
    filled.indexOf(true),
    filled.lastIndexOf(true) + 1,
  );
  const most = Math.max(...shown.map(({ count }) => count));
  return shown.map(({ name, count }) =>
    `  ${name.padStart(11)} ${grouped(count).padStart(11)} ${
      "█".repeat(count === 0 ? 0 : Math.ceil(count / most * BAR))
    }`.trimEnd()
  );
}

function span(ms: number): string {
  return ms < 1000 ? `${ms} ms` : `${Number((ms / 1000).toFixed(1))} s`;
}

function size(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const unit = bytes === 0 ? 0 : Math.floor(Math.log2(bytes) / 10);
  return `${(bytes / 1024 ** unit).toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`;
}

function grouped(count: number): string {
  return count.toLocaleString("en");
}
