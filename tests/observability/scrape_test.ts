import { deepEqual, equal, ok } from "node:assert/strict";
import { parse } from "yaml";
import { dashboardText } from "../../shared/observability/dashboard.ts";
import { DraftRouter } from "../harness/draft.ts";
import { Installation } from "../harness/installation.ts";
import { until } from "../harness/until.ts";
import { Prometheus } from "./prometheus.ts";
import { FILES } from "./promtool.ts";

/** What no panel and no alert shows, and why. */
const NOT_SHOWN: Readonly<Record<string, string>> = {
  signalbox_cp_acks_unsolicited_total: "tells of a router's fault; in the log",
  signalbox_cp_calls_refused_total: "of the API, by itself: callers are told",
  signalbox_cp_config_bytes: "follows the number of customers",
  signalbox_cp_drained_total: "what still runs is shown",
  signalbox_cp_history_calls: "of the API, by itself",
  signalbox_cp_large_answers_in_flight: "of the API, by itself",
  signalbox_cp_pings_skipped_total: "a router that takes nothing is dropped",
  signalbox_cp_pushes_total: "acks tell the same",
  signalbox_cp_router_connects_total: "connections ended tell the same",
  signalbox_cp_router_sockets_closing: "of interest to who debugs",
  signalbox_cp_unknown_messages_total: "tells of mixed releases; in the log",
  signalbox_router_config_last_update_timestamp_seconds: "the age is shown",
  signalbox_router_control_plane_connects_total:
    "whether it is linked is shown",
  signalbox_router_control_plane_dropped_pushes_total: "a newer one followed",
  signalbox_router_control_plane_failures_total:
    "whether it is linked is shown",
  signalbox_router_control_plane_ignored_messages_total:
    "tells of mixed releases",
  signalbox_router_threads: "a setting",
};

interface Dashboard {
  readonly panels: readonly {
    readonly title: string;
    readonly targets?: readonly { readonly expr: string }[];
  }[];
}

const text = await Deno.readTextFile(new URL("grafana-dashboard.json", FILES));
const { panels }: Dashboard = JSON.parse(text);
const SHOWN = panels.flatMap(({ title, targets = [] }) =>
  targets.map(({ expr }) => ({ title, expr: inPlaceOfGrafana(expr) }))
);
const { groups }: { groups: { rules: { alert: string; expr: string }[] }[] } =
  parse(await Deno.readTextFile(new URL("alerts.yaml", FILES)));
const RULES = groups.flatMap(({ rules }) => rules);

/** What Grafana puts into an expression before it asks. */
function inPlaceOfGrafana(expr: string): string {
  return expr.replaceAll(/\$(?:router|placement)\b/g, ".*")
    .replaceAll("$__rate_interval", "10s").replaceAll("[1h]", "[10s]");
}

function metricsIn(expr: string): string[] {
  return (expr.match(/signalbox_[a-z_]+/g) ?? []).map((name) =>
    name.replace(/_(?:bucket|sum|count)$/, "")
  );
}

/** Makes something of everything that is counted: answers, errors, edits, rejections. */
async function live(all: Installation): Promise<DraftRouter> {
  const { controlPlane, router } = all;
  await controlPlane.call("PUT", "/v1/placements/dead", {
    body: { endpoint: "http://127.0.0.1:1" },
  });
  await controlPlane.call("PUT", "/v1/customers/lost?wait=applied", {
    body: { placement: "dead" },
  });
  await controlPlane.call("PUT", "/v1/customers/lost", {
    body: { placement: "nowhere" },
  });
  const draft = await DraftRouter.connect(`${controlPlane.connectUrl}?id=edge`);
  const { version } = await draft.inbox.next();
  draft.send({ type: "ack", version, status: "rejected", error: "no" });
  for (let i = 0; i < 20; i++) {
    await router.ask("acme");
    await router.ask("lost");
  }
  return draft;
}

Deno.test("grafana-dashboard.json is what `deno task generate` writes", () => {
  equal(text, dashboardText());
});

Deno.test("every expression of the dashboard and the alerts is answered by a live scrape", async () => {
  await using all = await Installation.start({ routers: ["r1", "r2"] });
  await using _draft = await live(all);
  await using prometheus = await Prometheus.start(all.folder, targetsOf(all));
  // A rate needs two scrapes that differ.
  await all.move("two");
  for (let i = 0; i < 20; i++) await all.router.ask("lost");
  await until("every expression to be answered", async () => {
    const silent: string[] = [];
    for (const { title, expr } of SHOWN) {
      if ((await prometheus.query(expr)).length === 0) {
        silent.push(`${title}: ${expr}`);
      }
    }
    deepEqual(silent, []);
    return true;
  });
  for (const { expr } of RULES) await prometheus.query(expr);

  const scraped = new Set((await prometheus.metrics()).flatMap(metricsIn));
  const used = new Set(
    [...SHOWN, ...RULES].flatMap(({ expr }) => metricsIn(expr)),
  );
  deepEqual([...used].filter((name) => !scraped.has(name)), []);
  deepEqual(
    [...scraped].filter((name) => !used.has(name)).toSorted(),
    Object.keys(NOT_SHOWN).toSorted(),
  );
});

Deno.test("alerts fire in a real Prometheus when programs die, and end when they are back", async () => {
  await using all = await Installation.start({ routers: ["r1", "r2"] });
  await using prometheus = await Prometheus.start(all.folder, targetsOf(all));
  const fires = (name: string) =>
    until(
      `${name} to fire`,
      async () => (await prometheus.firing()).includes(name),
    );
  const clears = (name: string) =>
    until(
      `${name} to end`,
      async () => !(await prometheus.firing()).includes(name),
    );
  // A scrape that was late may have had one fire already.
  await until("none to fire", async () => {
    deepEqual(await prometheus.firing(), []);
    return true;
  });
  const [first] = all.routers;
  const admin = new URL(first!.adminUrl).host;
  await first!.program.kill("SIGKILL");
  await fires("SignalboxRouterDown");
  // It is scraped by its address, so it has to be where it was.
  await all.routerAgain(0, { ROUTER_ADMIN_LISTEN: admin });
  await clears("SignalboxRouterDown");

  await all.controlPlane.program.kill("SIGKILL");
  await fires("SignalboxControlPlaneDown");
  await fires("SignalboxRouterUnlinked");
  ok((await all.router.ask("acme")).status === 200);
  await all.controlPlaneAgain();
  await clears("SignalboxControlPlaneDown");
  await clears("SignalboxRouterUnlinked");
});

function targetsOf(all: Installation): { cp: string[]; routers: string[] } {
  return {
    cp: [new URL(all.controlPlane.url).host],
    routers: all.routers.map(({ adminUrl }) => new URL(adminUrl).host),
  };
}
