import { deepEqual, equal, ok } from "node:assert/strict";
import { metricsOf } from "../../conformance/process.ts";
import { Installation } from "../../harness/installation.ts";
import { Load } from "../../harness/load.ts";
import { dataFolder } from "../../harness/program.ts";
import { until } from "../../harness/until.ts";
import { Disk } from "../disk.ts";
import { fault, type Tally } from "../fault.ts";

/**
 * The disk with a router's state is full, read-only, or does not answer. What is promised: the router applies what is
 * pushed all the same, says that it is not on its disk, and serves on; once the disk is well, so is everything.
 */

type Trouble = (disk: Disk, action: () => Promise<void>) => Promise<void>;

/** The trouble, how many edits are made in it, and how it is told of each. */
const TROUBLES: Record<
  string,
  { make: Trouble; edits: number; told: string }
> = {
  "full": {
    make: (disk, action) => disk.whileFull(action),
    edits: 3,
    told: "cannot save the config; serving on without it on disk",
  },
  "read-only": {
    make: (disk, action) => disk.whileReadOnly(action),
    edits: 3,
    told: "cannot save the config; serving on without it on disk",
  },
  "does not answer": {
    make: (disk, action) => disk.whileFrozen(action),
    // The router waits 10 seconds for the disk, each time.
    edits: 1,
    told: "the config is not saved yet: the disk does not answer",
  },
};

for (const [name, { make, edits, told }] of Object.entries(TROUBLES)) {
  fault(`router's disk: ${name}`, async (tally) => {
    await using folder = await dataFolder();
    await using disk = await Disk.mount(`${folder.path}/disk`);
    await using all = await Installation.start({
      routerEnv: { ROUTER_STATE_DIR: `${disk.path}/r` },
    });
    const { controlPlane } = all;
    await using load = Load.start([all.router.url], {
      connections: 4,
      pauseMs: 5,
    });
    let unsaved = 0;
    let servedMs = 0;
    await make(disk, async () => {
      for (let i = 0; i < edits; i++) {
        const placement = i % 2 ? "one" : "two";
        const begun = performance.now();
        const { body } = await controlPlane.call(
          "PATCH",
          "/v1/customers/acme",
          { body: { placement } },
        );
        unsaved = body.version;
        tally.injected++;
        tally.acknowledged++;
        await serves(all, { version: unsaved, placement }, tally);
        servedMs = Math.max(servedMs, performance.now() - begun);
        await all.router.program.line(told, { version: unsaved });
        await until("the control plane to know", async () => {
          const router = await listed(all);
          deepEqual([router.version, router.durable], [unsaved, false]);
          equal(router.status, "current");
          return true;
        });
      }
      const metrics = await metricsOf(all.router);
      ok(metrics.get("signalbox_router_config_save_failures_total")! >= edits);
      equal(metrics.get("signalbox_router_config_durable"), 0);
      const ready = await fetch(`${all.router.adminUrl}/readyz`);
      await ready.body?.cancel();
      equal(ready.status, 200);
    });
    tally.notes.push(`served ${servedMs.toFixed(0)} ms after the edit at most`);
    // A disk that went on by itself has the newest by now; any other one gets the next.
    const { body } = await all.move("one");
    equal(body.rollout.applied, 1);
    tally.acknowledged++;
    await until(
      "the config to be on the disk",
      async () => (await listed(all)).durable,
    );
    await load.stop();
    tally.requests += load.requests;
    tally.failed += load.failures.length;
    await controlPlane.program.kill("SIGKILL");
    await all.router.program.kill("SIGKILL");
    await all.routerAgain();
    await serves(all, { version: body.version, placement: "one" }, tally);
    equal((await all.router.status()).source, "last_known_good");
  });
}

/** Waits until customers are answered by this version; an answer by another placement than it names is a loss. */
async function serves(
  { router }: Installation,
  { version, placement }: { version: number; placement: string },
  tally: Tally,
): Promise<void> {
  await until(`version ${version} to be served`, async () => {
    const answer = await router.ask("acme");
    tally.requests++;
    if (answer.status !== 200) tally.failed++;
    if (answer.version !== version) return false;
    if (answer.placement !== placement) tally.lost++;
    return true;
  });
}

/** The router as the control plane lists it. */
async function listed({ controlPlane }: Installation) {
  return (await controlPlane.call("GET", "/v1/routers/r")).body;
}
