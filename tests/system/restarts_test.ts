import { deepEqual, equal, ok } from "node:assert/strict";
import { startCell } from "../harness/cell.ts";
import { configOf } from "../harness/config.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { Load } from "../harness/load.ts";
import { dataFolder } from "../harness/program.ts";
import { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";

/** Waits until the one router has acked a version as being on its disk. */
async function acked(
  controlPlane: ControlPlane,
  version: number,
): Promise<void> {
  await until(`the router to ack version ${version}`, async () => {
    const { body } = await controlPlane.call("GET", "/v1/routers");
    const [router] = body.routers;
    return router.version === version && router.durable;
  });
}

for (const signal of ["SIGTERM", "SIGKILL"] as const) {
  Deno.test(`a control plane restarted by ${signal} under load fails no request`, async () => {
    await using folder = await dataFolder();
    await using one = startCell("one");
    await using two = startCell("two");
    await using first = await ControlPlane.start(folder.path);
    await first.call("PUT", "/v1/config", { body: configOf([one, two]) });
    const options = { folder: folder.path, cpUrl: first.connectUrl };
    await using a = await Router.start("a", options);
    await using b = await Router.start("b", options);
    await Promise.all([a.serves(1), b.serves(1)]);

    await using load = Load.start([a.url, b.url]);
    await until("some load", () => load.answered > 200);
    const { code } = await first.program.kill(signal);
    if (signal === "SIGTERM") equal(code, 0, first.program.logText());
    const during = load.answered;
    await until(
      "load without a control plane",
      () => load.answered > during + 200,
    );

    await using second = await first.again();
    const { body } = await second.call(
      "PATCH",
      "/v1/customers/acme?wait=applied&timeout=15s",
      {
        body: { placement: "two" },
      },
    );
    equal(body.version, 2);
    await Promise.all([a.serves(2), b.serves(2)]);
    const after = load.answered;
    await until("load after the restart", () => load.answered > after + 200);
    await load.stop();
    deepEqual(load.failures, []);
    equal((await a.ask("acme")).placement, "two");
  });
}

Deno.test("an edit that was acknowledged survives kill -9 an instant later", async () => {
  await using folder = await dataFolder();
  let controlPlane = await ControlPlane.start(folder.path);
  try {
    await controlPlane.call("PUT", "/v1/config", {
      body: configOf([{ name: "one", endpoint: "http://127.0.0.1:9" }]),
    });
    for (let round = 0; round < 5; round++) {
      const { status, body } = await controlPlane.call(
        "PUT",
        `/v1/customers/c${round}`,
        {
          body: { placement: "one" },
        },
      );
      controlPlane.program.signal("SIGKILL");
      await controlPlane.program.ended;
      equal(status, 200);
      controlPlane = await controlPlane.again();
      const config = await controlPlane.call("GET", "/v1/config");
      equal(config.body.version, body.version);
      equal(config.body.digest, body.digest);
      equal(config.body.config.customer_to_placement[`c${round}`], "one");
    }
  } finally {
    await controlPlane.program.kill("SIGKILL");
  }
});

Deno.test("a router started while the control plane is down serves its last-known-good", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using controlPlane = await ControlPlane.start(folder.path);
  await controlPlane.call("PUT", "/v1/config", { body: configOf([one]) });
  await using first = await Router.start("r", {
    folder: folder.path,
    cpUrl: controlPlane.connectUrl,
  });
  await acked(controlPlane, 1);
  await controlPlane.program.kill("SIGKILL");
  await first.program.kill("SIGKILL");

  await using second = await first.again();
  equal((await second.ask("acme")).placement, "one");
  const status = await second.status();
  deepEqual([status.version, status.source, status.connected], [
    1,
    "last_known_good",
    false,
  ]);
  equal((await second.program.stop()).code, 0);
});

Deno.test("a damaged last-known-good is set aside, and the bootstrap serves", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  const bootstrap = `${folder.path}/bootstrap.json`;
  await Deno.writeTextFile(bootstrap, JSON.stringify(configOf([two])));
  await using controlPlane = await ControlPlane.start(folder.path);
  await controlPlane.call("PUT", "/v1/config", { body: configOf([one]) });
  await using first = await Router.start("r", {
    folder: folder.path,
    cpUrl: controlPlane.connectUrl,
    env: { ROUTER_BOOTSTRAP: bootstrap },
  });
  await acked(controlPlane, 1);
  await controlPlane.program.kill("SIGKILL");
  await first.program.kill("SIGKILL");

  const state = `${folder.path}/r`;
  for await (const { name, isFile } of Deno.readDir(state)) {
    if (!isFile) continue;
    const bytes = await Deno.readFile(`${state}/${name}`);
    bytes[bytes.length >> 1]! ^= 1;
    await Deno.writeFile(`${state}/${name}`, bytes);
  }
  await using second = await first.again();
  equal((await second.ask("acme")).placement, "two");
  equal((await second.status()).source, "bootstrap");
  const told = second.program.log.filter(({ level }) =>
    level === "error" || level === "warning"
  );
  ok(told.length > 0, second.program.logText());
});

Deno.test("a router that is stopped while it applies a config comes back with what it served", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using controlPlane = await ControlPlane.start(folder.path);
  const config = configOf([one]);
  // So many that to save them takes its time.
  for (let i = 0; i < 50_000; i++) {
    config.customer_to_placement[`customer-${i}`] = "one";
  }
  await controlPlane.call("PUT", "/v1/config", { body: config });
  let router = await Router.start("r", {
    folder: folder.path,
    cpUrl: controlPlane.connectUrl,
  });
  try {
    await router.serves(1);
    for (let version = 2; version <= 4; version++) {
      await controlPlane.call("PUT", `/v1/customers/new-${version}`, {
        body: { placement: "one" },
      });
      await router.serves(version);
      equal((await router.program.stop()).code, 0);
      router = await router.again({ ROUTER_CP_URL: "" });
      equal((await router.status()).version, version);
      await router.program.stop();
      router = await router.again({ ROUTER_CP_URL: controlPlane.connectUrl });
      await until(
        "the router to be linked",
        async () => (await router.status()).connected,
      );
    }
  } finally {
    await router[Symbol.asyncDispose]();
  }
});
