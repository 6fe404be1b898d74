import { equal, match, ok } from "node:assert/strict";
import { createApp } from "./app.ts";
import { Fence } from "./fence.ts";
import { Holds } from "./holds.ts";
import { parseTrustedProxies } from "./forwarding.ts";
import { BODY_BUFFERS, HEAD_BUFFERS } from "./http1/buffers.ts";
import { PeerTransport } from "./http1/testing.ts";
import { Client } from "./listen/client.ts";
import { activeAt, OK, request } from "./testing.ts";
import { Traffic } from "./traffic.ts";
import { Upstream } from "./upstream/upstream.ts";

/** What one request has used may be used by no other as long as anything of it is under way. */

/** A data path between peers that a test plays; nothing in it happens by itself but promises. */
class Stage implements Disposable {
  readonly traffic = new Traffic();
  /** The connections to the endpoint, in the order in which they were opened. */
  readonly endpoints: PeerTransport[] = [];
  readonly upstream: Upstream;
  readonly #host;

  constructor(sweepInterval = 1000) {
    const fence = new Fence(() => {});
    const active = activeAt("http://127.0.0.1:1");
    this.upstream = new Upstream({
      traffic: this.traffic,
      sweepInterval,
      connect: () => {
        const transport = new PeerTransport();
        this.endpoints.push(transport);
        return Promise.resolve(transport);
      },
    });
    this.#host = {
      app: createApp({
        active: () => active,
        upstream: this.upstream,
        traffic: this.traffic,
        fence,
        holds: new Holds({
          fence,
          traffic: this.traffic,
          maxWaiting: 1,
          maxWait: 1000,
          tell: () => {},
          active: () => active,
        }),
        routingKey: { kind: "header", name: "x-routing-key" },
        trusted: parseTrustedProxies([]),
        via: "signalbox",
        timeouts: { response: 30_000, idle: 20, stream: 60_000 },
        tracing: null,
        accessLogLevel: "off",
        accessLog: () => {},
      }),
      stopping: false,
      idleTimeout: 10,
      headerTimeout: 10_000,
      keepAliveTimeout: 75_000,
    };
  }

  connect(room = Infinity): { peer: PeerTransport; client: Client } {
    const peer = new PeerTransport(room);
    const client = new Client(peer, {
      peer: "192.0.2.1",
      secure: false,
      host: this.#host,
    });
    void client.serve();
    return { peer, client };
  }

  [Symbol.dispose](): void {
    this.upstream.close();
  }
}

/** Lets everything happen that waits for nothing but promises. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Does what other requests would: takes all buffers that are free, and writes into them. */
function scribble(): void {
  for (const pool of [HEAD_BUFFERS, BODY_BUFFERS]) {
    const taken = Array.from({ length: 20 }, () => pool.take().fill("!"));
    for (const buffer of taken) pool.give(buffer);
  }
}

const CHUNKED = request(
  "POST / HTTP/1.1",
  "Transfer-Encoding: chunked\r\n",
  "5\r\nhello\r\n",
);

/** A chunked request whose answer waits in a write to the client, in a lent buffer of the endpoint's connection. */
async function stalledAnswer(stage: Stage) {
  const { peer, client } = stage.connect(1000);
  peer.arrive(CHUNKED);
  await settled();
  const [endpoint] = stage.endpoints;
  endpoint!.arrive(`${OK.replace("2\r\n\r\nok", "500000\r\n\r\n")}a`);
  await settled();
  for (let i = 0; i < 4; i++) {
    peer.take(100_000);
    endpoint!.arrive("a".repeat(120_000));
    await settled();
  }
  ok(peer.writing);
  return { peer, client, endpoint: endpoint! };
}

for (
  const [how, end] of Object.entries({
    "whose request turns out malformed": async (
      _stage: Stage,
      { peer }: { peer: PeerTransport; client: Client },
    ) => {
      peer.arrive("no size\r\n");
      await settled();
    },
    "whose request falls silent": (
      _stage: Stage,
      { client }: { peer: PeerTransport; client: Client },
    ) => {
      client.sweep(1);
      client.sweep(15);
      return settled();
    },
    "whose endpoint takes no more of the request": async (
      stage: Stage,
      { peer }: { peer: PeerTransport; client: Client },
    ) => {
      stage.endpoints[0]!.room = 0;
      peer.arrive("3\r\nabc\r\n");
      while (!stage.endpoints[0]!.closed) await settled();
    },
  })
) {
  Deno.test(`createApp() sends nobody's bytes in an answer ${how}`, async () => {
    using stage = new Stage(5);
    const request = await stalledAnswer(stage);
    await end(stage, request);
    const { peer, endpoint } = request;
    ok(endpoint.closed);
    ok(peer.writing, "the answer still waits for its reader");
    scribble();
    peer.take(1_000_000);
    await settled();
    const body = peer.taken.slice(peer.taken.indexOf("\r\n\r\n") + 4);
    match(body, /^a+$/);
    ok(peer.closed);
  });
}

/** A request whose endpoint has answered while a last part of its body waits to be written there. */
async function earlyAnswer(stage: Stage) {
  const { peer } = stage.connect();
  peer.arrive(
    request("POST /first HTTP/1.1", "Content-Length: 300000\r\n", "a"),
  );
  await settled();
  const [endpoint] = stage.endpoints;
  for (let i = 0; i < 2; i++) {
    peer.arrive("a".repeat(100_000));
    await settled();
  }
  endpoint!.room = 0;
  peer.arrive("a".repeat(99_999));
  await settled();
  ok(endpoint!.writing);
  endpoint!.arrive(OK);
  await settled();
  match(peer.taken, /^HTTP\/1\.1 200 [\s\S]*ok$/);
  return { peer, endpoint: endpoint! };
}

Deno.test("createApp() ends a connection that has not taken the whole request when it has answered", async () => {
  using stage = new Stage();
  const { peer, endpoint } = await earlyAnswer(stage);
  ok(endpoint.closed);
  equal(stage.traffic.of("cell").idle, 0);
  equal(stage.traffic.inFlight, 0);
  ok(!peer.closed, "the client's connection is as good as before");
  const other = stage.connect();
  other.peer.arrive(request("GET /other HTTP/1.1"));
  peer.arrive(request("GET /second HTTP/1.1"));
  await settled();
  scribble();
  endpoint.take(1_000_000);
  await settled();
  equal(stage.endpoints.length, 3);
  const body = endpoint.taken.slice(endpoint.taken.indexOf("\r\n\r\n") + 4);
  match(body, /^a+$/);
  match(
    stage.endpoints[1]!.taken,
    /^GET \/other HTTP\/1\.1\r\n[\s\S]*\r\n\r\n$/,
  );
  match(
    stage.endpoints[2]!.taken,
    /^GET \/second HTTP\/1\.1\r\n[\s\S]*\r\n\r\n$/,
  );
});

Deno.test("createApp() lets nothing of a request reach into the next on its connection", async () => {
  using stage = new Stage(5);
  const { peer, endpoint } = await earlyAnswer(stage);
  peer.arrive(request("GET /second HTTP/1.1"));
  await settled();
  endpoint.take(1_000_000);
  // Were the first request's deadline still kept, it would end the second.
  for (let i = 0; i < 10; i++) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  stage.endpoints[1]!.arrive(OK);
  await settled();
  equal(peer.taken.match(/HTTP\/1\.1 200 /g)?.length, 2);
  equal(stage.traffic.of("cell").idle, 1);
  equal(stage.traffic.inFlight, 0);
});
