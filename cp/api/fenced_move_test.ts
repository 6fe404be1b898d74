import { deepEqual, equal, match } from "node:assert/strict";
import { destinationOf } from "../../shared/config.ts";
import { type Answer, TestApp, type TestAppOptions } from "../app_fixture.ts";

const ALL = {
  applied: 1,
  rejected: [],
  pending: [],
  gone: [],
  conflict: [],
  waited_ms: 1,
};

/** An app whose routers hold, are drained, and take every version. */
async function willing(options: TestAppOptions = {}): Promise<TestApp> {
  const app = new TestApp(options);
  await app.seed();
  app.fleet.reached = ALL;
  return app;
}

function move(app: TestApp, more: object = {}, query = ""): Promise<Answer> {
  return app.call("POST", `/v1/moves${query}`, {
    body: { customers: ["acme"], to: "tier2", fenced: true, ...more },
  });
}

/** Does something once, as soon as the routers are asked whether they hold. */
function once(app: TestApp, happens: () => Promise<unknown>): void {
  app.fleet.meanwhile = async () => {
    app.fleet.meanwhile = () => Promise.resolve();
    await happens();
  };
}

async function holds(app: TestApp): Promise<number> {
  return (await app.store.head()).orders.holds.length;
}

async function placementOf(app: TestApp, customer: string): Promise<string> {
  return destinationOf((await app.store.current())!.config, customer).placement;
}

Deno.test("a fenced move is proven where all routers held and serve it, and lets everybody go", async () => {
  await using app = await willing();
  const { status, body } = await move(app);
  equal(status, 200);
  const { fenced } = body as unknown as { fenced: { proven: boolean } };
  equal(fenced.proven, true);
  equal(await holds(app), 0);
  equal(await placementOf(app, "acme"), "tier2");
});

Deno.test("a fenced move moves nobody who came to be among them after it began to hold", async () => {
  await using app = await willing();
  once(
    app,
    () =>
      app.call("PUT", "/v1/customers/newbie", { body: { placement: "tier1" } }),
  );
  const from = await move(app, { customers: undefined, from: "tier1" });
  equal(from.status, 409);
  match(from.body.detail, /customer "newbie" would be moved as well by now/);
  // One of a list who was there already, and is moved away meanwhile.
  await app.call("PUT", "/v1/customers/visa", { body: { placement: "tier2" } });
  once(
    app,
    () =>
      app.call("PATCH", "/v1/customers/visa", { body: { placement: "tier1" } }),
  );
  const list = await move(app, { customers: ["acme", "visa"] });
  equal(list.status, 409);
  match(list.body.detail, /customer "visa" would be moved as well by now/);
  equal(await placementOf(app, "acme"), "tier1");
  equal(await holds(app), 0);
});

Deno.test("a fenced move goes on where an endpoint changes meanwhile, for a hold lasts until it is released", async () => {
  await using app = await willing();
  once(app, () =>
    app.call("PATCH", "/v1/placements/tier1", {
      body: { endpoint: "http://10.9.9.9:9001" },
    }));
  let lasts: boolean | undefined;
  const { meanwhile } = app.fleet;
  app.fleet.meanwhile = async () => {
    lasts = (await app.store.head()).orders.holds[0]?.untilReleased;
    await meanwhile();
  };
  equal((await move(app)).status, 200);
  equal(lasts, true);
});

Deno.test("a fenced move moves nobody whom somebody has moved or released meanwhile", async () => {
  await using app = await willing();
  once(app, () => app.call("POST", "/v1/customers/acme/release"));
  const released = await move(app);
  equal(released.status, 409);
  match(released.body.detail, /^Nothing was moved: somebody has released/);
  once(
    app,
    () =>
      app.call("PATCH", "/v1/customers/acme", { body: { placement: "visa" } }),
  );
  const moved = await move(app);
  equal(moved.status, 409);
  match(moved.body.detail, /"acme" was moved by somebody else meanwhile/);
  app.fleet.hold = { ...app.fleet.hold, over: true, state: "pending" };
  match((await move(app)).body.detail, /somebody has released/);
  equal(await placementOf(app, "acme"), "visa");
});

Deno.test("a fenced move is taken back where a router is lost before it serves it, unless it is forced", async () => {
  await using app = await willing();
  app.fleet.reached = { ...ALL, gone: ["r2"] };
  const refused = await move(app);
  equal(refused.status, 409);
  match(
    refused.body.detail,
    /^Not all routers took version 2 in time \(router "r2"\), so what was before is committed again/,
  );
  equal(await placementOf(app, "acme"), "tier1");
  // Everybody is let go once that is served as well.
  deepEqual(app.fleet.waits.map(({ version }) => version), [2, 3]);
  equal(await holds(app), 0);
  const { status, body } = await move(app, { force: true });
  equal(status, 200);
  const { fenced } = body as unknown as { fenced: object };
  deepEqual({ ...fenced, held_ms: 0, drained_ms: 0 }, {
    proven: false,
    held_ms: 0,
    drained_ms: 0,
    unheld: ["r2"],
  });
});

Deno.test("a fenced move is not proven where a router does not have it on its disk", async () => {
  await using app = await willing();
  const unknown = [{ id: "r1", reason: "not_durable" as const }];
  app.fleet.looked = { ...ALL, state: "unknown", unknown };
  const late = await move(app);
  const { fenced } = late.body as unknown as { fenced: { proven: boolean } };
  // By the second look it has.
  equal(fenced.proven, true);
  app.fleet.reached = { ...ALL, unknown };
  const never = await move(app, { to: "visa" });
  equal(never.status, 200);
  const { fenced: unproven } = never.body as unknown as {
    fenced: { proven: boolean; unheld: string[] };
  };
  deepEqual([unproven.proven, unproven.unheld], [false, ["r1"]]);
});

Deno.test("a fenced move that is committed comes to its end without its caller", async () => {
  await using app = await willing();
  const { promise, resolve } = Promise.withResolvers<void>();
  app.fleet.waiting = promise;
  const caller = new AbortController();
  const moving = app.fetch("/v1/moves", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ customers: ["acme"], to: "tier2", fenced: true }),
    signal: caller.signal,
  });
  while (app.fleet.waits.length === 0) {
    await new Promise((resolve) => setTimeout(resolve));
  }
  caller.abort();
  equal(await holds(app), 1);
  resolve();
  equal((await moving).status, 200);
  equal(await holds(app), 0);
});

Deno.test("a fenced move whose caller leaves before it is committed moves nobody", async () => {
  await using app = await willing();
  const caller = new AbortController();
  once(app, () => Promise.resolve(caller.abort()));
  const answer = await app.fetch("/v1/moves", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ customers: ["acme"], to: "tier2", fenced: true }),
    signal: caller.signal,
  });
  equal(answer.status, 503);
  match((await answer.json()).detail, /has left; nothing was moved/);
  deepEqual([await placementOf(app, "acme"), await holds(app)], ["tier1", 0]);
});

Deno.test("a control plane that stops while routers have yet to take a fenced move leaves it held until its deadline", async () => {
  const stopping = new AbortController();
  await using app = await willing({ stopping: stopping.signal });
  const { promise, resolve } = Promise.withResolvers<void>();
  app.fleet.waiting = promise;
  app.fleet.reached = { ...ALL, pending: ["r2"] };
  const moving = move(app);
  while (app.fleet.waits.length === 0) {
    await new Promise((resolve) => setTimeout(resolve));
  }
  stopping.abort();
  resolve();
  const { status, body } = await moving;
  equal(status, 503);
  match(body.detail, /stops before all routers serve the move, which is commi/);
  deepEqual([await placementOf(app, "acme"), await holds(app)], ["tier2", 1]);
});

Deno.test("a fenced move takes no wait, no canary and no confirm_within, also where nothing is committed", async () => {
  await using app = await willing();
  for (const name of ["wait=applied", "canary=1", "confirm_within=5s"]) {
    for (const query of [`?${name}`, `?${name}&dry_run=true`]) {
      const { status, body } = await move(app, {}, query);
      deepEqual([query, status], [query, 400]);
      match(body.detail, /^A fenced move |: A fenced move /);
    }
  }
  equal((await app.store.head()).version, 1);
});
