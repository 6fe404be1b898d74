import { deepEqual, equal, match, ok } from "node:assert/strict";
import { createServer } from "node:tls";
import type { Socket } from "node:net";
import {
  activeAt,
  AnsweringEndpoint,
  eventually,
  OK,
  RawEndpoint,
  request,
  TestRouter,
} from "../testing.ts";
import { TEST_CERT, TEST_KEY } from "./testing.ts";

function urlOf(endpoint: RawEndpoint): string {
  return `http://127.0.0.1:${endpoint.port}`;
}

async function get(router: TestRouter): Promise<string> {
  await using client = await router.connect();
  await client.send(request());
  return await client.message();
}

Deno.test("Upstream keeps a connection for the next request", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint));
  for (let i = 0; i < 3; i++) await get(router);
  equal(endpoint.sockets.length, 1);
  deepEqual(
    [router.traffic.of("cell").idle, router.traffic.of("cell").active],
    [1, 0],
  );
});

Deno.test("Upstream keeps no more idle connections than allowed, and none too long", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint), {
    upstream: { maxIdle: 2, maxIdleTime: 40 },
  });
  await Promise.all([get(router), get(router), get(router), get(router)]);
  ok(router.upstream.idle <= 2);
  await eventually(
    () => router.upstream.connections.size === 0,
    "they are aged",
  );
  equal(router.traffic.of("cell").idle, 0);
});

Deno.test("Upstream keeps the connection used last where there is room for one", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint), {
    upstream: { maxIdle: 1 },
  });
  const cell = router.upstream.cell(
    router.active!.routes.find("acme").placement,
  );
  const { signal } = new AbortController();
  const [first, second] = [
    await cell.connect(signal),
    await cell.connect(signal),
  ];
  cell.release(first, 0);
  cell.release(second, 1);
  equal(first.wire.closed, true);
  equal(cell.take(Infinity), second);
  deepEqual([cell.traffic.idle, cell.traffic.active], [0, 1]);
});

Deno.test("Upstream.retain() ends the connections to endpoints that are gone", async () => {
  await using old = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(old));
  await get(router);
  router.upstream.retain(activeAt(urlOf(old), 8).routes.packed.endpoints);
  equal(router.upstream.connections.size, 1, "the same endpoint again");
  await using next = new AnsweringEndpoint();
  router.active = activeAt(urlOf(next), 9);
  router.upstream.retain(router.active.routes.packed.endpoints);
  equal(router.upstream.connections.size, 0);
  await get(router);
  equal(next.requests.length, 1);
});

Deno.test("Upstream tries a refused connection once more", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  await using router = new TestRouter(`http://127.0.0.1:${port}`);
  match(await get(router), /^HTTP\/1\.1 502 /);
  equal(router.traffic.of("cell").errors.get("refused"), 1);
});

Deno.test("Upstream answers 504 where no connection is made in time", async () => {
  // Nobody answers at an address kept for documentation; where there is no route, it is unreachable.
  await using router = new TestRouter("http://192.0.2.1:9", {
    upstream: { connectTimeout: 30 },
  });
  match(await get(router), /^HTTP\/1\.1 50[24] /);
});

/** An HTTP server over TLS with a certificate of its own. */
function tlsEndpoint(answer: (socket: Socket, text: string) => void) {
  const sockets = new Set<Socket>();
  const server = createServer({ cert: TEST_CERT, key: TEST_KEY }, (socket) => {
    let text = "";
    socket.on("data", (bytes: Uint8Array) => {
      text += new TextDecoder("latin1").decode(bytes);
      answer(socket, text);
      if (text.endsWith("\r\n\r\n")) text = "";
    });
    socket.on("error", () => {});
  });
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  const { promise, resolve } = Promise.withResolvers<number>();
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    resolve(typeof address === "object" && address !== null ? address.port : 0);
  });
  return {
    port: promise,
    sockets,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}

Deno.test("Upstream speaks to https endpoints that it can verify", async () => {
  await using endpoint = tlsEndpoint((socket, text) => {
    if (text.endsWith("\r\n\r\n")) {
      socket.write(
        OK.replace("2\r\n\r\nok", `100000\r\n\r\n${"x".repeat(100000)}`),
      );
    }
  });
  const port = await endpoint.port;
  await using router = new TestRouter(`https://localhost:${port}`, {
    upstream: { caCerts: [TEST_CERT] },
  });
  for (let i = 0; i < 2; i++) {
    const answer = await get(router);
    match(answer, /^HTTP\/1\.1 200 /);
    ok(answer.endsWith("x".repeat(100000)));
  }
  equal(endpoint.sockets.size, 1);
  router.upstream.close();
  await eventually(() => endpoint.sockets.size === 0, "it is closed");
});

Deno.test("Upstream answers 502 where an https endpoint cannot be verified", async () => {
  await using endpoint = tlsEndpoint(() => {});
  await using router = new TestRouter(
    `https://localhost:${await endpoint.port}`,
  );
  match(await get(router), /^HTTP\/1\.1 502 /);
  equal(router.traffic.of("cell").errors.get("tls"), 1);
  await eventually(() => endpoint.sockets.size === 0, "it is closed");
});

Deno.test("Upstream gives up a TLS handshake that does not end", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.rest();
  });
  await using router = new TestRouter(`https://localhost:${endpoint.port}`, {
    upstream: { connectTimeout: 50 },
  });
  match(await get(router), /^HTTP\/1\.1 504 /);
});
