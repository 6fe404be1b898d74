import { equal, match, ok } from "node:assert/strict";
import { startCell } from "../../harness/cell.ts";
import { configOf } from "../../harness/config.ts";
import { ControlPlane } from "../../harness/control_plane.ts";
import { Load } from "../../harness/load.ts";
import { dataFolder, Program } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { fault } from "../fault.ts";

/** Two control planes on one embedded file. What is promised: the second says so and exits; the first goes on. */

const STARTS = 3;

fault("two control planes on one embedded file", async (tally) => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using controlPlane = await ControlPlane.start(folder.path);
  await controlPlane.call("PUT", "/v1/config", { body: configOf([one, two]) });
  await using router = await Router.start("r", {
    folder: folder.path,
    cpUrl: controlPlane.connectUrl,
  });
  await router.serves(1);
  await using load = Load.start([router.url], { connections: 4, pauseMs: 5 });
  for (let i = 0; i < STARTS; i++) {
    const second = Program.start("cp", {
      CP_LISTEN: "127.0.0.1:0",
      CP_KV: `${folder.path}/cp.kv`,
    });
    tally.injected++;
    const { success } = await second.ended;
    equal(success, false);
    match(second.logText(), /cp\.kv/);
    match(second.logText(), /another|already|own/);
    ok(!second.log.some(({ message }) => message === "listening"));
    const { status, body } = await controlPlane.call(
      "PATCH",
      "/v1/customers/acme?wait=applied",
      { body: { placement: i % 2 ? "one" : "two" } },
    );
    equal(status, 200);
    equal(body.version, i + 2);
    equal(body.rollout.applied, 1);
    tally.acknowledged++;
  }
  await load.stop();
  tally.requests = load.requests;
  tally.failed = load.failures.length;
});
