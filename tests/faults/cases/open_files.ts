import { equal, ok } from "node:assert/strict";
import { descriptorsOf, metricsOf } from "../../conformance/process.ts";
import { startCell } from "../../harness/cell.ts";
import { KeepAlive } from "../../harness/keep_alive.ts";
import { dataFolder, Program } from "../../harness/program.ts";
import { until } from "../../harness/until.ts";
import { fault } from "../fault.ts";

/**
 * Clients open more connections than the router may have files. What is promised: it sheds the newest and serves the
 * others, its admin listener answers all the time, and it recovers as soon as they leave.
 */

const LIMIT = 200;
const CLIENTS = 400;
const ROUNDS = 3;

fault("open files: more clients than the router may have", async (tally) => {
  await using folder = await dataFolder();
  await using cell = startCell("one");
  const bootstrap = `${folder.path}/bootstrap.json`;
  await Deno.writeTextFile(
    bootstrap,
    JSON.stringify({
      default_placement: "one",
      customer_to_placement: {},
      placement_to_endpoint: { one: cell.endpoint },
    }),
  );
  await using program = Program.start("router", {
    ROUTER_LISTEN: "127.0.0.1:0",
    ROUTER_ADMIN_LISTEN: "127.0.0.1:0",
    ROUTER_CP_URL: "",
    ROUTER_STATE_DIR: `${folder.path}/r`,
    ROUTER_BOOTSTRAP: bootstrap,
  }, { within: ["prlimit", `--nofile=${LIMIT}`] });
  const data = await program.line("listening", { listener: "data" });
  const admin = await program.line("listening", { listener: "admin" });
  const url = `http://${data.address}`;
  const adminUrl = `http://${admin.address}`;
  const { hostname, port } = new URL(url);
  const ask = async (client: KeepAlive) =>
    (await client.get("/", "X-Routing-Key: acme\r\n")).status;
  using first = await KeepAlive.connect(url);
  equal(await ask(first), 200);
  const atRest = await descriptorsOf(program.pid);

  for (let round = 0; round < ROUNDS; round++) {
    const clients: Deno.TcpConn[] = [];
    for (let i = 0; i < CLIENTS; i++) {
      clients.push(await Deno.connect({ hostname, port: Number(port) }));
    }
    tally.injected += CLIENTS;
    // Whoever has a connection keeps it, and the operator has to see in.
    for (let i = 0; i < 20; i++) {
      tally.requests++;
      if (await ask(first) !== 200) tally.failed++;
      const health = await fetch(`${adminUrl}/healthz`, {
        signal: AbortSignal.timeout(5000),
      });
      await health.body?.cancel();
      equal(health.status, 200);
    }
    ok((await metricsOf({ adminUrl })).size > 0);
    for (const client of clients) client.close();
    await until(
      "the router to have the files it had",
      async () => await descriptorsOf(program.pid) <= atRest + 5,
    );
    using after = await KeepAlive.connect(url);
    tally.requests++;
    if (await ask(after) !== 200) tally.failed++;
  }
  // The same at the admin listener: that one goes away for a moment, and comes back; customers notice nothing.
  const operators: Deno.TcpConn[] = [];
  for (let i = 0; i < CLIENTS; i++) {
    try {
      operators.push(
        await Deno.connect({ hostname, port: Number(new URL(adminUrl).port) }),
      );
    } catch {
      break;
    }
  }
  tally.injected += operators.length;
  await program.line("the admin listener ended, and is opened again");
  tally.requests++;
  if (await ask(first) !== 200) tally.failed++;
  for (const operator of operators) operator.close();
  await until(
    "the admin listener to answer again",
    async () => (await metricsOf({ adminUrl })).size > 0,
  );

  const kinds = new Set(
    program.log.filter(({ level }) => level !== "info").map(({ message }) =>
      message
    ),
  );
  tally.notes.push(
    `${program.log.length} lines of log; it said: ${[...kinds].join("; ")}`,
  );
});
