import type { DiffSample, Summary } from "../../api/answers.ts";
import { html, type View } from "./html.ts";
import { linesOf, summaryText } from "./summary.ts";
import { counted } from "./text.ts";

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
