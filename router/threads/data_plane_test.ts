import { equal, ok, rejects } from "node:assert/strict";
import { activate, activeConfig, type NextConfig } from "../active.ts";
import { copyPacked } from "../config/packed_config.ts";
import { readRouterSettings } from "../settings.ts";
import { activeAt } from "../testing.ts";
import { DataPlane } from "./data_plane.ts";

const { packed } = activeAt("http://127.0.0.1:1").routes;

function config(version: number): NextConfig {
  const source = "control_plane";
  return { version, epoch: "e", source, packed: copyPacked(packed) };
}

/** What no thread can make ready: its default placement has no endpoint. */
function broken(version: number): NextConfig {
  const next = config(version);
  return { ...next, packed: { ...next.packed, endpoints: new Map() } };
}

Deno.test("DataPlane.serve() has a config served by all threads, or by none", async () => {
  activate(null);
  const env = { ROUTER_THREADS: "3", LOG_LEVEL: "error" };
  const result = readRouterSettings(env);
  ok(result.ok);
  const tls = { identity: null, ca: null };
  const data = new DataPlane(result.settings, { env, tls });
  try {
    await data.serve([config(1)]);
    await data.startThreads();
    equal(data.serving, 3);
    await data.serve([config(2), config(2), config(2)]);
    const active = activeConfig();
    ok(active !== null && Object.isFrozen(active));
    equal(active.version, 2);
    equal(active.digest, packed.digest);
    equal(active.routes.find("acme").placement.name, "cell");

    await rejects(data.serve([config(3), config(3), broken(3)]));
    await rejects(data.serve([broken(3), config(3), config(3)]));
    equal(activeConfig(), active);
    // Whoever was given no copy gets one.
    await data.serve([config(4), config(4)]);
    equal(activeConfig()?.version, 4);
    equal(data.serving, 3);
  } finally {
    await data.stop(0);
    activate(null);
  }
});
