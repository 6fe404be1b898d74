import assert from "node:assert/strict";
import { parseConfigText } from "../shared/config.ts";
import { FakeClock } from "../shared/fake_clock.ts";
import { activate, readyConfig } from "./active.ts";
import { packConfig } from "./config/packed_config.ts";
import { createMetrics } from "./metrics.ts";
import { NO_REPORT } from "./threads/link_thread.ts";
import { Traffic } from "./traffic.ts";

Deno.test("createMetrics() shows every metric the router promises", async () => {
  const result = parseConfigText(
    '{"customer_to_placement":{},"default_placement":"a","placement_to_endpoint":{"a":"http://h"}}',
  );
  assert.ok(result.ok);
  const clock = new FakeClock(0, 1_700_000_000_000);
  const traffic = new Traffic();
  const metrics = createMetrics({
    fence: () => null,
    traffic: () => traffic,
    threads: () => 1,
    link: () => NO_REPORT,
    clock,
    uncaught: () => 0,
  });
  activate(null);
  assert.doesNotMatch(
    (await metrics.text()).body,
    /^signalbox_router_config_age/m,
  );

  activate({
    ...readyConfig({
      version: 42,
      epoch: "e",
      source: "control_plane",
      packed: packConfig(result.config),
    }),
    appliedAt: clock.wall(),
    appliedAtMonotonic: clock.now(),
  });
  clock.advance(1500);
  traffic.of("a").request(200, 0.004);
  traffic.of("a").request(503, 60);
  traffic.of("a").error("refused");
  traffic.of("a").idle = 2;
  const { body } = await metrics.text();
  for (
    const line of [
      "signalbox_router_config_version 42",
      "signalbox_router_config_age_seconds 1.5",
      "signalbox_router_config_last_update_timestamp_seconds 1700000000",
      "signalbox_router_config_lag_versions 0",
      "signalbox_router_config_behind_seconds 0",
      'signalbox_router_config_updates_total{status="applied"} 0',
      'signalbox_router_config_updates_total{status="rejected"} 0',
      'signalbox_router_config_updates_total{status="unchanged"} 0',
      "signalbox_router_config_apply_seconds_count 0",
      "signalbox_router_config_durable 0",
      "signalbox_router_control_plane_connected 0",
      "signalbox_router_control_plane_connects_total 0",
      'signalbox_router_requests_total{placement="a",code="2xx"} 1',
      'signalbox_router_requests_total{placement="a",code="5xx"} 1',
      'signalbox_router_request_duration_seconds_bucket{placement="a",le="0.005"} 1',
      'signalbox_router_request_duration_seconds_bucket{placement="a",le="+Inf"} 2',
      'signalbox_router_request_duration_seconds_sum{placement="a"} 60.004',
      "signalbox_router_requests_in_flight 0",
      'signalbox_router_upstream_errors_total{placement="a",kind="refused"} 1',
      'signalbox_router_upstream_connections{placement="a",state="idle"} 2',
    ]
  ) assert.ok(body.split("\n").includes(line), `${line} in:\n${body}`);
  activate(null);
});
