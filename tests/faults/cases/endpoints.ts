import { equal, ok } from "node:assert/strict";
import { startCell } from "../../harness/cell.ts";
import { KeepAlive } from "../../harness/keep_alive.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { until } from "../../harness/until.ts";
import { fault } from "../fault.ts";

/**
 * Endpoints that fail, each in its own way. What is promised: their customers get the status that says so, or an answer
 * that is seen to be cut; customers of a sound endpoint notice nothing.
 */

const TIMES = 200;
const STALLED = 8;
const RESPONSE_TIMEOUT_MS = 1000;

type Answer = (connection: Deno.TcpConn) => Promise<void>;

const ANSWERS: Record<string, Answer> = {
  async stalls(connection) {
    // Until the router gives up.
    while (await connection.read(new Uint8Array(4096)) !== null);
  },
  async garbage(connection) {
    await connection.read(new Uint8Array(4096));
    await write(connection, "\0\x01 this is no HTTP\r\n\r\n\r\n");
  },
  async "cuts-head"(connection) {
    await connection.read(new Uint8Array(4096));
    await write(connection, "HTTP/1.1 200 OK\r\nContent-");
  },
  async "cuts-body"(connection) {
    await connection.read(new Uint8Array(4096));
    await write(connection, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nfour");
  },
  async "cuts-chunks"(connection) {
    await connection.read(new Uint8Array(4096));
    await write(
      connection,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n",
    );
  },
};

const EXPECTED: Record<string, number | "cut"> = {
  refuses: 502,
  stalls: 504,
  garbage: 502,
  "cuts-head": 502,
  "cuts-body": "cut",
  "cuts-chunks": "cut",
};

async function write(connection: Deno.TcpConn, text: string): Promise<void> {
  await connection.write(new TextEncoder().encode(text));
}

/** An endpoint that treats each connection in its way, and ends it then. */
function startEndpoint(
  answer: Answer,
): { endpoint: string } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    const running = new Set<Promise<void>>();
    for await (const connection of listener) {
      const one = answer(connection).catch(() => {}).then(() => {
        connection.close();
        running.delete(one);
      });
      running.add(one);
    }
    await Promise.all(running);
  })();
  return {
    endpoint: `http://127.0.0.1:${listener.addr.port}`,
    async [Symbol.asyncDispose]() {
      listener.close();
      await serving;
    },
  };
}

/** What one request comes to. */
async function outcomeOf(
  router: Router,
  customer: string,
): Promise<number | "cut"> {
  using connection = await KeepAlive.connect(router.url);
  try {
    const fields = `X-Routing-Key: ${customer}\r\n`;
    return (await connection.get("/", fields)).status;
  } catch {
    return "cut";
  }
}

/** Times of requests to the sound endpoint, one after the other, until told to stop; in milliseconds. */
function measure(
  router: Router,
): { readonly times: readonly number[]; stop(): Promise<number[]> } {
  let running = true;
  const times: number[] = [];
  const measuring = (async () => {
    using connection = await KeepAlive.connect(router.url);
    while (running) {
      const started = performance.now();
      const { status } = await connection.get("/", "X-Routing-Key: sound\r\n");
      equal(status, 200);
      times.push(performance.now() - started);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    return times;
  })();
  return {
    times,
    stop() {
      running = false;
      return measuring;
    },
  };
}

function p99(times: number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `${sorted[Math.floor(sorted.length * 0.99)]!.toFixed(1)} ms`;
}

fault("endpoints that refuse, stall, answer garbage or cut", async (tally) => {
  await using folder = await dataFolder();
  await using sound = startCell("sound");
  await using stack = new AsyncDisposableStack();
  const placements: Record<string, string> = { sound: sound.endpoint };
  for (const [name, answer] of Object.entries(ANSWERS)) {
    placements[name] = stack.use(startEndpoint(answer)).endpoint;
  }
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  placements.refuses = `http://127.0.0.1:${closed.addr.port}`;
  closed.close();
  const bootstrap = `${folder.path}/bootstrap.json`;
  const names = Object.keys(placements);
  await Deno.writeTextFile(
    bootstrap,
    JSON.stringify({
      default_placement: "sound",
      customer_to_placement: Object.fromEntries(names.map((n) => [n, n])),
      placement_to_endpoint: placements,
    }),
  );
  const router = stack.use(
    await Router.start("r", {
      folder: folder.path,
      cpUrl: "",
      env: {
        ROUTER_BOOTSTRAP: bootstrap,
        ROUTER_RESPONSE_TIMEOUT: `${RESPONSE_TIMEOUT_MS}ms`,
        ROUTER_ACCESS_LOG: "off",
      },
    }),
  );
  const before = measure(router);
  await until("some requests", () => before.times.length >= TIMES);
  const timesBefore = await before.stop();
  const during = measure(router);
  for (const [name, expected] of Object.entries(EXPECTED)) {
    const rounds = name === "stalls" ? 2 : TIMES / STALLED;
    for (let round = 0; round < rounds; round++) {
      const outcomes = await Promise.all(
        Array.from({ length: STALLED }, () => outcomeOf(router, name)),
      );
      for (const outcome of outcomes) equal(outcome, expected, name);
      tally.injected += STALLED;
    }
  }
  const timesDuring = await during.stop();
  tally.requests = timesBefore.length + timesDuring.length;
  ok(timesDuring.length > 100);
  tally.notes.push(
    `p99 of the sound endpoint's customers: ${p99(timesBefore)} before, ${
      p99(timesDuring)
    } meanwhile`,
  );
});
