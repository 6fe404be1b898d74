import { deepEqual, equal, match, ok } from "node:assert/strict";
import { until } from "../harness/until.ts";
import type { Router } from "../harness/router.ts";
import { Counter } from "./counter.ts";
import { requestText, type WireFront } from "./front.ts";
import { Peer, PeerEndpoint } from "./peer.ts";
import { metricsOf, quiet } from "./process.ts";
import { Subject } from "./subject.ts";

/** Every wait of the data path has its end (SPEC section 6); here each is short. */

const SETTINGS = {
  ROUTER_CONNECT_TIMEOUT: "2s",
  ROUTER_RESPONSE_TIMEOUT: "2s",
  ROUTER_IDLE_TIMEOUT: "2s",
  ROUTER_HEADER_TIMEOUT: "2s",
  ROUTER_KEEPALIVE_TIMEOUT: "2s",
};

/** Takes connections and never says a word: a handshake with it does not end. */
const silent = await PeerEndpoint.listen(async (peer) => {
  await peer.end();
});
/** A listener that nobody accepts from, with its queue full: the system answers no more connections. */
const full = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1 });
const filling: Deno.Conn[] = [];
await fill();

/** A router and its endpoint, which does what a test says. */
class Stage implements AsyncDisposable {
  play: (peer: Peer) => Promise<void> = () => Promise.resolve();
  readonly #endpoint: PeerEndpoint;
  readonly #subject: Subject;

  private constructor(endpoint: PeerEndpoint, subject: Subject) {
    this.#endpoint = endpoint;
    this.#subject = subject;
  }

  static async open(secure: boolean): Promise<Stage> {
    const endpoint = await PeerEndpoint.listen(async (peer) => {
      await peer.until("\r\n\r\n");
      await stage.play(peer);
    });
    const subject = await Subject.start({
      placements: {
        full: `http://127.0.0.1:${full.addr.port}`,
        handshake: `https://127.0.0.1:${silent.port}`,
        cell: endpoint.url,
      },
      customers: { full: "full", handshake: "handshake" },
      secure,
      env: SETTINGS,
    });
    const stage = new Stage(endpoint, subject);
    return stage;
  }

  get front(): WireFront {
    return this.#subject.front;
  }

  get router(): Router {
    return this.#subject.router;
  }

  /** How often a kind of failure was counted. */
  async errors(placement: string, kind: string): Promise<number> {
    const metrics = await metricsOf(this.router);
    return metrics.get(
      `signalbox_router_upstream_errors_total{placement="${placement}",kind="${kind}"}`,
    ) ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subject[Symbol.asyncDispose]();
    await this.#endpoint[Symbol.asyncDispose]();
  }
}

const stages = await Promise.all([Stage.open(false), Stage.open(true)]);
Deno.test.afterAll(async () => {
  for (const stage of stages) await stage[Symbol.asyncDispose]();
  await silent[Symbol.asyncDispose]();
  for (const conn of filling) conn.close();
  full.close();
});

/** A test on plain and TLS fronts, at the same time: most of it is waiting. */
function test(name: string, run: (stage: Stage) => Promise<void>): void {
  Deno.test(`${name}, on plain and TLS fronts`, async () => {
    const results = await Promise.allSettled(stages.map(run));
    for (const [index, result] of results.entries()) {
      if (result.status === "rejected") {
        const { name } = stages[index]!.front;
        throw new Error(`It fails on ${name}: ${result.reason}`, {
          cause: result.reason,
        });
      }
    }
  });
}

/** Connects until that hangs. */
async function fill(): Promise<void> {
  for (;;) {
    try {
      filling.push(
        await Deno.connect({
          hostname: "127.0.0.1",
          port: full.addr.port,
          signal: AbortSignal.timeout(200),
        }),
      );
    } catch {
      return;
    }
  }
}

const UPLOAD = "POST / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\n";
const HEAD = "HTTP/1.1 200 OK\r\n";

for (const customer of ["full", "handshake"]) {
  test(`an endpoint that is not connected in time is 504 (${customer})`, async (stage) => {
    const { front } = stage;
    for (const method of ["GET", "POST"]) {
      const answer = await front.exchange({
        method,
        headers: [["X-Routing-Key", customer]],
      });
      equal(answer.status, 504);
    }
    equal(await stage.errors(customer, "connect_timeout"), 2);
  });
}

const beginnings: Readonly<Record<string, string>> = {
  "nothing": "",
  "a part of a head": "HTTP/1.1 200 OK\r\nContent-",
  "an informational answer": "HTTP/1.1 103 Early Hints\r\n\r\n",
};
for (const [what, beginning] of Object.entries(beginnings)) {
  test(`an endpoint that answers ${what} and falls silent is 504`, async (stage) => {
    const { front } = stage;
    const ended = Promise.withResolvers<void>();
    stage.play = async (peer) => {
      await peer.send(beginning);
      await peer.end();
      ended.resolve();
    };
    const before = await stage.errors("cell", "response_timeout");
    const answers = await Promise.all([
      front.exchange({}),
      front.exchange({ method: "POST", body: "hello" }),
    ]);
    deepEqual(answers.map(({ status }) => status), [504, 504]);
    await ended.promise;
    equal(await stage.errors("cell", "response_timeout"), before + 2);
  });
}

const framings: Readonly<Record<string, string>> = {
  "with a length": "Content-Length: 10\r\n\r\nhello",
  "in chunks": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
  "that ends with its connection": "\r\nhello",
};
for (const [framing, body] of Object.entries(framings)) {
  test(`an answer ${framing} that falls silent is cut`, async (stage) => {
    const { front } = stage;
    const ended = Promise.withResolvers<void>();
    stage.play = async (peer) => {
      await peer.send(`${HEAD}${body}`);
      await peer.end();
      ended.resolve();
    };
    const before = await stage.errors("cell", "stalled");
    using client = await Peer.connect(front);
    await client.send(requestText({}));
    const { text } = await client.rest();
    match(text, /^HTTP\/1\.1 200 [^]*hello(\r\n)?$/);
    await ended.promise;
    equal(await stage.errors("cell", "stalled"), before + 1);
  });
}

for (
  const [framing, body] of Object.entries(framings).slice(0, 2)
) {
  test(`a request's body ${framing} that falls silent is 408 and closed (RFC 9110 section 15.5.9)`, async (stage) => {
    const { front } = stage;
    const ended = Promise.withResolvers<void>();
    stage.play = async (peer) => {
      await peer.until("hello");
      await peer.end();
      ended.resolve();
    };
    using client = await Peer.connect(front);
    await client.send(`${UPLOAD}${body}`);
    const { text } = await client.rest();
    match(text, /^HTTP\/1\.1 408 [^]*\r\nConnection: close\r\n/);
    await ended.promise;
  });

  test(`a body ${framing} that goes on slowly is served on, both ways`, async (stage) => {
    const { front } = stage;
    stage.play = async (peer) => {
      await peer.until("!");
      await peer.send(`${HEAD}Content-Length: 20\r\n\r\n`);
      for (let i = 0; i < 20; i++) await slowly(() => peer.send("x"));
    };
    using client = await Peer.connect(front);
    await client.send(UPLOAD);
    await client.send(
      body.startsWith("C")
        ? "Content-Length: 20\r\n\r\n"
        : "Transfer-Encoding: chunked\r\n\r\n14\r\n",
    );
    for (let i = 0; i < 19; i++) await slowly(() => client.send("x"));
    await client.send(body.startsWith("C") ? "!" : "!\r\n0\r\n\r\n");
    match(await client.until("x".repeat(20)), /^HTTP\/1\.1 200 /);
  });
}

test(`an endpoint that takes no more of a request is 504`, async (stage) => {
  const { front, router } = stage;
  const over = Promise.withResolvers<void>();
  stage.play = async () => await over.promise;
  const client = await Counter.connect(front);
  await client.text(`${UPLOAD}Content-Length: 1000000000\r\n\r\n`);
  const sending = client.send(1_000_000_000).catch(() => {});
  try {
    match(await client.head(), /^HTTP\/1\.1 504 /);
  } finally {
    over.resolve();
    client.close();
    await sending;
  }
  await quiet(router);
});

test(`a reader that takes no more of an answer is cut`, async (stage) => {
  const { front, router } = stage;
  const ended = Promise.withResolvers<void>();
  stage.play = async (peer) => {
    await peer.send(`${HEAD}Content-Length: 1000000000\r\n\r\n`);
    await sendOn(peer);
    ended.resolve();
  };
  const client = await Counter.connect(front);
  await client.text(requestText({}));
  await client.head();
  await ended.promise;
  client.close();
  await quiet(router);
});

test(`a head that is not complete in time is 408 and closed, also one that drips`, async (stage) => {
  const { front } = stage;
  using still = await Peer.connect(front);
  await still.send("GET / HTTP/1.1\r\nHost: a");
  match(
    (await still.rest()).text,
    /^HTTP\/1\.1 408 [^]*\r\nConnection: close\r\n/,
  );
  using dripping = await Peer.connect(front);
  await dripping.send("GET / HTTP/1.1\r\nA: ");
  let over = false;
  const answer = dripping.rest().finally(() => over = true);
  while (!over) await slowly(() => dripping.send("b").catch(() => {}));
  match((await answer).text, /^HTTP\/1\.1 408 /);
});

test(`a connection without a request is closed without a word, before the first and after one`, async (stage) => {
  const { front, router } = stage;
  stage.play = async (peer) => {
    await peer.send(`${HEAD}Content-Length: 2\r\n\r\nok`);
    await peer.end();
  };
  using first = await Peer.connect(front);
  equal((await first.rest()).text, "");
  using second = await Peer.connect(front);
  await second.send(requestText({}));
  match((await second.rest()).text, /^HTTP\/1\.1 200 [^]*\r\n\r\nok$/);
  await until("no client's connection to be open", async () => {
    const metrics = await metricsOf(router);
    const open = metrics.get("signalbox_router_connections");
    ok(open !== undefined);
    return open === 0;
  });
});

/** Does something a little later: this is what dripping is. */
async function slowly(act: () => Promise<void>): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 120));
  await act();
}

/** Sends until the connection ends. */
async function sendOn(
  peer: Peer,
): Promise<void> {
  const part = new Uint8Array(65536);
  try {
    for (;;) await peer.send(part);
  } catch {
    // It has.
  }
}
