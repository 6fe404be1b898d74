import { deepEqual, equal, ok } from "node:assert/strict";
import { connect } from "node:net";
import { readPage } from "../../cp/ui/page_files.ts";
import { configOf } from "../harness/config.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { dataFolder } from "../harness/program.ts";

/** What a token guards, and ways in which somebody without it may try (SPEC section 5, *Who may*). */

const TOKEN = "Adm1n-token~of/this+test=";
const ROUTER_TOKEN = "router-token-of-this-test";
const CONFIG = configOf([{ name: "one", endpoint: "http://127.0.0.1:9" }]);
/** Besides `/v1/connect`, which asks for the routers' token, and the page's files. */
const OPEN = new Set(["/healthz", "/readyz", "/v1/connect"]);
const PAGE = [...(await readPage()).files.keys()];

async function guarded(folder: string): Promise<ControlPlane> {
  return await ControlPlane.start(folder, {
    CP_ADMIN_TOKEN: TOKEN,
    CP_ROUTER_TOKEN: ROUTER_TOKEN,
  });
}

/** The status of a request written by hand: `fetch` would not send some of these. */
async function statusOf(
  port: number,
  line: string,
  fields: readonly string[],
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const socket = connect({ host: "127.0.0.1", port });
  let text = "";
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
    const status = /^HTTP\/1\.1 (\d+)/.exec(text)?.[1];
    if (status !== undefined) {
      resolve(Number(status));
      socket.destroy();
    }
  });
  socket.on("error", reject);
  socket.on("close", () => reject(new Error(`No answer to ${line}`)));
  const head = [
    `${line} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    ...fields,
    ...(line.startsWith("GET ") ? [] : ["Content-Length: 0"]),
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n`, "latin1");
  return await promise;
}

Deno.test("every call there is needs the token, whatever it is asked for", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await guarded(folder.path);
  const { port } = controlPlane;
  const headers = { Authorization: `Bearer ${TOKEN}` };
  const put = await controlPlane.call("PUT", "/v1/config", {
    body: CONFIG,
    headers,
  });
  equal(put.status, 200);
  const { body } = await controlPlane.call("GET", "/openapi.json", { headers });
  const calls = Object.entries<object>(body.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => [method.toUpperCase(), path] as const)
  );
  ok(calls.length > 25, `only ${calls.length} calls`);
  const open: string[] = [];
  for (const [method, template] of calls) {
    const path = template.replace(/\{[^}]+\}/g, "1");
    const status = await statusOf(port, `${method} ${path}`, []);
    if (status !== 401) open.push(template);
    // Nor does it tell what there is: an unknown path, method or body looks the same.
    if (OPEN.has(template)) continue;
    equal(await statusOf(port, `${method} ${path}/nowhere`, []), 401);
    equal(await statusOf(port, `DELETE ${path}`, []), 401, path);
  }
  deepEqual(
    open.filter((path) => !OPEN.has(path) && !PAGE.includes(path)),
    [],
  );
  for (const path of [...PAGE, "/healthz", "/readyz"]) {
    equal(await statusOf(port, `GET ${path}`, []), 200, path);
    // Only reading them is free.
    equal(await statusOf(port, `GET ${path}/../v1/config`, []), 401, path);
  }
  equal(
    (await controlPlane.call("GET", "/v1/config", { headers })).body.version,
    1,
  );
});

Deno.test("a token that is guessed, split, repeated or in another place opens nothing", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await guarded(folder.path);
  const { port } = controlPlane;
  const bearer = `Authorization: Bearer ${TOKEN}`;
  equal(await statusOf(port, "GET /metrics", [bearer]), 200);
  const wrong: Record<string, readonly string[]> = {
    "the first half": [`Authorization: Bearer ${TOKEN.slice(0, 12)}`],
    "one more": [`${bearer}x`],
    "one less": [bearer.slice(0, -1)],
    "in other letters": [bearer.toLowerCase()],
    "of a router": [`Authorization: Bearer ${ROUTER_TOKEN}`],
    "empty": ["Authorization: Bearer "],
    "without a scheme": [`Authorization: ${TOKEN}`],
    "with another scheme": [`Authorization: Basic ${TOKEN}`],
    "encoded": [`Authorization: Basic ${btoa(`admin:${TOKEN}`)}`],
    "escaped": [`Authorization: Bearer ${encodeURIComponent(TOKEN)}`],
    "in two halves": [
      `Authorization: Bearer ${TOKEN.slice(0, 12)}`,
      `Authorization: ${TOKEN.slice(12)}`,
    ],
    "twice": [bearer, bearer],
    "behind a wrong one": ["Authorization: Bearer wrong-token", bearer],
    "in front of a wrong one": [bearer, "Authorization: Bearer wrong-token"],
    "in one field with a wrong one": [`${bearer}, Bearer wrong-token`],
    "with a space in it": [
      `Authorization: Bearer ${TOKEN.slice(0, 12)} ${TOKEN.slice(12)}`,
    ],
    "in a cookie": [`Cookie: token=${TOKEN}; Authorization=Bearer ${TOKEN}`],
    "for a proxy": [`Proxy-Authorization: Bearer ${TOKEN}`],
    "under a name of its own": [`X-Authorization: Bearer ${TOKEN}`],
    "under a name with _": [`Authorization_: Bearer ${TOKEN}`],
    "the digest, as it is kept": [
      `Authorization: Bearer ${
        Array.from(
          new Uint8Array(
            await crypto.subtle.digest(
              "SHA-256",
              new TextEncoder().encode(TOKEN),
            ),
          ),
          (byte) => byte.toString(16).padStart(2, "0"),
        ).join("")
      }`,
    ],
  };
  for (const [name, fields] of Object.entries(wrong)) {
    equal(await statusOf(port, "GET /metrics", fields), 401, name);
  }
  const token = encodeURIComponent(TOKEN);
  for (
    const query of [
      `token=${token}`,
      `access_token=${token}`,
      `authorization=Bearer%20${token}`,
    ]
  ) {
    equal(await statusOf(port, `GET /metrics?${query}`, []), 401, query);
    const path = `GET /v1/connect?${query.replace(token, ROUTER_TOKEN)}`;
    equal(
      await statusOf(port, path, [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ]),
      401,
      path,
    );
  }
  // Whoever tries often, and by hand, meets the same, and no log tells a token.
  for (let i = 0; i < 500; i++) {
    const { status, body } = await controlPlane.call("GET", "/v1/config", {
      headers: { Authorization: `Bearer guess-${i}-${TOKEN.slice(0, i % 24)}` },
    });
    equal(status, 401);
    equal(JSON.stringify(body).includes("guess"), false);
  }
  const log = controlPlane.program.logText();
  equal(log.includes(TOKEN.slice(0, 12)), false);
  equal(log.includes(ROUTER_TOKEN), false);
});
