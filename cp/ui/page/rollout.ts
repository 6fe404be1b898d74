import { useEffect, useState } from "preact/hooks";
import type { Propagation } from "../../api/answers.ts";
import { call } from "./api.ts";
import { html, type View } from "./html.ts";
import type { Live } from "./live.ts";
import { count, counted, milliseconds, oldWorkText } from "./text.ts";
import { ABOUT } from "./trouble.ts";

const MAX_LISTED = 10;

/** How far a version has come among the routers that are connected, as it happens. */
export function Rollout(
  { live, version, epoch }: { live: Live; version: number; epoch: string },
): View {
  const [spread, setSpread] = useState<Propagation | null>(null);
  const staged = live.rollout?.id === version ? live.rollout : null;
  const connected = live.routers.filter(({ connected, id }) =>
    connected && (staged?.canaries.includes(id) ?? true)
  );
  const applied = connected.filter((router) =>
    router.epoch === epoch && (router.version ?? 0) >= version
  );
  const others = connected.filter((router) => !applied.includes(router));
  const refused = others.filter(({ status }) =>
    status !== "behind" && status !== "current"
  );
  const done = others.length === 0;
  const draining = applied.filter(({ old_work }) =>
    old_work !== null && old_work.requests + old_work.streams > 0
  );
  useEffect(() => {
    if (!done) return;
    call<{ versions: Propagation[] }>("/v1/propagation").then(
      ({ versions }) =>
        setSpread(
          versions.find((each) =>
            each.version === version && each.epoch === epoch
          ) ?? null,
        ),
      () => {},
    );
  }, [done, version]);
  if (connected.length === 0) {
    return html`
      <p
        role="status">Version ${version} is committed. No router is connected; each gets it when it comes.</p>
    `;
  }
  return html`
    <div role="status">
      <p><b class=${done
        ? "current"
        : refused.length > 0
        ? "rejected"
        : "behind"}>${count(applied.length)} of ${counted(
          connected.length,
          staged === null ? "router" : "canary",
          staged === null ? "routers" : "canaries",
        )}</b> ${connected.length === 1
        ? "serves"
        : "serve"} version ${version}${done && spread?.last_ms !== null &&
          spread !== null
        ? `, the last after ${milliseconds(spread.last_ms)}`
        : ""}.</p>
      <progress max=${connected.length} value=${applied.length}></progress>
      ${others.length === 0
        ? null
        : html`<ul>${
          [...refused, ...others.filter((router) => !refused.includes(router))]
            .slice(0, MAX_LISTED).map((router) =>
              html`
                <li
                  key=${router.id}><b>${router.id}</b> <span class=${router
                    .status}>${ABOUT[router.status]
                    .name}</span> ${router.error ?? ""}</li>
              `
            )
        }</ul>`}
      ${others.length > MAX_LISTED
        ? html`<p>And ${
          counted(others.length - MAX_LISTED, "more router")
        }.</p>`
        : null}
      ${draining.length === 0 ? null : html`
        <p>Still running on what was before:</p>
        <ul>${draining.slice(0, MAX_LISTED).map(({ id, old_work }) =>
          html`
            <li
              key=${id}><b>${id}</b> <span class="behind">${oldWorkText(
                old_work!,
              )}</span></li>
          `
        )}</ul>
      `}
    </div>
  `;
}
