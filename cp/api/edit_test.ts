import assert from "node:assert/strict";
import {
  type Answer,
  CONFIG,
  configOf,
  logged,
  NO_CHANGES,
  seeded,
  TestApp,
} from "../app_fixture.ts";
import { StoreUnavailable } from "../store/store.ts";

Deno.test("an edit that changes nothing makes no version", async () => {
  await using app = await seeded();
  for (
    const [method, path, body] of [
      ["PUT", "/v1/config", CONFIG],
      ["PATCH", "/v1/config", {}],
      ["PUT", "/v1/customers/acme", { placement: "tier1" }],
      ["PATCH", "/v1/placements/tier1", { endpoint: "http://10.0.1.1:9001" }],
      ["POST", "/v1/moves", { customers: [], to: "tier1" }],
      ["POST", "/v1/versions/1/restore", undefined],
    ] as const
  ) {
    const { status, body: answer } = await app.call(method, path, { body });
    assert.equal(status, 200, path);
    assert.equal(answer.changed, false);
    assert.equal(answer.version, 1);
    assert.equal(answer.previous_version, 1);
    assert.deepEqual(answer.summary, NO_CHANGES);
  }
});

Deno.test("If-Match commits on the version it names only", async () => {
  await using app = await seeded();
  const edit = (tag: string) =>
    app.call("PUT", "/v1/customers/new", {
      body: { placement: "tier1" },
      headers: { "if-match": tag },
    });
  const stale = await edit('"7"');
  assert.equal(stale.status, 412);
  assert.match(stale.body.detail, /"7".*is 1/);
  for (const tag of ["1", 'W/"1"', '"1', "", "*, *"]) {
    assert.equal((await edit(tag)).status, 400, tag);
  }
  assert.equal((await app.store.head()).version, 1);
  assert.equal((await edit('"7", "1"')).status, 200);
  assert.equal((await edit("*")).status, 200);
  await using empty = new TestApp();
  const any = await empty.call("PUT", "/v1/config", {
    body: CONFIG,
    headers: { "if-match": "*" },
  });
  assert.equal(any.status, 412);
});

Deno.test("dry_run validates and answers the difference, and commits nothing", async () => {
  await using app = await seeded();
  const { status, body } = await app.call(
    "PUT",
    "/v1/customers/acme?dry_run=true&wait=applied",
    { body: { placement: "visa" } },
  );
  assert.equal(status, 200);
  assert.equal(body.version, 1);
  assert.equal(body.changed, true);
  assert.equal(body.dry_run, true);
  assert.equal(body.summary.customers_moved, 1);
  assert.deepEqual(body.diff.customers.moved, [
    { customer: "acme", from: "tier1", to: "visa" },
  ]);
  const bad = await app.call("PUT", "/v1/customers/acme?dry_run=true", {
    body: { placement: "none" },
  });
  assert.equal(bad.status, 422);
  await app.call("POST", "/v1/takeover?dry_run=true");
  assert.equal((await app.store.head()).version, 1);
  assert.equal(app.fleet.waits.length, 0);
});

Deno.test("wait=applied answers with the rollout", async () => {
  await using app = await seeded();
  const { body } = await app.call(
    "PUT",
    "/v1/customers/acme?wait=applied&timeout=250ms",
    { body: { placement: "visa" } },
  );
  assert.equal(body.rollout.applied, 3);
  assert.deepEqual(body.rollout.pending, ["r5"]);
  assert.deepEqual(app.fleet.waits, [
    { version: 2, timeoutMs: 250, until: "applied" },
  ]);
  assert.equal(app.fleet.following, 0);
  await app.call("PUT", "/v1/customers/acme?wait=drained", {
    body: { placement: "visa" },
  });
  assert.deepEqual(app.fleet.waits.slice(1), [
    { version: 2, timeoutMs: 10_000, until: "drained" },
  ]);
  await app.call("PUT", "/v1/customers/acme?wait=applied", {
    body: { placement: "none" },
  });
  assert.equal(app.fleet.following, 0);
});

Deno.test("an edit with a parameter that is wrong or unknown commits nothing", async () => {
  await using app = await seeded();
  for (
    const query of [
      "dryrun=true",
      "dry_run=yes",
      "dry_run=true&dry_run=false",
      "dry_run",
      "wait=all",
      "wait=applied&timeout=6m",
      "wait=applied&timeout=10",
      "timeout=10s",
      "__proto__=1",
      "x=%zz",
    ]
  ) {
    const answer = await app.call("DELETE", `/v1/customers/acme?${query}`);
    assert.equal(answer.status, 400, query);
  }
  assert.equal((await app.store.head()).version, 1);
});

Deno.test("an edit that would make the config too large is refused", async () => {
  await using app = new TestApp({ maxConfigBytes: 400 });
  await app.seed();
  const { status, body } = await app.call("PUT", "/v1/customers/long", {
    body: { placement: "tier1" },
    headers: {},
  });
  assert.equal(status, 200, JSON.stringify(body));
  const more = await app.call(
    "PUT",
    `/v1/customers/${"x".repeat(200)}`,
    { body: { placement: "tier1" } },
  );
  assert.equal(more.status, 422);
  assert.match(more.body.errors[0]!.detail, /CP_MAX_CONFIG_BYTES/);
});

Deno.test("edits of parts need a config to be part of", async () => {
  await using app = new TestApp();
  for (
    const [method, path, body] of [
      ["PUT", "/v1/placements/a", { endpoint: "http://a" }],
      ["PUT", "/v1/customers/a", { placement: "a" }],
      ["POST", "/v1/moves", { from: "a", to: "b" }],
      ["POST", "/v1/takeover", undefined],
    ] as const
  ) {
    const answer = await app.call(method, path, { body });
    assert.equal(answer.status, 409, path);
    assert.match(answer.body.detail, /PUT \/v1\/config/);
  }
  for (const path of ["/v1/customers", "/v1/placements", "/v1/versions"]) {
    assert.equal((await app.call("GET", path)).status, 200);
  }
});

Deno.test("a takeover with If-Match commits on the version it names only", async () => {
  await using app = await seeded();
  const answers = await Promise.all(
    Array.from(
      { length: 20 },
      () =>
        app.call("POST", "/v1/takeover", { headers: { "if-match": '"1"' } }),
    ),
  );
  const done = answers.filter(({ status }) => status === 200);
  assert.equal(done.length, 1);
  assert.equal((await app.store.head()).version, 2);
  assert.ok(answers.every(({ status }) => status === 200 || status === 412));
});

Deno.test("an edit that waits for its rollout holds nothing of its body", async () => {
  const body = configOf(1000);
  const bytes = JSON.stringify(body).length;
  await using app = new TestApp({ maxConfigBytes: bytes });
  const { promise, resolve } = Promise.withResolvers<void>();
  app.fleet.waiting = promise;
  const answers: Promise<Answer>[] = [];
  // One more than the budget holds at a time.
  for (let count = 1; count <= 3; count++) {
    answers.push(
      app.call("PUT", "/v1/config?wait=applied&timeout=5m", { body }),
    );
    while (app.fleet.waits.length < count) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  resolve();
  for (const { status, body } of await Promise.all(answers)) {
    assert.equal(status, 200);
    assert.equal(body.rollout.applied, 3);
  }
});

Deno.test("an edit that ends streams tells routers so for as long as it waits, and is committed where it cannot", async () => {
  await using app = await seeded();
  const { promise, resolve } = Promise.withResolvers<void>();
  app.fleet.waiting = promise;
  const path = "/v1/customers/acme?wait=drained&cut_streams=1s";
  const moving = app.call("PATCH", path, { body: { placement: "tier2" } });
  while (app.fleet.waits.length === 0) {
    await new Promise((resolve) => setTimeout(resolve));
  }
  const { cuts } = (await app.store.head()).orders;
  assert.deepEqual(cuts.map(({ version, afterMs }) => [version, afterMs]), [
    [2, 1000],
  ]);
  resolve();
  assert.equal((await moving).status, 200);
  assert.deepEqual((await app.store.head()).orders.cuts, []);
  app.store.changeOrders = () =>
    Promise.reject(new StoreUnavailable("disk full"));
  const lines = await logged(async () => {
    const { status, body } = await app.call("PATCH", path, {
      body: { placement: "visa" },
    });
    assert.deepEqual([status, body.version, body.rollout.applied], [200, 3, 3]);
  });
  assert.ok(
    lines.some(({ message }) =>
      message === "routers cannot be told which streams to end"
    ),
  );
});
