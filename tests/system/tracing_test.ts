import { equal, match, notEqual, ok } from "node:assert/strict";
import { DraftRouter } from "../harness/draft.ts";
import { Installation } from "../harness/installation.ts";
import { TraceCollector } from "../harness/trace_collector.ts";
import { until } from "../harness/until.ts";

const TRACE = "0af7651916cd43dd8448eb211c80319c";
const CALLER = "b7ad6b7169203331";
const TRACEPARENT = `00-${TRACE}-${CALLER}-01`;

/** What a cell got to see of the trace context that a customer sent. */
async function seenByCell(
  { router }: Installation,
  headers: Record<string, string> = { traceparent: TRACEPARENT },
): Promise<string | null> {
  const response = await fetch(`${router.url}/x?secret=1`, {
    headers: { "x-routing-key": "acme", ...headers },
  });
  return (await response.json()).traceparent;
}

Deno.test("an edit's trace goes from its caller to the ack of each router", async () => {
  await using collector = new TraceCollector();
  await using all = await Installation.start({
    cpEnv: collector.env("cp"),
    routerEnv: collector.env("router"),
  });
  await using draft = await DraftRouter.connect(
    `${all.controlPlane.connectUrl}?id=draft`,
  );
  const { version } = await draft.inbox.next();
  draft.send({ type: "ack", version, status: "applied" });
  const edit = all.controlPlane.call(
    "PATCH",
    "/v1/customers/acme?wait=applied",
    { body: { placement: "two" }, headers: { traceparent: TRACEPARENT } },
  );
  const push = await draft.inbox.next();
  draft.send({ type: "ack", version: 2, status: "rejected", error: "no" });
  equal((await edit).body.rollout.applied, 1);
  const commit = await until(
    "the commit",
    () => collector.find("cp", "commit config", TRACE),
  );
  equal(commit.attributes["signalbox.version"], "2");
  const call = await until(
    "the call",
    () => collector.spans.find(({ spanId }) => spanId === commit.parentSpanId),
  );
  equal(call.parentSpanId, CALLER);
  equal(push.traceparent, `00-${TRACE}-${commit.spanId}-01`);
  const apply = await until(
    "the router's part",
    () => collector.find("router", "apply config", TRACE),
  );
  equal(apply.parentSpanId, commit.spanId);
  equal(apply.attributes["signalbox.status"], "applied");
  const pushes = await until("both pushes", () => {
    const found = collector.spans.filter(({ name, traceId }) =>
      name === "push config" && traceId === TRACE
    );
    return found.length === 2 ? found : null;
  });
  for (const { attributes, failed } of pushes) {
    equal(failed, attributes["signalbox.router"] === "draft");
  }
});

Deno.test("a request goes on with its caller's trace, and its cell with the router's span", async () => {
  await using collector = new TraceCollector();
  await using all = await Installation.start({
    routerEnv: collector.env("router"),
  });
  const seen = await seenByCell(all);
  const span = await until(
    "the request",
    () => collector.find("router", "GET", TRACE),
  );
  equal(span.parentSpanId, CALLER);
  equal(seen, `00-${TRACE}-${span.spanId}-01`);
  equal(span.attributes["signalbox.placement"], "one");
  equal(span.attributes["http.response.status_code"], "200");
  ok(!JSON.stringify(span).includes("secret"));
  // Without a trace context, or with one that is none, a trace begins here.
  for (const headers of [{}, { traceparent: "00-0-0-01" }]) {
    const own = await seenByCell(all, headers);
    match(own!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
    notEqual(own!.slice(3, 35), TRACE);
  }
});

Deno.test("nothing is traced unless it is asked for: a trace context passes as it is", async () => {
  await using all = await Installation.start();
  await using draft = await DraftRouter.connect(all.controlPlane.connectUrl);
  const { version } = await draft.inbox.next();
  draft.send({ type: "ack", version, status: "applied" });
  await all.controlPlane.call("PUT", "/v1/customers/acme", {
    body: { placement: "two" },
    headers: { traceparent: TRACEPARENT },
  });
  equal((await draft.inbox.next()).traceparent, undefined);
  equal(await seenByCell(all), TRACEPARENT);
});
