import type { DiffSample, Summary } from "../../api/answers.ts";
import { counted } from "./text.ts";

/** How much differs, in words. */
export function summaryText(summary: Summary): string {
  const parts: [number, string][] = [
    [summary.customers_moved, "moved"],
    [summary.customers_added, "assigned"],
    [summary.customers_removed, "no longer assigned"],
  ];
  const placements: [number, string][] = [
    [summary.placements_added, "added"],
    [summary.placements_changed, "with another endpoint"],
    [summary.placements_removed, "removed"],
  ];
  const texts = [
    ...parts.filter(([n]) => n > 0).map(([n, what]) =>
      `${counted(n, "customer")} ${what}`
    ),
    ...placements.filter(([n]) => n > 0).map(([n, what]) =>
      `${counted(n, "placement")} ${what}`
    ),
    ...(summary.default_changed ? ["another default placement"] : []),
  ];
  return texts.length === 0 ? "no difference" : texts.join(", ");
}

/** One difference. */
export interface DiffLine {
  readonly kind: "added" | "removed" | "changed";
  readonly what: string;
  readonly name: string;
  readonly from: string | null;
  readonly to: string | null;
}

/** A page of differences as lines. */
export function linesOf(sample: DiffSample): DiffLine[] {
  const { default_placement, placements, customers } = sample;
  const lines: DiffLine[] = [];
  if (default_placement.from !== default_placement.to) {
    lines.push({
      kind: "changed",
      what: "default placement",
      name: "",
      ...default_placement,
    });
  }
  const kinds = ["added", "removed", "changed"] as const;
  for (const kind of kinds) {
    for (const { placement: name, from, to } of placements[kind]) {
      lines.push({ kind, what: "placement", name, from, to });
    }
  }
  const lists = [
    ["added", customers.added],
    ["removed", customers.removed],
    ["changed", customers.moved],
  ] as const;
  for (const [kind, list] of lists) {
    for (const { customer: name, from, to } of list) {
      lines.push({ kind, what: "customer", name, from, to });
    }
  }
  return lines;
}
