import type { Hold } from "../../api/answers.ts";
import { Actions } from "./actions.ts";
import { call } from "./api.ts";
import { html, type View } from "./html.ts";
import { useNow } from "./live.ts";
import { path } from "./path.ts";
import { usePolled } from "./polled.ts";
import { counted, oldWorkText, span } from "./text.ts";

const MAX_NAMES = 5;

/** The customers that are held now; nothing where nobody is. */
export function useHolds(): readonly Hold[] {
  return usePolled<{ holds: Hold[] }>("/v1/holds")?.holds ?? [];
}

/** Who is held, for how much longer, and what waits and runs meanwhile. */
export function Holds({ holds }: { holds: readonly Hold[] }): View {
  const now = useNow();
  if (holds.length === 0) return null;
  return html`
    <section class="panel" aria-label="Held customers">
      <header>
        <h2>Held</h2>
      </header>
      <ul>${holds.map((hold) =>
        html`
          <li key=${hold.id}>
            <${Held} hold=${hold} now=${now} />
          </li>
        `
      )}</ul>
    </section>
  `;
}

function Held({ hold, now }: { hold: Hold; now: number }): View {
  const { customers, until, holding, pending, cannot, gone } = hold;
  const [first, ...others] = customers;
  const waiting = holding.reduce((sum, { waiting }) => sum + waiting, 0);
  const running = holding.filter(({ requests, streams }) =>
    requests + streams > 0
  );
  const without = [...pending, ...cannot, ...gone];
  return html`
    <p><b>${customers.slice(0, MAX_NAMES).join(
      ", ",
    )}${others.length >= MAX_NAMES
      ? ` and ${counted(customers.length - MAX_NAMES, "more customer")}`
      : ""}</b>: ${counted(waiting, "request")} waiting on ${counted(
        holding.length,
        "router",
      )}, for ${span((Date.parse(until) - now) / 1000)} more at most.</p>
    ${running.map((each) =>
      html`<p key=${each.id} class="behind">${each.id} still runs ${
        oldWorkText(
          each,
        )
      }.</p>`
    )}
    ${without.length === 0 ? null : html`
      <p class="behind">Not holding: ${without.slice(0, MAX_NAMES).join(
        ", ",
      )}${without
          .length > MAX_NAMES
        ? ` and ${without.length - MAX_NAMES} more`
        : ""}</p>
    `}
    ${others.length > 0 ? null : html`
      <${Actions} actions=${[{
        name: "Release",
        run: () =>
          call(path`/v1/customers/${first!}/release`, { method: "POST" }),
        done: "It is released.",
      }]} />
    `}
  `;
}

/** What a fenced move has shown. */
export function FencedText(
  { fenced }: {
    fenced: {
      proven: boolean;
      held_ms: number;
      drained_ms: number;
      unheld: readonly string[];
    };
  },
): View {
  const { proven, held_ms, drained_ms, unheld } = fenced;
  const held = `Requests were held for ${(held_ms / 1000).toFixed(1)} s, ${
    (drained_ms / 1000).toFixed(1)
  } s of it for what ran`;
  return html`
    <p class=${proven ? "current" : "behind"}>${proven
      ? `${held}; nothing ran on both sides.`
      : `${held}; it is not proven that nothing runs on both sides${
        unheld.length === 0
          ? ": somebody released or moved them meanwhile"
          : `, by ${
            unheld.slice(0, MAX_NAMES).join(", ")
          }, which could not hold, or may come back with what was before`
      }.`}</p>
  `;
}
