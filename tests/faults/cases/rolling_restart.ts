import { equal, ok } from "node:assert/strict";
import { configOf } from "../../harness/config.ts";
import { ControlPlane } from "../../harness/control_plane.ts";
import { KeepAlive } from "../../harness/keep_alive.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { until } from "../../harness/until.ts";
import { fault, type Tally } from "../fault.ts";

/**
 * Three routers are restarted one after the other, as an update does it. Their clients try another router where a
 * connection is refused, and nothing else: a request that was sent and not answered has failed, and so has a body that
 * breaks off.
 */

const CLIENTS = 12;
const SLOW_BYTES = 200_000;
const SLOW_PIECES = 20;
const SLOW_PAUSE_MS = 50;

/** A cell whose answers under `/slow` take a second. */
function startSlowCell() {
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => {
      if (!request.url.includes("/slow")) return new Response("fast");
      let pieces = 0;
      const piece = new Uint8Array(SLOW_BYTES / SLOW_PIECES).fill(120);
      return new Response(
        new ReadableStream({
          async pull(controller) {
            await new Promise((resolve) => setTimeout(resolve, SLOW_PAUSE_MS));
            if (pieces++ < SLOW_PIECES) controller.enqueue(piece);
            else controller.close();
          },
        }),
      );
    },
  );
  return {
    name: "slow",
    endpoint: `http://127.0.0.1:${server.addr.port}`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

/** Clients that go on until they are stopped. */
class Clients {
  readonly #urls: readonly string[];
  readonly #tally: Tally;
  readonly #working: Promise<void>[];
  #running = true;
  /** Slow answers under way. */
  slow = 0;
  refused = 0;
  readonly failures: string[] = [];

  constructor(urls: readonly string[], tally: Tally) {
    this.#urls = urls;
    this.#tally = tally;
    this.#working = Array.from(
      { length: CLIENTS },
      (_, i) => this.#work(i, i < 3 ? "/slow" : "/fast"),
    );
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#working);
  }

  async #work(first: number, path: string): Promise<void> {
    let connection: KeepAlive | null = null;
    while (this.#running) {
      connection ??= await this.#connect(first);
      const slow = path === "/slow" ? 1 : 0;
      this.slow += slow;
      try {
        this.#tally.requests++;
        const { status, headers, body } = await connection.get(
          path,
          "X-Routing-Key: acme\r\n",
        );
        const length = slow === 1 ? SLOW_BYTES : "fast".length;
        if (status !== 200 || body.length !== length) {
          this.#fail(`${status}, ${body.length} bytes`);
        }
        if (headers.get("connection") === "close") {
          connection[Symbol.dispose]();
          connection = null;
        }
      } catch (error) {
        this.#fail(String(error));
        connection?.[Symbol.dispose]();
        connection = null;
      }
      this.slow -= slow;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    connection?.[Symbol.dispose]();
  }

  async #connect(first: number): Promise<KeepAlive> {
    for (let i = first;; i++) {
      try {
        return await KeepAlive.connect(this.#urls[i % this.#urls.length]!);
      } catch (error) {
        if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
        this.refused++;
      }
    }
  }

  #fail(what: string): void {
    this.#tally.failed++;
    this.failures.push(what);
  }
}

fault("routers: rolling restart", async (tally) => {
  await using folder = await dataFolder();
  await using cell = startSlowCell();
  await using controlPlane = await ControlPlane.start(folder.path);
  await controlPlane.call("PUT", "/v1/config", { body: configOf([cell]) });
  const options = { folder: folder.path, cpUrl: controlPlane.connectUrl };
  await using stack = new AsyncDisposableStack();
  const routers = await Promise.all(
    ["a", "b", "c"].map((id) => Router.start(id, options)),
  );
  for (const router of routers) stack.use(router);
  await Promise.all(routers.map((router) => router.serves(1)));
  const clients = new Clients(routers.map(({ url }) => url), tally);
  try {
    for (const router of routers) {
      await until("slow answers under way", () => clients.slow > 1);
      const { code } = await router.program.stop();
      equal(code, 0, router.program.logText());
      tally.injected++;
      const before = tally.requests;
      await until("requests elsewhere", () => tally.requests > before + 200);
      const again = stack.use(
        await router.again({ ROUTER_LISTEN: new URL(router.url).host }),
      );
      await again.serves(1);
    }
  } finally {
    await clients.stop();
  }
  equal(clients.failures[0], undefined);
  ok(clients.refused > 0, "no client met a router that was stopped");
  tally.notes.push(
    `${clients.refused} connections were refused and tried elsewhere`,
  );
});
