import { deepEqual, equal, match } from "node:assert/strict";
import { RawEndpoint, RawSocket } from "../../router/testing.ts";
import { startCell } from "../harness/cell.ts";
import { configOf } from "../harness/config.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { dataFolder, Program } from "../harness/program.ts";
import { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";

const THREADS = "3";
/** So many that none of three threads is left out: one in 10,000 runs would leave one. */
const CONNECTIONS = 24;
const REQUEST = "GET / HTTP/1.1\r\nHost: a\r\nX-Routing-Key: acme\r\n\r\n";

Deno.test("a config is live on every serving thread when wait=applied answers", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using controlPlane = await ControlPlane.start(folder.path);
  await controlPlane.call("PUT", "/v1/config", { body: configOf([one, two]) });
  await using router = await Router.start("r", {
    folder: folder.path,
    cpUrl: controlPlane.connectUrl,
    env: { ROUTER_THREADS: THREADS },
  });
  await router.serves(1);
  const port = Number(new URL(router.url).port);
  const sockets = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => RawSocket.connect(port)),
  );
  const routed = (head: string) =>
    /x-routed-to: (\w+)[^]*x-config-version: (\d+)/i.exec(head)?.slice(1);
  const askAll = () =>
    Promise.all(sockets.map(async (socket) => {
      await socket.send(REQUEST);
      return routed(await socket.message());
    }));
  deepEqual(
    await askAll(),
    sockets.map(() => ["one", "1"]),
  );
  for (let version = 2; version <= 6; version++) {
    const placement = version % 2 === 0 ? "two" : "one";
    const { body } = await controlPlane.call(
      "PATCH",
      "/v1/customers/acme?wait=applied",
      { body: { placement } },
    );
    equal(body.rollout.applied, 1);
    deepEqual(
      await askAll(),
      sockets.map(() => [placement, String(version)]),
    );
  }

  // What the threads have counted is one number, and so are the connections they hold.
  const metrics = await (await fetch(`${router.adminUrl}/metrics`)).text();
  const value = (name: string) =>
    [...metrics.matchAll(new RegExp(`^${name}(?:{.*})? (\\d+)$`, "gm"))]
      .reduce((sum, [, count]) => sum + Number(count), 0);
  equal(value("signalbox_router_threads"), 3);
  equal(value("signalbox_router_requests_total"), 6 * CONNECTIONS);
  equal(
    value("signalbox_router_request_duration_seconds_count"),
    6 * CONNECTIONS,
  );
  equal(value("signalbox_router_connections"), CONNECTIONS);
  for (const socket of sockets) socket.close();

  // The version it was on before is what all threads start with.
  await router.program.stop();
  await controlPlane.program.stop();
  await using again = await router.again({ ROUTER_CP_URL: "" });
  const answers = await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      await using socket = await RawSocket.connect(
        Number(new URL(again.url).port),
      );
      await socket.send(REQUEST);
      return routed(await socket.message());
    }),
  );
  deepEqual(answers, answers.map(() => ["two", "6"]));
});

Deno.test("a router with several threads lets the requests of all of them end when it stops", async () => {
  await using folder = await dataFolder();
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  let waiting = 0;
  await using cell = new RawEndpoint(async (socket) => {
    await socket.head();
    if (++waiting === CONNECTIONS) asked.resolve();
    await go.promise;
    await socket.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
  });
  const bootstrap = `${folder.path}/bootstrap.json`;
  const endpoint = `http://127.0.0.1:${cell.port}`;
  await Deno.writeTextFile(
    bootstrap,
    JSON.stringify(configOf([{ name: "one", endpoint }])),
  );
  await using router = await Router.start("r", {
    folder: folder.path,
    cpUrl: "",
    env: { ROUTER_THREADS: THREADS, ROUTER_BOOTSTRAP: bootstrap },
  });
  const port = Number(new URL(router.url).port);
  const answers = Array.from({ length: CONNECTIONS }, async () => {
    await using socket = await RawSocket.connect(port);
    await socket.send(REQUEST);
    return (await socket.message()).slice(-4);
  });
  await asked.promise;
  const stopped = router.program.stop();
  await router.program.line("stopping");
  await until("the port to be closed on every thread", async () => {
    const socket = await RawSocket.connect(port).catch(() => null);
    socket?.close();
    return socket === null;
  });
  go.resolve();
  deepEqual(await Promise.all(answers), answers.map(() => "done"));
  equal((await stopped).code, 0);
});

Deno.test("a port that another router's threads share cannot be taken by mistake", async () => {
  await using folder = await dataFolder();
  await using router = await Router.start("r", {
    folder: folder.path,
    cpUrl: "",
    env: { ROUTER_THREADS: THREADS },
  });
  await using second = Program.start("router", {
    ROUTER_LISTEN: new URL(router.url).host,
    ROUTER_ADMIN_LISTEN: "127.0.0.1:0",
    ROUTER_CP_URL: "",
    ROUTER_STATE_DIR: `${folder.path}/second`,
    ROUTER_THREADS: THREADS,
  });
  equal((await second.ended).code, 1);
  match(second.logText(), /the address is in use by another process/);
});
