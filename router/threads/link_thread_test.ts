import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { activeAt, eventually } from "../testing.ts";
import { type ActiveConfig, type NextConfig, readyConfig } from "../active.ts";
import { SavedConfigs } from "../saved_config.ts";
import type { LinkReport } from "./link_messages.ts";
import { LinkThread, type LinkThreadOptions } from "./link_thread.ts";

const CONFIG = {
  default_placement: "a",
  customer_to_placement: { acme: "b" },
  placement_to_endpoint: { a: "http://127.0.0.1:1", b: "http://127.0.0.1:2" },
};

/** A thread that connects at once, tells of one rejected push, and dies when it is asked for a second report. */
const MORTAL = `data:text/javascript,${
  encodeURIComponent(`
    let asked = 0;
    onmessage = ({ data }) => {
      if (data.type === "start") {
        postMessage({ type: "started", config: null, bootstrapProblem: null });
      }
      if (data.type === "report") {
        if (asked++ > 0) throw new Error("it dies here");
        postMessage({ type: "report", report: {
          status: {
            connected: true, version: 9, lag: 2, behindSeconds: 5, lastHeardAt: 7,
            lastRejected: { version: 9, epoch: "e", error: "no", at: 8 },
          },
          counters: {
            connects: 1, failures: 2, ignored: 3, dropped: 4,
            updates: { applied: 5, rejected: 6, unchanged: 7 },
          },
          applySeconds: { counts: [1], sum: 0.5 },
          saved: null, saveFailures: 8, uncaught: 9,
        } });
      }
      if (data.type === "stop") postMessage({ type: "stopped" });
    };
  `)
}`;

/** A control plane that takes one router after the other, and remembers what they announced and said. */
class ControlPlane implements AsyncDisposable {
  readonly announced: URLSearchParams[] = [];
  readonly said: { type: string; [field: string]: unknown }[] = [];
  socket: WebSocket | null = null;
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => {
      this.announced.push(new URL(request.url).searchParams);
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.onopen = () => this.socket = socket;
      socket.onmessage = ({ data }) => this.said.push(JSON.parse(data));
      return response;
    },
  );

  get url(): string {
    return `ws://127.0.0.1:${this.#server.addr.port}/v1/connect`;
  }

  push(version: number, config: unknown): void {
    const message = { type: "config_update", version, epoch: "e", config };
    this.socket!.send(JSON.stringify(message));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#server.shutdown();
  }
}

async function withLink(
  options: Partial<LinkThreadOptions>,
  run: (
    link: LinkThread,
    plane: ControlPlane,
    directory: string,
  ) => Promise<void>,
): Promise<void> {
  await using plane = new ControlPlane();
  const directory = await Deno.makeTempDir();
  const base: LinkThreadOptions = {
    env: {
      ROUTER_CP_URL: plane.url,
      ROUTER_STATE_DIR: directory,
      LOG_LEVEL: "error",
    },
    serve: () => Promise.resolve(true),
    active: () => null,
    counted: () => ({ requests: 0, errors: 0 }),
    order: () => {},
    replaceTime: 10,
  };
  // As they are: a module may be another one each time it is asked for.
  const given = Object.getOwnPropertyDescriptors(options);
  const link = new LinkThread(Object.defineProperties(base, given));
  try {
    await run(link, plane, directory);
  } finally {
    await link.stop();
    await Deno.remove(directory, { recursive: true });
  }
}

async function reported(
  link: LinkThread,
  condition: (report: LinkReport) => boolean,
  what: string,
): Promise<LinkReport> {
  let report = await link.report();
  for (const by = performance.now() + 20_000; !condition(report);) {
    if (performance.now() > by) throw new Error(`Never happened: ${what}`);
    report = await link.report();
  }
  return report;
}

Deno.test("LinkThread hands a pushed config over to be served, then saves it, then acks", async () => {
  const served: NextConfig[] = [];
  const given = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  const serve: LinkThreadOptions["serve"] = async (config) => {
    served.push(config);
    given.resolve();
    await go.promise;
    return true;
  };
  await withLink({ serve }, async (link, plane, directory) => {
    deepEqual(await link.start(), {
      type: "started",
      config: null,
      bootstrapProblem: null,
    });
    link.connect({ id: "r", instance: "i" });
    await eventually(() => plane.socket !== null, "the link connects");
    plane.push(4, CONFIG);
    await given.promise;
    // In memory that any thread can read; and nothing is told before all serve it.
    equal(served[0]!.version, 4);
    const { packed, ...ready } = served[0]!;
    ok(packed.text.buffer instanceof SharedArrayBuffer);
    const { find } = readyConfig({ ...ready, packed }).routes;
    equal(find("acme").placement.name, "b");
    equal((await link.report()).saved, null);
    equal(plane.said.length, 0);
    go.resolve();
    await eventually(() => plane.said.length === 1, "the push is acked");
    const { type, version, status, durable } = plane.said[0]!;
    deepEqual([type, version, status, durable], ["ack", 4, "applied", true]);
    const report = await link.report();
    equal(report.status.connected, true);
    equal(report.counters.updates.applied, 1);
    equal(report.saved?.version, 4);
    equal((await new SavedConfigs(directory).read())?.version, 4);

    // The next one leaves what is being served alone, and the one after it takes the place of the first.
    plane.push(5, { ...CONFIG, customer_to_placement: {} });
    await eventually(() => plane.said.length === 2, "the push is acked");
    equal(find("acme").placement.name, "b");
    plane.push(6, { ...CONFIG, customer_to_placement: { acme: "a" } });
    await eventually(() => plane.said.length === 3, "the push is acked");
    equal(find("acme").placement.name, "a");
  });
});

Deno.test("LinkThread rejects a config that cannot be served", () =>
  withLink({
    serve: () => Promise.reject(new Error("a thread has no memory left")),
  }, async (link, plane) => {
    await link.start();
    link.connect({ id: "r", instance: "i" });
    await eventually(() => plane.socket !== null, "the link connects");
    plane.push(4, CONFIG);
    await eventually(() => plane.said.length === 1, "the push is answered");
    equal(plane.said[0]!.status, "rejected");
    match(String(plane.said[0]!.error), /a thread has no memory left/);
    equal((await link.report()).saved, null);
  }));

Deno.test("LinkThread goes on where a lost thread was, with its counts, and saves what that may not have", async () => {
  const born: string[] = [];
  const served = activeAt("http://127.0.0.1:1", 8);
  const { digest } = served.routes.packed;
  const active: ActiveConfig = { ...served, epoch: "e", digest };
  await withLink({
    active: () => active,
    get module() {
      born.push(born.length === 0 ? "mortal" : "real");
      return born.length === 1
        ? MORTAL
        : import.meta.resolve("./link_worker.ts");
    },
  }, async (link, plane, directory) => {
    await link.start();
    link.connect({ id: "r", instance: "i" });
    const before = await link.report();
    equal(before.status.connected, true);
    ok(before.status.behindSeconds >= 5);
    await link.report();
    const lost = await link.report();
    equal(lost.status.connected, false);
    equal(lost.counters.connects, 1);
    await eventually(
      () => plane.announced.length === 1,
      "another one connects",
    );
    const announced = plane.announced[0]!;
    deepEqual(
      ["id", "instance", "version", "epoch", "digest"].map((name) =>
        announced.get(name)
      ),
      ["r", "i", "8", "e", digest],
    );
    const report = await reported(
      link,
      ({ saved, counters }) => saved?.version === 8 && counters.connects === 2,
      "the config is saved, and the connection known",
    );
    equal((await new SavedConfigs(directory).read())?.version, 8);
    // The served copy is as it was.
    equal(active.routes.find("acme").placement.name, "cell");
    equal(report.status.lastRejected?.error, "no");
    deepEqual(report.counters.updates, {
      applied: 5,
      rejected: 6,
      unchanged: 7,
    });
    equal(report.applySeconds.sum, 0.5);
    deepEqual([report.saveFailures, report.uncaught], [8, 9]);
  });
  deepEqual(born, ["mortal", "real"]);
});

/** A thread that wants something done, and then a config served, as soon as it is to connect. */
const ORDERING = `data:text/javascript,${
  encodeURIComponent(`
    onmessage = ({ data }) => {
      if (data.type === "start") {
        postMessage({ type: "started", config: null, bootstrapProblem: null });
      }
      if (data.type === "connect") {
        postMessage({ type: "order", order: { type: "release", id: "h" } });
        postMessage({ type: "serve", config: {} });
      }
      if (data.type === "stop") postMessage({ type: "stopped" });
    };
  `)
}`;

Deno.test("LinkThread has a config served also after an order that failed", async () => {
  const done: string[] = [];
  await withLink({
    module: ORDERING,
    order: ({ type }) => {
      done.push(type);
      throw new Error("not this one");
    },
    serve: () => {
      done.push("serve");
      return Promise.resolve(true);
    },
  }, async (link) => {
    await link.start();
    link.connect({ id: "r", instance: "i" });
    await eventually(() => done.length === 2, "the config is served");
    deepEqual(done, ["release", "serve"]);
  });
});

Deno.test("LinkThread.start() throws where its thread cannot start", () =>
  withLink(
    { module: "data:text/javascript,throw new Error('born dead')" },
    (link) => rejects(link.start(), /born dead/),
  ));
