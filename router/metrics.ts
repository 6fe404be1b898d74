import type { Clock } from "../shared/clock.ts";
import { Metrics, type Sample, SECONDS_BOUNDS } from "../shared/metrics.ts";
import { activeConfig } from "./active.ts";
import type { FenceReport } from "./fence.ts";
import { ageSeconds, isDurable } from "./status.ts";
import type { LinkReport } from "./threads/link_messages.ts";
import type { Traffic } from "./traffic.ts";

/** What the metrics are read from. */
export interface MetricSources {
  readonly traffic: () => Traffic;
  readonly link: () => LinkReport;
  readonly clock: Clock;
  /** Errors that nobody caught, so far. */
  readonly uncaught: () => number;
  /** How many threads serve. */
  readonly threads: () => number;
  readonly fence: () => FenceReport | null;
}

/** The router's metrics (SPEC section 8). Nothing is counted here: all is read when asked for. */
export function createMetrics(sources: MetricSources): Metrics {
  const metrics = new Metrics();
  addConfig(metrics, sources);
  addLink(metrics, sources);
  addTraffic(metrics, sources.traffic);
  metrics.counter({
    name: "signalbox_router_uncaught_errors_total",
    help: "Errors that nobody caught; the log tells each.",
  }, sources.uncaught);
  metrics.gauge({
    name: "signalbox_router_threads",
    help:
      "Threads that serve; fewer than ROUTER_THREADS while one is replaced.",
  }, sources.threads);
  return metrics;
}

function addConfig(
  metrics: Metrics,
  { link, clock, fence }: MetricSources,
): void {
  metrics.gauge({
    name: "signalbox_router_old_requests",
    help:
      "What still runs that the config being served would send elsewhere: requests, and event streams and tunnels.",
  }, () => {
    const { requests = 0, streams = 0 } = fence() ?? {};
    return [
      { labels: { kind: "request" }, value: requests },
      { labels: { kind: "stream" }, value: streams },
    ];
  });
  metrics.gauge({
    name: "signalbox_router_config_version",
    help:
      "The version of the config being served; 0 on a bootstrap config, absent before there is any.",
  }, () => ifActive((active) => active.version));
  metrics.gauge({
    name: "signalbox_router_config_age_seconds",
    help: "Time since the last config update was applied.",
  }, () => ifActive((active) => ageSeconds(active, clock.now())));
  metrics.gauge({
    name: "signalbox_router_config_last_update_timestamp_seconds",
    help: "When the last config update was applied, in Unix time.",
  }, () => ifActive((active) => active.appliedAt / 1000));
  metrics.gauge({
    name: "signalbox_router_config_lag_versions",
    help:
      "How many versions the served config is behind the newest the control plane told of.",
  }, () => link().status.lag);
  metrics.gauge({
    name: "signalbox_router_config_behind_seconds",
    help: "For how long the lag has been above 0.",
  }, () => link().status.behindSeconds);
  metrics.counter(
    {
      name: "signalbox_router_config_updates_total",
      help: "Pushed configs, by what became of them.",
    },
    () =>
      Object.entries(link().counters.updates).map(([status, value]) => ({
        labels: { status },
        value,
      })),
  );
  metrics.histogram({
    name: "signalbox_router_config_apply_seconds",
    help: "Time from a whole push to its being served.",
  }, () => [{ histogram: { bounds: SECONDS_BOUNDS, ...link().applySeconds } }]);
  metrics.gauge({
    name: "signalbox_router_config_durable",
    help:
      "1 unless the config being served should be in the state directory and is not.",
  }, () => isDurable(activeConfig(), link().saved) ? 1 : 0);
  metrics.counter({
    name: "signalbox_router_config_save_failures_total",
    help:
      "Configs that could not be written to the state directory, or not in time.",
  }, () => link().saveFailures);
}

function addLink(metrics: Metrics, { link }: MetricSources): void {
  metrics.gauge({
    name: "signalbox_router_control_plane_connected",
    help: "1 while there is a connection to a control plane.",
  }, () => link().status.connected ? 1 : 0);
  metrics.counter({
    name: "signalbox_router_control_plane_connects_total",
    help: "Connections to a control plane that were made.",
  }, () => link().counters.connects);
  metrics.gauge({
    name: "signalbox_router_control_plane_last_heard_timestamp_seconds",
    help: "When a control plane was last heard, in Unix time; absent before.",
  }, () => {
    const { lastHeardAt } = link().status;
    return lastHeardAt === null ? [] : lastHeardAt / 1000;
  });
  metrics.counter({
    name: "signalbox_router_control_plane_failures_total",
    help:
      "Connections to a control plane that were lost, or could not be made.",
  }, () => link().counters.failures);
  metrics.counter({
    name: "signalbox_router_control_plane_ignored_messages_total",
    help: "Messages of a type that this release does not know.",
  }, () => link().counters.ignored);
  metrics.counter({
    name: "signalbox_router_control_plane_dropped_pushes_total",
    help: "Pushes replaced by a newer one before they were whole.",
  }, () => link().counters.dropped);
}

function addTraffic(metrics: Metrics, traffic: () => Traffic): void {
  metrics.counter({
    name: "signalbox_router_requests_total",
    help:
      "Requests answered, by placement (empty where none was chosen) and class of status.",
  }, () => requestSamples(traffic()));
  metrics.histogram(
    {
      name: "signalbox_router_request_duration_seconds",
      help: "Time from a request's head to the end of its answer.",
    },
    () =>
      Array.from(traffic().placements(), ({ placement, duration }) => ({
        labels: { placement },
        histogram: duration,
      })),
  );
  metrics.gauge({
    name: "signalbox_router_requests_in_flight",
    help: "Requests being worked on.",
  }, () => traffic().inFlight);
  metrics.gauge({
    name: "signalbox_router_streams",
    help: "Event streams and tunnels open.",
  }, () => streamSamples(traffic()));
  metrics.counter({
    name: "signalbox_router_upstream_errors_total",
    help: "Failures of the way to a placement, by kind.",
  }, () => errorSamples(traffic()));
  metrics.gauge({
    name: "signalbox_router_upstream_connections",
    help: "Connections to a placement, by whether they carry a request.",
  }, () => connectionSamples(traffic()));
  metrics.gauge({
    name: "signalbox_router_connections",
    help: "Client connections open.",
  }, () => traffic().connections);
  metrics.counter(
    {
      name: "signalbox_router_connections_refused_total",
      help: "Client connections refused at a limit.",
    },
    () =>
      Object.entries(traffic().refused).map(([reason, value]) => ({
        labels: { reason },
        value,
      })),
  );
  metrics.gauge({
    name: "signalbox_router_held_requests",
    help: "Requests that wait because their customer is held.",
  }, () => traffic().held.waiting);
  metrics.counter({
    name: "signalbox_router_held_requests_total",
    help:
      "Requests that waited because their customer was held, by how that ended.",
  }, () => {
    const { waiting: _, ...ended } = traffic().held;
    return Object.entries(ended).map(([result, value]) => ({
      labels: { result },
      value,
    }));
  });
  metrics.counter({
    name: "signalbox_router_accept_errors_total",
    help: "Failures to accept a client connection.",
  }, () => traffic().acceptErrors);
}

function* requestSamples(traffic: Traffic): Generator<Sample> {
  for (const { placement, requests } of traffic.placements()) {
    for (const [index, value] of requests.entries()) {
      const labels = { placement, code: `${index + 1}xx` };
      if (value > 0) yield { labels, value };
    }
  }
}

function* errorSamples(traffic: Traffic): Generator<Sample> {
  for (const { placement, errors } of traffic.placements()) {
    for (const [kind, value] of errors) {
      yield { labels: { placement, kind }, value };
    }
  }
}

function* streamSamples(traffic: Traffic): Generator<Sample> {
  for (const { placement, streams } of traffic.placements()) {
    if (placement === "") continue;
    for (const [kind, value] of Object.entries(streams)) {
      yield { labels: { placement, kind }, value };
    }
  }
}

function* connectionSamples(traffic: Traffic): Generator<Sample> {
  for (const { placement, active, idle } of traffic.placements()) {
    if (placement === "") continue;
    yield { labels: { placement, state: "active" }, value: active };
    yield { labels: { placement, state: "idle" }, value: idle };
  }
}

function ifActive(
  read: (active: NonNullable<ReturnType<typeof activeConfig>>) => number,
): number | Sample[] {
  const active = activeConfig();
  return active === null ? [] : read(active);
}
