import {
  Histogram,
  type Metrics,
  SECONDS_BOUNDS,
} from "../../shared/metrics.ts";

import type { CanaryStats } from "./canary_watch.ts";

/** Why connections are refused or closed by this side. */
export const CLOSE_CAUSES = [
  "malformed",
  "flooded",
  "too_large",
  "silent",
  "stalled",
  "replaced",
  "restarting",
  "failed",
] as const;
export type CloseCause = typeof CLOSE_CAUSES[number];

/** What the hub counts: plain numbers, read when a scrape asks. */
export class HubStats {
  connects = 0;
  pushes = 0;
  applied = 0;
  rejected = 0;
  unanswered = 0;
  tooLarge = 0;
  drained = 0;
  unknownMessages = 0;
  unsolicitedAcks = 0;
  heartbeatTimeouts = 0;
  skippedPings = 0;
  readonly closes: Record<CloseCause, number> = {
    malformed: 0,
    flooded: 0,
    too_large: 0,
    silent: 0,
    stalled: 0,
    replaced: 0,
    restarting: 0,
    failed: 0,
  };
  /** Seconds from a version's commit, or the router's coming if that was later, to its ack. */
  readonly propagation = new Histogram(SECONDS_BOUNDS);
}

/** What is not counted but measured when a scrape asks. */
export interface HubGauges {
  connected(): number;
  behind(): number;
  conflicts(): number;
  bytesInFlight(): number;
  bytesTotal(): number;
  pushes(): { waiting: number; active: number; stalled: number };
  /** Sockets whose close the peer has not answered. */
  closing(): number;
  rosterFailures(): number;
  /** 1 while the committed version waits to be confirmed. */
  onTrial(): number;
  /** Versions taken back because they were not confirmed. */
  reverts(): number;
  /** 1 while the committed version is for canaries only. */
  rollingOut(): number;
  /** Rollouts that this process has ended, by how. */
  rollouts(): CanaryStats;
}

/** Shows a hub's numbers under the names of SPEC section 8, and more of the same kind. */
export function registerHub(
  metrics: Metrics,
  { stats, refusals, gauges }: {
    stats: HubStats;
    /** By reason. */
    refusals: Readonly<Record<string, number>>;
    gauges: HubGauges;
  },
): void {
  metrics.gauge({
    name: "signalbox_cp_routers_connected",
    help: "Routers connected to this control plane.",
  }, () => gauges.connected());
  metrics.gauge({
    name: "signalbox_cp_routers_behind",
    help: "Connected routers that do not serve the committed version.",
  }, () => gauges.behind());
  metrics.gauge({
    name: "signalbox_cp_router_conflicts",
    help: "Connected routers that serve another history and are left alone.",
  }, () => gauges.conflicts());
  metrics.counter({
    name: "signalbox_cp_router_connects_total",
    help: "Connections of routers that were accepted.",
  }, () => stats.connects);
  metrics.counter({
    name: "signalbox_cp_router_refusals_total",
    help: "Connections of routers that were refused.",
  }, () =>
    Object.entries(refusals).map(([reason, value]) => ({
      labels: { reason },
      value,
    })));
  metrics.counter({
    name: "signalbox_cp_pushes_total",
    help: "Pushes begun.",
  }, () => stats.pushes);
  metrics.counter({
    name: "signalbox_cp_push_bytes_total",
    help: "Bytes of pushes given to sockets.",
  }, () => gauges.bytesTotal());
  metrics.gauge({
    name: "signalbox_cp_push_bytes_in_flight",
    help: "Bytes of pushes given to sockets that have not left yet.",
  }, () => gauges.bytesInFlight());
  metrics.gauge({
    name: "signalbox_cp_pushes_open",
    help: "Pushes that wait for their turn, move, or stand still.",
  }, () =>
    Object.entries(gauges.pushes()).map(([state, value]) => ({
      labels: { state },
      value,
    })));
  metrics.counter(
    { name: "signalbox_cp_acks_total", help: "Answers of routers to pushes." },
    () => [
      { labels: { status: "applied" }, value: stats.applied },
      { labels: { status: "rejected" }, value: stats.rejected },
    ],
  );
  metrics.counter({
    name: "signalbox_cp_acks_unsolicited_total",
    help: "Answers for versions that were not pushed on that connection.",
  }, () => stats.unsolicitedAcks);
  metrics.counter({
    name: "signalbox_cp_pushes_unanswered_total",
    help: "Pushes without an answer in 30 s.",
  }, () => stats.unanswered);
  metrics.counter({
    name: "signalbox_cp_pushes_too_large_total",
    help: "Pushes that did not fit into the one frame the router can take.",
  }, () => stats.tooLarge);
  metrics.counter({
    name: "signalbox_cp_drained_total",
    help: "Reports of routers that an older version is drained.",
  }, () => stats.drained);
  metrics.histogram({
    name: "signalbox_cp_propagation_seconds",
    help:
      "From the commit to each router's ack; one of another control plane is timed by both their clocks.",
  }, () => [{ histogram: stats.propagation }]);
  metrics.counter({
    name: "signalbox_cp_heartbeat_timeouts_total",
    help: "Routers dropped because nothing was heard of them.",
  }, () => stats.heartbeatTimeouts);
  metrics.counter({
    name: "signalbox_cp_pings_skipped_total",
    help: "Pings not sent because the socket was full.",
  }, () => stats.skippedPings);
  metrics.counter({
    name: "signalbox_cp_unknown_messages_total",
    help: "Messages of routers of a type this release does not know.",
  }, () => stats.unknownMessages);
  metrics.counter({
    name: "signalbox_cp_router_closes_total",
    help: "Connections of routers closed by this side.",
  }, () =>
    Object.entries(stats.closes).map(([cause, value]) => ({
      labels: { cause },
      value,
    })));
  metrics.gauge({
    name: "signalbox_cp_router_sockets_closing",
    help: "Sockets closed by this side whose peer has not answered.",
  }, () => gauges.closing());
  metrics.gauge({
    name: "signalbox_cp_version_on_trial",
    help: "1 while the committed version waits to be confirmed.",
  }, () => gauges.onTrial());
  metrics.counter({
    name: "signalbox_cp_reverts_total",
    help: "Versions that were not confirmed in time and were taken back.",
  }, () => gauges.reverts());
  metrics.gauge({
    name: "signalbox_cp_rollout_under_way",
    help: "1 while the committed version is for canaries only.",
  }, () => gauges.rollingOut());
  metrics.counter({
    name: "signalbox_cp_rollouts_total",
    help:
      "Staged rollouts that this control plane ended, by itself or as somebody asked, by how.",
  }, () =>
    Object.entries(gauges.rollouts()).map(([outcome, value]) => ({
      labels: { outcome },
      value,
    })));
  metrics.counter({
    name: "signalbox_cp_roster_failures_total",
    help: "Writes of the roster that failed and were tried again.",
  }, () => gauges.rosterFailures());
}
