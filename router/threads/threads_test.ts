import { equal, match, rejects } from "node:assert/strict";
import { activeAt, eventually } from "../testing.ts";
import type { Hold } from "../../shared/protocol.ts";
import { ServingThread } from "./serving_thread.ts";
import { Threads, type ThreadsOptions } from "./threads.ts";

const OPTIONS: ThreadsOptions = {
  count: 1,
  env: {},
  tls: { identity: null, ca: null },
  listeners: [],
  active: () => null,
  via: "signalbox-0",
  fenceChanged: () => {},
  holds: () => [],
  holding: () => {},
};

/** A thread that says it listens, counts one error each time it is asked, and dies when told of a config. */
const MORTAL = `data:text/javascript,${
  encodeURIComponent(`
    onmessage = ({ data }) => {
      if (data.type === "start") {
        postMessage({ type: "counted", counted: { requests: 7, errors: 2 } });
        postMessage({ type: "listening" });
      }
      if (data.type === "count") {
        postMessage({ type: "counts", counts: {
          inFlight: 1, connections: 2, acceptErrors: 3, uncaught: 4, placements: [],
          refused: { max_connections: 5, max_per_address: 0, stopping: 0, backlog: 0 },
        } });
      }
      if (data.type === "prepare") postMessage({ type: "prepared", error: null });
      if (data.type === "swap") postMessage({ type: "serving", error: "no" });
      if (data.type === "renew") throw new Error("it dies here");
      if (data.type === "stop") postMessage({ type: "stopped" });
    };
  `)
}`;

Deno.test("Threads.start() throws where a thread cannot listen", async () => {
  const taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { hostname, port } = taken.addr;
  await rejects(
    Threads.start({
      ...OPTIONS,
      count: 2,
      listeners: [{ protocol: "http/1.1", address: { hostname, port } }],
    }),
    /Cannot start|in use/,
  );
  taken.close();
});

Deno.test("ServingThread does what it is told while it starts, in that order", async () => {
  const reports: string[] = [];
  const thread = new ServingThread({
    module: import.meta.resolve("./serving_worker.ts"),
    lost: (error) => reports.push(error),
    fenceChanged: () => {},
    holding: ({ id }) => reports.push(id),
  });
  const hold = (id: string): Hold => ({
    type: "hold",
    id,
    version: 1,
    customers: [`of-${id}`],
    for_ms: 60_000,
    until_released: false,
    cut_streams_ms: null,
  });
  const started = thread.start({
    type: "start",
    env: { LOG_LEVEL: "error" },
    tls: OPTIONS.tls,
    listeners: [],
    threads: 2,
    via: OPTIONS.via,
    config: null,
    holds: [hold("before")],
  });
  thread.order({ type: "release", id: "before" });
  thread.order(hold("early"));
  await started;
  // One that was released is told of no more.
  thread.order(hold("before"));
  thread.order(hold("late"));
  await eventually(() => reports.includes("late"), "it holds");
  equal([...new Set(reports)].join(" "), "before early late");
  equal(reports.filter((id) => id === "before").length, 1);
  await thread.stop(0);
});

Deno.test("Threads puts another thread in the place of one that dies, and keeps what it counted", async () => {
  const threads = await Threads.start({
    ...OPTIONS,
    module: MORTAL,
    replaceTime: 10,
  });
  equal(threads.serving, 1);
  const [before] = await threads.counts();
  match(JSON.stringify(before), /"connections":2/);
  const sum = () =>
    threads.counted().reduce((sum, { requests }) => sum + requests, 0);
  equal(sum(), 7);
  threads.renew({ cert: "", key: "" });
  await eventually(() => threads.serving === 0, "the thread dies");
  await eventually(() => threads.serving === 1, "another takes its place");
  const [lost, now] = await threads.counts();
  // What only grows is kept; what was open is not any more.
  equal(threads.losses, 1);
  equal(lost!.uncaught, 4);
  equal(lost!.refused.max_connections, 5);
  equal(lost!.connections + lost!.inFlight, 0);
  equal(now!.connections, 2);
  equal(sum(), 14);
  await threads.stop(0);
});

Deno.test("Threads starts one thread in the place of a lost one, however often that fails", async () => {
  const born: string[] = [];
  const threads = await Threads.start({
    ...OPTIONS,
    count: 2,
    replaceTime: 1,
    get module() {
      const dead = born.length >= 2 && born.length < 6;
      born.push(dead ? "dead" : "alive");
      return dead
        ? "data:text/javascript,throw new Error('born dead')"
        : MORTAL;
    },
  });
  threads.renew({ cert: "", key: "" });
  await eventually(() => threads.serving === 0, "both die");
  await eventually(() => threads.serving === 2, "both are replaced");
  equal(born.join(" "), "alive alive dead dead dead dead alive alive");
  await threads.stop(0);
});

Deno.test("Threads.serve() gives up a thread that cannot serve what the others serve", async () => {
  const threads = await Threads.start({
    ...OPTIONS,
    module: MORTAL,
    replaceTime: 10,
  });
  const { routes } = activeAt("http://127.0.0.1:1");
  const config = {
    version: 8,
    epoch: null,
    digest: "sha256:",
    source: "control_plane",
    routes,
  } as const;
  await threads.prepare(config);
  await threads.serve(config);
  equal(threads.serving, 0);
  await eventually(() => threads.serving === 1, "another takes its place");
  await threads.stop(0);
});
