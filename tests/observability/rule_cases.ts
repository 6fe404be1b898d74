/** An alert, made to fire. Series are those of health, but for what is said here; values as promtool writes them, one each 15 s. */
export interface RuleCase {
  readonly alert: string;
  readonly series: Readonly<Record<string, string>>;
  /** When it fires: minutes after the beginning. */
  readonly fires: number;
  /** When it does no longer; null where it stays as long as its cause does. */
  readonly clears: number | null;
  readonly labels: Readonly<Record<string, string>>;
  readonly summary: string;
}

const ROUTER = 'instance="r1:9080",job="signalbox-router"';
const OTHER = 'instance="r2:9080",job="signalbox-router"';
const CP = 'instance="cp:8081",job="signalbox-cp"';

/** Two hours. */
const N = 480;

function always(value: number): string {
  return `${value}x${N}`;
}

/** The metric of one router or control plane with more labels. */
function of(target: string, name: string, labels = ""): string {
  return `${name}{${labels}${labels === "" ? "" : ","}${target}}`;
}

function routerHealth(router: string): Record<string, string> {
  return {
    [of(router, "up")]: always(1),
    [of(router, "signalbox_router_control_plane_connected")]: always(1),
    [of(router, "signalbox_router_control_plane_last_heard_timestamp_seconds")]:
      `0+15x${N}`,
    [of(router, "signalbox_router_config_behind_seconds")]: always(0),
    [of(router, "signalbox_router_config_durable")]: always(1),
    [of(router, "signalbox_router_config_updates_total", 'status="applied"')]:
      `0+1x${N}`,
    [of(router, "signalbox_router_config_updates_total", 'status="rejected"')]:
      always(0),
    [of(router, "signalbox_router_requests_total", 'placement="a",code="2xx"')]:
      `0+1500x${N}`,
    [of(router, "signalbox_router_requests_total", 'placement="a",code="5xx"')]:
      `0+15x${N}`,
    [
      of(
        router,
        "signalbox_router_upstream_errors_total",
        'placement="a",kind="refused"',
      )
    ]: `0+15x${N}`,
    [
      of(
        router,
        "signalbox_router_connections_refused_total",
        'reason="max_connections"',
      )
    ]: always(0),
    // A router that stops refuses connections, as it should.
    [
      of(
        router,
        "signalbox_router_connections_refused_total",
        'reason="stopping"',
      )
    ]: `0x100 7x${N - 101}`,
    [of(router, "signalbox_router_accept_errors_total")]: always(0),
    [of(router, "signalbox_router_uncaught_errors_total")]: always(0),
  };
}

/** Everything is well: edits reach two routers, who serve a request now and then that fails. */
export const HEALTH: Readonly<Record<string, string>> = {
  ...routerHealth(ROUTER),
  ...routerHealth(OTHER),
  [of(CP, "up")]: always(1),
  [of(CP, "signalbox_cp_router_conflicts")]: always(0),
  [of(CP, "signalbox_cp_store_damaged")]: always(0),
  [of(CP, "signalbox_cp_routers_behind")]: always(0),
  [of(CP, "signalbox_cp_routers_connected")]: always(2),
  [of(CP, "signalbox_cp_propagation_seconds_bucket", 'le="0.1"')]: `0+2x${N}`,
  [of(CP, "signalbox_cp_propagation_seconds_bucket", 'le="5"')]: `0+2x${N}`,
  [of(CP, "signalbox_cp_propagation_seconds_bucket", 'le="10"')]: `0+2x${N}`,
  [of(CP, "signalbox_cp_propagation_seconds_bucket", 'le="+Inf"')]: `0+2x${N}`,
  [of(CP, "signalbox_cp_router_refusals_total", 'reason="unauthorized"')]:
    always(0),
  [of(CP, "signalbox_cp_pushes_unanswered_total")]: always(0),
  [of(CP, "signalbox_cp_pushes_too_large_total")]: always(0),
  [of(CP, "signalbox_cp_edits_total", 'result="committed"')]: `0+1x${N}`,
  [of(CP, "signalbox_cp_edits_total", 'result="failed"')]: always(0),
  [of(CP, "signalbox_cp_heartbeat_timeouts_total")]: always(0),
  [of(CP, "signalbox_cp_roster_failures_total")]: always(0),
};

/**
 * A release, half an hour in: the control plane is gone for a minute and comes back with its counters at 0; then each
 * router for half a minute, behind for some seconds when it is back.
 */
export const RELEASE: Readonly<Record<string, string>> = {
  ...HEALTH,
  [of(CP, "up")]: `1x119 0x3 1x${N}`,
  [of(CP, "signalbox_cp_routers_connected")]: `2x119 _x3 0 2x40 1x2 2x${N}`,
  [of(CP, "signalbox_cp_routers_behind")]: `0x119 _x3 0x41 1x2 0x${N}`,
  [of(CP, "signalbox_cp_edits_total", 'result="committed"')]:
    `0+1x119 _x3 0+1x${N}`,
  [of(CP, "signalbox_cp_heartbeat_timeouts_total")]: `0x119 _x3 0x${N}`,
  [of(ROUTER, "signalbox_router_control_plane_connected")]: `1x119 0x4 1x${N}`,
  [of(OTHER, "signalbox_router_control_plane_connected")]: `1x119 0x4 1x${N}`,
  [of(ROUTER, "up")]: `1x160 0x1 1x${N}`,
  [of(ROUTER, "signalbox_router_config_behind_seconds")]: `0x160 _x2 3 0x${N}`,
  [of(ROUTER, "signalbox_router_requests_total", 'placement="a",code="2xx"')]:
    `0+1500x160 _x2 0+1500x${N}`,
  [
    of(
      ROUTER,
      "signalbox_router_config_updates_total",
      'status="rejected"',
    )
  ]: `0x160 _x2 0x${N}`,
};

const critical = { severity: "critical" };
const warning = { severity: "warning" };
const r1 = { instance: "r1:9080", job: "signalbox-router" };
const cp = { instance: "cp:8081", job: "signalbox-cp" };

/** Half an hour of one value, half an hour of another, and the first again. */
function episode(good: string | number, bad: string | number): string {
  return `${good}x119 ${bad}x119 ${good}x${N}`;
}

/** A counter that stands, grows by one half an hour in, and stands again. */
const ONCE = `0x119 1x${N}`;

/** Every alert, with what makes it fire. */
export const CASES: readonly RuleCase[] = [
  {
    alert: "SignalboxRouterDown",
    series: { [of(ROUTER, "up")]: episode(1, 0) },
    fires: 32,
    clears: 61,
    labels: { ...r1, ...critical },
    summary: "Router r1:9080 does not answer on its admin listener.",
  },
  {
    alert: "SignalboxRouterUnlinked",
    series: {
      [of(ROUTER, "signalbox_router_control_plane_connected")]: episode(1, 0),
    },
    fires: 33,
    clears: 61,
    labels: { ...r1, ...warning },
    summary:
      "Router r1:9080 has no connection to a control plane; it serves on, from memory.",
  },
  {
    alert: "SignalboxRouterStale",
    series: {
      [
        of(
          ROUTER,
          "signalbox_router_control_plane_last_heard_timestamp_seconds",
        )
      ]: `0+15x119 1785x119 3600+15x${N}`,
    },
    fires: 50,
    clears: 62,
    labels: { ...r1, ...critical },
    summary:
      "Router r1:9080 has heard nothing from a control plane for 20m 15s; it may serve an old config.",
  },
  {
    alert: "SignalboxRouterBehind",
    series: {
      [of(ROUTER, "signalbox_router_config_behind_seconds")]:
        `0x119 0+15x119 0x${N}`,
    },
    fires: 35,
    clears: 61,
    labels: { ...r1, ...critical },
    summary:
      "Router r1:9080 has served an older version than the committed one for 5m 0s.",
  },
  {
    alert: "SignalboxConfigRejected",
    series: {
      [
        of(
          ROUTER,
          "signalbox_router_config_updates_total",
          'status="rejected"',
        )
      ]: ONCE,
    },
    fires: 31,
    clears: 45,
    labels: { ...r1, ...critical, status: "rejected" },
    summary: "Router r1:9080 has rejected a config and serves the one before.",
  },
  {
    alert: "SignalboxConfigNotDurable",
    series: { [of(ROUTER, "signalbox_router_config_durable")]: episode(1, 0) },
    fires: 33,
    clears: 61,
    labels: { ...r1, ...warning },
    summary:
      "What router r1:9080 serves is not on its disk; restarted now, it would come back with an older version.",
  },
  {
    alert: "SignalboxErrorRatio",
    series: {
      [
        of(
          ROUTER,
          "signalbox_router_requests_total",
          'placement="a",code="5xx"',
        )
      ]: `0x119 0+500x119 60000x${N}`,
    },
    fires: 40,
    clears: 70,
    labels: { instance: "r1:9080", ...critical },
    summary: "Router r1:9080 answers 25% of its requests with 5xx.",
  },
  {
    alert: "SignalboxPlacementFailing",
    series: {
      [
        of(
          ROUTER,
          "signalbox_router_upstream_errors_total",
          'placement="a",kind="refused"',
        )
      ]: `0x119 0+591x119 60000x${N}`,
    },
    fires: 40,
    clears: 70,
    labels: { placement: "a", ...critical },
    summary: "20% of the requests to placement a fail on the way.",
  },
  {
    alert: "SignalboxConnectionsRefused",
    series: {
      [
        of(
          ROUTER,
          "signalbox_router_connections_refused_total",
          'reason="max_connections"',
        )
      ]: ONCE,
    },
    fires: 31,
    clears: 40,
    labels: { ...r1, ...critical, reason: "max_connections" },
    summary: "Router r1:9080 refuses clients' connections.",
  },
  {
    alert: "SignalboxConnectionsRefused",
    series: { [of(ROUTER, "signalbox_router_accept_errors_total")]: ONCE },
    fires: 31,
    clears: 40,
    labels: { ...r1, ...critical },
    summary: "Router r1:9080 refuses clients' connections.",
  },
  {
    alert: "SignalboxUncaughtErrors",
    series: { [of(ROUTER, "signalbox_router_uncaught_errors_total")]: ONCE },
    fires: 31,
    clears: 100,
    labels: { ...r1, ...warning },
    summary: "Router r1:9080 met an error that nobody expected, and serves on.",
  },
  {
    alert: "SignalboxControlPlaneDown",
    series: { [of(CP, "up")]: episode(1, 0) },
    fires: 33,
    clears: 61,
    labels: { ...cp, ...critical },
    summary:
      "Control plane cp:8081 does not answer; routers serve on, and no edit can be made.",
  },
  {
    alert: "SignalboxConflict",
    series: { [of(CP, "signalbox_cp_router_conflicts")]: episode(0, 2) },
    fires: 32,
    clears: 61,
    labels: { ...cp, ...critical },
    summary:
      "2 routers serve another history than the store of cp:8081, and are not pushed to.",
  },
  {
    alert: "SignalboxStoreDamaged",
    series: { [of(CP, "signalbox_cp_store_damaged")]: episode(0, 1) },
    fires: 31,
    clears: 61,
    labels: { ...cp, ...critical },
    summary:
      "What the store of cp:8081 holds does not match its digest; nothing is pushed.",
  },
  {
    alert: "SignalboxRoutersBehind",
    series: { [of(CP, "signalbox_cp_routers_behind")]: episode(0, 1) },
    fires: 33,
    clears: 61,
    labels: { ...cp, ...warning },
    summary:
      "1 routers connected to cp:8081 do not serve the committed version.",
  },
  {
    alert: "SignalboxRoutersMissing",
    series: { [of(CP, "signalbox_cp_routers_connected")]: episode(2, 1) },
    fires: 36,
    clears: 61,
    labels: warning,
    summary: "There are 2 routers, and fewer are connected to a control plane.",
  },
  {
    alert: "SignalboxRoutersRefused",
    series: {
      [of(CP, "signalbox_cp_router_refusals_total", 'reason="unauthorized"')]:
        ONCE,
    },
    fires: 31,
    clears: 45,
    labels: { ...cp, ...warning, reason: "unauthorized" },
    summary: "cp:8081 lets routers not in: unauthorized.",
  },
  {
    alert: "SignalboxPropagationSlow",
    series: {
      [of(CP, "signalbox_cp_propagation_seconds_bucket", 'le="0.1"')]:
        `0+1x${N}`,
      [of(CP, "signalbox_cp_propagation_seconds_bucket", 'le="5"')]: `0+1x${N}`,
    },
    fires: 31,
    clears: null,
    labels: warning,
    summary: "Changes take 9.9s to reach the slowest routers.",
  },
  {
    alert: "SignalboxPushesUnanswered",
    series: { [of(CP, "signalbox_cp_pushes_unanswered_total")]: ONCE },
    fires: 31,
    clears: 45,
    labels: { ...cp, ...warning },
    summary:
      "A router of cp:8081 has not answered a push within 30 s, or cannot take one of its size.",
  },
  {
    alert: "SignalboxPushesUnanswered",
    series: { [of(CP, "signalbox_cp_pushes_too_large_total")]: ONCE },
    fires: 31,
    clears: 45,
    labels: { ...cp, ...warning },
    summary:
      "A router of cp:8081 has not answered a push within 30 s, or cannot take one of its size.",
  },
  {
    alert: "SignalboxEditsFailing",
    series: { [of(CP, "signalbox_cp_edits_total", 'result="failed"')]: ONCE },
    fires: 31,
    clears: 45,
    labels: { ...cp, ...critical, result: "failed" },
    summary: "Edits fail at cp:8081; its store does not take them.",
  },
  {
    alert: "SignalboxHeartbeatsMissed",
    series: {
      [of(CP, "signalbox_cp_heartbeat_timeouts_total")]: `0x119 0+1x20 20x${N}`,
    },
    fires: 34,
    clears: 55,
    labels: { ...cp, ...warning },
    summary: "cp:8081 has dropped 16 connections of routers that fell silent.",
  },
  {
    alert: "SignalboxRosterNotSaved",
    series: { [of(CP, "signalbox_cp_roster_failures_total")]: ONCE },
    fires: 31,
    clears: 50,
    labels: { ...cp, ...warning },
    summary: "cp:8081 cannot write the list of routers to its store.",
  },
];
