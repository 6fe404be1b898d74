import { deepEqual, equal, match, ok } from "node:assert/strict";
import { startCell } from "../harness/cell.ts";
import { type ConfigBody, configOf } from "../harness/config.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { dataFolder } from "../harness/program.ts";
import { Router } from "../harness/router.ts";

Deno.test("an edit is live on five routers when wait=applied answers", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using controlPlane = await ControlPlane.start(folder.path);
  await controlPlane.call("PUT", "/v1/config", { body: configOf([one, two]) });
  await using stack = new AsyncDisposableStack();
  const routers = await Promise.all(
    Array.from(
      { length: 5 },
      (_, i) =>
        Router.start(`r${i}`, {
          folder: folder.path,
          cpUrl: controlPlane.connectUrl,
        }),
    ),
  );
  for (const router of routers) stack.use(router);
  await Promise.all(routers.map((router) => router.serves(1)));

  const { status, body } = await controlPlane.call(
    "PATCH",
    "/v1/customers/acme?wait=applied",
    {
      body: { placement: "two" },
    },
  );
  equal(status, 200);
  const { waited_ms, ...rollout } = body.rollout;
  ok(waited_ms < 5000);
  deepEqual(rollout, {
    applied: 5,
    rejected: [],
    pending: [],
    gone: [],
    conflict: [],
  });
  for (const router of routers) {
    const answer = await router.ask("acme", "/a/../b?c=%20");
    deepEqual([answer.placement, answer.reason, answer.version], [
      "two",
      "assigned",
      2,
    ]);
  }
  const fleet = await controlPlane.call("GET", "/v1/routers");
  deepEqual(
    fleet.body.routers.map((
      router: { id: string; status: string; version: number },
    ) => [
      router.id,
      router.status,
      router.version,
    ]),
    [0, 1, 2, 3, 4].map((i) => [`r${i}`, "current", 2]),
  );
});

Deno.test("a router that rejects keeps what it has, and the fleet says why", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using controlPlane = await ControlPlane.start(folder.path);
  const config: ConfigBody = configOf([one]);
  await controlPlane.call("PUT", "/v1/config", { body: config });
  await using router = await Router.start("small", {
    folder: folder.path,
    cpUrl: controlPlane.connectUrl,
    env: { ROUTER_MAX_CONFIG_BYTES: "64KiB" },
  });
  await router.serves(1);
  const many = Object.fromEntries(
    Array.from({ length: 10_000 }, (_, i) => [`customer-${i}`, "one"]),
  );
  const { body } = await controlPlane.call("PUT", "/v1/config?wait=applied", {
    body: { ...config, customer_to_placement: many },
  });
  equal(body.version, 2);
  deepEqual(body.rollout.rejected.map(({ id }: { id: string }) => id), [
    "small",
  ]);
  equal((await router.ask("acme")).version, 1);
  const { routers } = (await controlPlane.call("GET", "/v1/routers")).body;
  equal(routers[0].status, "rejected");
  match(routers[0].error, /64|65536/);
  match((await router.status()).last_rejected.error, /64|65536/);
  // A version it can take brings it back.
  const refused = await controlPlane.call("PUT", "/v1/config", {
    body: config,
  });
  const third = await controlPlane.call(
    "PUT",
    `/v1/config?wait=applied&confirm=${refused.body.confirm}`,
    { body: config },
  );
  equal(third.body.rollout.applied, 1);
  equal((await router.ask("acme")).version, 3);
});

Deno.test("50 clients that patch 50 customers at once make 50 versions with all 50 changes", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path);
  await controlPlane.call("PUT", "/v1/config", {
    body: configOf([{ name: "one", endpoint: "http://127.0.0.1:9" }]),
  });
  const answers = await Promise.all(
    Array.from(
      { length: 50 },
      (_, i) =>
        controlPlane.call("PATCH", `/v1/customers/c${i}`, {
          body: { placement: "one" },
        }),
    ),
  );
  deepEqual(
    answers.map(({ body }) => body.version).sort((a, b) => a - b),
    Array.from({ length: 50 }, (_, i) => i + 2),
  );
  const { body } = await controlPlane.call("GET", "/v1/config");
  equal(body.version, 51);
  equal(Object.keys(body.config.customer_to_placement).length, 51);
});
