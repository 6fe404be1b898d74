import { deepEqual, equal, ok } from "node:assert/strict";
import { metricsOf } from "../../conformance/process.ts";
import { startCell } from "../../harness/cell.ts";
import { configOf } from "../../harness/config.ts";
import { ControlPlane } from "../../harness/control_plane.ts";
import { Load } from "../../harness/load.ts";
import { dataFolder, type Program } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { until } from "../../harness/until.ts";
import { fault } from "../fault.ts";

/**
 * The wall clock of both programs jumps by an hour, there and back, as a machine's does whose time is set. What is
 * promised: nobody reconnects, nothing looks stale, versions go on as before. Debian's libfaketime changes what the
 * processes take for the time of day, and leaves the clock alone that only goes forward.
 */

const HOUR = 3600;
/** Milliseconds that are waited after a jump: two heartbeats. */
const WATCHED_MS = 3000;
const PING = { CP_PING_INTERVAL: "1s", CP_ROUTER_TIMEOUT: "4s" };

/** Where Debian's package puts the library. */
async function libraryPath(): Promise<string> {
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", "ls /usr/lib/*/faketime/libfaketime.so.1 2>/dev/null"],
  }).output();
  const [path = ""] = new TextDecoder().decode(stdout).trim().split("\n");
  if (path === "") {
    throw new Error(
      "Cannot change what a process takes for the time: libfaketime is missing (apt-get install faketime)",
    );
  }
  return path;
}

/** Waits until the time in a program's log is off by so many seconds, with a request that has it write something. */
async function jumped(
  program: Program,
  { by, provoke }: { by: number; provoke: () => Promise<unknown> },
): Promise<void> {
  const lines = program.log.length;
  await until(`${program.name} to take another time for now`, async () => {
    await provoke();
    const line = program.log.slice(lines).at(-1);
    const off = (Date.parse(String(line?.time)) - Date.now()) / 1000;
    return Math.abs(off - by) < 60;
  });
}

fault("wall clock: jumps by an hour, both ways", async (tally) => {
  const library = await libraryPath();
  await using folder = await dataFolder();
  const time = `${folder.path}/time`;
  const setTime = (seconds: number) =>
    Deno.writeTextFile(time, `${seconds < 0 ? "" : "+"}${seconds}`);
  await setTime(0);
  const env = {
    LD_PRELOAD: library,
    FAKETIME_TIMESTAMP_FILE: time,
    FAKETIME_DONT_FAKE_MONOTONIC: "1",
    FAKETIME_CACHE_DURATION: "1",
    LOG_LEVEL: "debug",
  };
  await using one = startCell("one");
  await using two = startCell("two");
  await using controlPlane = await ControlPlane.start(folder.path, {
    ...env,
    ...PING,
  });
  await controlPlane.call("PUT", "/v1/config", { body: configOf([one, two]) });
  await using router = await Router.start("r", {
    folder: folder.path,
    cpUrl: controlPlane.connectUrl,
    env: { ...env, ROUTER_CP_TIMEOUT: "4s", ROUTER_ACCESS_LOG: "all" },
  });
  await router.serves(1);
  await using load = Load.start([router.url], { connections: 4, pauseMs: 5 });
  const connects = async () => {
    const metrics = await metricsOf(router);
    return [
      metrics.get("signalbox_router_control_plane_connects_total"),
      metrics.get("signalbox_router_control_plane_failures_total"),
    ];
  };
  const before = await connects();
  let version = 1;
  for (const by of [HOUR, 0, -HOUR, 0]) {
    await setTime(by);
    tally.injected++;
    await jumped(router.program, { by, provoke: () => router.ask("acme") });
    await jumped(controlPlane.program, {
      by,
      // A refused edit is told of in the log.
      provoke: () =>
        controlPlane.call("PATCH", "/v1/customers/acme", {
          body: { placement: null },
        }),
    });
    const edit = await controlPlane.call(
      "PATCH",
      "/v1/customers/acme?wait=applied&timeout=10s",
      { body: { placement: version % 2 === 1 ? "two" : "one" } },
    );
    version++;
    deepEqual([edit.body.version, edit.body.rollout.applied], [version, 1]);
    tally.acknowledged++;
    const appliedAt = performance.now();
    await until(
      "two heartbeats",
      () => performance.now() - appliedAt > WATCHED_MS,
    );
    const status = await router.status();
    deepEqual(
      [status.version, status.connected, status.control_plane.lag],
      [version, true, 0],
    );
    equal(status.control_plane.behind_seconds, 0);
    ok(status.age_seconds >= WATCHED_MS / 1000 - 1 && status.age_seconds < 60);
    const { body } = await controlPlane.call("GET", "/v1/routers/r");
    const [view] = body.routers ?? [body];
    deepEqual([view.status, view.version], ["current", version]);
    deepEqual(await connects(), before);
  }
  const { body } = await controlPlane.call("GET", "/v1/versions");
  equal(body.versions.length, version);
  await load.stop();
  tally.requests = load.requests;
  tally.failed = load.failures.length;
  equal(load.failures[0], undefined);
});
