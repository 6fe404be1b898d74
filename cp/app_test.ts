import assert from "node:assert/strict";
import { logger } from "../shared/log.ts";
import {
  CONFIG,
  configOf,
  logged,
  NO_CHANGES,
  routerView,
  seeded,
  TestApp,
} from "./app_fixture.ts";
import { openKvStore } from "./store/kv_store.ts";
import { CHUNK_PREFIX } from "./store/keys.ts";
import {
  CommitInDoubt,
  StoreDamaged,
  StoreUnavailable,
  type VersionStore,
} from "./store/store.ts";

const JSON_PATCH = "application/json-patch+json";

Deno.test("PUT /v1/config commits the first version, GET answers it", async () => {
  await using app = new TestApp();
  assert.equal((await app.call("GET", "/v1/config")).status, 404);
  const put = await app.call("PUT", "/v1/config", {
    body: CONFIG,
    headers: {
      "x-signalbox-author": "J\xc3\xbcrgen",
      "x-signalbox-message": "first",
    },
  });
  assert.equal(put.status, 200);
  assert.equal(put.headers.get("etag"), '"1"');
  assert.equal(put.body.version, 1);
  assert.equal(put.body.previous_version, 0);
  assert.equal(put.body.changed, true);
  assert.deepEqual(put.body.summary, {
    ...NO_CHANGES,
    customers_added: 3,
    placements_added: 4,
    default_changed: true,
  });
  const get = await app.call("GET", "/v1/config");
  assert.equal(get.headers.get("etag"), '"1"');
  assert.deepEqual(get.body.config, CONFIG);
  assert.equal(get.body.author, "Jürgen");
  assert.equal(get.body.message, "first");
  assert.equal(get.body.digest, put.body.digest);
});

Deno.test("GET /v1/config answers 304 for the version a client has", async () => {
  await using app = await seeded();
  for (const tag of ['"1"', 'W/"1"', '"7", "1"', "*"]) {
    const answer = await app.fetch("/v1/config", {
      headers: { "if-none-match": tag },
    });
    assert.equal(answer.status, 304, tag);
    assert.equal(answer.headers.get("etag"), '"1"');
  }
  const answer = await app.fetch("/v1/config", {
    headers: { "if-none-match": '"2"' },
  });
  assert.equal(answer.status, 200);
  await answer.body?.cancel();
});

Deno.test("PATCH /v1/config applies a merge patch", async () => {
  await using app = await seeded();
  const { body } = await app.call("PATCH", "/v1/config", {
    type: "application/merge-patch+json; charset=UTF-8",
    body: {
      default_placement: "tier2",
      customer_to_placement: { acme: "tier2", visa: null, fresh: "tier1" },
      placement_to_endpoint: { visa: null, tier1: "http://10.0.1.1:1" },
    },
  });
  assert.deepEqual(body.summary, {
    customers_added: 1,
    customers_removed: 1,
    customers_moved: 1,
    placements_added: 0,
    placements_removed: 1,
    placements_changed: 1,
    default_changed: true,
  });
});

Deno.test("PATCH /v1/config commits a first version on an empty store", async () => {
  await using app = new TestApp();
  const { status, body } = await app.call("PATCH", "/v1/config", {
    body: CONFIG,
  });
  assert.equal(status, 200);
  assert.equal(body.version, 1);
});

Deno.test("PATCH /v1/config applies a JSON patch, and a failed test is a conflict", async () => {
  await using app = await seeded();
  const done = await app.call("PATCH", "/v1/config", {
    type: JSON_PATCH,
    body: [
      { op: "test", path: "/customer_to_placement/acme", value: "tier1" },
      { op: "add", path: "/customer_to_placement/__proto__", value: "tier2" },
      { op: "remove", path: "/customer_to_placement/globex" },
    ],
  });
  assert.equal(done.status, 200);
  assert.equal(done.body.summary.customers_added, 1);
  const { body } = await app.call("GET", "/v1/customers/__proto__");
  assert.equal(body.placement, "tier2");
  const failed = await app.call("PATCH", "/v1/config", {
    type: JSON_PATCH,
    body: [{ op: "test", path: "/default_placement", value: "tier1" }],
  });
  assert.equal(failed.status, 409);
  const bad = await app.call("PATCH", "/v1/config", {
    type: JSON_PATCH,
    body: [{ op: "remove", path: "/none" }],
  });
  assert.equal(bad.status, 422);
  assert.equal(bad.body.errors[0]?.pointer, "/0");
});

Deno.test("placements are listed, created, changed and deleted", async () => {
  await using app = await seeded();
  const list = await app.call("GET", "/v1/placements?limit=2");
  assert.deepEqual(
    list.body.placements.map((one) => [
      one.placement,
      one.customers,
    ]),
    [["tier1", 2], ["tier2", 0]],
  );
  const rest = await app.call(
    "GET",
    `/v1/placements?cursor=${list.body.next_cursor}`,
  );
  assert.equal(rest.body.placements.length, 2);
  assert.equal(rest.body.next_cursor, null);
  const endpoint = "http://10.0.1.9:1";
  const path = "/v1/placements/tier9";
  const patch = await app.call("PATCH", path, { body: { endpoint } });
  assert.equal(patch.status, 404);
  const put = await app.call("PUT", path, { body: { endpoint } });
  assert.equal(put.body.summary.placements_added, 1);
  assert.equal((await app.call("GET", path)).body.endpoint, endpoint);
  const deleted = await app.call("DELETE", path);
  assert.equal(deleted.body.summary.placements_removed, 1);
  assert.equal((await app.call("GET", path)).status, 404);
  assert.equal((await app.call("DELETE", path)).status, 404);
});

Deno.test("deleting a placement in use says by whom", async () => {
  await using app = await seeded();
  const used = await app.call("DELETE", "/v1/placements/tier1");
  assert.equal(used.status, 409);
  assert.match(used.body.detail, /2 customers.*"acme", "globex"/);
  const fallback = await app.call("DELETE", "/v1/placements/tier3");
  assert.equal(fallback.status, 409);
  assert.match(fallback.body.detail, /default placement/);
});

Deno.test("customers are assigned by PUT and PATCH, and unassigned by DELETE", async () => {
  await using app = await seeded();
  for (const method of ["PUT", "PATCH"]) {
    const path = `/v1/customers/by-${method}`;
    const before = await app.call("GET", path);
    assert.deepEqual(before.body, {
      customer: `by-${method}`,
      placement: "tier3",
      assigned: false,
    });
    await app.call(method, path, { body: { placement: "tier2" } });
    const after = await app.call("GET", path);
    assert.equal(after.body.placement, "tier2");
    assert.equal(after.body.assigned, true);
    assert.equal((await app.call("DELETE", path)).status, 200);
    assert.equal((await app.call("DELETE", path)).status, 404);
  }
  const unknown = await app.call("PUT", "/v1/customers/acme", {
    body: { placement: "tier7" },
  });
  assert.equal(unknown.status, 422);
  assert.equal(unknown.body.errors[0]?.pointer, "/placement");
  assert.match(unknown.body.errors[0]!.detail, /"tier7"/);
});

Deno.test("names in a path are decoded exactly once", async () => {
  await using app = await seeded();
  for (
    const name of [
      "a/b",
      "a%2Fb",
      "%",
      "%25",
      "a?b#c",
      '"\\"',
      "__proto__",
      "constructor",
      "a+b",
      "~!@$&'()*,;=:[]{}|^`<>",
      "..a",
      "x".repeat(256),
    ]
  ) {
    const path = `/v1/customers/${encodeURIComponent(name)}`;
    const put = await app.call("PUT", path, { body: { placement: "tier2" } });
    assert.equal(put.status, 200, name);
    const get = await app.call("GET", path);
    assert.equal(get.body.customer, name);
    assert.equal(get.body.assigned, true);
    const query = `/v1/explain?customer=${encodeURIComponent(name)}`;
    assert.equal((await app.call("GET", query)).body.reason, "assigned");
  }
  for (
    const [raw, status] of [
      ["a%zz", 400],
      ["a%2", 400],
      ["%ff", 400],
      ["a%20b", 422],
      ["%C3%BC", 422],
      ["x".repeat(257), 422],
    ] as const
  ) {
    const answer = await app.call("PUT", `/v1/customers/${raw}`, {
      body: { placement: "tier2" },
    });
    assert.equal(answer.status, status, raw);
    assert.equal(answer.body.errors[0]?.pointer, "customer");
  }
  const slash = await app.call("GET", "/v1/placements/a%2Fb");
  assert.equal(slash.status, 422);
});

Deno.test("GET /v1/customers/{customer}/history tells where a customer was, and who moved it", async () => {
  await using app = new TestApp();
  const path = "/v1/customers/acme";
  const empty = await app.call("GET", `${path}/history`);
  assert.deepEqual(empty.body, {
    customer: "acme",
    changes: [],
    looked_back_to: null,
  });
  await app.seed();
  await app.call("PUT", "/v1/customers/globex", {
    body: { placement: "visa" },
  });
  await app.call("PUT", path, {
    body: { placement: "visa" },
    headers: { "x-signalbox-author": "ada", "x-signalbox-message": "bigger" },
  });
  await app.call("DELETE", path);
  const { body } = await app.call("GET", `${path}/history`);
  const changes = body.changes.map((change) => [
    change.version,
    change.from,
    change.to,
    change.author,
    change.message,
  ]);
  assert.deepEqual(changes, [
    [4, "visa", null, null, null],
    [3, "tier1", "visa", "ada", "bigger"],
    [1, null, "tier1", null, null],
  ]);
  assert.equal(body.looked_back_to, 1);
  const newest = await app.call("GET", `${path}/history?limit=1`);
  assert.equal(newest.body.changes.length, 1);
  assert.equal(newest.body.looked_back_to, 3);
});

Deno.test("GET /v1/customers?since=true tells since which version each is where it is", async () => {
  await using app = await seeded();
  const move = (customer: string, placement: string) =>
    app.call("PUT", `/v1/customers/${customer}`, { body: { placement } });
  await move("globex", "visa");
  await move("globex", "tier1");
  await move("newcomer", "visa");
  await move("globex", "visa");
  const { body } = await app.call("GET", "/v1/customers?since=true");
  const since = Object.fromEntries(
    body.customers.map(({ customer, since }) => [customer, since]),
  );
  assert.deepEqual(since, {
    ...Object.fromEntries(
      Object.keys(CONFIG.customer_to_placement).map((name) => [name, 1]),
    ),
    globex: 5,
    newcomer: 4,
  });
  const bad = await app.call("GET", "/v1/customers?since=1");
  assert.equal(bad.status, 400);
});

Deno.test("GET /v1/propagation tells what the fleet measured", async () => {
  await using app = await seeded();
  const spread = {
    version: 1,
    epoch: "e",
    applied: 3,
    rejected: 0,
    p50_ms: 4,
    p99_ms: 9.5,
    last_ms: 9.5,
  };
  app.fleet.spreads = [spread, { ...spread, version: 2 }];
  const { body } = await app.call("GET", "/v1/propagation?limit=1");
  assert.deepEqual(body, { versions: [spread] });
});

Deno.test("GET /v1/customers pages through all, in order, with its filters", async () => {
  await using app = new TestApp();
  const names = Array.from({ length: 250 }, (_, i) => `c${i}`).sort();
  await app.call("PUT", "/v1/config", {
    body: {
      ...CONFIG,
      customer_to_placement: Object.fromEntries(
        names.map((name, i) => [name, i % 2 === 0 ? "tier1" : "visa"]),
      ),
    },
  });
  const seen: string[] = [];
  for (let cursor = "";;) {
    const { body } = await app.call("GET", `/v1/customers?limit=60${cursor}`);
    seen.push(
      ...body.customers.map((one) => one.customer),
    );
    if (body.next_cursor === null) break;
    cursor = `&cursor=${body.next_cursor}`;
  }
  assert.deepEqual(seen, names);
  const some = await app.call("GET", "/v1/customers?prefix=c24&placement=visa");
  assert.ok(some.body.customers.length > 0);
  for (const one of some.body.customers) {
    assert.ok(one.customer.startsWith("c24"));
    assert.equal(one.placement, "visa");
  }
});

Deno.test("POST /v1/moves moves all of a placement, or a list", async () => {
  await using app = await seeded();
  const all = await app.call("POST", "/v1/moves", {
    body: { from: "tier1", to: "tier2" },
  });
  assert.equal(all.body.summary.customers_moved, 2);
  const some = await app.call("POST", "/v1/moves", {
    body: { customers: ["acme", "fresh", "fresh"], to: "visa" },
  });
  assert.equal(some.body.summary.customers_moved, 1);
  assert.equal(some.body.summary.customers_added, 1);
  for (
    const [body, pointers] of [
      [{ to: "tier2" }, [""]],
      [{ from: "tier1", customers: [], to: "tier2" }, [""]],
      [{ from: "no1", to: "no2" }, ["/to", "/from"]],
      [{ customers: ["ok", "a b", 3], to: "tier2" }, [
        "/customers/1",
        "/customers/2",
      ]],
      [{ customers: {}, to: "tier2" }, ["/customers"]],
    ] as const
  ) {
    const refused = await app.call("POST", "/v1/moves", { body });
    assert.equal(refused.status, 422);
    assert.deepEqual(
      refused.body.errors.map((error) => error.pointer),
      pointers,
    );
  }
});

Deno.test("the history is listed, shown, compared and restored", async () => {
  await using app = await seeded();
  await app.call("PUT", "/v1/customers/acme", { body: { placement: "visa" } });
  await app.call("DELETE", "/v1/customers/globex");
  const first = await app.call("GET", "/v1/versions?limit=2");
  assert.deepEqual(
    first.body.versions.map((one) => one.version),
    [3, 2],
  );
  const second = await app.call(
    "GET",
    `/v1/versions?cursor=${first.body.next_cursor}`,
  );
  assert.equal(second.body.versions.length, 1);
  assert.equal(second.body.next_cursor, null);
  const whole = await app.call("GET", "/v1/versions/1");
  assert.deepEqual(whole.body.config, CONFIG);
  assert.equal((await app.call("GET", "/v1/versions/9")).status, 404);
  assert.equal((await app.call("GET", "/v1/versions/x")).status, 422);
  const diff = await app.call("GET", "/v1/versions/3/diff?from=1");
  assert.deepEqual(diff.body.summary, {
    ...NO_CHANGES,
    customers_removed: 1,
    customers_moved: 1,
  });
  assert.deepEqual(diff.body.customers, {
    added: [],
    removed: [{ customer: "globex", from: "tier1", to: null }],
    moved: [{ customer: "acme", from: "tier1", to: "visa" }],
  });
  const last = await app.call("GET", "/v1/versions/3/diff");
  assert.equal(last.body.from, 2);
  const page = await app.call("GET", "/v1/versions/3/diff?from=1&limit=1");
  assert.equal(page.body.customers.moved.length, 1);
  const next = await app.call(
    "GET",
    `/v1/versions/3/diff?from=1&cursor=${page.body.next_cursor}`,
  );
  assert.equal(next.body.customers.moved.length, 0);
  assert.equal(next.body.customers.removed.length, 1);
  assert.equal(next.body.next_cursor, null);
  const restored = await app.call("POST", "/v1/versions/1/restore");
  assert.equal(restored.body.version, 4);
  assert.equal(restored.body.digest, whole.body.digest);
  assert.equal((await app.call("POST", "/v1/versions/9/restore")).status, 404);
});

Deno.test("the fleet is listed, and gone routers can be forgotten", async () => {
  await using app = await seeded();
  app.fleet.list = [
    routerView("r1", { duplicate_id: true }),
    routerView("r1", {
      duplicate_id: true,
      connected_since: "2026-02-01T00:00:00.000Z",
      instance: "i2",
    }),
    routerView("r2", { connected: false, status: "gone" }),
  ];
  const { body } = await app.call("GET", "/v1/routers");
  assert.equal(body.routers.length, 3);
  assert.equal(body.version, 1);
  const one = await app.call("GET", "/v1/routers/r1");
  assert.equal(one.body.instance, "i2");
  assert.equal(one.body.others.length, 1);
  assert.equal((await app.call("GET", "/v1/routers/r9")).status, 404);
  assert.equal((await app.call("DELETE", "/v1/routers/r1")).status, 409);
  assert.equal((await app.call("DELETE", "/v1/routers/r2")).status, 204);
  assert.equal((await app.call("DELETE", "/v1/routers/r2")).status, 404);
  const resent = await app.call("POST", "/v1/routers/r1/resend");
  assert.deepEqual(resent.body, { id: "r1", connections: 2 });
  assert.equal((await app.call("POST", "/v1/routers/r9/resend")).status, 404);
});

Deno.test("POST /v1/takeover commits above what the routers in conflict announced", async () => {
  await using app = await seeded();
  const before = await app.store.head();
  app.fleet.conflict = { count: 2, highestVersion: 41, epochs: ["foreign"] };
  const { body } = await app.call("POST", "/v1/takeover");
  assert.equal(body.version, 42);
  assert.notEqual(body.epoch, before.epoch);
  const { supersedes } = await app.store.head();
  assert.deepEqual(supersedes, [before.epoch, "foreign"]);
  app.fleet.conflict = { count: 1, highestVersion: 2 ** 53, epochs: [] };
  assert.equal((await app.call("POST", "/v1/takeover")).status, 409);
});

Deno.test("GET /v1/explain says where a customer goes and why", async () => {
  await using app = await seeded();
  const assigned = await app.call("GET", "/v1/explain?customer=acme");
  assert.equal(assigned.body.placement, "tier1");
  assert.equal(assigned.body.endpoint, "http://10.0.1.1:9001");
  assert.equal(assigned.body.reason, "assigned");
  assert.equal(assigned.body.version, 1);
  const other = await app.call("GET", "/v1/explain?customer=nobody");
  assert.equal(other.body.placement, "tier3");
  assert.equal(other.body.reason, "default");
  assert.equal((await app.call("GET", "/v1/explain")).status, 400);
});

Deno.test("unknown paths are 404, unknown methods 405 with Allow, HEAD is where GET is", async () => {
  await using app = await seeded();
  assert.equal((await app.call("GET", "/v1/none")).status, 404);
  assert.equal((await app.call("GET", "/v1/customers/a/b")).status, 404);
  const post = await app.call("POST", "/v1/customers/a");
  assert.equal(post.status, 405);
  assert.equal(post.headers.get("allow"), "GET, HEAD, PUT, PATCH, DELETE");
  assert.equal((await app.call("OPTIONS", "/v1/moves")).status, 405);
  const head = await app.fetch("/v1/config", { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(await head.text(), "");
  const get = await (await app.fetch("/v1/config")).bytes();
  assert.equal(head.headers.get("content-length"), String(get.length));
});

Deno.test("health, readiness and metrics tell how it stands", async () => {
  const stopping = new AbortController();
  await using app = new TestApp({ stopping: stopping.signal });
  await app.seed();
  assert.equal((await app.call("GET", "/healthz")).status, 200);
  assert.equal((await app.call("GET", "/readyz")).status, 200);
  const text = await (await app.fetch("/metrics")).text();
  assert.match(text, /^signalbox_cp_config_version 1$/m);
  assert.match(text, /^signalbox_cp_config_customers 3$/m);
  assert.match(text, /^signalbox_cp_edits_total\{result="committed"\} 1$/m);
  assert.match(text, /^signalbox_cp_commit_seconds_count 1$/m);
  const { body } = await app.call("GET", "/v1/config");
  const bytes = JSON.stringify(body.config).length;
  assert.match(text, new RegExp(`^signalbox_cp_config_bytes ${bytes}$`, "m"));
  stopping.abort();
  assert.equal((await app.call("GET", "/healthz")).status, 200);
  assert.equal((await app.call("GET", "/readyz")).status, 503);
});

Deno.test("a store that fails or is damaged is 503 and says so", async () => {
  await using inner = await seeded();
  for (
    const [error, kind] of [
      [new StoreUnavailable("the database is gone"), "unavailable"],
      [new CommitInDoubt("no answer"), "unavailable"],
      [new StoreDamaged("no match", "signalbox/head"), "damaged"],
    ] as const
  ) {
    const fail = () => Promise.reject(error);
    const store = new Proxy(inner.store, {
      get: (target, name) =>
        name === "current" || name === "newest" || name === "commit"
          ? fail
          : Reflect.get(target, name).bind(target),
    }) as VersionStore;
    const app = new TestApp({ store });
    for (
      const [method, path, body] of [
        ["GET", "/v1/config", undefined],
        ["GET", "/readyz", undefined],
        ["PUT", "/v1/config", CONFIG],
      ] as const
    ) {
      const answer = await app.call(method, path, { body });
      assert.equal(answer.status, 503, path);
      assert.equal(answer.body.type, `urn:signalbox:problem:${kind}`);
    }
    assert.equal((await app.fetch("/metrics")).status, 200);
  }
});

Deno.test("a large config is answered piece by piece, and HEAD tells its length", async () => {
  await using app = new TestApp();
  await app.call("PUT", "/v1/config", {
    body: configOf(20_000),
    headers: { "x-signalbox-message": "f\xc3\xbcr alle" },
  });
  for (const path of ["/v1/config", "/v1/versions/1"]) {
    const text = await (await app.fetch(path)).text();
    const { config, message } = JSON.parse(text);
    assert.equal(message, "für alle");
    assert.deepEqual(config, configOf(20_000));
    for (let i = 0; i < 20; i++) {
      const head = await app.fetch(path, { method: "HEAD" });
      assert.equal(head.status, 200);
      assert.equal(head.headers.get("content-length"), String(text.length));
    }
    const answers: Response[] = [];
    for (let i = 0; i < 9; i++) answers.push(await app.fetch(path));
    assert.deepEqual(answers.map(({ status }) => status), [
      ...new Array(8).fill(200),
      503,
    ]);
    const metrics = await (await app.fetch("/metrics")).text();
    assert.match(metrics, /^signalbox_cp_large_answers_in_flight 8$/m);
    for (const answer of answers) await answer.body?.cancel();
  }
});

Deno.test("a damaged store is told of, and a whole config repairs it", async () => {
  const kv = await Deno.openKv(":memory:");
  const options = { kv, keepVersions: 10, log: logger("test") };
  const before = await openKvStore(options);
  await new TestApp({ store: before }).seed();
  await before.close();
  for await (const { key } of kv.list({ prefix: CHUNK_PREFIX })) {
    await kv.delete(key);
  }
  {
    await using app = new TestApp({ store: await openKvStore(options) });
    const read = await app.call("GET", "/v1/config");
    assert.equal(read.status, 503);
    assert.match(read.body.detail, /PUT \/v1\/config without If-Match/);
    const damaged = await (await app.fetch("/metrics")).text();
    assert.match(damaged, /^signalbox_cp_config_version 1$/m);
    assert.match(damaged, /^signalbox_cp_store_damaged 1$/m);
    const lines = await logged(async () => {
      const matched = await app.call("PUT", "/v1/config", {
        body: CONFIG,
        headers: { "if-match": '"1"' },
      });
      assert.equal(matched.status, 503);
    });
    assert.equal(lines.length, 1);
    const part = { body: { placement: "tier1" } };
    assert.equal((await app.call("PUT", "/v1/customers/a", part)).status, 503);
    // What is damaged could not return, were this not confirmed.
    const trial = await app.call("PUT", "/v1/config?confirm_within=1m", {
      body: CONFIG,
    });
    assert.equal(trial.status, 503);
    const put = await app.call("PUT", "/v1/config", { body: CONFIG });
    assert.equal(put.status, 200);
    assert.equal(put.body.version, 2);
    const { body } = await app.call("GET", "/v1/config");
    assert.deepEqual(body.config, CONFIG);
    const sound = await (await app.fetch("/metrics")).text();
    assert.match(sound, /^signalbox_cp_config_version 2$/m);
    assert.match(sound, /^signalbox_cp_store_damaged 0$/m);
  }
  kv.close();
});

Deno.test("a probe may be asked with any query, and an endless answer has no HEAD", async () => {
  await using app = await seeded();
  for (const path of ["/healthz?x=1", "/readyz?x=%zz&x=1&x=2"]) {
    assert.equal((await app.call("GET", path)).status, 200);
  }
  assert.equal((await app.call("GET", "/metrics?x=1")).status, 400);
  const head = await app.fetch("/v1/events", { method: "HEAD" });
  assert.equal(head.status, 405);
  assert.equal(head.headers.get("allow"), "GET");
  const post = await app.call("POST", "/v1/events");
  assert.equal(post.headers.get("allow"), "GET");
});

Deno.test("what is logged says who did what", async () => {
  await using app = await seeded();
  app.fleet.conflict = { count: 1, highestVersion: 41, epochs: ["foreign"] };
  const { epoch } = await app.store.head();
  const lines = await logged(async () => {
    await app.call("PUT", "/v1/config", {
      body: { ...CONFIG, default_placement: "no1", placement_to_endpoint: {} },
      headers: { "x-signalbox-author": "ann" },
    });
    await app.call("POST", "/v1/takeover");
  });
  const [refused, took] = lines;
  assert.equal(lines.length, 2);
  assert.equal(refused?.["message"], "edit refused");
  assert.equal(refused["method"], "PUT");
  assert.equal(refused["path"], "/v1/config");
  assert.equal(refused["author"], "ann");
  const problems = refused["problems"] as { pointer: string }[];
  assert.equal(problems.length, 3);
  assert.equal(problems[0]?.pointer, "/default_placement");
  assert.equal(took?.["message"], "config committed");
  assert.equal(took["source"], "takeover");
  assert.equal(took["version"], 42);
  assert.equal(took["previous_version"], 1);
  assert.equal(took["epoch"], (await app.store.head()).epoch);
  assert.deepEqual(
    (took["superseded"] as string[]).toSorted(),
    ["foreign", epoch].toSorted(),
  );
});

Deno.test("it is logged who confirms a version, takes one back, and sets the rules", async () => {
  await using app = await seeded();
  const headers = { "x-signalbox-author": "ann" };
  const attempt = (placement: string) =>
    app.call("PUT", "/v1/customers/acme?confirm_within=60s", {
      body: { placement },
    });
  await attempt("tier2");
  const lines = await logged(async () => {
    await app.call("POST", "/v1/versions/2/confirm", { headers });
    await attempt("tier1");
    await app.call("POST", "/v1/versions/3/revert", { headers });
    const { status } = await app.call("PUT", "/v1/assertions", {
      body: { rules: [{ name: "any", customers: "*", placements: "*" }] },
      headers,
    });
    assert.equal(status, 200);
  });
  const said = lines.filter(({ author }) => author === "ann").map((line) => [
    line["message"],
    line["version"],
    line["by"],
    line["rules"],
  ]);
  assert.deepEqual(said, [
    ["a version was confirmed by somebody: it stays", 2, undefined, undefined],
    [
      "a version was taken back by somebody: what was before returns",
      3,
      4,
      undefined,
    ],
    ["the rules for every version were set by somebody", 4, undefined, 1],
  ]);
  // Nobody sets rules under a name that cannot be one.
  const { status } = await app.call("PUT", "/v1/assertions", {
    body: { rules: [] },
    headers: { "x-signalbox-author": "a".repeat(300) },
  });
  assert.equal(status, 400);
  assert.notEqual((await app.store.head()).assertions, null);
});

Deno.test("a read that fails is logged", async () => {
  await using inner = await seeded();
  const store = new Proxy(inner.store, {
    get: (target, name) =>
      name === "newest"
        ? () => Promise.reject(new StoreUnavailable("it is gone"))
        : Reflect.get(target, name).bind(target),
  }) as VersionStore;
  const app = new TestApp({ store });
  const lines = await logged(async () => {
    await app.call("GET", "/v1/config");
  });
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.["message"], "a call failed");
  assert.equal(lines[0]["path"], "/v1/config");
  assert.match(String(lines[0]["error"]), /it is gone/);
});
