import { equal } from "node:assert/strict";
import { descriptorsOf, metricsOf } from "../../conformance/process.ts";
import { startCell } from "../../harness/cell.ts";
import { configOf } from "../../harness/config.ts";
import { ControlPlane } from "../../harness/control_plane.ts";
import { Load } from "../../harness/load.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { until } from "../../harness/until.ts";
import { fault, type Tally } from "../fault.ts";
import { FaultProxy, type Way } from "../fault_proxy.ts";

/**
 * The network between the control plane and its routers loses everything, and nobody is told. What is promised: both
 * sides notice by their heartbeats, within 12 s; requests do not; an edit made meanwhile is served within 12 s after it
 * heals; neither side keeps anything of it once TCP has given the connection up as well.
 */

/** What SPEC section 4 allows for either side to notice, and what a busy machine may add, in milliseconds. */
const NOTICE_MS = 12_000 + 8_000;
const CURRENT_MS = 12_000 + 8_000;

const WAYS: Record<string, readonly Way[]> = {
  "both ways": ["up", "down"],
  "towards the control plane": ["up"],
  "towards the router": ["down"],
};

/** One sample of what a control plane's metrics tell. */
async function metric(
  controlPlane: ControlPlane,
  name: string,
): Promise<number | undefined> {
  return (await metricsOf({ adminUrl: controlPlane.url })).get(name);
}

async function acknowledged(
  controlPlane: ControlPlane,
  routers: number,
  version: number,
): Promise<void> {
  await until(`version ${version} to be acked by all`, async () => {
    const { body } = await controlPlane.call("GET", "/v1/routers");
    const current = body.routers.filter((
      router: { version: number; status: string },
    ) => router.version === version && router.status === "current");
    if (current.length !== routers) throw new Error(JSON.stringify(body));
    return true;
  }, CURRENT_MS);
}

fault(
  "network between control plane and routers: everything is lost",
  async (tally) => {
    await using folder = await dataFolder();
    await using one = startCell("one");
    await using two = startCell("two");
    await using controlPlane = await ControlPlane.start(folder.path);
    await controlPlane.call("PUT", "/v1/config", {
      body: configOf([one, two]),
    });
    await using stack = new AsyncDisposableStack();
    const scenes = await Promise.all(
      Object.entries(WAYS).map(async ([name, ways]) => {
        const proxy = stack.use(await FaultProxy.start(controlPlane.port));
        const router = stack.use(
          await Router.start(name.replaceAll(" ", "-"), {
            folder: folder.path,
            cpUrl: `ws://127.0.0.1:${proxy.port}/v1/connect`,
          }),
        );
        await router.serves(1);
        return { name, ways, proxy, router };
      }),
    );
    await acknowledged(controlPlane, scenes.length, 1);
    await using load = Load.start(scenes.map(({ router }) => router.url), {
      connections: 6,
      pauseMs: 5,
    });
    await until("some load", () => load.answered > 100);
    const before = await Promise.all(
      scenes.map(({ router }) => descriptorsOf(router.program.pid)),
    );

    const lostAt = performance.now();
    for (const { proxy, ways } of scenes) {
      proxy.treat({ kind: "drop" }, ways);
      tally.injected++;
    }
    await Promise.all(scenes.map(async ({ name, router }) => {
      await until(
        `the router to notice, ${name}`,
        async () => !(await router.status()).connected,
        NOTICE_MS,
      );
      tally.notes.push(`${name}: noticed by the router after ${since(lostAt)}`);
    }));
    await until(
      "the control plane to notice",
      async () =>
        await metric(controlPlane, "signalbox_cp_routers_connected") === 0,
      NOTICE_MS,
    );
    tally.notes.push(`noticed by the control plane after ${since(lostAt)}`);
    const edit = await controlPlane.call("PATCH", "/v1/customers/acme", {
      body: { placement: "two" },
    });
    equal(edit.body.version, 2);
    const during = load.answered;
    await until("requests meanwhile", () => load.answered > during + 200);

    const healedAt = performance.now();
    for (const { proxy } of scenes) proxy.heal();
    await acknowledged(controlPlane, scenes.length, 2);
    tally.acknowledged = scenes.length;
    tally.notes.push(`all current ${since(healedAt)} after it healed`);
    await load.stop();
    for (const { router } of scenes) {
      equal((await router.ask("acme")).placement, "two");
    }
    // The router lets go of what it has given up at once. The control plane has no state of it any more, but its runtime
    // waits for the peer's answer to the close, until TCP gives up, in a real network after a quarter of an hour: here the
    // proxy, which still holds its end, does so.
    for (const [index, { router, proxy }] of scenes.entries()) {
      await until(
        "the router to have as many descriptors as before",
        async () => await descriptorsOf(router.program.pid) <= before[index]!,
      );
      proxy.reset(1);
      await until("one connection to be left", () => proxy.connections === 1);
    }
    await until(
      "the control plane to let go of the old connections",
      async () =>
        await metric(controlPlane, "signalbox_cp_router_sockets_closing") === 0,
    );
    finish(load, tally);
  },
);

fault(
  "network between control plane and routers: a push is cut, a connection reset",
  async (tally) => {
    await using folder = await dataFolder();
    await using one = startCell("one");
    await using two = startCell("two");
    await using controlPlane = await ControlPlane.start(folder.path);
    const config = configOf([one, two]);
    await controlPlane.call("PUT", "/v1/config", { body: config });
    await using proxy = await FaultProxy.start(controlPlane.port);
    await using router = await Router.start("r", {
      folder: folder.path,
      cpUrl: `ws://127.0.0.1:${proxy.port}/v1/connect`,
    });
    await router.serves(1);
    await using load = Load.start([router.url], { connections: 4, pauseMs: 5 });
    for (let i = 0; i < 100_000; i++) {
      config.customer_to_placement[`customer-${i}`] = "two";
    }
    // In the handshake, in the announcement of the push, and at some places of the push itself.
    const places = [1, 200, 10_000, 200_000, 300_000];
    proxy.treat({ kind: "cut", afterBytes: places[0]! }, ["down"]);
    proxy.reset();
    const put = await controlPlane.call("PUT", "/v1/config", { body: config });
    equal(put.body.version, 2);
    for (const afterBytes of places) {
      const before = await attempts(router);
      proxy.treat({ kind: "cut", afterBytes }, ["down"]);
      tally.injected++;
      await until(
        `an attempt that is cut after ${afterBytes} bytes`,
        async () => await attempts(router) > before + 1,
      );
      equal((await router.ask("acme")).version, 1);
    }
    proxy.heal();
    await router.serves(2);
    proxy.reset();
    tally.injected++;
    await until("the reset to be noticed", () => proxy.connections <= 1);
    const edit = await controlPlane.call("PATCH", "/v1/customers/acme", {
      body: { placement: "two" },
    });
    await router.serves(edit.body.version);
    tally.acknowledged = 2;
    await load.stop();
    finish(load, tally);
  },
);

/** How often a router has lost its control plane, or has not reached it. */
async function attempts(router: Router): Promise<number> {
  const metrics = await metricsOf(router);
  return metrics.get("signalbox_router_control_plane_failures_total")!;
}

function finish(load: Load, tally: Tally): void {
  tally.requests = load.requests;
  tally.failed = load.failures.length;
  equal(load.failures[0], undefined);
}

function since(moment: number): string {
  return `${((performance.now() - moment) / 1000).toFixed(1)} s`;
}
