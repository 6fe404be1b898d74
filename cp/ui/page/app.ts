import { h, render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Actions } from "./actions.ts";
import { call, keepToken } from "./api.ts";
import { Customers } from "./customers.ts";
import { Fleet } from "./fleet.ts";
import { History } from "./history.ts";
import { html, type View } from "./html.ts";
import { follow, type Live, readFleet, useLive, useNow } from "./live.ts";
import { path } from "./path.ts";
import { Placements } from "./placements.ts";
import { Propagation } from "./propagation.ts";
import { StagedBanner } from "./staged.ts";
import { count, moment, span } from "./text.ts";

const VIEWS = [
  ["fleet", "Fleet"],
  ["propagation", "Propagation"],
  ["customers", "Customers"],
  ["placements", "Placements"],
  ["history", "History"],
] as const;

/** The page: which view is open is in the address, as `#/customers`. */
function App(): View {
  const live = useLive();
  const [view, argument] = useRoute();
  const troubled = live.routers.filter(({ status }) => status !== "current");
  useEffect(() => {
    document.title = live.link.kind === "lost"
      ? "Lost – Signalbox"
      : troubled.length > 0
      ? `${count(troubled.length)} not current – Signalbox`
      : `${live.version === null ? "" : `v${live.version} – `}Signalbox`;
  }, [live.link.kind, troubled.length, live.version]);
  return html`
    <header>
      <h1><img src="/icon.svg" alt="" width="24" height="24" /> Signalbox</h1>
      <nav aria-label="Views">${VIEWS.map(([id, name]) =>
        html`
          <a key=${id} href=${`#/${id}`}
            aria-current=${view === id
              ? "page"
              : null}>${name}${id === "fleet" && troubled.length > 0
              ? html`
                <b class="badge">${count(troubled.length)}</b>
              `
              : null}</a>
        `
      )}</nav>
      <${Standing} live=${live} />
    </header>
    <${LinkBanner} live=${live} />
    <${TrialBanner} live=${live} />
    <${StagedBanner} live=${live} />
    <main>${live.link.kind === "token"
      ? html`<${Login} why=${live.link.why} />`
      : h(viewOf(view), {
        live,
        placement: argument,
        key: view + argument,
      })}</main>
    <footer><a href="/docs">The API</a></footer>
  `;
}

function viewOf(
  id: string,
): (props: { live: Live; placement: string }) => View {
  switch (id) {
    case "propagation":
      return Propagation;
    case "customers":
      return Customers;
    case "placements":
      return Placements;
    case "history":
      return History;
    default:
      return Fleet;
  }
}

/** The committed version, who made it and when. */
function Standing({ live }: { live: Live }): View {
  const now = useNow();
  const { version, newest } = live;
  if (version === null || version === 0) return html`<p class="standing"></p>`;
  return html`<p class="standing"><b>Version ${version}</b>${
    newest?.version === version
      ? html`
        <time datetime=${newest.created_at} title=${moment(
          newest.created_at,
        )}>${span(
          (now - Date.parse(newest.created_at)) / 1000,
        )} ago</time>${newest.author === null ? "" : ` by ${newest.author}`}
      `
      : null
  }</p>`;
}

function LinkBanner({ live }: { live: Live }): View {
  const now = useNow() - live.ahead;
  const { link } = live;
  if (link.kind !== "lost") return null;
  return html`
    <div class="lost"
      role="alert"><b>The control plane cannot be reached.</b> ${link.why}
      Routers serve on with what they have. What you see is ${span(
        (now - link.since) / 1000,
      )} old; trying again…</div>
  `;
}

/** The committed version waits to be confirmed. */
function TrialBanner({ live }: { live: Live }): View {
  const now = useNow();
  const { confirmBy, version } = live;
  if (confirmBy === null || version === null) return null;
  const decide = (verb: string) => async () => {
    await call(path`/v1/versions/${version}/${verb}`, { method: "POST" });
    await readFleet();
  };
  return html`
    <div class="trial" role="region" aria-label="On trial">
      <p><b>Version ${version} is on trial.</b> Unless somebody keeps it, what was before returns in ${span(
        (Date.parse(confirmBy) - now) / 1000,
      )}. Until then nobody else can edit.</p>
      <${Actions} actions=${[
        { name: "Keep it", run: decide("confirm"), done: "It stays." },
        {
          name: "Take it back",
          run: decide("revert"),
          done: "It is taken back.",
        },
      ]} />
    </div>
  `;
}

function Login({ why }: { why: string }): View {
  const [token, setToken] = useState("");
  return html`
    <form class="login" onSubmit=${(event: SubmitEvent) => {
      event.preventDefault();
      keepToken(token);
      setToken("");
      void follow();
    }}>
      <p>${why}</p>
      <label
        class="field">Admin token <input type="password" name="token" autocomplete="current-password"
        required value=${token} onInput=${(event: InputEvent) =>
          setToken((event.target as HTMLInputElement).value)} /></label>
      <button class="primary">Use it</button>
      <small>It is kept until this tab is closed.</small>
    </form>
  `;
}

/** The view and what it is about: `#/customers/tier1` is the customers of tier1. */
function useRoute(): readonly [view: string, argument: string] {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const changed = () => setHash(location.hash);
    addEventListener("hashchange", changed);
    return () => removeEventListener("hashchange", changed);
  }, []);
  const [, view = "", argument = ""] = /^#\/([a-z]+)(?:\/(.*))?$/.exec(hash) ??
    [];
  return [
    VIEWS.some(([id]) => id === view) ? view : "fleet",
    decodeURIComponent(argument),
  ];
}

render(h(App, null), document.body);
void follow();
