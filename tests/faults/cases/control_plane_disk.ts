import { equal, match, ok } from "node:assert/strict";
import { metricsOf } from "../../conformance/process.ts";
import type { Answer } from "../../harness/control_plane.ts";
import { Installation } from "../../harness/installation.ts";
import { Load } from "../../harness/load.ts";
import { dataFolder } from "../../harness/program.ts";
import { until } from "../../harness/until.ts";
import { Disk } from "../disk.ts";
import { fault, type Tally } from "../fault.ts";

/**
 * The disk with the store is full, or does not answer. What is promised: an edit that cannot be committed is answered
 * 503 and pushed to nobody, heartbeats go on, and edits work again by themselves; with a full disk, reads go on as well.
 * What was acknowledged is kept.
 */

/** Heartbeats that are missed for so long end a connection. */
const PING = { CP_PING_INTERVAL: "1s", CP_ROUTER_TIMEOUT: "4s" };
/** Edits that may still find room in what the database had taken before. */
const MAX_EDITS = 2000;

interface Trouble {
  readonly make: (disk: Disk, action: () => Promise<void>) => Promise<void>;
  /** What is said of an edit. */
  readonly detail: RegExp;
  /** The database answers reads. */
  readonly reads: boolean;
}

const TROUBLES: Record<string, Trouble> = {
  "full": {
    make: (disk, action) => disk.whileFull(action),
    detail: /disk is full.*Nothing was changed/,
    reads: true,
  },
  "does not answer": {
    make: (disk, action) => disk.whileFrozen(action),
    detail: /no answer within/,
    reads: false,
  },
};

for (const [name, trouble] of Object.entries(TROUBLES)) {
  fault(`control plane's disk: ${name}`, async (tally) => {
    await using folder = await dataFolder();
    await using disk = await Disk.mount(`${folder.path}/disk`);
    await using all = await Installation.start({
      cpFolder: disk.path,
      cpEnv: PING,
    });
    await using load = Load.start([all.router.url], {
      connections: 4,
      pauseMs: 5,
    });
    let head = 1;
    const digests = new Map<number, string>();
    const edit = async (i: number): Promise<Answer> => {
      const answer = await all.controlPlane.call(
        "PUT",
        `/v1/customers/c${i}`,
        { body: { placement: i % 2 ? "one" : "two" } },
      );
      if (answer.status === 200) {
        equal(answer.body.version, ++head);
        tally.acknowledged++;
        digests.set(head, answer.body.digest);
      }
      return answer;
    };
    await trouble.make(disk, async () => {
      let refused: Answer | null = null;
      for (let i = 0; refused === null && i < MAX_EDITS; i++) {
        const answer = await edit(i);
        if (answer.status !== 200) refused = answer;
      }
      ok(refused !== null, "every edit was committed");
      tally.injected++;
      equal(refused.status, 503);
      match(refused.body.detail, trouble.detail);
      if (trouble.reads) {
        await reads(all, head);
        equal((await edit(0)).status, 503);
      }
      // Some heartbeats later the router has not lost its connection, and nothing has come to it.
      const from = Date.now();
      await until("more heartbeats", async () => {
        const { control_plane } = await all.router.status();
        return Date.parse(control_plane.last_heard_at) > from + 2000;
      });
      await all.router.serves(head);
      const metrics = await metricsOf(all.router);
      equal(metrics.get("signalbox_router_control_plane_connects_total"), 1);
    });
    await until(
      "edits to be committed again",
      async () => (await edit(MAX_EDITS + 1)).status === 200,
    );
    await all.router.serves(head);
    equal((await all.controlPlane.call("GET", "/readyz")).status, 200);
    await all.controlPlane.program.kill("SIGKILL");
    await all.controlPlaneAgain();
    await kept(all, { head, digests }, tally);
    equal((await all.move("two")).body.rollout.applied, 1);
    await load.stop();
    tally.requests = load.requests;
    tally.failed = load.failures.length;
  });
}

/** Everything that reads answers as if nothing had happened. */
async function reads(
  { controlPlane }: Installation,
  head: number,
): Promise<void> {
  for (
    const path of [
      "/v1/config",
      "/v1/versions",
      `/v1/versions/${head}/diff?from=1`,
      "/v1/customers",
      "/v1/routers",
      "/metrics",
    ]
  ) {
    const { status, body } = await controlPlane.call("GET", path);
    equal(status, 200, path);
    if (path === "/v1/config") equal(body.version, head);
  }
}

/** Counts what was acknowledged and is gone. */
async function kept(
  { controlPlane }: Installation,
  { head, digests }: { head: number; digests: ReadonlyMap<number, string> },
  tally: Tally,
): Promise<void> {
  const { body } = await controlPlane.call("GET", "/v1/config");
  equal(body.version, head);
  for (const [version, digest] of digests) {
    const { status, body } = await controlPlane.call(
      "GET",
      `/v1/versions/${version}`,
    );
    if (status !== 200 || body.digest !== digest) tally.lost++;
  }
}
