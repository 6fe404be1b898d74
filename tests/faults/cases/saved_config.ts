import { deepEqual, ok } from "node:assert/strict";
import { startCell } from "../../harness/cell.ts";
import { configOf } from "../../harness/config.ts";
import { ControlPlane } from "../../harness/control_plane.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { until } from "../../harness/until.ts";
import { fault } from "../fault.ts";

/**
 * A router's last-known-good config, and the one before it, are damaged while it is down. What is promised: each is
 * noticed, set aside and told; the bootstrap config serves until a control plane is there; the process does not fall.
 */

type Damage = (path: string) => Promise<void>;

/** Root may read everything, unless it gives that up. */
const AS_ANYBODY = Deno.uid() === 0
  ? ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
  : [];

const DAMAGES: Record<string, Damage> = {
  "emptied": (path) => Deno.writeFile(path, new Uint8Array()),
  "cut": async (path) => {
    const { size } = await Deno.stat(path);
    await Deno.truncate(path, size >> 1);
  },
  "one bit flipped": async (path) => {
    const bytes = await Deno.readFile(path);
    bytes[bytes.length - 9]! ^= 4;
    await Deno.writeFile(path, bytes);
  },
  "wrong types": (path) =>
    Deno.writeTextFile(path, '{"version":"seven","config":[]}\n{}'),
  "another format version": async (path) => {
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.replace(/\d/, "9"));
  },
  "unreadable": (path) => Deno.chmod(path, 0),
  "a directory in its place": async (path) => {
    await Deno.remove(path);
    await Deno.mkdir(path);
  },
};

fault("saved config: damaged while the router is down", async (tally) => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using stack = new AsyncDisposableStack();
  let controlPlane = await ControlPlane.start(folder.path);
  stack.defer(() => controlPlane[Symbol.asyncDispose]());
  await controlPlane.call("PUT", "/v1/config", { body: configOf([one, two]) });
  const bootstrap = `${folder.path}/bootstrap.json`;
  await Deno.writeTextFile(bootstrap, JSON.stringify(configOf([two, one])));
  let router = stack.use(
    await Router.start("r", {
      folder: folder.path,
      cpUrl: controlPlane.connectUrl,
      env: { ROUTER_BOOTSTRAP: bootstrap },
      within: AS_ANYBODY,
    }),
  );
  const saved = ["last_known_good", "last_known_good.previous"].map((name) =>
    `${folder.path}/r/${name}`
  );
  let version = 1;
  await router.serves(version);
  for (const [name, damage] of Object.entries(DAMAGES)) {
    // Two versions that reach the disk, so that the one before is there as well.
    for (const placement of ["two", "one"]) {
      const { body } = await controlPlane.call(
        "PATCH",
        "/v1/customers/acme?wait=applied",
        { body: { placement } },
      );
      deepEqual(body.rollout.applied, 1, name);
      version = body.version;
      tally.acknowledged++;
    }
    await controlPlane.program.stop();
    await router.program.kill("SIGKILL");
    for (const path of saved) await damage(path);
    tally.injected++;
    router = stack.use(await router.again());
    const answer = await router.ask("acme");
    tally.requests++;
    if (answer.status !== 200 || answer.placement !== "two") tally.failed++;
    const status = await router.status();
    deepEqual([status.source, status.connected], ["bootstrap", false], name);
    const told = router.program.log.filter(({ message }) =>
      message === "the saved config cannot be used"
    );
    deepEqual(told.map(({ path }) => path), saved, name);
    for (const { set_aside_as, problem } of told) {
      ok(typeof problem === "string" && problem.length > 0, name);
      await Deno.stat(String(set_aside_as));
      await Deno.remove(String(set_aside_as), { recursive: true });
    }
    controlPlane = await controlPlane.again();
    await until("the control plane's config", async () => {
      const answer = await router.ask("acme");
      tally.requests++;
      if (answer.status !== 200) tally.failed++;
      return answer.version === version && answer.placement === "one";
    });
  }
});
