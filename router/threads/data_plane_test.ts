import { equal, ok, rejects } from "node:assert/strict";
import {
  activate,
  activeConfig,
  holdConfig,
  type NextConfig,
} from "../active.ts";
import type { FenceReport } from "../fence.ts";
import type { HoldReport } from "../holds.ts";
import { ConfigRooms } from "../config/config_rooms.ts";
import { readRouterSettings } from "../settings.ts";
import { activeAt } from "../testing.ts";
import { DataPlane } from "./data_plane.ts";

const { packed } = activeAt("http://127.0.0.1:1").routes;

function config(version: number): NextConfig {
  const source = "control_plane";
  return { version, epoch: "e", source, packed: new ConfigRooms().put(packed) };
}

/** What the fence has told. */
let reports: FenceReport[] = [];
let holdings: HoldReport[] = [];

async function withDataPlane(
  run: (data: DataPlane) => Promise<void>,
): Promise<void> {
  activate(null);
  reports = [];
  holdings = [];
  const env = { ROUTER_THREADS: "3", LOG_LEVEL: "error" };
  const result = readRouterSettings(env);
  ok(result.ok);
  const tls = { identity: null, ca: null };
  const data = new DataPlane(result.settings, {
    env,
    tls,
    fence: (report) => reports.push(report),
    holding: (report) => holdings.push(report),
  });
  try {
    await run(data);
  } finally {
    await data.stop(0);
    activate(null);
  }
}

Deno.test("DataPlane.serve() swaps a config in on every thread", () =>
  withDataPlane(async (data) => {
    equal(await data.serve(config(1)), true);
    await data.startThreads();
    equal(data.serving, 3);
    equal(await data.serve(config(2)), true);
    const active = activeConfig();
    ok(active !== null && Object.isFrozen(active));
    equal(active.version, 2);
    equal(active.digest, packed.digest);
    equal(active.routes.find("acme").placement.name, "cell");
    equal(data.serving, 3);
  }));

Deno.test("DataPlane.serve() leaves the config before it where a new one cannot be served", () =>
  withDataPlane(async (data) => {
    await data.serve(config(1));
    await data.startThreads();
    const next = config(2);
    // Its default placement has no endpoint.
    const broken = { ...next.packed, endpoints: new Map() };
    await rejects(data.serve({ ...next, packed: broken }));
    equal(activeConfig()?.version, 1);
    equal(data.serving, 3);
  }));

Deno.test("DataPlane.serve() tells whether the config before it is still being read", () =>
  withDataPlane(async (data) => {
    await data.serve(config(1));
    const done = [1, 2].map(() => holdConfig(activeConfig()!));
    done[0]!();
    equal(await data.serve(config(2)), false);
    done[1]!();
    const doneToo = holdConfig(activeConfig()!);
    doneToo();
    equal(await data.serve(config(3)), true);
  }));
