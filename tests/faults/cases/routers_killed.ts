import { deepEqual, equal, ok } from "node:assert/strict";
import { startCell } from "../../harness/cell.ts";
import { configOf } from "../../harness/config.ts";
import { ControlPlane } from "../../harness/control_plane.ts";
import { DraftControlPlane, packText } from "../../harness/draft.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { until } from "../../harness/until.ts";
import { fault, type Tally } from "../fault.ts";

/** Routers that are killed: what a router has acked is what it starts with, whoever else is there. */

const KILLS_AFTER_ACK = 50;
const REQUESTS = 20;

/** Asks a router so often; every answer is to be by this version, or a newer one. */
async function serves(
  router: Router,
  { version, placement }: { version: number; placement: string },
  tally: Tally,
): Promise<void> {
  for (let i = 0; i < REQUESTS; i++) {
    const answer = await router.ask("acme");
    tally.requests++;
    if (answer.status !== 200) tally.failed++;
    else if (answer.version! < version || answer.placement !== placement) {
      tally.lost++;
    }
  }
}

fault(
  "routers: killed and started again without a control plane",
  async (tally) => {
    await using folder = await dataFolder();
    await using one = startCell("one");
    await using two = startCell("two");
    await using controlPlane = await ControlPlane.start(folder.path);
    await controlPlane.call("PUT", "/v1/config", {
      body: configOf([one, two]),
    });
    const options = { folder: folder.path, cpUrl: controlPlane.connectUrl };
    await using stack = new AsyncDisposableStack();
    const routers = await Promise.all(
      ["a", "b", "c"].map((id) => Router.start(id, options)),
    );
    for (const router of routers) stack.use(router);
    const edit = await controlPlane.call(
      "PATCH",
      "/v1/customers/acme?wait=applied",
      { body: { placement: "two" } },
    );
    equal(edit.body.rollout.applied, routers.length);
    tally.acknowledged = routers.length;
    await controlPlane.program.kill("SIGKILL");
    for (const router of routers) {
      await router.program.kill("SIGKILL");
      tally.injected++;
      const again = stack.use(await router.again());
      await serves(again, { version: 2, placement: "two" }, tally);
      const { version, source, connected } = await again.status();
      deepEqual([version, source, connected], [2, "last_known_good", false]);
    }
  },
);

fault("routers: kill -9 right after an ack", async (tally) => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using controlPlane = new DraftControlPlane();
  // What a version says is to be known without looking it up: odd ones have acme on the first cell.
  const odd = packText(JSON.stringify(configOf([one, two])));
  const even = packText(JSON.stringify(configOf([two, one])));
  const placementOf = (version: number) => version % 2 === 1 ? "one" : "two";
  let router = await Router.start("r", {
    folder: folder.path,
    cpUrl: controlPlane.url,
  });
  try {
    for (let version = 1; version <= KILLS_AFTER_ACK; version++) {
      await until("a router", () => controlPlane.connected === 1);
      controlPlane.sendParts(version, version % 2 === 1 ? odd : even);
      const ack = await controlPlane.inbox.next();
      router.program.signal("SIGKILL");
      tally.injected++;
      ok(ack.status === "applied" && ack.durable, JSON.stringify(ack));
      equal(ack.version, version);
      tally.acknowledged++;
      await router.program.ended;
      await until("it to be gone", () => controlPlane.connected === 0);
      router = await router.again();
      // The control plane says nothing yet: it is what was saved that is served.
      await serves(router, { version, placement: placementOf(version) }, tally);
    }
  } finally {
    await router.program.kill("SIGKILL");
  }
});
