import { deepEqual, equal, match } from "node:assert/strict";
import { seeded, TestApp } from "../app_fixture.ts";

/** Commits a version for canaries behind the back of whoever is at it. */
async function stage({ store }: TestApp): Promise<void> {
  const config = (await store.current())!.config;
  const customers = config.customers.with([["globex", "tier2"]]);
  await store.commit(
    () => ({ ...config, customers }),
    { author: null, message: null },
    { staging: { canaries: [], holdMs: 60_000, maxErrors: 0 } },
  );
}

Deno.test("a takeover takes no canary and no confirm_within, for it is taken back by nobody", async () => {
  await using app = await seeded();
  for (const name of ["canary=1", "confirm_within=5s"]) {
    const { status, body } = await app.call("POST", `/v1/takeover?${name}`);
    equal(status, 400);
    match(String(body["detail"]), /A takeover is for all routers/);
  }
  equal((await app.store.head()).version, 1);
});

Deno.test("who promotes, aborts, confirms, reverts or holds is held to the same rules as who edits", async () => {
  await using app = await seeded();
  for (
    const path of [
      "/v1/rollouts/1/promote",
      "/v1/rollouts/1/abort",
      "/v1/versions/1/confirm",
      "/v1/versions/1/revert",
      "/v1/customers/acme/hold",
    ]
  ) {
    const { status, body } = await app.call("POST", path, {
      headers: { "x-signalbox-author": "a".repeat(300) },
      ...(path.endsWith("hold") ? { body: { for: "1s" } } : {}),
    });
    deepEqual([path, status], [path, 400]);
    match(String(body["detail"]), /at most 256 characters/);
  }
});

Deno.test("a fenced move that not all routers take says that it stays, where a version for canaries came behind it", async () => {
  await using app = await seeded();
  const { promise, resolve } = Promise.withResolvers<void>();
  app.fleet.waiting = promise;
  const moving = app.call("POST", "/v1/moves", {
    body: { customers: ["acme"], to: "tier2", fenced: true, force: true },
  });
  while (app.fleet.waits.length === 0) {
    await new Promise((resolve) => setTimeout(resolve));
  }
  await stage(app);
  resolve();
  const { status, body } = await moving;
  equal(status, 409);
  match(
    String(body["detail"]),
    /^Not all routers took version 2 in time .*, and somebody has committed since, so it stays\. no$/,
  );
  equal((await app.store.head()).rollout?.version, 3);
});

Deno.test("a first version for canaries is refused because nothing could return, whoever is there", async () => {
  await using app = new TestApp();
  const { status, body } = await app.call(
    "PUT",
    "/v1/config?canary=id:nobody",
    {
      body: {
        default_placement: "a",
        customer_to_placement: {},
        placement_to_endpoint: { a: "http://10.0.0.1:1" },
      },
    },
  );
  equal(status, 409);
  match(String(body["detail"]), /There is no version before that could return/);
});
