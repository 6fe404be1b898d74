import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { ActiveConfig } from "./active.ts";
import { Fence, type FenceReport, joinReports } from "./fence.ts";
import {
  activeAt,
  AnsweringEndpoint,
  eventually,
  OK,
  RawEndpoint,
  type RawSocket,
  request,
  TestRouter,
} from "./testing.ts";

function urlOf({ port }: RawEndpoint): string {
  return `http://127.0.0.1:${port}`;
}

/** Serves a config from now on. */
function serve(router: TestRouter, config: ActiveConfig): void {
  router.active = config;
  router.fence.raise(config);
}

/** What was told, without ages. */
function told(router: TestRouter): [number, number, number][] {
  return router.fenceReports.map(({ version, requests, streams }) => [
    version,
    requests,
    streams,
  ]);
}

Deno.test("Fence finds the requests that a config would send elsewhere, and tells when they are over", async () => {
  const go = Promise.withResolvers<void>();
  await using old = new RawEndpoint(async (socket) => {
    await socket.message();
    await go.promise;
    await socket.send(OK);
    await socket.rest();
  });
  await using next = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(old));
  await using client = await router.connect();
  await client.send(request());
  await eventually(() => old.sockets.length === 1, "it arrives");
  // Another version that leaves the customer where it is.
  serve(router, activeAt(urlOf(old), 8));
  serve(router, activeAt(urlOf(next), 9));
  ok(router.fence.work().oldestMs > 0);
  go.resolve();
  await client.message();
  await eventually(() => router.fenceReports.length === 3, "it is over");
  deepEqual(told(router), [[8, 0, 0], [9, 1, 0], [9, 0, 0]]);
  deepEqual(router.fence.work(), { requests: 0, streams: 0, oldestMs: 0 });
  await client.send(request());
  match(await client.message(), /X-Config-Version: 9\r\n/);
});

Deno.test("Fence counts tunnels and event streams, and forgets what a later config takes back", async () => {
  const open: RawSocket[] = [];
  await using old = new RawEndpoint(async (socket) => {
    const tunnel = /upgrade: websocket/i.test(await socket.message());
    await socket.send(
      tunnel
        ? "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        : "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n",
    );
    open.push(socket);
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(old));
  await using tunnel = await router.connect();
  await tunnel.send(
    request(
      "GET / HTTP/1.1",
      "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n",
    ),
  );
  await tunnel.head();
  await using events = await router.connect();
  await events.send(request());
  await events.until("data: 1\n\n");
  serve(router, activeAt("http://127.0.0.1:1", 8));
  serve(router, activeAt(urlOf(old), 9));
  serve(router, activeAt("http://127.0.0.1:1", 10));
  deepEqual(told(router), [[8, 0, 2], [9, 0, 0], [10, 0, 2]]);
  tunnel.close();
  await eventually(() => router.fence.work().streams === 1, "one is over");
  events.close();
  for (const socket of open) socket.close();
  await eventually(() => router.fenceReports.length >= 4, "all are over");
  deepEqual(told(router).at(-1), [10, 0, 0]);
});

Deno.test("Fence tells of old work again and again while there is any", async () => {
  await using old = new RawEndpoint(async (socket) => void await socket.rest());
  await using router = new TestRouter(urlOf(old));
  await using client = await router.connect();
  await client.send(request());
  await eventually(() => old.sockets.length === 1, "it arrives");
  serve(router, activeAt("http://127.0.0.1:1", 8));
  await eventually(() => router.fenceReports.length === 2, "it is told again");
  const [first, second] = router.fenceReports;
  ok(second!.oldestMs > first!.oldestMs);
  equal(second!.requests, 1);
});

Deno.test("Fence tells nothing any more once it is stopped", () => {
  const reports: FenceReport[] = [];
  const fence = new Fence((report) => reports.push(report));
  fence.raise(activeAt("http://127.0.0.1:1", 8));
  fence.stop();
  equal(reports.length, 1);
});

Deno.test("joinReports() tells of a version once every thread has", () => {
  const report = { version: 2, epoch: "e", requests: 1, streams: 2 };
  const one = { ...report, oldestMs: 5 };
  const two = { ...report, oldestMs: 7 };
  const config = { version: 2, epoch: "e" };
  deepEqual(joinReports(config, [one, two]), {
    ...config,
    requests: 2,
    streams: 4,
    oldestMs: 7,
  });
  equal(joinReports(config, [one, null]), null);
  equal(joinReports(config, [one, { ...two, version: 1 }]), null);
  equal(joinReports(config, [one, { ...two, epoch: null }]), null);
});
