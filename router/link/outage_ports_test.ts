/** What a link has in its hands while the control plane's port is gone, or not well: real sockets, and a fast clock. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { FakeClock } from "../../shared/fake_clock.ts";
import { Link } from "./link.ts";
import { connectWebSocket } from "./websocket.ts";

/** What a push begins with. */
const BEGIN = {
  type: "config_begin",
  version: 7,
  epoch: "e1",
  encoding: "gzip",
  digest: `sha256:${"0".repeat(64)}`,
  bytes: 65_536,
};

/** Bytes of a text frame as a server sends it (RFC 6455, section 5.2). */
function textFrame(message: object): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(message));
  assert.ok(text.length > 125 && text.length < 65_536);
  return new Uint8Array([
    0x81,
    126,
    text.length >> 8,
    text.length & 0xff,
    ...text,
  ]);
}

/** The answer to a handshake. */
function upgraded(request: string): string {
  const key = /^sec-websocket-key: (.*)\r$/im.exec(request)![1]!;
  const accept = createHash("sha1")
    .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

/** A port where no control plane is, or one that is not well. */
interface Port extends AsyncDisposable {
  readonly url: string;
  /** Connections that were given all that they get. */
  readonly met: number;
  /** Connections that the link has not let go of. */
  readonly held: number;
}

function urlOf({ port }: Deno.NetAddr): string {
  return `ws://127.0.0.1:${port}/v1/connect`;
}

function closedPort(): Promise<Port> {
  using listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  return Promise.resolve({
    url: urlOf(listener.addr),
    met: 0,
    held: 0,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

/** A port that does not even answer the connecting: those nobody accepts have filled its queue. */
async function fullPort(): Promise<Port> {
  const hostname = "127.0.0.1";
  const listener = Deno.listen({ port: 0, hostname, tcpBacklog: 1 });
  const { port } = listener.addr;
  const queued = [
    await Deno.connect({ hostname, port }),
    await Deno.connect({ hostname, port }),
  ];
  return {
    url: urlOf(listener.addr),
    met: 0,
    held: 0,
    [Symbol.asyncDispose]: () => {
      for (const connection of queued) connection.close();
      listener.close();
      return Promise.resolve();
    },
  };
}

/** A port that accepts, and does to each connection what a test says. */
class OpenPort implements Port {
  met = 0;
  readonly #listener = Deno.listen({ port: 0, hostname: "127.0.0.1" });
  readonly #held = new Set<Deno.Conn>();
  readonly #meet: Meet;
  readonly #serving: Promise<void>;

  constructor(meet: Meet) {
    this.#meet = meet;
    this.#serving = this.#serve();
  }

  get url(): string {
    return urlOf(this.#listener.addr);
  }

  get held(): number {
    return this.#held.size;
  }

  async #serve(): Promise<void> {
    const all: Promise<void>[] = [];
    for await (const connection of this.#listener) {
      all.push(this.#keep(connection));
    }
    await Promise.all(all);
  }

  async #keep(connection: Deno.Conn): Promise<void> {
    this.#held.add(connection);
    const buffer = new Uint8Array(4096);
    try {
      const read = await connection.read(buffer) ?? 0;
      const request = new TextDecoder().decode(buffer.subarray(0, read));
      const goesOn = await this.#meet(connection, request);
      this.met++;
      while (goesOn && await connection.read(buffer) !== null);
    } catch (error) {
      // A reset is one way to let go; the other is to be let go of at the end of the test.
      if (
        !(error instanceof Deno.errors.ConnectionReset) &&
        this.#held.has(connection)
      ) throw error;
    } finally {
      if (this.#held.delete(connection)) connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#held) {
      this.#held.delete(connection);
      connection.close();
    }
    await this.#serving;
  }
}

/** What is done to a connection that asks for a handshake; false if it is to be closed then. */
type Meet = (connection: Deno.Conn, request: string) => Promise<boolean>;

/** Answers a handshake with a text, and waits for the link to let go. */
function answering(text: string): () => Promise<Port> {
  return () =>
    Promise.resolve(
      new OpenPort(async (connection) => {
        await write(connection, text);
        return true;
      }),
    );
}

/** Opens each connection, sends so much on it, and closes it or waits for the link to let go. */
function opening(
  sent: readonly Uint8Array<ArrayBuffer>[],
  end: "close" | "half-close" | "wait",
): () => Promise<Port> {
  return () =>
    Promise.resolve(
      new OpenPort(async (connection, request) => {
        await write(connection, upgraded(request));
        for (const bytes of sent) await connection.write(bytes);
        if (end === "half-close") await connection.closeWrite();
        return end !== "close";
      }),
    );
}

async function write(connection: Deno.Conn, text: string): Promise<void> {
  await connection.write(new TextEncoder().encode(text));
}

/** Waits, turn by turn, until something is so. @throws {AssertionError} if it does not become so. */
async function settled(condition: () => boolean, what: string): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    assert.ok(turn < 5000, `${what} does not happen`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

for (
  const { name, port: open, passes } of [
    { name: "is closed", port: closedPort },
    { name: "does not answer at all", port: fullPort, passes: "at once" },
    {
      name: "accepts and never answers",
      port: answering(""),
      passes: "when met",
    },
    {
      name: "cuts its answer short",
      port: answering("HTTP/1.1 101 Switch"),
      passes: "when met",
    },
    {
      name: "accepts and closes",
      port: () => Promise.resolve(new OpenPort(() => Promise.resolve(false))),
    },
    {
      name: "answers with an error status",
      port: answering("HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\n"),
    },
    {
      name: "speaks another protocol",
      port: answering("SSH-2.0-OpenSSH_9.6\r\n"),
    },
    {
      name: "upgrades and proves nothing",
      port: answering(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: eHh4\r\n\r\n",
      ),
    },
    {
      name: "opens and is silent",
      port: opening([], "wait"),
      passes: "when open",
    },
    {
      name: "opens and half-closes",
      port: opening([], "half-close"),
    },
    {
      name: "closes after a push began",
      port: opening([textFrame(BEGIN)], "close"),
    },
    {
      name: "says that it closes and does not",
      port: opening([new Uint8Array([0x88, 0])], "wait"),
      passes: "when met",
    },
    {
      name: "breaks the protocol and does not let go",
      port: opening([new Uint8Array([0xff, 0])], "wait"),
      passes: "when met",
    },
  ]
) {
  Deno.test(`Link leaves no connection over where a port ${name}`, async () => {
    await using port = await open();
    const clock = new FakeClock();
    let attempts = 0;
    const link = new Link({
      urls: [port.url],
      id: "r",
      instance: "i",
      silenceMs: 12_000,
      maxConfigBytes: 1024 * 1024,
      serving: null,
      apply: () => Promise.reject(new Error("nothing is pushed whole")),
      connect: (...asked) => {
        attempts++;
        return connectWebSocket(...asked);
      },
      clock,
    });
    const { counters } = link;
    link.start();
    for (let attempt = 1; attempt <= 30; attempt++) {
      while (attempts < attempt) assert.ok(clock.next());
      await settled(
        () =>
          passes === "at once" || counters.failures === attempt ||
          passes === "when met" && port.met === attempt ||
          passes === "when open" && link.status().connected,
        `attempt ${attempt}`,
      );
      // What no event ends, its time does.
      while (counters.failures < attempt) assert.ok(clock.next());
      await settled(() => port.held === 0, "letting go");
      assert.equal(clock.timers, 1);
    }
    assert.equal(counters.failures, 30);
    const stopped = link.stop();
    clock.advance(1000);
    await stopped;
    assert.equal(clock.timers, 0);
  });
}
