import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { connect } from "node:tls";
import {
  AnsweringEndpoint,
  eventually,
  OK,
  RawEndpoint,
  RawSocket,
  request,
  TestRouter,
} from "../testing.ts";
import { TEST_CERT, TEST_KEY } from "../upstream/testing.ts";
import { Listener } from "./listener.ts";

function urlOf(endpoint: RawEndpoint): string {
  return `http://127.0.0.1:${endpoint.port}`;
}

Deno.test("Listener answers 408 to a head that does not end", async () => {
  await using router = new TestRouter(null, { listen: { headerTimeout: 30 } });
  await using client = await router.connect();
  await client.send("GET / HTTP/1.1\r\nHost: a");
  match(await client.message(), /^HTTP\/1\.1 408 [\s\S]*Connection: close\r\n/);
  await client.send(".example\r\n\r\n");
  await client.finish();
  equal(await client.rest(), "", "nothing of it is answered after");
  equal(router.log.length, 1);
});

Deno.test("Listener closes a connection that says nothing, without a word", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint), {
    listen: { keepAliveTimeout: 1000 },
  });
  await using silent = await router.connect();
  equal(await silent.rest(), "");
  await using client = await router.connect();
  await client.send(request());
  match(await client.message(), /^HTTP\/1\.1 200 /);
  equal(await client.rest(), "");
});

Deno.test("Listener allows one empty line before a request", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  await client.send("\r");
  await client.send(`\n${request()}\r\n${request()}`);
  match(await client.message(), /^HTTP\/1\.1 200 /);
  match(await client.message(), /^HTTP\/1\.1 200 /);
});

Deno.test("Listener refuses a second empty line before a request, whatever the pieces it comes in", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint));
  const text = `\r\n\r\n${request()}`;
  for (const cut of [0, 1, 2, 3, 4]) {
    await using client = await router.connect();
    await client.send(text.slice(0, cut));
    await client.send(text.slice(cut));
    match(await client.rest(), /^HTTP\/1\.1 400 /);
  }
  equal(endpoint.requests.length, 0);
});

Deno.test("Listener takes a request byte by byte, and heads up to the limit", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  const text = request("POST / HTTP/1.1", "Content-Length: 2\r\n", "ok");
  for (const byte of text) await client.send(byte);
  match(await client.message(), /^HTTP\/1\.1 200 /);
  for (const size of [900, 1100, 15000, 17000, 60000]) {
    await client.send(request("GET / HTTP/1.1", `A: ${"b".repeat(size)}\r\n`));
    match(await client.message(), /^HTTP\/1\.1 200 /, String(size));
    equal(endpoint.requests.at(-1)!.includes("b".repeat(size)), true);
  }
});

Deno.test("Listener refuses connections over its limits", async () => {
  await using router = new TestRouter(null, {
    listen: { maxConnections: 2 },
  });
  await using first = await router.connect();
  await using second = await router.connect();
  await eventually(() => router.listener.connections === 2, "both are taken");
  await using third = await router.connect();
  match(await third.rest(), /^HTTP\/1\.1 503 [\s\S]*Connection: close\r\n/);
  equal(router.traffic.refused.max_connections, 1);
  first.close();
  await eventually(() => router.listener.connections === 1, "one is gone");
  await using fourth = await router.connect();
  await fourth.send(request());
  match(await fourth.message(), /no-config/);
  second.close();
});

Deno.test("Listener tells of a limit that is reached, once", async () => {
  const told: unknown[] = [];
  const quiet = () => {};
  await using router = new TestRouter(null, {
    listen: {
      maxConnections: 1,
      log: {
        debug: quiet,
        info: quiet,
        warn: (message, properties) => told.push([message, properties]),
        error: quiet,
      },
    },
  });
  await using _first = await router.connect();
  await eventually(() => router.listener.connections === 1, "it is taken");
  for (let i = 0; i < 3; i++) {
    await using refused = await router.connect();
    match(await refused.rest(), /^HTTP\/1\.1 503 /);
  }
  for (let i = 0; i < 3; i++) router.listener.failed(new Error("EMFILE"));
  equal(router.traffic.acceptErrors, 3);
  deepEqual(told, [
    ["connections are refused: the most allowed are open", {
      limit: 1,
      refused: 1,
    }],
    [
      "connections cannot be accepted; at the limit of open files, that limit should be raised",
      { failures: 1, connections: 1, limit: 1, error: new Error("EMFILE") },
    ],
  ]);
});

Deno.test("Listener gives up idle connections at the limit of open files, and for no other failure", async () => {
  await using router = new TestRouter(null);
  const { listener } = router;
  await using _first = await router.connect();
  await eventually(() => listener.connections === 1, "the first is taken");
  await using second = await router.connect();
  await eventually(() => listener.connections === 2, "the second is taken");
  listener.failed(new Error("10000 TLS handshakes are under way"));
  await using third = await router.connect();
  await eventually(() => listener.connections === 3, "the third is taken");
  const full = new Error("Too many open files (os error 24)");
  listener.failed(Object.assign(full, { code: "EMFILE" }));
  equal(await third.rest(), "");
  equal(await second.rest(), "");
  equal(listener.connections, 1);
});

Deno.test("Listener limits the connections of one address", async () => {
  await using router = new TestRouter(null, {
    listen: { maxConnectionsPerAddress: 1 },
  });
  await using _first = await router.connect();
  await eventually(() => router.listener.connections === 1, "it is taken");
  await using second = await router.connect();
  match(await second.rest(), /^HTTP\/1\.1 503 /);
  equal(router.traffic.refused.max_per_address, 1);
});

Deno.test("Listener cuts a reader that takes nothing", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.head();
    const part = "x".repeat(1 << 20);
    await socket.send(`HTTP/1.1 200 OK\r\nContent-Length: ${1 << 30}\r\n\r\n`);
    for (;;) await socket.send(part);
  });
  await using router = new TestRouter(urlOf(endpoint), {
    app: { timeouts: { response: 1000, idle: 60, stream: 1000 } },
  });
  await using client = await router.connect();
  await client.send(request());
  await eventually(() => router.log.length === 1, "it is cut");
  equal(router.listener.connections, 0);
  equal(router.upstream.connections.size, 0);
});

Deno.test("Listener.stop() ends idle connections and lets requests finish", async () => {
  const go = Promise.withResolvers<void>();
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.message();
    await go.promise;
    await socket.send(OK);
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using idle = await router.connect();
  await using busy = await router.connect();
  await busy.send(request());
  await eventually(() => endpoint.sockets.length === 1, "it arrives");
  await eventually(() => router.listener.connections === 2, "both are open");
  const stopped = router.listener.stop(10_000);
  equal(await idle.rest(), "");
  go.resolve();
  match(await busy.message(), /^HTTP\/1\.1 200 [\s\S]*Connection: close\r\n/);
  busy.close();
  await stopped;
  equal(router.listener.connections, 0);
  await RawSocket.connect(router.listener.address.port).then(
    () => Promise.reject(new Error("It still listens")),
    () => {},
  );
});

Deno.test("Listener.stop() answers a request that was on its way on an idle connection", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  await client.send(request());
  match(await client.message(), /^HTTP\/1\.1 200 /);
  const stopped = router.listener.stop(10_000);
  await client.send(request());
  match(await client.rest(), /^HTTP\/1\.1 200 [\s\S]*Connection: close\r\n/);
  client.close();
  await stopped;
});

Deno.test("Listener.stop() answers a request that follows an answer begun before", async () => {
  const go = Promise.withResolvers<void>();
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.message();
    await socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1");
    await go.promise;
    await socket.send("2");
    await socket.message();
    await socket.send(OK);
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  await client.send(request());
  await eventually(
    () => router.traffic.inFlight === 1 && endpoint.sockets.length === 1,
    "it is answered",
  );
  match(await client.until("\r\n\r\n1"), /^HTTP\/1\.1 200 (?![\s\S]*close)/);
  const stopped = router.listener.stop(10_000);
  go.resolve();
  equal(await client.until("2"), "2");
  await client.send(request());
  match(await client.rest(), /^HTTP\/1\.1 200 [\s\S]*Connection: close\r\n/);
  client.close();
  await stopped;
});

Deno.test("Listener.stop() ends what has not finished in time", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using busy = await router.connect();
  await busy.send(request());
  await eventually(() => endpoint.sockets.length === 1, "it arrives");
  await router.listener.stop(20);
  equal(await busy.rest(), "");
  equal(router.upstream.connections.size, 0);
  equal(router.traffic.inFlight, 0);
});

/** Sends one request over TLS and takes the answer. */
function askTls(port: number, text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(
    { host: "localhost", port, servername: "localhost", ca: TEST_CERT },
    () => socket.write(text),
  );
  let answer = "";
  socket.on("data", (bytes: Uint8Array) => {
    answer += new TextDecoder("latin1").decode(bytes);
  });
  socket.on("error", reject);
  socket.on("close", () => resolve(answer));
  return promise;
}

Deno.test("Listener.listenTls() serves encrypted connections", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint));
  const listener = await Listener.listenTls({
    hostname: "127.0.0.1",
    port: 0,
    app: router.app,
    traffic: router.traffic,
    maxConnections: 10,
    headerTimeout: 2000,
    keepAliveTimeout: 1000,
    idleTimeout: 1000,
    sweepInterval: 10,
    cert: TEST_CERT,
    key: TEST_KEY,
  });
  const { port } = listener.address;
  match(
    await askTls(port, request("GET / HTTP/1.1", "Connection: close\r\n")),
    /^HTTP\/1\.1 200 [\s\S]*Connection: close\r\n\r\nok$/,
  );
  match(endpoint.requests[0]!, /\r\nX-Forwarded-Proto: https\r\n/);
  await using silent = await RawSocket.connect(port);
  equal(await silent.rest(), "", "a handshake has its time");
  await eventually(() => listener.connections === 0, "it has ended");
  await listener.stop(0);
});

Deno.test("Listener.listenTls() throws where it cannot listen or use the certificate", async () => {
  await using router = new TestRouter(null);
  const options = {
    hostname: "127.0.0.1",
    port: 0,
    app: router.app,
    traffic: router.traffic,
    maxConnections: 10,
    headerTimeout: 50,
    keepAliveTimeout: 1000,
    idleTimeout: 1000,
    cert: TEST_CERT,
    key: TEST_KEY,
  };
  await rejects(Listener.listenTls({ ...options, key: "no key" }), TypeError);
  await rejects(Listener.listenTls({ ...options, cert: "" }), TypeError);
  const { port } = router.listener.address;
  await rejects(Listener.listenTls({ ...options, port }), /EADDRINUSE|in use/);
});
