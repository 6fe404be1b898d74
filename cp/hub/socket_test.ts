import assert from "node:assert/strict";
import { once } from "node:events";
import { gunzipSync } from "node:zlib";
import { canonicalText, configDigest } from "../../shared/canonical.ts";
import { parseConfigText } from "../../shared/config.ts";
import { Metrics } from "../../shared/metrics.ts";
import { encodeAnnouncement } from "../../shared/protocol.ts";
import { MemoryStore } from "../store/memory_store.ts";
import { FakeLog, makeConfig, type Message } from "./fakes.ts";
import { Hub } from "./hub.ts";
import type { HubOptions } from "./hub_options.ts";
import { connectRouter } from "./socket.ts";

/** A hub behind a real server, with a store in memory. */
class Site {
  readonly log = new FakeLog();
  readonly store = new MemoryStore({ keepVersions: 10, log: this.log });
  readonly hub: Hub;
  readonly server: Deno.HttpServer<Deno.NetAddr>;

  constructor(
    options: Partial<HubOptions> & { token?: string } = {},
  ) {
    const { token = null, ...rest } = options;
    this.hub = new Hub({
      store: this.store,
      log: this.log,
      exclusive: true,
      ...rest,
    });
    this.hub.start();
    this.server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request, { remoteAddr }) =>
        connectRouter(request, {
          hub: this.hub,
          address: remoteAddr.hostname,
          token,
        }),
    );
  }

  get port(): number {
    return this.server.addr.port;
  }

  async commit(customers: readonly string[] = ["acme"]): Promise<void> {
    await this.store.commit(() => makeConfig(customers), {
      author: null,
      message: null,
    });
  }

  /** Answers to a plain request. */
  async ask(
    query: string,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return await fetch(`http://127.0.0.1:${this.port}/v1/connect${query}`, {
      headers,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.hub.stop();
    await this.server.shutdown();
    await this.store.close();
  }
}

/** What the headers of a handshake say before it is looked at closely. */
const HANDSHAKE = { upgrade: "websocket", "sec-websocket-version": "13" };

/** A router's end of a connection: what came is kept until it is asked for. */
class Client {
  readonly #socket: WebSocket;
  readonly #came: (string | ArrayBuffer)[] = [];
  readonly #closed: Promise<CloseEvent>;
  #wake = () => {};

  constructor(
    port: number,
    options: { id?: string; instance?: string; parts?: boolean } = {},
  ) {
    const { id = null, instance = null, parts = true } = options;
    const query = encodeAnnouncement({
      id,
      instance,
      epoch: null,
      version: null,
      digest: null,
      features: [],
    });
    this.#socket = new WebSocket(
      `ws://127.0.0.1:${port}/v1/connect?${query}`,
      parts ? ["signalbox.v1"] : [],
    );
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onmessage = ({ data }) => {
      this.#came.push(data);
      this.#wake();
    };
    this.#closed = once(this.#socket, "close").then(([event]) => event);
  }

  async open(): Promise<this> {
    await once(this.#socket, "open");
    return this;
  }

  get protocol(): string {
    return this.#socket.protocol;
  }

  async #next(): Promise<string | ArrayBuffer> {
    while (this.#came.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#came.shift()!;
  }

  /** The next text message. */
  async message(): Promise<Message> {
    const data = await this.#next();
    assert.equal(typeof data, "string");
    return JSON.parse(data as string);
  }

  /** So many bytes of binary messages, and the largest of them. */
  async body(bytes: number): Promise<{ body: Uint8Array; largest: number }> {
    const body = new Uint8Array(bytes);
    let at = 0;
    let largest = 0;
    while (at < bytes) {
      const data = await this.#next();
      if (typeof data === "string") continue;
      body.set(new Uint8Array(data), at);
      at += data.byteLength;
      largest = Math.max(largest, data.byteLength);
    }
    return { body, largest };
  }

  say(data: string | Uint8Array<ArrayBuffer>): void {
    this.#socket.send(data);
  }

  /** The code and reason the other side closes with. */
  async closed(): Promise<{ code: number; reason: string }> {
    const { code, reason } = await this.#closed;
    return { code, reason };
  }

  async close(): Promise<void> {
    this.#socket.close();
    await this.#closed;
  }
}

/** The event of a hub that is waited for. */
function happens(hub: Hub, kind: string): Promise<void> {
  return new Promise((resolve) => {
    const end = hub.listen((event) => {
      if (event.kind !== kind) return;
      end();
      resolve();
    });
  });
}

/** Random customers: they do not compress away. */
function manyCustomers(count: number): string[] {
  return Array.from({ length: count }, () => crypto.randomUUID());
}

Deno.test("connectRouter() pushes in parts that make up the canonical text", async () => {
  await using site = new Site();
  await site.commit(manyCustomers(20_000));
  const client = await new Client(site.port, { id: "a" }).open();
  assert.equal(client.protocol, "signalbox.v1");
  const begin = await client.message();
  const { body, largest } = await client.body(Number(begin.bytes));
  assert.ok(largest <= 256 * 1024 && body.length > largest);
  const text = gunzipSync(body).toString();
  const current = (await site.store.current())!;
  assert.equal(text, canonicalText(current.config));
  const parsed = parseConfigText(text);
  assert.equal(parsed.ok && configDigest(parsed.config), begin.digest);
  const applied = happens(site.hub, "applied");
  client.say(JSON.stringify({
    type: "ack",
    version: 1,
    status: "applied",
    epoch: begin.epoch,
    durable: true,
  }));
  await applied;
  const [view] = await site.hub.router("a");
  assert.deepEqual([view?.status, view?.durable], ["current", true]);
  assert.equal(view?.address, "127.0.0.1");
  await client.close();
});

Deno.test("connectRouter() pushes one frame to a client of the draft", async () => {
  await using site = new Site();
  await site.commit();
  const client = await new Client(site.port, { parts: false }).open();
  assert.equal(client.protocol, "");
  const update = await client.message();
  assert.equal(update.type, "config_update");
  const parsed = parseConfigText(JSON.stringify(update.config));
  assert.equal(parsed.ok && configDigest(parsed.config), update.digest);
  const applied = happens(site.hub, "applied");
  client.say(JSON.stringify({ type: "ack", version: 1, status: "applied" }));
  await applied;
  await client.close();
});

Deno.test("connectRouter() closes with 4400, 4413, 4409 and 4408", async () => {
  await using site = new Site();
  const text = await new Client(site.port).open();
  text.say("no JSON");
  assert.equal((await text.closed()).code, 4400);
  const binary = await new Client(site.port).open();
  binary.say(new Uint8Array(3));
  assert.equal((await binary.closed()).code, 4400);
  const large = await new Client(site.port).open();
  large.say("x".repeat(1024 * 1024 + 1));
  assert.equal((await large.closed()).code, 4413);
  const identity = { id: "a", instance: "1" };
  const older = await new Client(site.port, identity).open();
  const newer = await new Client(site.port, identity).open();
  assert.equal((await older.closed()).code, 4409);
  await newer.close();
  await using hasty = new Site({ pingIntervalMs: 100, routerTimeoutMs: 300 });
  const silent = await new Client(hasty.port).open();
  assert.equal((await silent.message()).type, "ping");
  assert.deepEqual(await silent.closed(), {
    code: 4408,
    reason: "heartbeat missed",
  });
});

Deno.test("connectRouter() serves others while one reads nothing", async () => {
  await using site = new Site({
    routerTimeoutMs: 1_000,
    limits: { maxActive: 1, stallMs: 50 },
  });
  await site.commit(manyCustomers(400_000));
  const stalled = await Deno.connect({ port: site.port });
  const connected = happens(site.hub, "connected");
  await stalled.write(new TextEncoder().encode(
    "GET /v1/connect?id=stalled HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n" +
      "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: signalbox.v1\r\n\r\n",
  ));
  await connected;
  const client = await new Client(site.port, { id: "healthy" }).open();
  const pinging = setInterval(() => client.say('{"type":"pong"}'), 100);
  const begin = await client.message();
  const { body } = await client.body(Number(begin.bytes));
  assert.equal(body.length, begin.bytes);
  const [view] = await site.hub.router("stalled");
  if (view?.connected) await happens(site.hub, "gone");
  clearInterval(pinging);
  assert.equal((await site.hub.router("stalled"))[0]?.status, "gone");
  stalled.close();
  await client.close();
});

Deno.test("connectRouter() refuses what is no router before the upgrade", async () => {
  await using site = new Site({ token: "s3cret", maxConnections: 1 });
  const upgrade = { upgrade: "websocket", connection: "upgrade" };
  const token = { authorization: "Bearer s3cret" };
  const cases: [number, string, Record<string, string>][] = [
    [403, "", { ...token, ...upgrade, origin: "http://evil.example" }],
    [401, "", {}],
    [401, "", { authorization: "Bearer wrong" }],
    [401, "", { authorization: "Basic s3cret" }],
    [426, "", token],
  ];
  for (const [status, query, headers] of cases) {
    const response = await site.ask(query, headers);
    assert.equal(response.status, status, JSON.stringify(headers));
    assert.equal(
      response.headers.get("content-type"),
      "application/problem+json",
    );
    assert.equal((await response.json()).status, status);
  }
});

Deno.test("connectRouter() has who is refused counted and told, each reason once a minute", async () => {
  await using site = new Site({ token: "s3cret" });
  for (let i = 0; i < 3; i++) await (await site.ask("", {})).body?.cancel();
  const lines = site.log.find("a router is refused");
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.properties.reason, "unauthorized");
  assert.match(String(lines[0]?.properties.detail), /bearer token/);
  const metrics = new Metrics();
  site.hub.register(metrics);
  assert.match(
    (await metrics.text()).body,
    /signalbox_cp_router_refusals_total\{reason="unauthorized"\} 3/,
  );
});

Deno.test("connectRouter() upgrades to the one version of the protocol there is", async () => {
  await using site = new Site();
  for (const version of ["12", "", "13, 12", null]) {
    const response = connectRouter(
      new Request("http://x/v1/connect", {
        headers: {
          upgrade: "websocket",
          ...(version === null ? {} : { "sec-websocket-version": version }),
        },
      }),
      { hub: site.hub, address: "x", token: null },
    );
    assert.equal(response.status, 426);
    assert.equal(response.headers.get("sec-websocket-version"), "13");
    const { type } = await response.json();
    assert.equal(type, "urn:signalbox:problem:upgrade-required");
  }
});

Deno.test("connectRouter() lists all that is wrong with an announcement", async () => {
  await using site = new Site();
  const response = connectRouter(
    new Request("http://x/v1/connect?id=a%20b&version=0&digest=no", {
      headers: HANDSHAKE,
    }),
    { hub: site.hub, address: "x", token: null },
  );
  assert.equal(response.status, 400);
  const { errors } = await response.json();
  assert.deepEqual(
    errors.map(({ pointer }: { pointer: string }) => pointer),
    ["id", "version", "digest"],
  );
});

Deno.test("connectRouter() answers 503 where there is no room, and frees it again", async () => {
  await using site = new Site({ maxConnections: 1 });
  const client = await new Client(site.port).open();
  const refused = () =>
    connectRouter(
      new Request("http://x/v1/connect", { headers: HANDSHAKE }),
      { hub: site.hub, address: "x", token: null },
    );
  assert.equal(refused().status, 503);
  const gone = happens(site.hub, "gone");
  await client.close();
  await gone;
  // An invalid handshake gives its place back.
  assert.equal(refused().status, 400);
  assert.equal(refused().status, 400);
});

Deno.test("stop() closes real sockets with 1012", async () => {
  const site = new Site();
  const client = await new Client(site.port).open();
  await site[Symbol.asyncDispose]();
  assert.deepEqual(await client.closed(), {
    code: 1012,
    reason: "server restarting",
  });
});
