import assert from "node:assert/strict";
import { CONFIG, NO_CHANGES, TestApp } from "../app_fixture.ts";
import { logger } from "../../shared/log.ts";
import { MemoryStore } from "../store/memory_store.ts";

Deno.test("a diff with a version that is no longer kept is 404, not everything", async () => {
  const store = new MemoryStore({ keepVersions: 2, log: logger("test") });
  await using app = new TestApp({ store });
  await app.seed();
  const first = await app.call("GET", "/v1/versions/1/diff");
  assert.equal(first.body.from, 0);
  assert.equal(first.body.summary.customers_added, 3);
  // Version 41 comes right after version 1, for the takeover skips numbers.
  app.fleet.conflict = { count: 1, highestVersion: 40, epochs: [] };
  await app.call("POST", "/v1/takeover");
  const skipped = await app.call("GET", "/v1/versions/41/diff");
  assert.equal(skipped.body.from, 1);
  assert.deepEqual(skipped.body.summary, NO_CHANGES);
  await app.call("DELETE", "/v1/customers/acme");
  for (const oldest of [41, 1]) {
    const gone = await app.call("GET", `/v1/versions/${oldest}/diff`);
    assert.equal(gone.status, 404);
    assert.match(gone.body.detail, /no longer kept/);
  }
  const whole = await app.call("GET", "/v1/versions/41/diff?from=0");
  assert.equal(whole.body.summary.customers_added, 3);
});

Deno.test("KeptVersions reads the two versions of a diff once", async () => {
  const inner = new MemoryStore({ keepVersions: 5, log: logger("test") });
  const read: number[] = [];
  const store = new Proxy(inner, {
    get: (target, name) =>
      name === "get"
        ? (version: number) => {
          read.push(version);
          return target.get(version);
        }
        : Reflect.get(target, name).bind(target),
  });
  await using app = new TestApp({ store });
  for (const placement of ["tier1", "tier2", "tier3"]) {
    await app.call("PUT", "/v1/config", {
      body: { ...CONFIG, default_placement: placement },
    });
  }
  for (let i = 0; i < 3; i++) {
    await app.call("GET", "/v1/versions/3/diff?from=1");
  }
  assert.deepEqual(read, [3, 1]);
  await app.call("GET", "/v1/versions/2");
  assert.deepEqual(read, [3, 1, 2]);
});
