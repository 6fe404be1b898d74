import type { Propagation } from "../../api/answers.ts";
import { html, type View } from "./html.ts";
import { milliseconds } from "./text.ts";

const WIDTH = 800;
const HEIGHT = 220;
const LEFT = 60;
const BOTTOM = 28;
const TOP = 10;
/** Slots that the plot has at least, so that a few versions do not look like walls. */
const MIN_SLOTS = 20;
/** What every change has to be within (SPEC section 4). */
const PROMISED_MS = 5_000;

/** A stroke for each version, the oldest first: from p50 to the last ack, with a mark at p99; times on a logarithmic scale. */
export function Plot(
  { spreads, chosen, choose }: {
    spreads: readonly Propagation[];
    chosen: number | null;
    choose: (version: number | null) => void;
  },
): View {
  const times = spreads.flatMap(({ p50_ms, last_ms }) =>
    [p50_ms, last_ms].filter((ms) => ms !== null)
  );
  const low = decadeBelow(Math.min(...times, 10));
  const high = decadeAbove(Math.max(...times, 100));
  const y = (ms: number) =>
    TOP +
    (HEIGHT - TOP - BOTTOM) *
      (1 - Math.log(Math.max(ms, low) / low) / Math.log(high / low));
  const slots = Math.max(MIN_SLOTS, spreads.length);
  const slot = (WIDTH - LEFT) / slots;
  const x = (index: number) => LEFT + slot * (index + 0.5);
  const width = Math.min(8, slot * 0.6);
  const ticks: number[] = [];
  for (let tick = low; tick <= high * 1.001; tick *= 10) ticks.push(tick);
  return html`
    <div class="wide">
      <svg class="plot" viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} role="img"
        aria-label="Time from commit to ack for each of the last versions; the table below has the numbers">
      ${ticks.map((tick) =>
        html`
          <g key=${tick}>
            <line class="grid" x1=${LEFT} x2=${WIDTH} y1=${y(tick)}
              y2=${y(tick)} />
            <text x=${LEFT - 8} y=${y(tick) +
              4} text-anchor="end">${milliseconds(tick)}</text>
          </g>
        `
      )}
      ${high >= PROMISED_MS
        ? html`
          <line class="promised" x1=${LEFT} x2=${WIDTH} y1=${y(PROMISED_MS)}
            y2=${y(PROMISED_MS)} />
        `
        : null}
      ${spreads.map((spread, index) => {
        const { version, p50_ms, p99_ms, last_ms } = spread;
        return html`
          <g key=${version} class=${version === chosen
            ? "stroke chosen"
            : "stroke"}
            onMouseEnter=${() => choose(version)} onMouseLeave=${() =>
              choose(null)}>
            <rect class="hit" x=${x(index) -
              slot / 2} y="0" width=${slot} height=${HEIGHT} />
            ${p50_ms === null || p99_ms === null || last_ms === null
              ? null
              : html`
                <rect class="spread" x=${x(index) -
                  width / 2} width=${width} rx="2"
                  y=${y(last_ms)} height=${Math.max(
                    2,
                    y(p50_ms) - y(last_ms),
                  )} />
                <rect class="p99" x=${x(index) - width} width=${width *
                  2} height="2" y=${y(p99_ms) - 1} />
              `}
            ${spread.rejected > 0
              ? html`<circle class="refused" cx=${x(index)} cy=${
                HEIGHT - BOTTOM - 4
              } r="4" />`
              : null}
            ${index % Math.ceil(spreads.length / 10) === 0
              ? html`<text x=${x(index)} y=${
                HEIGHT - 8
              } text-anchor="middle">${version}</text>`
              : null}
            <title>${`Version ${version}: ${spread.applied} applied` +
              (spread.rejected > 0 ? `, ${spread.rejected} rejected` : "") +
              (p50_ms === null || p99_ms === null || last_ms === null
                ? ""
                : `; p50 ${milliseconds(p50_ms)}, p99 ${
                  milliseconds(p99_ms)
                }, last ${milliseconds(last_ms)}`)}</title>
          </g>
        `;
      })}
      </svg>
    </div>
  `;
}

function decadeBelow(ms: number): number {
  return 10 ** Math.floor(Math.log10(Math.max(ms, 0.1)));
}

function decadeAbove(ms: number): number {
  return 10 ** Math.ceil(Math.log10(ms));
}
