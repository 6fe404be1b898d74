import type { DiffSample, Summary } from "./api.ts";
import { html, type View } from "./html.ts";
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

interface Line {
  readonly kind: "added" | "removed" | "changed";
  readonly what: string;
  readonly name: string;
  readonly from: string | null;
  readonly to: string | null;
}

/** A page of differences as lines. */
function linesOf(sample: DiffSample): Line[] {
  const { default_placement, placements, customers } = sample;
  const lines: Line[] = [];
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

const SIGN = { added: "+", removed: "−", changed: "→" };

/** Differences, a line each: what it was in red, what it becomes in green. */
export function DiffTable(
  { summary, samples, more }: {
    summary: Summary;
    samples: readonly DiffSample[];
    /** Shows more of them; null where all are shown, or that cannot be asked for. */
    more: (() => void) | null;
  },
): View {
  const lines = samples.flatMap(linesOf);
  const total = Object.values(summary).reduce(
    (sum: number, each) => sum + Number(each),
    0,
  );
  return html`
    <p class="summary">${summaryText(summary)}</p>
    ${lines.length === 0 ? null : html`
      <div class="scroll" tabindex="0" role="region" aria-label="Differences">
        <table class="diff">
          <tbody>
        ${lines.map(({ kind, what, name, from, to }) =>
          html`
            <tr key=${`${what} ${name}`} class=${kind}>
              <td aria-label=${kind}>${SIGN[kind]}</td>
              <th scope="row">${what} <b>${name}</b></th>
              <td>${from === null
                ? null
                : html`<del>${from}</del>`} ${to === null
                ? null
                : html`<ins>${to}</ins>`}</td>
            </tr>
          `
        )}
          </tbody>
        </table>
      </div>
    `}
    ${lines.length >= total
      ? null
      : html`<p class="more">${
        counted(total - lines.length, "more difference")
      } ${
        more === null
          ? "not shown"
          : html`<button onClick=${more}>Show more</button>`
      }</p>`}
  `;
}
