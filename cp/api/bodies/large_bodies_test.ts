import assert from "node:assert/strict";
import fc from "fast-check";
import { canonicalText } from "../../../shared/canonical.ts";
import { logger } from "../../../shared/log.ts";
import { CONFIG, configOf, seeded, TestApp } from "../../app_fixture.ts";
import { openKvStore } from "../../store/kv_store.ts";
import type { BodyEdit } from "./body_edits.ts";
import type { LargeBodiesOptions } from "./large_bodies.ts";

const CUSTOMERS = ["acme", "visa", "__proto__", 'q"\\', "a b", "", "ü"];
const PLACEMENTS = ["tier1", "tier2", "visa", "tier9", "a/b~c"];

const value = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom<unknown>(...PLACEMENTS, null) },
  fc.constantFrom<unknown>(1, true, "", "http://a:1", [], { x: "y" }),
);

function object(names: readonly string[], values: fc.Arbitrary<unknown>) {
  return fc.array(fc.tuple(fc.constantFrom(...names), values), {
    maxLength: 5,
  }).map((members) =>
    // By hand, so that a name may stand twice.
    `{${
      members.map(([name, value]) =>
        `${JSON.stringify(name)}: ${JSON.stringify(value)}`
      ).join(", ")
    }}`
  );
}

/** Documents that are mostly configs, or merge patches of one. */
const config = fc.record({
  default_placement: value.map((value) => JSON.stringify(value)),
  customer_to_placement: object(CUSTOMERS, value),
  placement_to_endpoint: object(
    PLACEMENTS,
    fc.constantFrom("http://a:1", "https://b:2/c", "ftp://c", null),
  ),
  other: fc.constantFrom("1", "{}"),
}, { requiredKeys: [] }).map((fields) =>
  `{${
    Object.entries(fields).map(([name, text]) => `"${name}":${text}`).join(",")
  }}`
);

const valid = fc.dictionary(
  fc.constantFrom("acme", "visa", "__proto__", 'q"\\', "n1", "n2", "n3"),
  fc.constantFrom("tier1", "tier2", "visa"),
).map((customers) =>
  JSON.stringify({ ...CONFIG, customer_to_placement: customers })
);

const path = fc.constantFrom(
  "",
  "/default_placement",
  ...CUSTOMERS.map((name) => `/customer_to_placement/${name}`),
  "/customer_to_placement",
  "/placement_to_endpoint/tier2",
);

const operations = fc.array(
  fc.record({
    op: fc.constantFrom("add", "replace", "remove", "move", "copy", "test"),
    path,
    from: path,
    value,
  }, { requiredKeys: ["op"] }),
  { maxLength: 4 },
).map((operations) => JSON.stringify(operations));

const moves = fc.record({
  from: fc.constantFrom(...PLACEMENTS),
  customers: fc.array(fc.oneof(fc.constantFrom(...CUSTOMERS), fc.integer())),
  to: fc.constantFrom(...PLACEMENTS),
}, { requiredKeys: ["to"] }).map((move) => JSON.stringify(move));

const request = fc.oneof(
  fc.tuple(fc.constant("PUT /v1/config"), config),
  fc.tuple(fc.constant("PUT /v1/config"), valid),
  fc.tuple(fc.constant("PATCH /v1/config"), config),
  fc.tuple(fc.constant("PATCH /v1/config json-patch"), operations),
  fc.tuple(fc.constant("POST /v1/moves"), moves),
);

/** What happens to a text on its way: mostly nothing. */
const damage = fc.oneof(
  { weight: 8, arbitrary: fc.constant((bytes: Uint8Array) => bytes) },
  fc.nat(200).map((at) => (bytes: Uint8Array) => bytes.slice(0, at)),
  fc.tuple(fc.nat(200), fc.nat(255)).map(
    ([at, byte]) => (bytes: Uint8Array) => {
      const damaged = bytes.slice();
      if (at < damaged.length) damaged[at] = byte;
      return damaged;
    },
  ),
);

async function storedApp(bodies: TestAppBodies): Promise<TestApp> {
  const store = await openKvStore({
    path: ":memory:",
    keepVersions: 10_000,
    log: logger("test"),
  });
  return new TestApp({ store, bodies });
}

type TestAppBodies = Omit<LargeBodiesOptions, "store">;

/** An answer in full, without what differs between two stores. */
async function answerOf(
  app: TestApp,
  { call, body, query }: { call: string; body: Uint8Array; query: string },
): Promise<string> {
  const [method, path, patch] = call.split(" ");
  const response = await app.fetch(`${path}${query}`, {
    method: method!,
    body: new Uint8Array(body),
    headers: {
      "content-type": patch === undefined
        ? "application/json"
        : "application/json-patch+json",
    },
  });
  const text = await response.text();
  return [
    response.status,
    JSON.stringify([...response.headers]),
    text.replaceAll(/"epoch":"[^"]+"/g, '"epoch":""'),
  ].join("\n");
}

Deno.test("LargeBodies answers by its thread what is answered without it", async () => {
  await using here = await storedApp({ aboveBytes: Infinity });
  await using away = await storedApp({ aboveBytes: 0 });
  await fc.assert(
    fc.asyncProperty(
      request,
      damage,
      fc.constantFrom("", "?dry_run=true"),
      async ([call, text], damage, query) => {
        const body = damage(new TextEncoder().encode(text));
        const sent = { call, body, query };
        assert.equal(await answerOf(away, sent), await answerOf(here, sent));
      },
    ),
    { numRuns: 500 },
  );
  const { version } = await here.store.head();
  assert.ok(version > 10);
  for (let n = 1; n <= version; n++) {
    // Reading checks every digest and sum, of what the thread has compressed as well.
    const [one, other] = await Promise.all([
      here.store.get(n),
      away.store.get(n),
    ]);
    assert.equal(canonicalText(other!.config), canonicalText(one!.config));
  }
});

Deno.test("LargeBodies reads what is large by its thread, of its own accord", async () => {
  await using app = await storedApp({});
  const large = await app.call("PUT", "/v1/config", { body: configOf(5000) });
  assert.equal(large.status, 200);
  assert.equal(large.body.summary.customers_added, 5000);
  const customers = Object.fromEntries(
    Array.from({ length: 4000 }, (_, i) => [`customer-${i}`, "tier2"]),
  );
  const patch = await app.call("PATCH", "/v1/config", {
    body: { customer_to_placement: customers },
  });
  assert.equal(patch.body.summary.customers_moved, 4000);
  const same = await app.call("PATCH", "/v1/config", {
    body: { customer_to_placement: customers },
  });
  assert.equal(same.body.changed, false);
});

/** What a body of a kind was read to, by the thread. */
async function readAway(app: TestApp, text: string): Promise<BodyEdit> {
  const spec = app.bodies.spec("patch", { content: {}, maxBytes: 1000 });
  return await spec.large!.read(
    [new TextEncoder().encode(text)],
    "application/json",
  );
}

Deno.test("LargeBodies applies a body again where another edit was faster", async () => {
  await using app = await seeded();
  const patch = await readAway(app, '{"customer_to_placement":{"a":"tier2"}}');
  await app.call("PATCH", "/v1/customers/b", { body: { placement: "tier1" } });
  const current = await app.store.current();
  const { customers } = await patch.make(current!.config);
  assert.equal(customers.get("a"), "tier2");
  assert.equal(customers.get("b"), "tier1");
});

Deno.test("LargeBodies lets every concurrent edit land", async () => {
  await using app = new TestApp({ bodies: { aboveBytes: 0 } });
  await app.seed();
  const names = Array.from({ length: 12 }, (_, i) => `new-${i}`);
  const answers = await Promise.all(
    names.map((name, i) =>
      i % 3 === 0
        ? app.call("PATCH", "/v1/config", {
          body: { customer_to_placement: { [name]: "tier2" } },
        })
        : app.call("PUT", `/v1/customers/${name}`, {
          body: { placement: "tier2" },
        })
    ),
  );
  assert.ok(answers.every(({ status }) => status === 200));
  const { config } = (await app.store.current())!;
  for (const name of names) assert.equal(config.customers.get(name), "tier2");
});

const MORTAL = import.meta.resolve("./mortal_worker.ts");

Deno.test("LargeBodies answers 503 for a thread that dies or hangs, and replaces it", async () => {
  await using app = new TestApp({
    bodies: {
      aboveBytes: 0,
      module: MORTAL,
      patienceMs: 5000,
    },
  });
  for (
    const [method, path, body] of [
      ["POST", "/v1/moves", { from: "tier1", to: "tier2" }],
      ["PATCH", "/v1/config", { default_placement: "tier1" }],
    ] as const
  ) {
    const before = await app.call("PUT", "/v1/config", { body: CONFIG });
    assert.equal(before.status, 200);
    const lost = await app.call(method, path, { body });
    assert.equal(lost.status, 503);
    assert.equal(lost.headers.get("retry-after"), "1");
    assert.match(lost.body.detail, /thread that reads large bodies is lost/);
  }
  const after = await app.call("PUT", "/v1/config", { body: CONFIG });
  assert.equal(after.status, 200);
});

Deno.test("LargeBodies reads here where no thread can be started", async () => {
  await using app = new TestApp({
    bodies: { aboveBytes: 0, module: "this is no address" },
  });
  const put = await app.call("PUT", "/v1/config", { body: CONFIG });
  assert.equal(put.status, 200);
  const bad = await app.call("PUT", "/v1/config", { body: "{" });
  assert.equal(bad.status, 400);
});

Deno.test("LargeBodies refuses what would wait for too long, and everything once it has ended", async () => {
  await using app = new TestApp({ bodies: { aboveBytes: 0, module: MORTAL } });
  const sent = 40;
  const refusals: string[] = [];
  const { promise: refused, resolve } = Promise.withResolvers<void>();
  const answers = Array.from({ length: sent }, async () => {
    // The first one is never answered by the thread, so 17 of them wait.
    const answer = await app.call("PATCH", "/v1/config", { body: CONFIG });
    assert.equal(answer.status, 503);
    refusals.push(answer.body.detail);
    if (refusals.length === sent - 17) resolve();
  });
  await refused;
  assert.ok(refusals.every((detail) => /16 large bodies wait/.test(detail)));
  app.bodies.end();
  await Promise.all(answers);
  assert.equal(refusals.length, sent);
  assert.match(refusals.at(-1)!, /is lost/);
  const late = await app.call("PUT", "/v1/config", { body: CONFIG });
  assert.equal(late.status, 503);
});
