import { equal, ok } from "node:assert/strict";
import { DraftRouter } from "../../harness/draft.ts";
import { CUSTOMERS, type Scene } from "./scene.ts";

/** Something that happens to what is soaked. */
export interface Deed {
  readonly name: string;
  /** The control plane is another process afterwards. */
  readonly restarts: boolean;
  readonly run: (scene: Scene) => Promise<void>;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const LASTING: readonly [name: string, run: Deed["run"]][] = [
  ["connections of routers reset", ({ proxy }) => {
    proxy.reset();
    return Promise.resolve();
  }],
  ["network loses everything for 14 s", async ({ proxy }) => {
    proxy.treat({ kind: "drop" });
    await pause(14_000);
    proxy.heal();
  }],
  ["network stalls for 5 s", async ({ proxy }) => {
    proxy.treat({ kind: "stall" });
    await pause(5000);
    proxy.heal();
  }],
  ["network slow for 5 s", async ({ proxy }) => {
    proxy.treat({ kind: "slow", bytesPerSecond: 50_000 });
    await pause(5000);
    proxy.heal();
  }],
  ["pushes cut after 20 kB for 5 s", async ({ proxy }) => {
    proxy.treat({ kind: "cut", afterBytes: 20_000 }, ["down"]);
    await pause(5000);
    proxy.heal();
  }],
  ["control plane refuses connections for 5 s", async ({ proxy }) => {
    await proxy.refuse();
    await pause(5000);
    await proxy.accept();
  }],
  ["control plane stopped for 5 s", async ({ all: { controlPlane } }) => {
    controlPlane.program.signal("SIGSTOP");
    await pause(5000);
    controlPlane.program.signal("SIGCONT");
  }],
  ["router b killed", async ({ all }) => {
    await all.routers[1]!.program.kill("SIGKILL");
    await all.routerAgain(1);
  }],
  ["router c restarted", async ({ all }) => {
    equal((await all.routers[2]!.program.stop()).code, 0);
    await all.routerAgain(2);
  }],
  ["a config of all customers", async (scene) => {
    const { body } = await scene.all.controlPlane.call("GET", "/v1/config");
    const customers = body.config.customer_to_placement;
    for (let i = 0; i < CUSTOMERS; i++) {
      customers[`c${i}`] = scene.random.pick(["one", "two"]);
    }
    await scene.edit("PUT", "/v1/config", body.config);
  }],
  ["an old version restored", async (scene) => {
    const { body } = await scene.all.controlPlane.call("GET", "/v1/versions");
    const { version } = scene.random.pick<{ version: number }>(body.versions);
    await scene.edit("POST", `/v1/versions/${version}/restore`);
  }],
  ["100 bad edits", async ({ all: { controlPlane } }) => {
    for (let i = 0; i < 100; i++) {
      const { status } = await controlPlane.call("PATCH", "/v1/config", {
        body: i % 2 ? '{"customer_to_placement":{"a":"nowhere"}}' : "{not JSON",
      });
      ok(status === 400 || status === 422, String(status));
    }
  }],
  ["200 clients with half a request", async ({ all: { router } }) => {
    const { hostname, port } = new URL(router.url);
    const clients: Deno.TcpConn[] = [];
    for (let i = 0; i < 200; i++) {
      const client = await Deno.connect({ hostname, port: Number(port) });
      await client.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost:"));
      clients.push(client);
    }
    await pause(2000);
    for (const client of clients) client.close();
  }],
  ["100 requests for a broken cell", async ({ all: { router } }) => {
    for (let i = 0; i < 100; i++) {
      const status = await router.ask("broken").then(
        ({ status }) => status,
        // The answer was cut, and so was what came of it.
        () => 502,
      );
      equal(status, 502);
    }
  }],
  ["20 routers that send garbage, or reject", async ({ all }) => {
    const { controlPlane } = all;
    for (let i = 0; i < 20; i++) {
      await using router = await DraftRouter.connect(
        `${controlPlane.connectUrl}?id=stranger-${i}`,
      );
      const { version } = await router.inbox.next();
      if (i % 2) router.send("garbage");
      else {
        const error = "the router does not want it";
        router.send({ type: "ack", version, status: "rejected", error });
        await pause(20);
      }
    }
    for (let i = 0; i < 20; i++) {
      await controlPlane.call("DELETE", `/v1/routers/stranger-${i}`);
    }
  }],
  ["20 readers of events that leave", async ({ all: { controlPlane } }) => {
    for (let i = 0; i < 20; i++) {
      const { body } = await fetch(`${controlPlane.url}/v1/events`);
      const reader = body!.getReader();
      await reader.read();
      await reader.cancel();
    }
  }],
];

/** All that happens. */
export const DEEDS: readonly Deed[] = [
  {
    name: "control plane killed",
    restarts: true,
    run: async ({ all }) => {
      await all.controlPlane.program.kill("SIGKILL");
      await all.controlPlaneAgain();
    },
  },
  {
    name: "control plane restarted",
    restarts: true,
    run: async ({ all }) => {
      equal((await all.controlPlane.program.stop()).code, 0);
      await pause(2000);
      await all.controlPlaneAgain();
    },
  },
  ...LASTING.map(([name, run]) => ({ name, restarts: false, run })),
];
