import { deepEqual, equal, match } from "node:assert/strict";
import { Installation } from "../harness/installation.ts";
import { KeepAlive } from "../harness/keep_alive.ts";
import { descriptorsOf } from "../conformance/process.ts";

/**
 * Endpoints of placements that lead to a program of ours: its doors are open to this machine, and a router is on this
 * machine whoever its customers are.
 */

/** Has `acme` at an endpoint, and asks there, under the name of this machine. */
async function askAt(
  all: Installation,
  { endpoint, path, method = "GET", json, fields = "" }: {
    endpoint: string;
    path: string;
    method?: string;
    json?: unknown;
    fields?: string;
  },
) {
  const { status } = await all.controlPlane.call(
    "PATCH",
    "/v1/placements/one?wait=applied",
    { body: { endpoint } },
  );
  equal(status, 200);
  using client = await KeepAlive.connect(all.router.url);
  return await client.send(method, path, {
    fields: `X-Routing-Key: acme\r\n${fields}`,
    ...(json === undefined ? {} : { json }),
  });
}

Deno.test("a customer gets nothing from an admin listener that an endpoint leads to", async () => {
  await using all = await Installation.start();
  const endpoint = all.router.adminUrl;
  for (const path of ["/config", "/status", "/metrics", "/healthz"]) {
    const { status, headers, body } = await askAt(all, { endpoint, path });
    equal(status, 403, path);
    equal(headers.get("x-routed-to"), "one");
    match(body, /leads to this admin listener/);
  }
  // A client cannot take the router's mark from its request.
  const { status } = await askAt(all, {
    endpoint,
    path: "/config",
    fields: "Via: 1.1 me\r\nConnection: via, x-forwarded-for\r\n",
  });
  equal(status, 403);
  const direct = await fetch(`${all.router.adminUrl}/config`);
  await direct.body?.cancel();
  equal(direct.status, 200);
});

Deno.test("a customer can neither edit nor read at a control plane that an endpoint leads to", async () => {
  await using all = await Installation.start();
  const endpoint = all.controlPlane.url;
  for (
    const [method, path, json] of [
      ["GET", "/v1/config"],
      ["GET", "/v1/customers/acme"],
      ["PATCH", "/v1/customers/acme", { placement: "two" }],
      ["POST", "/v1/takeover", {}],
    ] as const
  ) {
    const { status, body } = await askAt(all, { endpoint, path, method, json });
    equal(status, 403, `${method} ${path}`);
    match(body, /leads to this control plane/);
  }
  const connecting = await askAt(all, {
    endpoint,
    path: "/v1/connect",
    fields:
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
  });
  equal(connecting.status, 403);
  const { body } = await all.controlPlane.call("GET", "/v1/config");
  deepEqual(body.config.customer_to_placement, { acme: "one" });
});

for (
  const env of [{}, { ROUTER_THREADS: "2" }, {
    ROUTER_TRUSTED_PROXIES: "127.0.0.1",
  }]
) {
  Deno.test(`an endpoint that leads back to the router costs one connection, not all: ${JSON.stringify(env)}`, async () => {
    await using all = await Installation.start({ routerEnv: env });
    const before = await descriptorsOf(all.router.program.pid);
    for (let i = 0; i < 10; i++) {
      const { status, body } = await askAt(all, {
        endpoint: all.router.url,
        path: "/",
      });
      equal(status, 508);
      match(body, /loop-detected/);
    }
    const after = await descriptorsOf(all.router.program.pid);
    equal(after < before + 12, true, `${before} descriptors became ${after}`);
    equal((await all.router.ask("globex")).status, 200);
  });
}
