import { equal, match } from "node:assert/strict";
import { configOf } from "../harness/config.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { dataFolder, Program } from "../harness/program.ts";

const CONFIG = configOf([{ name: "one", endpoint: "http://127.0.0.1:9" }]);

/** The status line that a raw request gets; `fetch` may not set `Host`, `Origin` or `Sec-Fetch-Site`. */
async function raw(port: number, request: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode(request));
  const buffer = new Uint8Array(4096);
  const read = await connection.read(buffer);
  return new TextDecoder().decode(buffer.subarray(0, read ?? 0)).split(
    "\r\n",
  )[0]!;
}

function edit(port: number, headers: string[]): Promise<string> {
  const body = JSON.stringify(CONFIG);
  return raw(
    port,
    [
      "PUT /v1/config HTTP/1.1",
      ...headers,
      "Content-Type: application/json",
      `Content-Length: ${body.length}`,
      "Connection: close",
      "",
      body,
    ].join("\r\n"),
  );
}

function connect(port: number, headers: string[]): Promise<string> {
  return raw(
    port,
    [
      "GET /v1/connect HTTP/1.1",
      `Host: 127.0.0.1:${port}`,
      "Upgrade: websocket",
      "Connection: Upgrade",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ...headers,
      "",
      "",
    ].join("\r\n"),
  );
}

Deno.test("a page on another origin can neither edit nor connect", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path);
  const { port } = controlPlane;
  const host = `Host: 127.0.0.1:${port}`;
  match(await edit(port, [host, "Origin: https://evil.example"]), / 403 /);
  match(await edit(port, [host, "Sec-Fetch-Site: cross-site"]), / 403 /);
  match(await edit(port, [host, "Origin: null"]), / 403 /);
  // A name of the attacker's that points here.
  match(await edit(port, ["Host: evil.example"]), / 421 /);
  match(
    await raw(
      port,
      `POST /v1/takeover HTTP/1.1\r\n${host}\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n`,
    ),
    / 403 /,
  );
  match(await connect(port, ["Origin: https://evil.example"]), / 403 /);
  match(await connect(port, [`Origin: http://127.0.0.1:${port}`]), / 403 /);
  match(await connect(port, []), / 101 /);
  equal((await controlPlane.call("GET", "/v1/config")).status, 404);
  match(await edit(port, [host, `Origin: http://127.0.0.1:${port}`]), / 200 /);
  equal((await controlPlane.call("GET", "/v1/config")).body.version, 1);
});

Deno.test("with a token set, edits, reads and routers need theirs", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path, {
    CP_ADMIN_TOKEN: "admin-secret",
    CP_ROUTER_TOKEN: "router-secret",
  });
  equal(
    (await controlPlane.call("PUT", "/v1/config", { body: CONFIG })).status,
    401,
  );
  equal((await controlPlane.call("GET", "/metrics")).status, 401);
  equal((await controlPlane.call("GET", "/healthz")).status, 200);
  const wrong = { Authorization: "Bearer admin-secre" };
  equal(
    (await controlPlane.call("GET", "/v1/config", { headers: wrong })).status,
    401,
  );
  const headers = { Authorization: "Bearer admin-secret" };
  equal(
    (await controlPlane.call("PUT", "/v1/config", { body: CONFIG, headers }))
      .status,
    200,
  );
  match(await connect(controlPlane.port, []), / 401 /);
  match(
    await connect(controlPlane.port, ["Authorization: Bearer admin-secret"]),
    / 401 /,
  );
  match(
    await connect(controlPlane.port, ["Authorization: Bearer router-secret"]),
    / 101 /,
  );
  equal(controlPlane.program.logText().includes("secret"), false);
});

Deno.test("listening beyond loopback without a token is refused", async () => {
  await using folder = await dataFolder();
  await using program = Program.start("cp", {
    CP_LISTEN: "0.0.0.0:0",
    CP_KV: `${folder.path}/cp.kv`,
    CP_PING_INTERVAL: "often",
  });
  equal((await program.ended).code, 1);
  // Both problems at once.
  match(program.logText(), /CP_ADMIN_TOKEN/);
  match(program.logText(), /CP_PING_INTERVAL/);
});

Deno.test("a second control plane on one embedded store says so and exits", async () => {
  await using folder = await dataFolder();
  await using first = await ControlPlane.start(folder.path);
  await using second = Program.start("cp", {
    CP_LISTEN: "127.0.0.1:0",
    CP_KV: `${folder.path}/cp.kv`,
  });
  equal((await second.ended).code, 1);
  match(second.logText(), /cp\.kv/);
  equal((await first.call("GET", "/readyz")).status, 200);
});
