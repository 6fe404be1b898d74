import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Hold } from "../shared/protocol.ts";
import type { ActiveConfig } from "./active.ts";
import {
  activeAt,
  AnsweringEndpoint,
  eventually,
  OK,
  RawEndpoint,
  request,
  TestRouter,
} from "./testing.ts";

function urlOf({ port }: RawEndpoint): string {
  return `http://127.0.0.1:${port}`;
}

function hold(changes: Partial<Hold> = {}): Hold {
  return {
    type: "hold",
    id: "h",
    version: 7,
    customers: ["acme"],
    for_ms: 60_000,
    until_released: false,
    cut_streams_ms: null,
    ...changes,
  };
}

/** Serves a config from now on. */
function serve(router: TestRouter, config: ActiveConfig): void {
  router.active = config;
  router.fence.raise(config);
  router.holds.raise(config);
}

Deno.test("Holds keeps a customer's new requests, tells when nothing of it runs, and lets them go", async () => {
  const go = Promise.withResolvers<void>();
  await using endpoint = new RawEndpoint(async (socket, index) => {
    for (;;) {
      await socket.message();
      if (index === 0) await go.promise;
      await socket.send(OK);
    }
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using first = await router.connect();
  await first.send(request());
  await eventually(() => endpoint.sockets.length === 1, "it arrives");
  router.holds.hold(hold());
  await using second = await router.connect();
  await second.send(request());
  await eventually(() => router.traffic.held.waiting === 1, "one waits");
  // Another customer, on the same endpoint.
  await using other = await router.connect();
  await other.send(request().replace("acme", "globex"));
  match(await other.message(), /^HTTP\/1\.1 200 /);
  go.resolve();
  await first.message();
  await eventually(
    () => router.holdReports.at(-1)?.requests === 0,
    "nothing of it runs",
  );
  equal(router.holdReports[0]!.requests, 1);
  deepEqual(router.holdReports.at(-1), {
    id: "h",
    requests: 0,
    streams: 0,
    oldestMs: 0,
    waiting: 1,
  });
  router.holds.release("unknown");
  equal(router.traffic.held.waiting, 1);
  router.holds.release("h");
  match(await second.message(), /^HTTP\/1\.1 200 /);
  deepEqual(router.traffic.held, {
    waiting: 0,
    released: 1,
    timed_out: 0,
    refused: 0,
  });
});

Deno.test("Holds lets go whom a new config sends elsewhere, and nobody else", async () => {
  await using old = new AnsweringEndpoint();
  await using next = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(old));
  router.holds.hold(hold());
  await using client = await router.connect();
  await client.send(request());
  await eventually(() => router.traffic.held.waiting === 1, "it waits");
  serve(router, activeAt(urlOf(old), 8));
  equal(router.traffic.held.waiting, 1);
  serve(router, activeAt(urlOf(next), 9));
  match(await client.message(), /X-Config-Version: 9\r\n/);
  equal(old.requests.length, 0);
  ok(!router.holds.has("acme"));
});

Deno.test("Holds that are to last until they are released are ended by no config", async () => {
  await using old = new AnsweringEndpoint();
  await using next = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(old));
  router.holds.hold(hold({ until_released: true }));
  deepEqual(router.holds.orders()[0]?.until_released, true);
  await using client = await router.connect();
  await client.send(request());
  await eventually(() => router.traffic.held.waiting === 1, "it waits");
  serve(router, activeAt(urlOf(next), 8));
  ok(router.holds.has("acme"));
  await using other = await router.connect();
  await other.send(request());
  await eventually(() => router.traffic.held.waiting === 2, "another waits");
  router.holds.release("h");
  match(await client.message(), /X-Config-Version: 8\r\n/);
  match(await other.message(), /X-Config-Version: 8\r\n/);
  equal(old.requests.length, 0);
});

Deno.test("Holds takes where a customer was from the version at which it was placed", async () => {
  await using first = new AnsweringEndpoint();
  await using second = new AnsweringEndpoint();
  await using third = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(first));
  // This router has yet to hear of version 9, which has sent the customer elsewhere before it was held.
  router.holds.hold(hold({ version: 9 }));
  await using client = await router.connect();
  await client.send(request());
  await eventually(() => router.traffic.held.waiting === 1, "it waits");
  serve(router, activeAt(urlOf(second), 9));
  ok(router.holds.has("acme"));
  serve(router, activeAt(urlOf(third), 10));
  match(await client.message(), /X-Config-Version: 10\r\n/);
  equal(first.requests.length + second.requests.length, 0);
});

Deno.test("Holds lets go at its deadline; a hold that is told of again keeps the nearer one", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint));
  router.holds.hold(hold());
  router.holds.hold(hold({ for_ms: 40 }));
  router.holds.hold(hold({ for_ms: 60_000 }));
  equal(router.holdReports.length, 3);
  await using client = await router.connect();
  await client.send(request());
  match(await client.message(), /^HTTP\/1\.1 200 /);
  ok(!router.holds.has("acme"));
});

Deno.test("Holds answers 503 where too many wait, or one waits too long, and forgets who is gone", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint), {
    holds: { maxWaiting: 1, maxWait: 100 },
  });
  router.holds.hold(hold());
  await using one = await router.connect();
  await using two = await router.connect();
  await one.send(request());
  await eventually(() => router.traffic.held.waiting === 1, "one waits");
  await two.send(request());
  const refused = await two.message();
  match(refused, /^HTTP\/1\.1 503 /);
  match(refused, /Retry-After: 1\r\n/);
  match(refused, /urn:signalbox:problem:held/);
  match(await one.message(), /longer than one may wait/);
  // Both connections go on.
  await two.send(request());
  await eventually(() => router.traffic.held.waiting === 1, "it waits");
  two.close();
  await eventually(() => router.traffic.held.waiting === 0, "it is forgotten");
  router.holds.release("h");
  await one.send(request());
  match(await one.message(), /^HTTP\/1\.1 200 /);
  equal(endpoint.requests.length, 1);
  // Who was sent nowhere says nothing of the config that is served.
  await eventually(() => router.traffic.answered === 1, "it is counted");
  equal(router.traffic.failed, 0);
});

Deno.test("Holds ends the streams of its customers after a grace, and no other request", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.message();
    await socket.send(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n",
    );
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using mine = await router.connect();
  await using other = await router.connect();
  await mine.send(request());
  await mine.until("data: 1\n\n");
  await other.send(request().replace("acme", "globex"));
  await other.until("data: 1\n\n");
  router.holds.hold(hold({ cut_streams_ms: 20 }));
  equal(router.holdReports[0]!.streams, 1);
  equal((await mine.rest()).includes("0\r\n\r\n"), false);
  await eventually(
    () => router.holdReports.at(-1)?.streams === 0,
    "it is ended",
  );
  equal(router.traffic.inFlight, 1);
});

Deno.test("Holds that stop let nobody through to where the customer may not be", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint));
  router.holds.hold(hold());
  await using client = await router.connect();
  await client.send(request());
  await eventually(() => router.traffic.held.waiting === 1, "it waits");
  router.holds.stop();
  match(await client.message(), /^HTTP\/1\.1 503 /);
  await client.send(request());
  match(await client.message(), /^HTTP\/1\.1 503 /);
  equal(endpoint.requests.length, 0);
});
