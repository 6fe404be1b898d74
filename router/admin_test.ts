import assert from "node:assert/strict";
import { parseConfigText } from "../shared/config.ts";
import { Metrics } from "../shared/metrics.ts";
import { activate, activeConfig, isHeld } from "./active.ts";
import { createAdminApp, isAllowedHost } from "./admin.ts";
import { FakeClock } from "../shared/fake_clock.ts";
import type { LinkStatus } from "./link/status.ts";
import { packConfig } from "./config/packed_config.ts";
import type { FenceReport } from "./fence.ts";
import { compileRoutes } from "./routes.ts";
import { statusDocument } from "./status.ts";

const TEXT =
  '{"customer_to_placement":{"acme":"b"},"default_placement":"a","placement_to_endpoint":{"a":"http://127.0.0.1:1","b":"http://127.0.0.1:2/x"}}';

const LINK: LinkStatus = {
  connected: true,
  version: 7,
  lag: 2,
  behindSeconds: 1.5,
  lastHeardAt: 1_700_000_000_000,
  lastRejected: null,
};

function serve(text: string, clock = new FakeClock()): void {
  const result = parseConfigText(text);
  assert.ok(result.ok);
  activate({
    version: 5,
    epoch: "e",
    digest: "sha256:x",
    source: "control_plane",
    appliedAt: clock.wall(),
    appliedAtMonotonic: clock.now(),
    routes: compileRoutes(packConfig(result.config), 7),
  });
}

function app(
  { link = LINK, stopping = false, clock = new FakeClock(), fence = null }: {
    link?: typeof LINK;
    stopping?: boolean;
    clock?: FakeClock;
    fence?: FenceReport | null;
  } = {},
) {
  const metrics = new Metrics();
  metrics.gauge({ name: "x", help: "An x." }, () => 1);
  const admin = createAdminApp({
    metrics: () => metrics.text(),
    status: () =>
      Promise.resolve(statusDocument({
        fence,
        id: "r",
        active: activeConfig(),
        link,
        saved: activeConfig(),
        now: clock.now(),
      })),
    stopping: () => stopping,
    allowedHosts: new Set(["router.example"]),
  });
  return (path: string, init: RequestInit & { host?: string } = {}) =>
    admin.request(path, {
      ...init,
      headers: { host: init.host ?? "127.0.0.1:9080" },
    });
}

async function asked(path: string, options: Parameters<typeof app>[0] = {}) {
  const response = await app(options)(path);
  return { status: response.status, body: await response.json() };
}

Deno.test("createAdminApp() is healthy always and ready once a config is served", async () => {
  activate(null);
  assert.equal((await asked("/healthz")).status, 200);
  const before = await asked("/readyz");
  assert.equal(before.status, 503);
  assert.equal(before.body.type, "urn:signalbox:problem:no-config");
  serve(TEXT);
  assert.equal((await asked("/readyz")).status, 200);
  assert.equal((await asked("/readyz", { stopping: true })).status, 503);
  assert.equal((await asked("/healthz", { stopping: true })).status, 200);
});

Deno.test("createAdminApp() answers /status with every field before there is a config", async () => {
  activate(null);
  const link = {
    connected: false,
    version: null,
    lag: 0,
    behindSeconds: 0,
    lastHeardAt: null,
    lastRejected: null,
  };
  assert.deepEqual((await asked("/status", { link })).body, {
    id: "r",
    version: null,
    epoch: null,
    digest: null,
    source: null,
    applied_at: null,
    age_seconds: null,
    connected: false,
    control_plane: {
      version: null,
      lag: 0,
      behind_seconds: 0,
      last_heard_at: null,
    },
    last_rejected: null,
    old_work: null,
    durable: true,
  });
});

Deno.test("createAdminApp() answers /status with ages that a jump of the wall clock leaves alone", async () => {
  const clock = new FakeClock(1000, 1_700_000_000_000);
  serve(TEXT, clock);
  clock.advance(2500);
  clock.setWall(0);
  const lastRejected = {
    version: 6,
    epoch: "e",
    error: "no",
    at: 1_700_000_001_000,
  };
  const { body } = await asked("/status", {
    clock,
    link: { ...LINK, lastRejected },
    fence: { version: 5, epoch: "e", requests: 2, streams: 1, oldestMs: 250 },
  });
  assert.deepEqual(body, {
    id: "r",
    version: 5,
    epoch: "e",
    digest: "sha256:x",
    source: "control_plane",
    applied_at: "2023-11-14T22:13:20.000Z",
    age_seconds: 2.5,
    connected: true,
    control_plane: {
      version: 7,
      lag: 2,
      behind_seconds: 1.5,
      last_heard_at: "2023-11-14T22:13:20.000Z",
    },
    last_rejected: {
      version: 6,
      epoch: "e",
      error: "no",
      at: "2023-11-14T22:13:21.000Z",
    },
    old_work: { requests: 2, streams: 1, oldest_seconds: 0.25 },
    durable: true,
  });
});

Deno.test("createAdminApp() explains where a customer goes", async () => {
  serve(TEXT);
  assert.deepEqual((await asked("/explain?customer=acme")).body, {
    customer: "acme",
    placement: "b",
    endpoint: "http://127.0.0.1:2/x",
    reason: "assigned",
    version: 5,
    epoch: "e",
  });
  const { body } = await asked("/explain?customer=__proto__");
  assert.deepEqual([body.placement, body.reason], ["a", "default"]);
  for (
    const query of [
      "",
      "?customer=",
      "?customer=a&customer=b",
      "?customer=a%20b",
    ]
  ) {
    assert.equal((await asked(`/explain${query}`)).status, 400, query);
  }
  activate(null);
  assert.equal((await asked("/explain?customer=acme")).status, 503);
});

Deno.test("createAdminApp() answers /config with the canonical text", async () => {
  activate(null);
  assert.equal((await asked("/config")).status, 503);
  const customers = Array.from(
    { length: 30_000 },
    (_, i) => `"customer-${i}":"b"`,
  );
  for (const text of [TEXT, TEXT.replace('"acme":"b"', customers.join(","))]) {
    serve(text);
    const response = await app()("/config");
    assert.equal(response.headers.get("x-config-version"), "5");
    assert.equal(response.headers.get("x-config-epoch"), "e");
    assert.equal(response.headers.get("x-config-digest"), "sha256:x");
    assert.equal(response.headers.get("content-type"), "application/json");
    assert.deepEqual(JSON.parse(await response.text()), JSON.parse(text));
  }
});

Deno.test("createAdminApp() holds a config for as long as /config is being read, and not for a HEAD", async () => {
  const customers = Array.from(
    { length: 30_000 },
    (_, i) => `"customer-${i}":"b"`,
  );
  serve(TEXT.replace('"acme":"b"', customers.join(",")));
  const active = activeConfig()!;
  const head = await app()("/config", { method: "HEAD" });
  assert.equal(head.status, 200);
  assert.equal(head.headers.get("x-config-version"), "5");
  assert.equal(isHeld(active), false);

  const [read, left] = [await app()("/config"), await app()("/config")];
  assert.equal(isHeld(active), true);
  await read.text();
  assert.equal(isHeld(active), true);
  const reader = left.body!.getReader();
  await reader.read();
  await reader.cancel();
  assert.equal(isHeld(active), false);
});

Deno.test("createAdminApp() answers /metrics as Prometheus text", async () => {
  const response = await app()("/metrics");
  assert.match(response.headers.get("content-type")!, /^text\/plain/);
  assert.match(await response.text(), /^x 1$/m);
});

Deno.test("createAdminApp() answers only to hosts it knows", async () => {
  const ask = app();
  for (
    const host of [
      "localhost:9080",
      "[::1]:9080",
      "127.0.0.2",
      "Router.Example:1",
    ]
  ) {
    assert.equal((await ask("/healthz", { host })).status, 200, host);
  }
  for (
    const host of [
      "evil.example",
      "localhost.evil.example",
      "127.0.0.1.nip.io",
      "",
    ]
  ) {
    const response = await ask("/healthz", { host });
    assert.equal(response.status, 421, host);
    assert.equal(
      response.headers.get("content-type"),
      "application/problem+json",
    );
  }
  assert.equal(isAllowedHost("127.0.0.1/x", new Set()), false);
  assert.equal(isAllowedHost("localhost@evil", new Set()), false);
});

Deno.test("createAdminApp() answers 404 and 405 as problems", async () => {
  const ask = app();
  const missing = await ask("/nope");
  assert.equal(missing.status, 404);
  assert.equal((await missing.json()).type, "urn:signalbox:problem:not-found");
  const wrong = await ask("/status", { method: "POST" });
  assert.equal(wrong.status, 405);
  assert.equal(wrong.headers.get("allow"), "GET, HEAD");
  assert.equal((await ask("/status", { method: "HEAD" })).status, 200);
  assert.equal((await ask("/nope", { method: "POST" })).status, 404);
});
