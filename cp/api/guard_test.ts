import assert from "node:assert/strict";
import { TestApp } from "../app_fixture.ts";
import type { Guarded } from "./guard.ts";

const LIMITS = { share: 0.2, min: 3 };

function configOf(customers: Record<string, string>, defaults = "a"): object {
  return {
    default_placement: defaults,
    customer_to_placement: customers,
    placement_to_endpoint: {
      a: "http://a.example",
      b: "http://b.example",
      c: "http://c.example",
    },
  };
}

/** So many customers on a placement. */
function many(count: number, placement: string): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`${placement}-${i}`, placement]),
  );
}

async function guardedApp(): Promise<TestApp> {
  const app = new TestApp({ guard: LIMITS });
  const { status } = await app.call("PUT", "/v1/config", {
    body: configOf({ ...many(20, "b"), only: "c" }),
  });
  assert.equal(status, 200);
  return app;
}

Deno.test("an edit that moves or drops much is 409 with the difference, until it is confirmed", async () => {
  await using app = await guardedApp();
  const names = Object.keys(many(5, "b"));
  const move = (query: string) =>
    app.call("POST", `/v1/moves${query}`, {
      body: { customers: names, to: "a" },
    });
  const refused = await move("");
  assert.equal(refused.status, 409);
  assert.equal(refused.body.type, "urn:signalbox:problem:guarded");
  assert.match(
    refused.body.detail,
    /^5 of 21 customers would be moved or dropped to the default\. Nothing was changed; .* confirm=[0-9a-f]{16}\.$/,
  );
  const body = refused.body as unknown as {
    confirm: string;
    summary: { customers_moved: number };
    diff: { customers: { moved: unknown[] } };
  };
  assert.equal(body.summary.customers_moved, 5);
  assert.equal(body.diff.customers.moved.length, 5);
  assert.equal((await app.store.head()).version, 1);

  // A dry run tells what it needs.
  const dry = await move("?dry_run=true");
  const { guard } = dry.body as unknown as { guard: Guarded };
  assert.equal(guard.confirm, body.confirm);
  assert.equal((await move("?confirm=0123456789abcdef")).status, 409);
  assert.equal((await move("?confirm=no")).status, 400);
  // What somebody else has changed meanwhile is another difference.
  await app.call("PUT", "/v1/customers/new", { body: { placement: "b" } });
  const again = await move(`?confirm=${body.confirm}`);
  assert.equal(again.status, 409);
  const { confirm } = again.body as unknown as { confirm: string };
  const done = await move(`?confirm=${confirm}`);
  assert.equal(done.status, 200);
  assert.equal(done.body.summary.customers_moved, 5);
});

Deno.test("an edit of few customers, or of a small share, needs no confirmation", async () => {
  await using app = await guardedApp();
  const move = (count: number) =>
    app.call("POST", "/v1/moves", {
      body: { customers: Object.keys(many(count, "b")), to: "a" },
    });
  // 4 are more than 3, and less than a fifth of 21.
  assert.equal((await move(4)).status, 200);
  const wide = await app.call("PUT", "/v1/config", { body: configOf({}) });
  assert.equal(wide.status, 409);
  // Adding any number of customers harms nobody.
  const added = await app.call("POST", "/v1/moves", {
    body: { customers: Object.keys(many(100, "x")), to: "a" },
  });
  assert.equal(added.status, 200);
});

Deno.test("an edit that leaves a placement without a way to it has to be confirmed, a move need not", async () => {
  await using app = await guardedApp();
  const dropped = await app.call("DELETE", "/v1/customers/only");
  assert.equal(dropped.status, 409);
  assert.match(
    dropped.body.detail,
    /^Nobody would be sent to placement "c" any more, and 1 of 21 customers/,
  );
  const { confirm } = dropped.body as unknown as { confirm: string };
  const other = await app.call("PATCH", "/v1/config", {
    body: { default_placement: "b" },
    headers: { "content-type": "application/merge-patch+json" },
  });
  assert.equal(other.status, 409);
  assert.match(other.body.detail, /placement "a" any more\./);
  const moved = await app.call("PUT", "/v1/customers/only", {
    body: { placement: "b" },
  });
  assert.equal(moved.status, 200);
  await app.call("PUT", "/v1/customers/only", { body: { placement: "c" } });
  const done = await app.call(
    "DELETE",
    `/v1/customers/only?confirm=${confirm}`,
  );
  assert.equal(done.status, 200);
});

Deno.test("guards can be switched off, and are off for what changes nothing", async () => {
  await using app = new TestApp();
  await app.call("PUT", "/v1/config", { body: configOf(many(20, "b")) });
  const { status } = await app.call("PUT", "/v1/config", {
    body: configOf({}),
  });
  assert.equal(status, 200);
  await using guarded = await guardedApp();
  const same = await guarded.call("PUT", "/v1/config", {
    body: configOf({ ...many(20, "b"), only: "c" }),
  });
  assert.deepEqual([same.status, same.body.changed], [200, false]);
  const takeover = await guarded.call("POST", "/v1/takeover");
  assert.equal(takeover.status, 200);
});
