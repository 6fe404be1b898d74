import { deepEqual, equal } from "node:assert/strict";
import { startCell } from "../../harness/cell.ts";
import { configOf } from "../../harness/config.ts";
import { ControlPlane } from "../../harness/control_plane.ts";
import { Load } from "../../harness/load.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { until } from "../../harness/until.ts";
import { fault } from "../fault.ts";

/**
 * A control plane that does not run for half a minute, as on a machine that swaps or is suspended: its connections stay
 * open, and nothing comes. What is promised: routers notice within 12 s and serve on; they are current within 12 s after
 * it goes on; an edit that was sent meanwhile lands once.
 */

const STOPPED_MS = 30_000;
const NOTICE_MS = 12_000 + 8_000;
const CURRENT_MS = 12_000 + 8_000;

fault("control plane: stopped for 30 s, then continued", async (tally) => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using controlPlane = await ControlPlane.start(folder.path);
  await controlPlane.call("PUT", "/v1/config", { body: configOf([one, two]) });
  await using stack = new AsyncDisposableStack();
  const options = { folder: folder.path, cpUrl: controlPlane.connectUrl };
  const routers = await Promise.all(
    ["a", "b"].map((id) => Router.start(id, options)),
  );
  for (const router of routers) stack.use(router);
  await Promise.all(routers.map((router) => router.serves(1)));
  await using load = Load.start(routers.map(({ url }) => url), {
    connections: 4,
    pauseMs: 5,
  });

  controlPlane.program.signal("SIGSTOP");
  tally.injected++;
  const stoppedAt = performance.now();
  const edit = controlPlane.call("PATCH", "/v1/customers/acme", {
    body: { placement: "two" },
  });
  await Promise.all(routers.map((router) =>
    until(
      `${router.id} to notice`,
      async () => !(await router.status()).connected,
      NOTICE_MS,
    )
  ));
  tally.notes.push(
    `noticed after ${((performance.now() - stoppedAt) / 1000).toFixed(1)} s`,
  );
  await until(
    "the time to be over",
    () => performance.now() - stoppedAt > STOPPED_MS,
    STOPPED_MS + 5000,
  );
  for (const router of routers) {
    const { version, control_plane } = await router.status();
    // What it knows is that it was current when it last heard.
    deepEqual([version, control_plane.lag], [1, 0]);
  }
  controlPlane.program.signal("SIGCONT");
  const continuedAt = performance.now();
  const { status, body } = await edit;
  deepEqual([status, body.version], [200, 2]);
  tally.acknowledged++;
  await until("all routers to be current", async () => {
    const { body } = await controlPlane.call("GET", "/v1/routers");
    const stands = body.routers.map((
      router: { id: string; version: number; status: string },
    ) => `${router.id} ${router.version} ${router.status}`);
    deepEqual(stands, ["a 2 current", "b 2 current"]);
    return true;
  }, CURRENT_MS);
  tally.notes.push(
    `current ${
      ((performance.now() - continuedAt) / 1000).toFixed(1)
    } s after it went on`,
  );
  const { body: history } = await controlPlane.call("GET", "/v1/versions");
  if (history.versions.length !== 2) tally.lost++;
  await load.stop();
  tally.requests = load.requests;
  tally.failed = load.failures.length;
  equal(load.failures[0], undefined);
});
