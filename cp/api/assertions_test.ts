import assert from "node:assert/strict";
import { TestApp } from "../app_fixture.ts";

const CONFIG = {
  default_placement: "us-1",
  customer_to_placement: { "eu-acme": "eu-1", globex: "us-1", visa: "visa" },
  placement_to_endpoint: {
    "eu-1": "http://eu-1.example",
    "eu-2": "http://eu-2.example",
    "us-1": "http://us-1.example",
    "visa": "http://visa.example",
  },
};
const RULES = [
  { name: "eu-stays", customers: "eu-*", placements: "eu-*" },
  { name: "visa-alone", customers: "visa", placements: "visa" },
  { name: "small", placements: "us-*", max_customers: 2 },
];

async function appWith(rules: readonly object[] = RULES): Promise<TestApp> {
  const app = new TestApp();
  await app.call("PUT", "/v1/config", { body: CONFIG });
  const { status } = await app.call("PUT", "/v1/assertions", {
    body: { rules },
  });
  assert.equal(status, 200);
  return app;
}

Deno.test("an edit that breaks an assertion is 422, and names the rule and the customers", async () => {
  await using app = await appWith();
  const listed = await app.call("GET", "/v1/assertions");
  assert.deepEqual((listed.body as unknown as { rules: unknown }).rules, RULES);
  const moved = await app.call("PUT", "/v1/customers/eu-acme", {
    body: { placement: "us-1" },
  });
  assert.equal(moved.status, 422);
  assert.deepEqual(moved.body.errors, [{
    pointer: "/customer_to_placement/eu-acme",
    detail:
      'Assertion "eu-stays": customer "eu-acme" may only be in placements "eu-*", and would be in "us-1".',
  }]);
  // Within Europe it may go anywhere; a dry run is told as well.
  const within = await app.call("PUT", "/v1/customers/eu-acme", {
    body: { placement: "eu-2" },
  });
  assert.equal(within.status, 200);
  const dry = await app.call("PUT", "/v1/customers/eu-new?dry_run=true", {
    body: { placement: "us-1" },
  });
  assert.equal(dry.status, 422);
  // One that is named whole is looked at also where it is in the default.
  const dropped = await app.call("DELETE", "/v1/customers/visa");
  assert.equal(dropped.status, 422);
  assert.match(dropped.body.detail, /"visa-alone": customer "visa" .* "us-1"/);
  const many = await app.call("POST", "/v1/moves", {
    body: { customers: ["a", "b"], to: "us-1" },
  });
  assert.equal(many.status, 422);
  assert.match(
    many.body.detail,
    /"small": placement "us-1" may have at most 2 customers, and would have 3\./,
  );
  assert.equal((await app.store.head()).version, 2);
  const version = await app.store.current();
  assert.match(version!.assertions!, /^[0-9a-f]{64}$/);
  // Each version tells by which rules it was made.
  const shown = await app.call("GET", "/v1/versions/2");
  assert.equal(shown.body.assertions, `sha256:${version!.assertions}`);
  const versions = await app.call("GET", "/v1/versions");
  assert.deepEqual(
    versions.body.versions.map(({ assertions }) => assertions),
    [shown.body.assertions, null],
  );
});

Deno.test("assertions have to hold for what is committed, and be right themselves", async () => {
  await using app = await appWith([]);
  const broken = await app.call("PUT", "/v1/assertions", {
    body: { rules: [{ name: "x", customers: "globex", placements: "eu-*" }] },
  });
  assert.equal(broken.status, 422);
  assert.match(
    broken.body.detail,
    /^The committed version is invalid: .*"globex"/,
  );
  for (
    const rules of [
      [{ name: "x", placements: "a" }],
      [{ name: "x", placements: "a", customers: "b", max_customers: 1 }],
      [{ name: "x", placements: "a b", customers: "b" }],
      [{ name: "x", placements: "", customers: "b" }],
      [{ name: "x", placements: "a", customers: "b".repeat(257) }],
      // A star stands at the end only.
      [{ name: "x", placements: "*-eu", customers: "b" }],
      [{ name: "x", placements: "e*u", max_customers: 1 }],
      [{ name: "x", placements: "a", customers: "*eu" }],
      [{ name: "x", placements: "a", customers: "eu-**" }],
      [RULES[0], RULES[0]],
      "no list",
    ]
  ) {
    const { status } = await app.call("PUT", "/v1/assertions", {
      body: { rules },
    });
    assert.equal(status, 422, JSON.stringify(rules));
  }
  assert.equal((await app.store.head()).assertions, null);
  const star = await app.call("PUT", "/v1/assertions", {
    body: { rules: [{ name: "x", customers: "*eu", placements: "eu" }] },
  });
  assert.match(
    star.body.detail,
    /rules\.0\.customers must be .*, with a \* only at the end, .*; "\*eu" is not\.$/,
  );
  const all = await app.call("PUT", "/v1/assertions", {
    body: { rules: [{ name: "x", customers: "*", placements: "*" }] },
  });
  assert.equal(all.status, 200);
  // Without any, all is as it was.
  await app.call("PUT", "/v1/assertions", { body: { rules: [] } });
  assert.equal((await app.store.head()).assertions, null);
});

Deno.test("an edit is checked by the rules of the very head that it is committed on", async () => {
  await using app = await appWith([]);
  const rules = [{ name: "none", placements: "*", max_customers: 3 }];
  const [set, added] = await Promise.all([
    app.call("PUT", "/v1/assertions", { body: { rules } }),
    app.call("PUT", "/v1/customers/one-more", { body: { placement: "visa" } }),
  ]);
  // Whichever was first, both together do not hold only if neither looked at the other.
  const { customers } = (await app.store.current())!.config;
  const most = Math.max(...customers.counts.values());
  assert.equal(set.status, 200);
  assert.ok(added.status === 200 && most <= 3);
});
