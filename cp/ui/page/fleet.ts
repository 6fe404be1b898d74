import { useState } from "preact/hooks";
import type { Router } from "../../api/answers.ts";
import { call } from "./api.ts";
import { path } from "./path.ts";
import { Actions } from "./actions.ts";
import { html, type View } from "./html.ts";
import { type Live, readFleet, useNow } from "./live.ts";
import { Pages, usePages } from "./pages.ts";
import { count, counted, moment, oldWorkText, short, span } from "./text.ts";
import { ABOUT, type Status, STATUSES, tally, worstFirst } from "./trouble.ts";

/** Who serves what, and who does not. */
export function Fleet({ live }: { live: Live }): View {
  const [only, setOnly] = useState<Status | null>(null);
  const [search, setSearch] = useState("");
  const [open, setOpen] = useState<string | null>(null);
  const { routers } = live;
  const counts = tally(routers);
  const shown = worstFirst(routers).filter((router) =>
    (only === null || router.status === only) &&
    (search === "" || router.id.includes(search) ||
      router.address.includes(search))
  );
  const pages = usePages(shown, { key: `${only} ${search}` });
  return html`
    <${Headline} live=${live} counts=${counts} />
    <${Strip} routers=${routers} pick=${(id: string) => {
      setOnly(null);
      setSearch(id);
      setOpen(id);
    }} />
    <div class="toolbar">
      <div class="chips" role="group" aria-label="Only routers that are">
        ${STATUSES.filter((status) => counts.has(status) || status === only)
          .map((status) =>
            html`
              <button key=${status} class=${`chip ${status}`} aria-pressed=${only ===
                status}
                onClick=${() => setOnly(only === status ? null : status)}>
                ${ABOUT[status].name} <b>${count(counts.get(status) ?? 0)}</b>
              </button>
            `
          )}
      </div>
      <input type="search" placeholder="Search id or address"
        aria-label="Search routers"
        value=${search} onInput=${(event: InputEvent) =>
          setSearch((event.target as HTMLInputElement).value)} />
    </div>
    ${shown.length === 0
      ? html`<p class="empty">${
        routers.length === 0
          ? "No router has ever connected. Start one with ROUTER_CP_URL set to this control plane's /v1/connect."
          : "No router is like that."
      }</p>`
      : html`
        <table class="cards">
          <thead><tr>
            <th scope="col">Router</th><th scope="col">Status</th><th scope="col" class="number">Version</th>
            <th scope="col" class="number">Lag</th><th scope="col">Serves it since</th>
            <th scope="col">Address</th><th scope="col">Last error</th>
          </tr></thead>
          ${pages.shown.map((router) =>
            html`
              <${Row} key=${`${router.id} ${
                router.instance ?? ""
              }`} router=${router}
                open=${open === router.id} toggle=${() =>
                  setOpen(open === router.id ? null : router.id)} />
            `
          )}
        </table>
        <${Pages} pages=${pages} noun="router" />
      `}
  `;
}

function Headline(
  { live, counts }: { live: Live; counts: ReadonlyMap<Status, number> },
): View {
  const { version, routers } = live;
  if (version === null) return html`<div class="headline">Loading…</div>`;
  if (version === 0) {
    return html`<div class="headline">Nothing is committed yet.
      <small>PUT /v1/config with a whole config commits version 1.</small></div>`;
  }
  const { rollout } = live;
  const what = rollout === null
    ? `version ${version}`
    : `version ${rollout.id} on canaries, version ${rollout.before} elsewhere`;
  const current = counts.get("current") ?? 0;
  const troubled = STATUSES.filter((status) =>
    status !== "current" && counts.has(status)
  );
  if (routers.length === 0) {
    return html`<div class="headline">Version ${version}, and no routers.</div>`;
  }
  if (troubled.length === 0) {
    return html`
      <div class="headline current" role="status">
        ${routers.length === 1
          ? "The router serves"
          : `All ${count(routers.length)} routers serve`} ${what}.
      </div>
    `;
  }
  return html`
    <div class=${`headline ${troubled[0]}`} role="status">
      ${count(routers.length - current)} of ${counted(
        routers.length,
        "router",
      )} ${routers.length - current === 1 ? "does" : "do"} not serve ${what}.
      <ul>${troubled.map((status) =>
        html`
          <li
            key=${status}><b class=${status}>${count(
              counts.get(status)!,
            )} ${ABOUT[status].name}</b>: ${ABOUT[status]
              .means}. ${ABOUT[status].advice}</li>
        `
      )}</ul>
    </div>
  `;
}

/** A square for each router. The table says the same in words. */
function Strip(
  { routers, pick }: {
    routers: readonly Router[];
    pick: (id: string) => void;
  },
): View {
  return html`
    <div class=${`strip ${
      routers.length > 400 ? "small" : ""
    }`} aria-hidden="true"
      onClick=${(event: MouseEvent) => {
        const { id } = (event.target as HTMLElement).dataset;
        if (id !== undefined) pick(id);
      }}>
      ${routers.map(({ id, status, instance }) =>
        html`<i key=${`${id} ${instance}`} class=${status} data-id=${id} title=${`${id}: ${
          ABOUT[status].name
        }`}></i>`
      )}
    </div>
  `;
}

function Row(
  { router, open, toggle }: {
    router: Router;
    open: boolean;
    toggle: () => void;
  },
): View {
  const { id, status, version, lag, error } = router;
  return html`
    <tbody class=${open ? "open" : ""}>
      <tr>
        <th scope="row"><button class="plain" aria-expanded=${open} onClick=${toggle}>${id}</button>
          ${router.duplicate_id
            ? html`
              <span class="behind">id used twice</span>
            `
            : null}</th>
        <td data-label="Status"><span class=${`status ${status}`}>${ABOUT[
          status
        ].name}</span></td>
        <td data-label="Version" class="number">${version ?? "–"}</td>
        <td data-label="Lag" class="number">${lag === null || lag.versions === 0
          ? "–"
          : `${count(lag.versions)} (${span(lag.seconds)})`}</td>
        <td data-label="Serves it since"><${Age} router=${router} /></td>
        <td data-label="Address">${router.address}</td>
        <td data-label="Last error" class="error">${error ?? ""}</td>
      </tr>
      ${open
        ? html`
          <tr class="details">
            <td colspan="7">
              <${Details} router=${router} />
            </td>
          </tr>
        `
        : null}
    </tbody>
  `;
}

function Age({ router }: { router: Router }): View {
  const now = useNow();
  const { applied_at, connected_since, gone_since } = router;
  if (gone_since !== null) {
    return html`<span title=${moment(gone_since)}>gone for ${
      span((now - Date.parse(gone_since)) / 1000)
    }</span>`;
  }
  if (applied_at !== null) {
    return html`<span title=${moment(applied_at)}>${
      span((now - Date.parse(applied_at)) / 1000)
    }</span>`;
  }
  if (router.version === null) return "–";
  return html`<span title="It served it before it connected here.">over ${
    span((now - Date.parse(connected_since)) / 1000)
  }</span>`;
}

function Details({ router }: { router: Router }): View {
  const facts: [name: string, value: string | null][] = [
    ["Connected since", moment(router.connected_since)],
    [
      "Gone since",
      router.gone_since === null ? null : moment(router.gone_since),
    ],
    [
      "Applied its version at",
      router.applied_at === null ? null : moment(router.applied_at),
    ],
    ["Last pong", router.last_pong === null ? null : moment(router.last_pong)],
    [
      "On its disk",
      router.durable === null
        ? "not told"
        : router.durable
        ? "yes"
        : "no: it would come back with an older version",
    ],
    [
      "Runs on what was before",
      router.old_work === null
        ? router.connected ? "not told" : null
        : router.old_work.requests + router.old_work.streams === 0
        ? "nothing"
        : oldWorkText(router.old_work),
    ],
    ["Instance", router.instance],
    ["Epoch", router.epoch],
    ["Digest", router.digest === null ? null : short(router.digest)],
    ["Features", router.features.join(", ") || null],
    ["Control plane", router.control_plane || null],
  ];
  return html`
    <dl>${facts.filter(([, value]) => value !== null).map(([name, value]) =>
      html`
        <div key=${name}>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>
      `
    )}</dl>
    <${Actions} actions=${router.connected
      ? [{
        name: "Push again",
        run: () =>
          call(path`/v1/routers/${router.id}/resend`, { method: "POST" }),
        done: "It is being pushed.",
      }]
      : [{
        name: "Forget this router",
        run: async () => {
          await call(path`/v1/routers/${router.id}`, { method: "DELETE" });
          await readFleet();
        },
        done: "It is off the list.",
      }]} />
  `;
}
