import type { StagedRollout } from "../../api/answers.ts";
import { Actions } from "./actions.ts";
import { call } from "./api.ts";
import { html, type View } from "./html.ts";
import { change, type Live, readFleet, useNow } from "./live.ts";
import { path } from "./path.ts";
import { usePolled } from "./polled.ts";
import { canaryText, rolloutText } from "./text.ts";

/** The committed version is for canaries only: how they do. Afterwards, how that ended. */
export function StagedBanner({ live }: { live: Live }): View {
  const { rollout, ended } = live;
  if (rollout !== null) return html`<${UnderWay} id=${rollout.id} />`;
  if (ended === null) return null;
  return html`
    <div class=${ended.state === "halted" ? "lost" : "trial"} role="region"
      aria-label="Rollout">
      <p>${rolloutText(ended, Date.now())}</p>
      <button onClick=${() => change({ ended: null })}>Dismiss</button>
    </div>
  `;
}

function UnderWay({ id }: { id: number }): View {
  const now = useNow();
  const rollout = usePolled<StagedRollout>(path`/v1/rollouts/${id}`);
  if (rollout === null) return null;
  const end = (verb: string) => async () => {
    await call(path`/v1/rollouts/${id}/${verb}`, { method: "POST" });
    await readFleet();
  };
  return html`
    <div class="trial" role="region" aria-label="Rollout">
      <p>${rolloutText(rollout, now)} Until then nobody else can edit.</p>
      <ul>${rollout.canaries.map((canary) =>
        html`
          <li
            key=${canary.id}><b>${canary.id}</b> <span class=${canary.state ===
                "applied"
              ? "current"
              : "behind"}>${canaryText(canary)}</span></li>
        `
      )}</ul>
      <${Actions} actions=${[
        { name: "Promote now", run: end("promote"), done: "It is for all." },
        { name: "Take it back", run: end("abort"), done: "It is taken back." },
      ]} />
    </div>
  `;
}
