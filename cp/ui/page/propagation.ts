import { useEffect, useState } from "preact/hooks";
import type { Propagation as Spread } from "../../api/answers.ts";
import { call } from "./api.ts";
import { html, type View } from "./html.ts";
import type { Live } from "./live.ts";
import { Plot } from "./plot.ts";
import { Problem } from "./problem.ts";
import { count, milliseconds } from "./text.ts";

/** After an event the times are read again; events that come together cost one read. */
const GATHER_MS = 500;

/** How fast the last versions reached the routers. */
export function Propagation({ live }: { live: Live }): View {
  const [spreads, setSpreads] = useState<readonly Spread[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [chosen, setChosen] = useState<number | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => {
      call<{ versions: Spread[] }>("/v1/propagation").then(
        ({ versions }) => {
          setSpreads(versions);
          setError(null);
        },
        setError,
      );
    }, spreads === null ? 0 : GATHER_MS);
    return () => clearTimeout(timer);
  }, [live.routers]);
  if (spreads === null) {
    return html`
      <${Problem} error=${error} />
      <p class="empty">Loading…</p>
    `;
  }
  if (spreads.length === 0) {
    return html`
      <${Problem} error=${error} />
      <p
        class="empty">No version has reached a router since this control plane was started. The next edit shows here.</p>
    `;
  }
  return html`
    <${Problem} error=${error} />
    <p>From the commit of a version to the acks of the routers that were connected:
      half of them, 99 of 100, and the last.</p>
    <${Plot} spreads=${spreads
      .toReversed()} chosen=${chosen} choose=${setChosen} />
    <table class="compact">
      <thead>
        <tr>
          <th scope="col" class="number">Version</th>
          <th scope="col" class="number">Routers</th>
          <th scope="col" class="number">Rejected</th>
          <th scope="col" class="number">p50</th>
          <th scope="col" class="number">p99</th>
          <th scope="col" class="number">Last</th>
        </tr>
      </thead>
      <tbody>${spreads.slice(0, 25).map((spread) =>
        html`
          <tr key=${spread.version} class=${spread.version === chosen
            ? "chosen"
            : ""}>
            <th scope="row" class="number">${spread.version}</th>
            <td class="number">${count(spread.applied)}</td>
            <td class=${`number ${
              spread.rejected > 0 ? "rejected" : ""
            }`}>${count(spread.rejected)}</td>
            <td class="number">${time(spread.p50_ms)}</td>
            <td class="number">${time(spread.p99_ms)}</td>
            <td class="number">${time(spread.last_ms)}</td>
          </tr>
        `
      )}</tbody>
    </table>
    ${spreads.length > 25
      ? html`<p class="more">The last 25 of the ${spreads.length} in the plot.</p>`
      : null}
  `;
}

function time(ms: number | null): string {
  return ms === null ? "–" : milliseconds(ms);
}
