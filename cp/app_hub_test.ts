import assert from "node:assert/strict";
import { logger } from "../shared/log.ts";
import { TestApp } from "./app_fixture.ts";
import { Hub } from "./hub/hub.ts";
import { connectRouter } from "./hub/socket.ts";
import { openKvStore } from "./store/kv_store.ts";

function openStore() {
  return openKvStore({
    path: ":memory:",
    keepVersions: 100,
    log: logger("test"),
  });
}

Deno.test("50 clients that edit 50 customers at once make 50 versions with all of it", async () => {
  const store = await openStore();
  await using app = new TestApp({ store });
  await app.seed();
  const answers = await Promise.all(
    Array.from(
      { length: 50 },
      (_, i) =>
        app.call("PATCH", `/v1/customers/c${i}`, {
          body: { placement: i % 2 === 0 ? "tier1" : "tier2" },
        }),
    ),
  );
  const versions = answers.map(({ body }) => body.version);
  assert.deepEqual(
    versions.toSorted((a, b) => a - b),
    Array.from({ length: 50 }, (_, i) => i + 2),
  );
  const { body } = await app.call("GET", "/v1/config");
  assert.equal(body.version, 51);
  for (let i = 0; i < 50; i++) {
    assert.equal(
      body.config.customer_to_placement[`c${i}`],
      i % 2 === 0 ? "tier1" : "tier2",
    );
  }
});

/** A router that applies what it is sent. */
async function connect(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url);
  const opened = Promise.withResolvers<void>();
  socket.onopen = () => opened.resolve();
  socket.onerror = () => opened.reject(new Error(`Cannot connect to ${url}`));
  socket.onmessage = ({ data }) => {
    const { type, version } = JSON.parse(data);
    if (type === "config_update") {
      socket.send(JSON.stringify({ type: "ack", version, status: "applied" }));
    }
  };
  await opened.promise;
  return socket;
}

Deno.test("an edit waits for the routers that are connected through the app", async () => {
  const store = await openStore();
  const hub = new Hub({ store, log: logger("test"), exclusive: true });
  hub.start();
  await using app = new TestApp({
    store,
    fleet: hub,
    connect: (request, info) =>
      connectRouter(request, {
        hub,
        address: (info.remoteAddr as Deno.NetAddr).hostname,
        token: null,
      }),
  });
  await app.seed();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request, info) => app.routes.app.fetch(request, info),
  );
  const socket = await connect(
    `ws://127.0.0.1:${server.addr.port}/v1/connect?id=r1`,
  );
  const closed = new Promise<number>((resolve) => {
    socket.onclose = ({ code }) => resolve(code);
  });
  const { body } = await app.call(
    "PUT",
    "/v1/customers/acme?wait=applied",
    { body: { placement: "tier2" } },
  );
  assert.equal(body.rollout.applied, 1);
  assert.deepEqual(body.rollout.pending, []);
  const one = await app.call("GET", "/v1/routers/r1");
  assert.equal(one.body.version, 2);
  assert.equal((await app.call("DELETE", "/v1/routers/r1")).status, 409);
  const text = await (await app.fetch("/v1/routers")).json();
  assert.equal(text.routers.length, 1);
  await hub.stop();
  assert.equal(await closed, 1012);
  await server.shutdown();
});
