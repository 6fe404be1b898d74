import { equal, ok } from "node:assert/strict";
import { percentile } from "../../bench/statistics.ts";
import { startCell } from "../../harness/cell.ts";
import { KeepAlive } from "../../harness/keep_alive.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { fault } from "../fault.ts";

/**
 * Endpoints that fail, each in its own way. What is promised: their customers get the status that says so, or an answer
 * that is seen to be cut; customers of a sound endpoint notice nothing: what they wait is the same as beside just as many
 * requests that are answered well.
 */

/** So often by turns: requests that are answered well, and those that fail. */
const TURNS = 4;
/** Requests of each kind in a turn, so many at a time. */
const TIMES = 160;
const AT_A_TIME = 8;
const RESPONSE_TIMEOUT_MS = 4000;

type Answer = (connection: Deno.TcpConn) => Promise<void>;

const ANSWERS: Record<string, Answer> = {
  async well(connection) {
    await connection.read(new Uint8Array(4096));
    await write(
      connection,
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    );
  },
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

/** Adds the times of requests to the sound endpoint, one after the other while `action` runs, in milliseconds. */
async function measure(
  { router, times }: { router: Router; times: number[] },
  action: () => Promise<void>,
): Promise<void> {
  let running = true;
  const measuring = (async () => {
    using connection = await KeepAlive.connect(router.url);
    while (running) {
      const started = performance.now();
      const { status } = await connection.get("/", "X-Routing-Key: sound\r\n");
      equal(status, 200);
      times.push(performance.now() - started);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  })();
  try {
    await action();
  } finally {
    running = false;
    await measuring;
  }
}

function latency(times: readonly number[]): string {
  const at = (share: number) => `${percentile(times, share).toFixed(1)} ms`;
  return `p50 ${at(0.5)}, p99 ${at(0.99)}`;
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
  const ask = async (name: string, expected: number | "cut") => {
    for (let round = 0; round < TIMES / AT_A_TIME; round++) {
      const outcomes = await Promise.all(
        Array.from({ length: AT_A_TIME }, () => outcomeOf(router, name)),
      );
      for (const outcome of outcomes) equal(outcome, expected, name);
      // One that stalls does so for seconds.
      if (name === "stalls") break;
    }
  };
  const beside: Record<"well" | "failing" | "stalling", number[]> = {
    well: [],
    failing: [],
    stalling: [],
  };
  const { stalls, ...failing } = EXPECTED;
  for (let turn = 0; turn < TURNS; turn++) {
    await measure({ router, times: beside.well }, async () => {
      for (const _ of Object.keys(failing)) await ask("well", 200);
    });
    await measure({ router, times: beside.failing }, async () => {
      for (const [name, expected] of Object.entries(failing)) {
        await ask(name, expected);
        tally.injected += TIMES;
      }
    });
    await measure({ router, times: beside.stalling }, async () => {
      await ask("stalls", stalls!);
      tally.injected += AT_A_TIME;
    });
  }
  tally.requests = Object.values(beside).flat().length;
  ok(Object.values(beside).every(({ length }) => length > 100));
  tally.notes.push(
    `the sound endpoint's customers: ${
      latency(beside.failing)
    } beside failing requests, ${latency(beside.well)} beside as many others, ${
      latency(beside.stalling)
    } beside stalling ones`,
  );
});
