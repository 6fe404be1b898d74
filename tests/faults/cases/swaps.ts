import { deepEqual, equal, ok } from "node:assert/strict";
import type { ConfigBody } from "../../harness/config.ts";
import { ControlPlane } from "../../harness/control_plane.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { fault } from "../fault.ts";
import { cellOf, CELLS, CUSTOMERS, type Seen } from "../full_load.ts";

/**
 * A hundred configs in twenty seconds, while a router answers as much as it can. What is promised: no request fails, each
 * is answered from where its version says, and no connection ever sees a version go back. (In the same kind of run a
 * reload of nginx lost 16 of 452,709 requests, and one of HAProxy 24 of 454,994.)
 */

const SWAPS = 100;
const INTERVAL_MS = 200;
const CONNECTIONS = 32;
/** So that each config answers some on every connection; a busy machine takes no more. */
const MIN_REQUESTS = 20_000;
/** What every tenth config has more, so that large ones and small ones follow each other. */
const MANY = 20_000;

/** A cell that answers each request with its number, as cheaply as can be. */
function startCell(number: number): { url: string } & AsyncDisposable {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const answer = new TextEncoder().encode(
    `HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n${number}`,
  );
  const open = new Set<Deno.Conn>();
  const serve = async (connection: Deno.Conn) => {
    open.add(connection);
    const buffer = new Uint8Array(4096);
    try {
      // A request of the load comes in one piece, and waits for its answer.
      while (await connection.read(buffer) !== null) {
        await connection.write(answer);
      }
    } catch {
      // It was closed here, or by the router.
    }
    if (open.delete(connection)) connection.close();
  };
  const serving: Promise<void>[] = [];
  const accepting = (async () => {
    for await (const connection of listener) serving.push(serve(connection));
  })();
  return {
    url: `http://127.0.0.1:${listener.addr.port}`,
    async [Symbol.asyncDispose]() {
      listener.close();
      for (const connection of open) connection.close();
      open.clear();
      await accepting;
      await Promise.all(serving);
    },
  };
}

/** The config that is to become version `version`. */
function configOf(
  version: number,
  cells: readonly (readonly { url: string }[])[],
): ConfigBody {
  const customers: Record<string, string> = {};
  for (let i = 0; i < CUSTOMERS; i++) {
    customers[`customer-${i}`] = `cell-${cellOf(i, version)}`;
  }
  if (version % 10 === 0) {
    for (let i = 0; i < MANY; i++) customers[`other-${i}`] = "cell-0";
  }
  return {
    default_placement: "cell-0",
    customer_to_placement: customers,
    // Every fifth version has all cells elsewhere, so that the connections to them are given up.
    placement_to_endpoint: Object.fromEntries(
      cells[version % 5 === 0 ? 1 : 0]!.map(({ url }, i) => [`cell-${i}`, url]),
    ),
  };
}

fault("config: 100 swaps in 20 s under full keep-alive load", async (tally) => {
  await using folder = await dataFolder();
  await using stack = new AsyncDisposableStack();
  const cells = [0, 1].map(() =>
    Array.from({ length: CELLS }, (_, i) => stack.use(startCell(i)))
  );
  // Each swap moves everybody.
  await using controlPlane = await ControlPlane.start(folder.path, {
    CP_GUARD_SHARE: "100%",
  });
  const put = async (version: number, query = "") => {
    const { status, body } = await controlPlane.call(
      "PUT",
      `/v1/config${query}`,
      { body: configOf(version, cells) },
    );
    deepEqual([status, body.version, body.changed], [200, version, true]);
    return body;
  };
  await put(1);
  await using router = await Router.start("r", {
    folder: folder.path,
    cpUrl: controlPlane.connectUrl,
  });
  await router.serves(1);
  const load = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--allow-net=127.0.0.1",
      new URL("../full_load.ts", import.meta.url).pathname,
      router.url,
      String(CONNECTIONS),
    ],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const output = load.output();
  const started = performance.now();
  for (let swap = 1; swap <= SWAPS; swap++) {
    const { rollout } = await put(swap + 1, "?wait=applied&timeout=10s");
    equal(rollout.applied, 1, JSON.stringify(rollout));
    tally.injected++;
    tally.acknowledged++;
    const due = started + swap * INTERVAL_MS;
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, due - performance.now()))
    );
  }
  const seconds = (performance.now() - started) / 1000;
  await load.stdin.close();
  const { stdout } = await output;
  const seen: Seen = JSON.parse(new TextDecoder().decode(stdout));
  tally.requests = seen.answered + seen.failed;
  tally.failed = seen.failed;
  tally.notes.push(
    `${SWAPS} swaps in ${
      seconds.toFixed(1)
    } s; answers told of ${seen.versions} versions`,
  );
  deepEqual(seen.failures, []);
  ok(seen.versions > SWAPS / 2, `only ${seen.versions} versions were seen`);
  ok(tally.requests >= MIN_REQUESTS, `only ${tally.requests} requests`);
});
