import { deepEqual, equal, match } from "node:assert/strict";
import { configOf } from "../harness/config.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { DraftRouter } from "../harness/draft.ts";
import { dataFolder } from "../harness/program.ts";
import { until } from "../harness/until.ts";

const CONFIG = configOf([
  { name: "tier1", endpoint: "http://127.0.0.1:9001" },
  { name: "tier3", endpoint: "http://127.0.0.1:9003" },
]);

async function statuses(controlPlane: ControlPlane): Promise<string[]> {
  const { body } = await controlPlane.call("GET", "/v1/routers");
  return body.routers.map(({ status }: { status: string }) => status);
}

Deno.test("a client that knows only the five messages works fully", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path, {
    CP_PING_INTERVAL: "50ms",
  });
  await using router = await DraftRouter.connect(controlPlane.connectUrl);

  await controlPlane.call("PUT", "/v1/config", { body: CONFIG });
  const first = await router.inbox.next();
  deepEqual([first.type, first.version, first.config], [
    "config_update",
    1,
    CONFIG,
  ]);
  router.send({ type: "ack", version: 1, status: "applied" });
  await until(
    "the router to be current",
    async () => (await statuses(controlPlane))[0] === "current",
  );

  const edit = controlPlane.call("PATCH", "/v1/customers/acme?wait=applied", {
    body: { placement: "tier3" },
  });
  const second = await router.inbox.next();
  equal(second.version, 2);
  equal(second.config.customer_to_placement.acme, "tier3");
  router.send({
    type: "ack",
    version: 2,
    status: "rejected",
    error: "I do not like it",
  });
  const { body } = await edit;
  equal(body.rollout.applied, 0);
  deepEqual(
    body.rollout.rejected.map(({ error }: { error: string }) => error),
    [
      "I do not like it",
    ],
  );

  // Rejected is remembered: heartbeats go on, and the next thing pushed is the next version.
  await router.inbox.ping();
  await router.inbox.ping();
  await controlPlane.call("PATCH", "/v1/customers/acme", {
    body: { placement: "tier1" },
  });
  equal((await router.inbox.next()).version, 3);
});

Deno.test("a client gets the newest version as soon as it connects", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path);
  await controlPlane.call("PUT", "/v1/config", { body: CONFIG });
  await controlPlane.call("PATCH", "/v1/customers/visa", {
    body: { placement: "tier1" },
  });
  await using router = await DraftRouter.connect(controlPlane.connectUrl);
  const push = await router.inbox.next();
  equal(push.version, 2);
  equal(push.config.customer_to_placement.visa, "tier1");
});

Deno.test("what is malformed closes that connection and harms no other", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path);
  await using healthy = await DraftRouter.connect(controlPlane.connectUrl);
  for (
    const text of [
      "not json",
      "[]",
      '{"type":"ack"}',
      '{"type":"ack","version":"1","status":"applied"}',
    ]
  ) {
    await using router = await DraftRouter.connect(controlPlane.connectUrl);
    router.send(text);
    equal((await router.closed).code, 4400, text);
  }
  await using large = await DraftRouter.connect(controlPlane.connectUrl);
  large.send(
    JSON.stringify({ type: "pong", filler: "x".repeat(2 * 1024 * 1024) }),
  );
  equal((await large.closed).code, 4413);
  // Unknown types, and acks of what was never sent, are ignored.
  healthy.send({ type: "greeting" });
  healthy.send({ type: "ack", version: 99, status: "applied" });
  await controlPlane.call("PUT", "/v1/config", { body: CONFIG });
  equal((await healthy.inbox.next()).version, 1);
  const { body } = await controlPlane.call("GET", "/metrics");
  match(body, /signalbox_cp_config_version 1\n/);
});
