import { equal } from "node:assert/strict";
import { Histogram, Metrics } from "./metrics.ts";

Deno.test("Metrics.text() is Prometheus text of what the numbers are when asked", async () => {
  const metrics = new Metrics();
  let requests = 1;
  const seconds = new Histogram([0.1, 1]);
  metrics.counter(
    { name: "t_requests_total", help: "Requests." },
    () => requests,
  );
  metrics.gauge(
    { name: "t_open", help: "Open." },
    () => [{ labels: { placement: 'a"b' }, value: 2 }],
  );
  metrics.histogram(
    { name: "t_seconds", help: "Time." },
    () => [{ labels: { placement: "p" }, histogram: seconds }],
  );
  requests++;
  for (const value of [0.05, 0.1, 0.5, 7]) seconds.observe(value);
  const { body, contentType } = await metrics.text();
  equal(contentType, "text/plain; version=0.0.4; charset=utf-8");
  equal(
    body,
    `# HELP t_requests_total Requests.
# TYPE t_requests_total counter
t_requests_total 2

# HELP t_open Open.
# TYPE t_open gauge
t_open{placement="a\\"b"} 2

# HELP t_seconds Time.
# TYPE t_seconds histogram
t_seconds_bucket{placement="p",le="0.1"} 2
t_seconds_bucket{placement="p",le="1"} 3
t_seconds_bucket{placement="p",le="+Inf"} 4
t_seconds_sum{placement="p"} 7.65
t_seconds_count{placement="p"} 4
`,
  );
});
