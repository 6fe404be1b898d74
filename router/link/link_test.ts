import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { canonicalText, configDigest } from "../../shared/canonical.ts";
import { parseConfigText } from "../../shared/config.ts";
import { CLOSE, MAX_PART_BYTES } from "../../shared/protocol.ts";
import { activate, activeConfig, readyConfig } from "../active.ts";
import { Applier } from "../applier.ts";
import { copyPacked, packedBytes } from "../config/packed_config.ts";
import { FakeClock } from "../../shared/fake_clock.ts";
import { SavedConfigs } from "../saved_config.ts";
import { Link, type LinkOptions } from "./link.ts";
import type { Serving } from "./verdict.ts";

/** What is put in must be taken out in order; taking waits. */
class Queue<T> {
  readonly #items: T[] = [];
  readonly #takers: ((item: T) => void)[] = [];

  put(item: T): void {
    const taker = this.#takers.shift();
    if (taker === undefined) this.#items.push(item);
    else taker(item);
  }

  take(): Promise<T> {
    const item = this.#items.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => this.#takers.push(resolve));
  }
}

type Said = { type: string; [field: string]: unknown };

/** One router's connection, as a control plane sees it. */
class Peer {
  readonly url: URL;
  readonly headers: Headers;
  readonly socket: WebSocket;
  readonly said = new Queue<Said>();
  readonly closed = Promise.withResolvers<{ code: number; reason: string }>();

  constructor(asked: { url: URL; headers: Headers }, socket: WebSocket) {
    this.url = asked.url;
    this.headers = asked.headers;
    this.socket = socket;
    socket.onmessage = ({ data }) => this.said.put(JSON.parse(data));
    socket.onclose = ({ code, reason }) =>
      this.closed.resolve({ code, reason });
  }

  send(message: object): void {
    this.socket.send(JSON.stringify(message));
  }

  /** Sends a config in parts; `fields` replace what `config_begin` says. */
  push(text: string, fields: object = {}, partBytes = MAX_PART_BYTES): void {
    const gzip = gzipSync(text);
    this.send(beginMessage(text, { bytes: gzip.length, ...fields }));
    for (let at = 0; at < gzip.length; at += partBytes) {
      this.socket.send(new Uint8Array(gzip.subarray(at, at + partBytes)));
    }
  }
}

function beginMessage(text: string, fields: object): object {
  return {
    type: "config_begin",
    version: 1,
    epoch: "e1",
    encoding: "gzip",
    ...("digest" in fields ? {} : { digest: digestOfText(text) }),
    ...fields,
  };
}

/** A control plane on a free port, or several of them in turn. */
class ControlPlane implements AsyncDisposable {
  readonly peers = new Queue<Peer>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(subprotocol?: string) {
    this.#server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen() {} },
      (request) => {
        // An upgraded request can no longer be looked at.
        const asked = {
          url: new URL(request.url),
          headers: new Headers(request.headers),
        };
        const { socket, response } = Deno.upgradeWebSocket(
          request,
          subprotocol === undefined ? {} : { protocol: subprotocol },
        );
        const peer = new Peer(asked, socket);
        socket.onopen = () => this.peers.put(peer);
        return response;
      },
    );
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#server.addr.port}/v1/connect`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

const CONFIG =
  '{"customer_to_placement":{"acme":"a"},"default_placement":"a","placement_to_endpoint":{"a":"http://127.0.0.1:1","b":"http://127.0.0.1:2"}}';

function digestOfText(text: string): string {
  const result = parseConfigText(text);
  assert.ok(result.ok);
  return configDigest(result.config);
}

/** A config with as many customers, in canonical text. */
function bigConfig(customers: number): string {
  const names = Array.from(
    { length: customers },
    (_, i) => [createHash("md5").update(String(i)).digest("hex"), "b"],
  );
  const result = parseConfigText(JSON.stringify({
    customer_to_placement: Object.fromEntries(names),
    default_placement: "a",
    placement_to_endpoint: { a: "http://127.0.0.1:1", b: "http://127.0.0.1:2" },
  }));
  assert.ok(result.ok);
  return canonicalText(result.config);
}

/** A link with an applier and a state directory of its own. */
class Router implements AsyncDisposable {
  readonly link: Link;
  readonly clock = new FakeClock();
  readonly #directory: string;

  constructor(
    urls: readonly string[],
    options:
      & { serving?: Serving; directory?: string; maxConfigBytes?: number }
      & Partial<
        LinkOptions
      > = {},
  ) {
    activate(null);
    const { maxConfigBytes = 1024 * 1024, directory, ...rest } = options;
    this.#directory = directory ?? Deno.makeTempDirSync();
    const applier = new Applier({
      guard: () => null,
      saved: new SavedConfigs(this.#directory),
      maxConfigBytes,
      serve: (config) => {
        const room = new ArrayBuffer(packedBytes(config.packed));
        const packed = copyPacked(config.packed, room);
        const ready = readyConfig({ ...config, packed });
        activate({ ...ready, appliedAt: 0, appliedAtMonotonic: 0 });
        return Promise.resolve();
      },
    });
    this.link = new Link({
      urls,
      id: "r:1",
      instance: "i1",
      silenceMs: 12_000,
      maxConfigBytes,
      serving: null,
      apply: (push, contents, more) => applier.apply(push, contents, more),
      clock: this.clock,
      random: () => 0.5,
      ...rest,
    });
    this.link.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = this.link.stop();
    this.clock.advance(1000);
    await stopped;
    activate(null);
    await Deno.remove(this.#directory, { recursive: true }).catch(() => {});
  }
}

function serving(text: string, version: number): Serving {
  return { version, epoch: "e1", digest: digestOfText(text), durable: true };
}

Deno.test("Link announces itself, and no origin", async () => {
  await using plane = new ControlPlane();
  await using _router = new Router([`${plane.url}?zone=x`], {
    serving: serving(CONFIG, 5),
    token: "secret",
    order: () => {},
  });
  const peer = await plane.peers.take();
  assert.deepEqual(Object.fromEntries(peer.url.searchParams), {
    zone: "x",
    id: "r:1",
    instance: "i1",
    epoch: "e1",
    version: "5",
    digest: digestOfText(CONFIG),
    features: "drained,hold,cut_streams,counts",
  });
  assert.equal(peer.headers.get("sec-websocket-protocol"), "signalbox.v1");
  assert.equal(peer.headers.get("authorization"), "Bearer secret");
  assert.equal(peer.headers.get("origin"), null);
});

Deno.test("Link works fully with a draft control plane", async () => {
  await using plane = new ControlPlane();
  await using router = new Router([plane.url]);
  const peer = await plane.peers.take();
  assert.equal(peer.url.searchParams.get("version"), null);
  peer.send({ type: "ping" });
  assert.deepEqual(await peer.said.take(), { type: "pong" });
  peer.send({ type: "config_update", version: 3, config: JSON.parse(CONFIG) });
  assert.deepEqual(await peer.said.take(), {
    type: "ack",
    version: 3,
    status: "applied",
    durable: true,
  });
  assert.equal(activeConfig()?.version, 3);
  assert.equal(activeConfig()?.source, "control_plane");
  peer.send({ type: "ping" });
  assert.deepEqual(await peer.said.take(), { type: "pong", version: 3 });
  // The same again, another config under the same version, and an older one.
  peer.send({ type: "config_update", version: 3, config: JSON.parse(CONFIG) });
  assert.equal((await peer.said.take()).status, "applied");
  const other = { ...JSON.parse(CONFIG), customer_to_placement: {} };
  peer.send({ type: "config_update", version: 3, config: other });
  assert.match(String((await peer.said.take()).error), /other contents/);
  peer.send({ type: "config_update", version: 2, config: other });
  assert.match(String((await peer.said.take()).error), /older than version 3/);
  assert.deepEqual(router.link.counters.updates, {
    applied: 1,
    rejected: 2,
    unchanged: 1,
  });
  assert.equal(activeConfig()?.digest, digestOfText(CONFIG));
  assert.equal(router.link.status().lastRejected?.version, 2);
});

Deno.test("Link names all problems of a config it rejects, and keeps the connection", async () => {
  await using plane = new ControlPlane();
  await using _router = new Router([plane.url]);
  const peer = await plane.peers.take();
  peer.send({ type: "config_update", version: 1, config: { a: 1 } });
  const { status, version, error } = await peer.said.take();
  assert.deepEqual({ status, version }, { status: "rejected", version: 1 });
  for (const part of ["default_placement", "customer_to_placement", "/a"]) {
    assert.ok(String(error).includes(part), part);
  }
  peer.socket.send(
    `{"type":"config_update","version":1,"config":${
      CONFIG.replace('"acme":"a"', '"acme":"a","acme":"b"')
    }}`,
  );
  assert.match(String((await peer.said.take()).error), /more than once/);
  assert.equal(activeConfig(), null);
});

Deno.test("Link takes a config in parts", async () => {
  await using plane = new ControlPlane("signalbox.v1");
  await using router = new Router([plane.url], {
    maxConfigBytes: 8 * 1024 * 1024,
  });
  const peer = await plane.peers.take();
  const text = bigConfig(20_000);
  peer.push(text, { version: 7 });
  assert.deepEqual(await peer.said.take(), {
    type: "ack",
    version: 7,
    epoch: "e1",
    status: "applied",
    durable: true,
  });
  assert.equal(activeConfig()?.digest, digestOfText(text));
  peer.push(text, { version: 7 });
  assert.equal((await peer.said.take()).status, "applied");
  peer.send({ type: "ping", version: 9, epoch: "e1" });
  assert.deepEqual(await peer.said.take(), {
    type: "pong",
    version: 7,
    epoch: "e1",
  });
  router.clock.advance(3000);
  const { lag, behindSeconds, connected } = router.link.status();
  assert.deepEqual({ lag, behindSeconds, connected }, {
    lag: 2,
    behindSeconds: 3,
    connected: true,
  });
  assert.equal(router.link.counters.updates.unchanged, 1);
});

Deno.test("Link drops an unfinished config when a new one begins", async () => {
  await using plane = new ControlPlane("signalbox.v1");
  await using router = new Router([plane.url]);
  const peer = await plane.peers.take();
  peer.send(beginMessage(CONFIG, { version: 1, bytes: 5000 }));
  peer.socket.send(new Uint8Array(3000));
  peer.push(CONFIG, { version: 2 }, 16);
  assert.equal((await peer.said.take()).version, 2);
  assert.equal(router.link.counters.dropped, 1);
});

for (
  const { name, text = CONFIG, fields, expected } of [
    {
      name: "whose digest is not the announced one",
      fields: { digest: `sha256:${"0".repeat(64)}` },
      expected: /and sha256:0{64} was announced/,
    },
    {
      name: "that unpacks to more than the limit",
      text: " ".repeat(64 * 1024 * 1024),
      fields: { digest: `sha256:${"0".repeat(64)}` },
      expected: /larger than 1048576 bytes/,
    },
    {
      name: "that is announced larger than the limit",
      fields: {},
      expected: /too large/,
    },
    {
      name: "that is not JSON",
      text: "{",
      fields: { digest: `sha256:${"0".repeat(64)}` },
      expected: /Cannot read the text as JSON/,
    },
  ]
) {
  Deno.test(`Link rejects a config ${name}`, async () => {
    await using plane = new ControlPlane("signalbox.v1");
    await using _router = new Router([plane.url]);
    const peer = await plane.peers.take();
    if (name.includes("announced larger")) {
      const bytes = 5 * MAX_PART_BYTES;
      peer.send(beginMessage(CONFIG, { bytes }));
      for (let i = 0; i < 5; i++) {
        peer.socket.send(new Uint8Array(MAX_PART_BYTES));
      }
    } else {
      peer.push(text, fields);
    }
    const { status, error } = await peer.said.take();
    assert.equal(status, "rejected");
    assert.match(String(error), expected);
    assert.equal(activeConfig(), null);
    // The connection goes on.
    peer.push(CONFIG, { version: 2 });
    assert.equal((await peer.said.take()).status, "applied");
  });
}

Deno.test("Link rejects what is no gzip member", async () => {
  await using plane = new ControlPlane("signalbox.v1");
  await using _router = new Router([plane.url]);
  const peer = await plane.peers.take();
  peer.send(beginMessage(CONFIG, { bytes: 4 }));
  peer.socket.send(new Uint8Array(4));
  assert.match(String((await peer.said.take()).error), /no gzip member/);
});

Deno.test("Link takes another epoch only if it supersedes its own", async () => {
  await using plane = new ControlPlane("signalbox.v1");
  await using _router = new Router([plane.url]);
  const peer = await plane.peers.take();
  peer.push(CONFIG, { version: 5 });
  assert.equal((await peer.said.take()).status, "applied");
  peer.push(CONFIG, { version: 9, epoch: "e2" });
  assert.match(
    String((await peer.said.take()).error),
    /does not supersede epoch e1/,
  );
  assert.equal(activeConfig()?.epoch, "e1");
  peer.push(CONFIG, { version: 6, epoch: "e2", supersedes: ["e0", "e1"] });
  assert.deepEqual(await peer.said.take(), {
    type: "ack",
    version: 6,
    epoch: "e2",
    status: "applied",
    durable: true,
  });
  assert.equal(activeConfig()?.epoch, "e2");
});

Deno.test("Link says that a config is not on the disk where it cannot be written", async () => {
  const file = await Deno.makeTempFile();
  await using plane = new ControlPlane("signalbox.v1");
  await using _router = new Router([plane.url], { directory: `${file}/x` });
  const peer = await plane.peers.take();
  peer.push(CONFIG);
  const { status, durable } = await peer.said.take();
  assert.deepEqual({ status, durable }, { status: "applied", durable: false });
  assert.equal(activeConfig()?.version, 1);
  await Deno.remove(file);
});

for (
  const { name, act, code } of [
    {
      name: "a part nobody announced",
      act: (peer: Peer) => peer.socket.send(new Uint8Array(1)),
      code: CLOSE.malformed,
    },
    {
      name: "text that is no JSON",
      act: (peer: Peer) => peer.socket.send("hello"),
      code: CLOSE.malformed,
    },
    {
      name: "a part over the limit",
      act: (peer: Peer) => {
        peer.send(beginMessage(CONFIG, { bytes: 600_000 }));
        peer.socket.send(new Uint8Array(MAX_PART_BYTES + 1));
      },
      code: CLOSE.tooLarge,
    },
    {
      name: "more bytes than announced",
      act: (peer: Peer) => peer.push(CONFIG, { bytes: 10 }),
      code: CLOSE.malformed,
    },
  ]
) {
  Deno.test(`Link closes with ${code} on ${name}, and comes back`, async () => {
    await using plane = new ControlPlane("signalbox.v1");
    await using router = new Router([plane.url]);
    const peer = await plane.peers.take();
    act(peer);
    assert.equal((await peer.closed.promise).code, code);
    await settled(() => router.link.counters.failures === 1);
    router.clock.advance(250);
    const again = await plane.peers.take();
    again.push(CONFIG);
    assert.equal((await again.said.take()).status, "applied");
  });
}

Deno.test("Link ignores and counts messages of unknown types", async () => {
  await using plane = new ControlPlane("signalbox.v1");
  await using router = new Router([plane.url]);
  const peer = await plane.peers.take();
  peer.send({ type: "of_tomorrow", config: 1 });
  peer.send({ type: "ping", of_tomorrow: 1 });
  assert.equal((await peer.said.take()).type, "pong");
  assert.equal(router.link.counters.ignored, 1);
});

Deno.test("Link drops a transfer that is cut, and takes it on the next connection", async () => {
  await using plane = new ControlPlane("signalbox.v1");
  await using router = new Router([plane.url]);
  const peer = await plane.peers.take();
  peer.send(beginMessage(CONFIG, { bytes: 5000 }));
  peer.socket.send(new Uint8Array(3000));
  peer.socket.close();
  await settled(() => router.link.counters.failures === 1);
  router.clock.advance(250);
  const again = await plane.peers.take();
  again.push(CONFIG);
  assert.equal((await again.said.take()).status, "applied");
});

Deno.test("Link tries its control planes in turn", async () => {
  const closed = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  const { port } = closed.addr;
  closed.close();
  await using refuses = new Refuser(401);
  await using plane = new ControlPlane("signalbox.v1");
  await using router = new Router([
    `ws://127.0.0.1:${port}/v1/connect`,
    refuses.url,
    plane.url,
  ]);
  for (const failures of [1, 2]) {
    await settled(() => router.link.counters.failures === failures);
    router.clock.next();
  }
  await plane.peers.take();
  await settled(() => router.link.status().connected);
});

/** Answers every handshake with a status. */
class Refuser implements AsyncDisposable {
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(status: number) {
    this.#server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen() {} },
      () => new Response("no", { status }),
    );
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#server.addr.port}/v1/connect`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** A listener whose connections a test answers by hand, or not at all. */
class Raw implements AsyncDisposable {
  readonly #listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  readonly #connections: Deno.Conn[] = [];

  get url(): string {
    return `ws://127.0.0.1:${this.#listener.addr.port}/v1/connect`;
  }

  async accept(): Promise<Deno.Conn> {
    const connection = await this.#listener.accept();
    this.#connections.push(connection);
    return connection;
  }

  /** Accepts a connection and does the handshake. */
  async open(): Promise<Deno.Conn> {
    const connection = await this.accept();
    const head = await readSome(connection);
    const key = /^sec-websocket-key: (.*)\r$/im.exec(head)![1]!;
    const accept = createHash("sha1")
      .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
    await connection.write(new TextEncoder().encode(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    ));
    return connection;
  }

  [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection.close();
    this.#listener.close();
    return Promise.resolve();
  }
}

async function readSome(connection: Deno.Conn): Promise<string> {
  const buffer = new Uint8Array(4096);
  const read = await connection.read(buffer);
  return new TextDecoder().decode(buffer.subarray(0, read ?? 0));
}

/** Reads to the end; true if the peer let go of the connection. */
async function letGo(connection: Deno.Conn): Promise<boolean> {
  const buffer = new Uint8Array(4096);
  try {
    while (await connection.read(buffer) !== null);
  } catch {
    // A reset says the same.
  }
  return true;
}

/** Waits, turn by turn, until something is so. */
async function settled(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

Deno.test("Link gives up a hung handshake and leaves nothing behind", async () => {
  await using raw = new Raw();
  await using router = new Router([raw.url]);
  const connection = await raw.accept();
  await readSome(connection);
  router.clock.advance(4999);
  assert.equal(router.link.counters.failures, 0);
  router.clock.advance(1);
  assert.equal(router.link.counters.failures, 1);
  assert.ok(await letGo(connection));
  assert.equal(router.clock.timers, 1);
});

Deno.test("Link gives up a hung TLS handshake and leaves nothing behind", async () => {
  await using raw = new Raw();
  await using router = new Router([raw.url.replace("ws:", "wss:")]);
  const connection = await raw.accept();
  await connection.read(new Uint8Array(4096));
  router.clock.advance(5000);
  assert.equal(router.link.counters.failures, 1);
  assert.ok(await letGo(connection));
});

Deno.test("Link drops a silent peer that does not even answer the close", async () => {
  await using raw = new Raw();
  await using router = new Router([raw.url]);
  const connection = await raw.open();
  await settled(() => router.link.status().connected);
  router.clock.advance(12_000);
  const frame = new Uint8Array(64);
  await connection.read(frame);
  assert.equal(frame[0], 0x88);
  assert.equal(router.link.status().connected, false);
  router.clock.advance(1000);
  assert.ok(await letGo(connection));
  router.clock.advance(250);
  await raw.open();
  await settled(() => router.link.status().connected);
});

Deno.test("Link takes an answer to the handshake for nothing unless it proves itself", async () => {
  await using raw = new Raw();
  await using router = new Router([raw.url]);
  const connection = await raw.accept();
  await readSome(connection);
  await connection.write(new TextEncoder().encode(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: eHh4\r\n\r\n",
  ));
  await settled(() => router.link.counters.failures === 1);
  assert.ok(await letGo(connection));
});

Deno.test("Link starts over when it fails itself", async () => {
  const clock = new FakeClock();
  let attempts = 0;
  const link = new Link({
    urls: ["ws://127.0.0.1:1/"],
    id: "r",
    instance: "i",
    silenceMs: 12_000,
    maxConfigBytes: 1000,
    serving: null,
    apply: () => Promise.reject(new Error("nothing is pushed")),
    connect: () => {
      attempts++;
      throw new Error("no more sockets");
    },
    clock,
  });
  link.start();
  assert.equal(attempts, 1);
  clock.next();
  assert.equal(attempts, 2);
  await link.stop();
  assert.equal(clock.timers, 0);
});

Deno.test("Link without a control plane does nothing", async () => {
  await using router = new Router([]);
  assert.equal(router.clock.timers, 0);
  assert.equal(router.link.status().connected, false);
});

Deno.test("Link takes pushes in order while applying is slow, and answers pings meanwhile", async () => {
  await using plane = new ControlPlane("signalbox.v1");
  const applying = new Queue<number>();
  const going = new Queue<void>();
  await using _router = new Router([plane.url], {
    apply: async ({ version }) => {
      applying.put(version);
      await going.take();
      return { status: "applied", digest: `${version}`, durable: true };
    },
  });
  const peer = await plane.peers.take();
  // More than a control plane would send at a time, and more than fits into the buffers between.
  const versions = Array.from({ length: 40 }, (_, i) => i + 1);
  peer.send({ type: "config_update", version: 1, config: {} });
  assert.equal(await applying.take(), 1);
  peer.send({ type: "ping" });
  assert.equal((await peer.said.take()).type, "pong");
  const filling = "x".repeat(256 * 1024);
  for (const version of versions.slice(1)) {
    peer.send({ type: "config_update", version, config: {}, filling });
  }
  going.put();
  for (const version of versions) {
    const { type, status, version: acked } = await peer.said.take();
    assert.deepEqual({ type, status, acked }, {
      type: "ack",
      status: "applied",
      acked: version,
    });
    if (version === versions.length) break;
    assert.equal(await applying.take(), version + 1);
    going.put();
  }
});
