import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { CONNECT_PATH, encode, SUBPROTOCOL } from "../../shared/protocol.ts";
import { configOf } from "../harness/config.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { dataFolder } from "../harness/program.ts";
import { until } from "../harness/until.ts";
import { ALL_STEADY } from "./behaviour.ts";
import { descriptorLimit } from "./descriptor_limit.ts";
import { Fleet, FLEET_DEFAULTS, type FleetOptions } from "./fleet.ts";

const CONFIG = configOf([
  { name: "one", endpoint: "http://127.0.0.1:1" },
  { name: "two", endpoint: "http://127.0.0.1:2" },
]);

async function startFleet(options: Partial<FleetOptions>): Promise<Fleet> {
  return new Fleet({
    ...FLEET_DEFAULTS,
    url: "",
    routers: 20,
    counts: ALL_STEADY,
    decoding: 0,
    token: null,
    rampMs: 100,
    descriptors: await descriptorLimit(),
    ...options,
  });
}

/** How many routers a control plane lists with each status. */
async function statuses(
  controlPlane: ControlPlane,
): Promise<Record<string, number>> {
  const { body } = await controlPlane.call("GET", "/v1/routers");
  const counts: Record<string, number> = {};
  for (const { status } of body.routers) {
    counts[status] = (counts[status] ?? 0) + 1;
  }
  return counts;
}

Deno.test("a fleet with a router of every fault is current after an edit, but for these", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path);
  await controlPlane.call("PUT", "/v1/config", { body: CONFIG });
  await using fleet = await startFleet({
    url: controlPlane.connectUrl,
    counts: { ...ALL_STEADY, slow: 1, stalled: 1, rejecters: 1, silent: 1 },
    decoding: 17,
  });
  await until("the fleet to have version 1", () => {
    const { connected, current, rejected, stalled } = fleet.state();
    deepEqual([connected, current, rejected, stalled], [20, 17, 1, 1]);
    return true;
  });
  const { body } = await controlPlane.call("PATCH", "/v1/customers/acme", {
    body: { placement: "two" },
  });
  equal(body.version, 2);
  await until("the fleet to have version 2", () => {
    const { newest, current, rejected } = fleet.state();
    deepEqual([newest, current, rejected], [2, 17, 2]);
    return true;
  });
  const { applied, rejected, propagation } = fleet.versions.figures(2)!;
  deepEqual([applied, rejected, propagation.count], [17, 1, 17]);
  const { decoded, faults, bytes, losses } = fleet.state();
  deepEqual([decoded, faults, losses], [34, [], []]);
  ok(bytes > 0);
  // What the control plane saw is the same: the stalled and the silent one have answered nothing.
  deepEqual(await statuses(controlPlane), {
    current: 17,
    rejected: 1,
    behind: 2,
  });
});

Deno.test("a fleet comes back to a control plane that was restarted, flappers keep coming, and a stop ends it", async () => {
  await using folder = await dataFolder();
  const first = await ControlPlane.start(folder.path);
  await using stack = new AsyncDisposableStack();
  stack.use(first);
  await first.call("PUT", "/v1/config", { body: CONFIG });
  await using fleet = await startFleet({
    url: first.connectUrl,
    counts: { ...ALL_STEADY, flappers: 2 },
    flapMs: 100,
  });
  await until("the flappers to have come back", () => {
    const { connects, losses } = fleet.state();
    return connects > 30 &&
      losses.some(([what]) => what === "dropped by a flapper");
  });
  const { connects } = fleet.state();
  await first.program.stop();
  const second = stack.use(await first.again());
  await until("the fleet to be back", () => {
    const state = fleet.state();
    ok(
      state.connects >= connects + 18 && state.current >= 18,
      JSON.stringify(state),
    );
    return true;
  });
  ok(
    fleet.state().losses.some(([what]) => what.includes("1012")),
    JSON.stringify(fleet.state()),
  );
  deepEqual(fleet.state().faults, []);
  await fleet.stop();
  await until(
    "all to be gone",
    async () => (await statuses(second)).gone === 20,
  );
});

/** A control plane that pushes one config, with a digest and a length of its own choosing, to each router. */
function lyingControlPlane(
  push: { digest: string; announced: number; part: Uint8Array<ArrayBuffer> },
): { url: string } & AsyncDisposable {
  const sockets = new Set<WebSocket>();
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => {
      const { socket, response } = Deno.upgradeWebSocket(request, {
        protocol: SUBPROTOCOL,
      });
      sockets.add(socket);
      socket.onclose = () => sockets.delete(socket);
      socket.onopen = () => {
        socket.send(encode({
          type: "config_begin",
          version: 1,
          epoch: "lies",
          digest: push.digest,
          supersedes: [],
          encoding: "gzip",
          bytes: push.announced,
        }));
        socket.send(push.part);
      };
      return response;
    },
  );
  return {
    url: `ws://127.0.0.1:${server.addr.port}${CONNECT_PATH}`,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.close();
      await server.shutdown();
    },
  };
}

const OTHER_DIGEST = `sha256:${"0".repeat(64)}`;

Deno.test("routers that check contents find a config that is not what was announced, others go by its length", async () => {
  const part = new Uint8Array(gzipSync(Buffer.from(JSON.stringify(CONFIG))));
  await using liar = lyingControlPlane({
    digest: OTHER_DIGEST,
    announced: part.length,
    part,
  });
  await using fleet = await startFleet({
    url: liar.url,
    routers: 4,
    decoding: 1,
  });
  await until("four answers", () => {
    const { applied, rejected } = fleet.state();
    deepEqual([applied, rejected], [3, 1]);
    return true;
  });
  const [[fault, times] = ["", 0]] = fleet.state().faults;
  equal(times, 1);
  match(fault, /version 1 is damaged: The contents have digest sha256:/);
});

Deno.test("a router notices more bytes than were announced", async () => {
  await using liar = lyingControlPlane({
    digest: OTHER_DIGEST,
    announced: 2,
    part: new Uint8Array(3),
  });
  await using fleet = await startFleet({ url: liar.url, routers: 1 });
  const [fault] = await until("a fault", () => fleet.state().faults[0]);
  equal(
    fault,
    "closed with 4400: the parts are of 3 bytes, and 2 were announced",
  );
  equal(fleet.state().applied, 0);
});
