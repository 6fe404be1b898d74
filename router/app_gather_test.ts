import { equal, match } from "node:assert/strict";
import { HEADROOM, TAILROOM } from "./http1/wire.ts";
import {
  AnsweringEndpoint,
  eventually,
  RawEndpoint,
  request,
  TestRouter,
} from "./testing.ts";

/** More than a connection's own buffer takes, less than one of the pool. */
const BODY = "0123456789abcdef".repeat(640);
const HEAD = request("POST / HTTP/1.1", `Content-Length: ${BODY.length}\r\n`);
/** As much of it as fills that buffer to the last byte, so that more is waited for. */
const BEGINNING = (HEAD + BODY).slice(0, 1024 - HEADROOM - TAILROOM);

Deno.test("createApp() sends a small body with its head, whatever the pieces it came in", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(`http://127.0.0.1:${endpoint.port}`);
  await using client = await router.connect();
  for (
    const first of [0, 100, BEGINNING.length - HEAD.length, 5000, BODY.length]
  ) {
    await client.send(HEAD + BODY.slice(0, first));
    if (first < BODY.length) {
      await eventually(() => router.traffic.inFlight > 0, "it begins");
      await client.send(BODY.slice(first));
    }
    match(await client.message(), /^HTTP\/1\.1 200 /);
    equal(endpoint.requests.at(-1)!.split("\r\n\r\n")[1], BODY);
  }
  equal(endpoint.sockets.length, 1);
});

Deno.test("createApp() answers 408 to a small body that falls silent, and forwards nothing of it", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(`http://127.0.0.1:${endpoint.port}`, {
    listen: { idleTimeout: 20 },
  });
  await using client = await router.connect();
  await client.send(BEGINNING);
  match(await client.rest(), /^HTTP\/1\.1 408 /);
  equal(endpoint.sockets.length, 0);
  equal(router.traffic.inFlight, 0);
});

Deno.test("createApp() gives up a small body whose client ends inside it", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.rest();
  });
  await using router = new TestRouter(`http://127.0.0.1:${endpoint.port}`);
  await using client = await router.connect();
  await client.send(BEGINNING);
  await eventually(() => router.traffic.inFlight > 0, "it begins");
  await client.finish();
  equal(await client.rest(), "");
  await eventually(() => router.traffic.inFlight === 0, "it ends");
  equal(router.log.at(-1)?.status, 499);
});
