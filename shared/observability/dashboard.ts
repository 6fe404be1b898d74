/** Writes `grafana-dashboard.json` beside this file: panels are told here in a line or two, and Grafana wants thirty. */

/** A query and what its series are called. */
interface Query {
  readonly expr: string;
  /** @default {"{{instance}}"} */
  readonly legend?: string;
}

/** One panel. */
interface Panel {
  readonly title: string;
  readonly description: string;
  readonly kind: "stat" | "graph";
  readonly queries: readonly Query[];
  /** Grafana's name of the unit. */
  readonly unit?: string;
  /** The value from which on it is red; green below. */
  readonly red?: number;
  readonly yellow?: number;
  /** Of 24. */
  readonly width: number;
}

/** Panels under a heading. */
interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const CP = 'job="signalbox-cp"';
const ROUTER = 'job="signalbox-router",instance=~"$router"';
const PLACED = `${ROUTER},placement=~"$placement"`;

function stat(
  title: string,
  expr: string,
  options: Partial<Panel> & { description: string },
): Panel {
  return { title, kind: "stat", queries: [{ expr }], width: 4, ...options };
}

function graph(
  title: string,
  queries: readonly Query[],
  options: Partial<Panel> & { description: string },
): Panel {
  return { title, kind: "graph", queries, width: 8, ...options };
}

function quantiles(metric: string, by: string, selector: string): Query[] {
  return ([["0.5", "p50"], ["0.99", "p99"]] as const).map(([q, name]) => ({
    expr:
      `histogram_quantile(${q}, sum by (${by}) (rate(${metric}_bucket{${selector}}[$__rate_interval])))`,
    legend: by === "le" ? name : `{{${by.replace(/, ?le$/, "")}}} ${name}`,
  }));
}

const ROWS: readonly Row[] = [
  {
    title: "Fleet",
    panels: [
      stat("Committed version", `max(signalbox_cp_config_version{${CP}})`, {
        description: "The newest version that is committed.",
      }),
      stat("Routers connected", `sum(signalbox_cp_routers_connected{${CP}})`, {
        description: "Routers connected to a control plane.",
      }),
      stat("Not current", `sum(signalbox_cp_routers_behind{${CP}})`, {
        description:
          "Connected routers that do not serve the committed version.",
        red: 1,
      }),
      stat("In conflict", `sum(signalbox_cp_router_conflicts{${CP}})`, {
        description:
          "Routers that serve another history than the store's: somebody has to look.",
        red: 1,
      }),
      stat(
        "Slowest change",
        `histogram_quantile(0.99, sum by (le) (rate(signalbox_cp_propagation_seconds_bucket{${CP}}[1h])))`,
        {
          description:
            "From a commit to the ack of 99 of 100 routers, in the last hour.",
          unit: "s",
          yellow: 1,
          red: 5,
        },
      ),
      stat("Customers", `max(signalbox_cp_config_customers{${CP}})`, {
        description: "Assigned customers in the committed version.",
      }),
      graph("Version by router", [
        { expr: `signalbox_router_config_version{${ROUTER}}` },
        {
          expr: `max(signalbox_cp_config_version{${CP}})`,
          legend: "committed",
        },
      ], {
        description: "A line below the others is a router that is behind.",
      }),
      graph("Behind for", [{
        expr: `signalbox_router_config_behind_seconds{${ROUTER}}`,
      }], {
        description:
          "How long each router has served an older version than the committed one.",
        unit: "s",
        red: 30,
      }),
      graph("Versions behind", [{
        expr: `signalbox_router_config_lag_versions{${ROUTER}}`,
      }], {
        description: "How many versions each router is behind.",
        red: 1,
      }),
      graph(
        "Propagation",
        quantiles("signalbox_cp_propagation_seconds", "le", CP),
        { description: "From commit to ack, over all routers.", unit: "s" },
      ),
      graph("Acks", [{
        expr:
          `sum by (status) (rate(signalbox_cp_acks_total{${CP}}[$__rate_interval]))`,
        legend: "{{status}}",
      }, {
        expr:
          `sum(rate(signalbox_cp_pushes_unanswered_total{${CP}}[$__rate_interval]))`,
        legend: "unanswered",
      }], {
        description: "What routers made of the pushes they got.",
        unit: "ops",
      }),
      graph("Running on what was before", [{
        expr: `sum by (kind) (signalbox_router_old_requests{${ROUTER}})`,
        legend: "{{kind}}",
      }], {
        description:
          "Requests and streams that the served config would send elsewhere: what wait=drained waits for.",
      }),
      graph("Held requests", [{
        expr: `signalbox_router_held_requests{${ROUTER}}`,
        legend: "waiting on {{instance}}",
      }, {
        expr:
          `sum by (result) (rate(signalbox_router_held_requests_total{${ROUTER}}[$__rate_interval]))`,
        legend: "{{result}} a second",
      }], {
        description:
          "Requests of customers that are held, as while they are moved in a fence. Timed out and refused ones were answered 503.",
      }),
      graph("On trial, and taken back", [{
        expr: `max(signalbox_cp_version_on_trial{${CP}})`,
        legend: "on trial",
      }, {
        expr: `sum(increase(signalbox_cp_reverts_total{${CP}}[1h]))`,
        legend: "taken back in an hour",
      }], {
        description:
          "Versions that wait to be confirmed, and those that nobody confirmed in time.",
      }),
      graph("Staged rollouts", [{
        expr: `max(signalbox_cp_rollout_under_way{${CP}})`,
        legend: "under way",
      }, {
        expr:
          `sum by (outcome) (increase(signalbox_cp_rollouts_total{${CP}}[1h]))`,
        legend: "{{outcome}} in an hour",
      }], {
        description:
          "Versions that canaries serve first. Those that somebody promoted or aborted are not counted.",
      }),
      graph("Linked to a control plane", [{
        expr: `signalbox_router_control_plane_connected{${ROUTER}}`,
      }], { description: "0: the router serves on, from memory." }),
    ],
  },
  {
    title: "Control plane",
    panels: [
      graph("Edits", [{
        expr:
          `sum by (result) (rate(signalbox_cp_edits_total{${CP}}[$__rate_interval]))`,
        legend: "{{result}}",
      }], { description: "Edits by what became of them.", unit: "ops" }),
      graph("Commit time", quantiles("signalbox_cp_commit_seconds", "le", CP), {
        description: "From a checked edit to its durable version.",
        unit: "s",
      }),
      graph("Written to the store", [{
        expr:
          `rate(signalbox_cp_store_written_bytes_total{${CP}}[$__rate_interval])`,
      }], { description: "Bytes of versions.", unit: "Bps" }),
      graph("Pushes under way", [{
        expr: `sum by (state) (signalbox_cp_pushes_open{${CP}})`,
        legend: "{{state}}",
      }], { description: "Pushes that wait, move, or stand still." }),
      graph("Bytes pushed", [{
        expr: `rate(signalbox_cp_push_bytes_total{${CP}}[$__rate_interval])`,
        legend: "{{instance}} sent",
      }, {
        expr: `signalbox_cp_push_bytes_in_flight{${CP}}`,
        legend: "{{instance}} in flight",
      }], { description: "Configs on their way to routers.", unit: "bytes" }),
      graph("Connections ended", [{
        expr:
          `sum by (cause) (increase(signalbox_cp_router_closes_total{${CP}}[$__rate_interval]))`,
        legend: "{{cause}}",
      }, {
        expr:
          `sum(increase(signalbox_cp_heartbeat_timeouts_total{${CP}}[$__rate_interval]))`,
        legend: "heartbeat missed",
      }], {
        description:
          "Routers' connections that the control plane ended, and why.",
      }),
    ],
  },
  {
    title: "Routers",
    panels: [
      graph("Requests", [{
        expr:
          `sum by (code) (rate(signalbox_router_requests_total{${PLACED}}[$__rate_interval]))`,
        legend: "{{code}}",
      }], {
        description: "Answers by the class of their status.",
        unit: "reqps",
      }),
      graph("Requests by placement", [{
        expr:
          `sum by (placement) (rate(signalbox_router_requests_total{${PLACED}}[$__rate_interval]))`,
        legend: "{{placement}}",
      }], { description: "Where the traffic goes.", unit: "reqps" }),
      graph(
        "Time by placement",
        quantiles(
          "signalbox_router_request_duration_seconds",
          "placement, le",
          PLACED,
        ),
        {
          description: "From a request's head to the end of its answer.",
          unit: "s",
        },
      ),
      graph("Upstream errors", [{
        expr:
          `sum by (placement, kind) (rate(signalbox_router_upstream_errors_total{${PLACED}}[$__rate_interval]))`,
        legend: "{{placement}} {{kind}}",
      }], {
        description: "What failed on the way to a placement.",
        unit: "ops",
      }),
      graph("In flight", [{
        expr: `signalbox_router_requests_in_flight{${ROUTER}}`,
      }], { description: "Requests that are being worked on." }),
      graph("Streams", [{
        expr: `sum by (kind) (signalbox_router_streams{${PLACED}})`,
        legend: "{{kind}}",
      }], { description: "Open tunnels and event streams." }),
      graph("Clients' connections", [{
        expr: `signalbox_router_connections{${ROUTER}}`,
      }, {
        expr:
          `sum by (reason) (increase(signalbox_router_connections_refused_total{${ROUTER}}[$__rate_interval]))`,
        legend: "refused: {{reason}}",
      }], { description: "Open ones, and those that were refused." }),
      graph("Connections to placements", [{
        expr:
          `sum by (placement, state) (signalbox_router_upstream_connections{${PLACED}})`,
        legend: "{{placement}} {{state}}",
      }], { description: "Kept connections that are in use, and that wait." }),
      graph("Config age", [{
        expr: `signalbox_router_config_age_seconds{${ROUTER}}`,
      }], {
        description: "How long each router has served its config.",
        unit: "s",
      }),
      graph("Configs", [{
        expr:
          `sum by (status) (increase(signalbox_router_config_updates_total{${ROUTER}}[$__rate_interval]))`,
        legend: "{{status}}",
      }], { description: "Pushes by what the routers made of them." }),
      graph(
        "Apply time",
        quantiles("signalbox_router_config_apply_seconds", "le", ROUTER),
        {
          description: "From a whole push to its being served.",
          unit: "s",
        },
      ),
      graph("On the disk", [{
        expr: `signalbox_router_config_durable{${ROUTER}}`,
      }, {
        expr:
          `increase(signalbox_router_config_save_failures_total{${ROUTER}}[$__rate_interval])`,
        legend: "{{instance}} failures",
      }], {
        description:
          "1: what is served is on the router's disk; and writes that failed.",
      }),
    ],
  },
];

const DATASOURCE = { type: "prometheus", uid: "${datasource}" };
const HEIGHT = { stat: 4, graph: 8 };

/** A variable of the dashboard, filled from a label's values. */
function variable(name: string, label: string, query: string): object {
  return {
    name,
    label,
    type: "query",
    datasource: DATASOURCE,
    query: { query, refId: name },
    definition: query,
    includeAll: true,
    multi: true,
    allValue: ".*",
    current: { text: "All", value: "$__all" },
    refresh: 2,
    sort: 1,
  };
}

function thresholds({ yellow, red }: Panel): object {
  return {
    mode: "absolute",
    steps: [
      { color: "green", value: null },
      ...(yellow === undefined ? [] : [{ color: "yellow", value: yellow }]),
      ...(red === undefined ? [] : [{ color: "red", value: red }]),
    ],
  };
}

/** The dashboard as Grafana imports it. */
export function dashboard(): object {
  const panels: object[] = [];
  let y = 0;
  for (const row of ROWS) {
    panels.push({
      id: panels.length + 1,
      type: "row",
      title: row.title,
      collapsed: false,
      gridPos: { x: 0, y: y++, w: 24, h: 1 },
      panels: [],
    });
    let x = 0;
    let high = 0;
    for (const panel of row.panels) {
      const h = HEIGHT[panel.kind];
      if (x + panel.width > 24) {
        x = 0;
        y += high;
        high = 0;
      }
      panels.push(panelOf(panel, { id: panels.length + 1, x, y, h }));
      x += panel.width;
      high = Math.max(high, h);
    }
    y += high;
  }
  return {
    uid: "signalbox",
    title: "Signalbox",
    description: "A fleet of routers, its control plane, and its traffic.",
    tags: ["signalbox"],
    schemaVersion: 39,
    version: 1,
    editable: true,
    graphTooltip: 1,
    refresh: "30s",
    time: { from: "now-3h", to: "now" },
    templating: {
      list: [
        {
          name: "datasource",
          label: "Prometheus",
          type: "datasource",
          query: "prometheus",
        },
        variable(
          "router",
          "Router",
          'label_values(up{job="signalbox-router"}, instance)',
        ),
        variable(
          "placement",
          "Placement",
          "label_values(signalbox_router_requests_total, placement)",
        ),
      ],
    },
    panels,
  };
}

function panelOf(
  panel: Panel,
  { id, x, y, h }: { id: number; x: number; y: number; h: number },
): object {
  const { kind, title, description, queries, unit = "short", width } = panel;
  return {
    id,
    type: kind === "stat" ? "stat" : "timeseries",
    title,
    description,
    datasource: DATASOURCE,
    gridPos: { x, y, w: width, h },
    targets: queries.map(({ expr, legend = "{{instance}}" }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCE,
      expr,
      legendFormat: kind === "stat" ? "" : legend,
    })),
    fieldConfig: {
      defaults: {
        unit,
        ...(unit === "short" ? { decimals: 0 } : {}),
        min: 0,
        thresholds: thresholds(panel),
        ...(kind === "stat" ? {} : {
          custom: {
            lineWidth: 1,
            fillOpacity: 5,
            ...(panel.red === undefined
              ? {}
              : { thresholdsStyle: { mode: "dashed" } }),
          },
        }),
      },
      overrides: [],
    },
    options: kind === "stat"
      ? {
        reduceOptions: { calcs: ["lastNotNull"] },
        colorMode: "background_solid",
      }
      : { tooltip: { mode: "multi", sort: "desc" } },
  };
}

/** The text of the file. */
export function dashboardText(): string {
  return `${JSON.stringify(dashboard(), null, 2)}\n`;
}

if (import.meta.main) {
  await Deno.writeTextFile(
    new URL("grafana-dashboard.json", import.meta.url),
    dashboardText(),
  );
}
