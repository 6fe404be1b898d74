import { deepEqual, equal, match, ok } from "node:assert/strict";
import { TEST_CERT } from "../../router/upstream/testing.ts";
import type { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";
import { Cell } from "./cell.ts";
import { requestText, type WireFront } from "./front.ts";
import { takeAnswer } from "./messages.ts";
import {
  descriptorLimit,
  descriptorsOf,
  HAS_PROC,
  mebibytes,
  memoryOf,
  metricsOf,
  report,
  upstreamConnections,
} from "./process.ts";
import { Subject } from "./subject.ts";

/**
 * Clients that are slow or silent, in thousands, cost little, harm nobody, and are cut at their deadlines
 * (SPEC section 6).
 */

const KIBIBYTE = 1024;

/** How many of each there are, by whether the port is encrypted. */
const COUNTS = {
  plain: { silent: 5000, heads: 500, bodies: 500 },
  // Each handshake costs this process as much as the router.
  tls: { silent: 1000, heads: 500, bodies: 500 },
};
/** Connections on which no handshake is begun. */
const UNSHAKEN = 4000;

const cell = new Cell();
const settings = {
  ROUTER_HEADER_TIMEOUT: "3s",
  ROUTER_KEEPALIVE_TIMEOUT: "4s",
  ROUTER_IDLE_TIMEOUT: "3s",
};
const subjects = await Subject.both({
  placements: { cell: cell.url() },
  env: settings,
});
const scale = await scaled();
Deno.test.afterAll(async () => {
  for (const subject of subjects) await subject[Symbol.asyncDispose]();
  await cell[Symbol.asyncDispose]();
});

/** Which part of the numbers above this machine lets a process have open. */
async function scaled(): Promise<number> {
  const needed = 9000 + 500;
  const limit = await descriptorLimit();
  if (limit >= needed) return 1;
  report(
    "the limit of open files (ulimit -n) is too low",
    `${limit}, ${needed} are needed; all numbers are scaled down`,
  );
  return Math.max(0.01, (limit - 500) / (needed - 500));
}

/** A client's connection that is held open, and what came on it. */
class Held {
  readonly #conn: Deno.Conn;
  text = "";
  /** The router has ended it. */
  over = false;
  readonly ended: Promise<void>;

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
    this.ended = this.#read();
  }

  /** Connects; with a handshake where `shaken`. */
  static async connect(front: WireFront, shaken: boolean): Promise<Held> {
    const { hostname, port } = front;
    if (!shaken) return new Held(await Deno.connect({ hostname, port }));
    const caCerts = [TEST_CERT];
    const conn = await Deno.connectTls({ hostname, port, caCerts });
    await conn.handshake();
    return new Held(conn);
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(1024);
    const decoder = new TextDecoder("iso-8859-1");
    try {
      let count;
      while ((count = await this.#conn.read(buffer)) !== null) {
        this.text += decoder.decode(buffer.subarray(0, count));
      }
    } catch {
      // A reset ends it as well.
    }
    this.over = true;
  }

  /** Sends text; one that the router has ended takes it in vain. */
  async send(text: string): Promise<void> {
    try {
      await this.#conn.write(new TextEncoder().encode(text));
    } catch {
      // What came on it tells why.
    }
  }

  close(): void {
    this.#conn.close();
  }
}

/** Opens many connections, some at a time. */
async function hold(
  front: WireFront,
  count: number,
  shaken = front.secure,
): Promise<Held[]> {
  const all: Held[] = [];
  let left = count;
  await Promise.all(Array.from({ length: 50 }, async () => {
    while (left-- > 0) all.push(await Held.connect(front, shaken));
  }));
  return all;
}

/** Requests that go on all the while, on kept connections and on new ones. */
class Traffic {
  answered = 0;
  /** What went wrong, in words; empty is what the tests hope for. */
  readonly failures: string[] = [];
  #running = true;
  readonly #clients: Promise<void>[];

  constructor(front: WireFront) {
    this.#clients = [true, true, true, true, false, false].map(
      (kept) => this.#ask(front, kept),
    );
  }

  async #ask(front: WireFront, kept: boolean): Promise<void> {
    while (this.#running) {
      try {
        await using socket = await front.connect();
        do {
          await socket.send(requestText({}));
          equal((await takeAnswer(socket)).status, 200);
          this.answered++;
          await new Promise((resolve) => setTimeout(resolve, 2));
        } while (kept && this.#running);
      } catch (error) {
        this.failures.push(String(error));
      }
    }
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#clients);
  }
}

async function connections(router: Router): Promise<number> {
  const metrics = await metricsOf(router);
  return metrics.get("signalbox_router_connections") ?? NaN;
}

/** Descriptors besides those of connections to endpoints, which come and go. */
async function descriptors(router: Router): Promise<number> {
  const { active, idle } = await upstreamConnections(router);
  return await descriptorsOf(router.program.pid) - active - idle;
}

/** Does something once a second, until all of them have ended. */
async function drip(
  clients: readonly Held[],
  what: (client: Held, second: number) => Promise<void>,
): Promise<void> {
  for (let second = 0; clients.some(({ over }) => !over); second++) {
    await Promise.all(clients.map((client) => what(client, second)));
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** Uses a router a little, so that what it costs alone is known. */
async function warm(front: WireFront, requests: number): Promise<void> {
  const traffic = new Traffic(front);
  await until("some requests", () => traffic.answered > requests);
  await traffic.stop();
}

for (const { front, router } of subjects) {
  const counts = Object.fromEntries(
    Object.entries(front.secure ? COUNTS.tls : COUNTS.plain).map((
      [name, count],
    ) => [name, Math.floor(count * scale)]),
  ) as typeof COUNTS.plain;
  const { silent, heads, bodies } = counts;

  Deno.test({
    name:
      `${front.name}: ${silent} silent connections, ${heads} that drip a head and ${bodies} that drip a body harm nobody, and end in time`,
    ignore: !HAS_PROC,
    async fn() {
      await using _scene = cell.answer();
      const { pid } = router.program;
      await warm(front, 500);
      await until("no connection", async () => await connections(router) === 0);
      const before = await descriptors(router);
      const { resident } = await memoryOf(pid);

      const quiet = await hold(front, silent);
      await until(
        "all to be accepted",
        async () => {
          const over = quiet.filter(({ over }) => over).length;
          return await connections(router) + over >= silent;
        },
      );
      const each = ((await memoryOf(pid)).resident - resident) / silent;
      report(
        `memory for each of ${silent} idle connections`,
        `${(each / KIBIBYTE).toFixed(1)} KiB`,
      );

      const traffic = new Traffic(front);
      const unshaken = front.secure
        ? await hold(front, Math.floor(UNSHAKEN * scale), false)
        : [];
      const dripping = await hold(front, heads);
      const uploading = await hold(front, bodies);
      const drips = Promise.all([
        drip(dripping, async (client, second) => {
          await client.send("GET / HTTP/1.1\r\n"[second % 16]!);
        }),
        // A body that goes on is served for as long as it does; half of them fall silent after 2 s.
        drip(uploading, async (client, second) => {
          const whole = uploading.indexOf(client) % 2 === 0;
          if (second === 0) {
            await client.send(
              "POST / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\nConnection: close\r\nContent-Length: 5\r\n\r\n",
            );
          } else if (second <= (whole ? 5 : 2)) await client.send("x");
        }),
      ]);
      const all = [...quiet, ...unshaken, ...dripping, ...uploading];
      await Promise.all(all.map(({ ended }) => ended));
      await drips;
      await traffic.stop();
      report("requests answered meanwhile", String(traffic.answered));
      deepEqual(traffic.failures, []);

      deepEqual(new Set(quiet.map(({ text }) => text)), new Set([""]));
      for (const { text } of dripping) match(text, /^HTTP\/1\.1 408 /);
      for (const [index, { text }] of uploading.entries()) {
        match(text, index % 2 === 0 ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 408 /);
      }
      // No client has closed its side yet.
      await until("all descriptors to be free", async () => {
        const now = await descriptors(router);
        if (now > before) throw new Error(`${now}, and ${before} before`);
        return true;
      });
      report("memory after it", mebibytes((await memoryOf(pid)).resident));
      for (const client of all) client.close();
    },
  });
}

Deno.test({
  name: "an idle plain connection costs at most 8 KiB of memory",
  ignore: !HAS_PROC,
  async fn() {
    await using _scene = cell.answer();
    await using subject = await Subject.start({
      placements: { cell: cell.url() },
    });
    const { front, router } = subject;
    await warm(front, 2000);
    await until("no connection", async () => await connections(router) === 0);
    const before = await memoryOf(router.program.pid);
    // The space of young objects grows once on the way, by some 10 MiB whoever makes them: the more
    // connections there are, the less of that seems to be theirs.
    const count = Math.floor(9000 * scale);
    const held = await hold(front, count);
    await until(
      "all to be accepted",
      async () => await connections(router) === count,
    );
    const after = await memoryOf(router.program.pid);
    const each = (after.resident - before.resident) / count;
    report(
      `memory for each of ${count} idle connections`,
      `${(each / KIBIBYTE).toFixed(1)} KiB`,
    );
    ok(each <= 8 * KIBIBYTE);
    for (const client of held) client.close();
    await Promise.all(held.map(({ ended }) => ended));
  },
});

for (const secure of [false, true]) {
  Deno.test(`at the limit of connections the newest is answered 503, and with room again it is served (${secure ? "TLS" : "plain"})`, async () => {
    await using scene = cell.answer();
    await using subject = await Subject.start({
      placements: { cell: cell.url() },
      secure,
      env: { ROUTER_MAX_CONNECTIONS: "20" },
    });
    const { front, router } = subject;
    const held = await hold(front, 20);
    await until(
      "all to be accepted",
      async () => await connections(router) === 20,
    );
    for (let i = 0; i < 5; i++) {
      await using socket = await front.connect();
      const answer = await takeAnswer(socket);
      equal(answer.status, 503);
      match(answer.head, /\r\nconnection: close\r\n/i);
      match(answer.head, /\r\ncontent-type: application\/problem\+json\r\n/i);
      equal(await socket.rest(), "", "it is closed");
    }
    const metrics = await metricsOf(router);
    equal(
      metrics.get(
        'signalbox_router_connections_refused_total{reason="max_connections"}',
      ),
      5,
    );
    // Those that were there before are served.
    await held[0]!.send(requestText({}));
    await until("an answer", () => held[0]!.text.endsWith("\r\n\r\nok"));
    for (const client of held) client.close();
    await until("room", async () => await connections(router) === 0);
    equal((await front.exchange({})).status, 200);
    equal(scene.requests.length, 2);
    await Promise.all(held.map(({ ended }) => ended));
  });
}
