import { deepEqual, equal, ok } from "node:assert/strict";
import { startCell } from "../harness/cell.ts";
import { configOf } from "../harness/config.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { dataFolder } from "../harness/program.ts";
import { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";

async function inConflict(
  controlPlane: ControlPlane,
  count: number,
): Promise<void> {
  await until(`${count} routers in conflict`, async () => {
    const { body } = await controlPlane.call("GET", "/v1/routers");
    const found = body.routers.filter(({ status }: { status: string }) =>
      status === "conflict"
    );
    if (found.length !== count) throw new Error(JSON.stringify(body));
    return true;
  });
}

/** Copies a store whose process has ended. */
async function copyStore(from: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for await (const { name, isFile } of Deno.readDir(from)) {
    if (isFile && name.startsWith("cp.kv")) {
      await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
    }
  }
}

Deno.test("an emptied store overwrites nobody, and a takeover ends the conflict", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using first = await ControlPlane.start(`${folder.path}/cp`);
  await first.call("PUT", "/v1/config", { body: configOf([one, two]) });
  await first.call("PUT", "/v1/customers/visa", { body: { placement: "one" } });
  const options = { folder: folder.path, cpUrl: first.connectUrl };
  await using a = await Router.start("a", options);
  await using away = await Router.start("away", options);
  await Promise.all([a.serves(2), away.serves(2)]);
  await away.program.kill("SIGKILL");
  await first.program.kill("SIGKILL");
  await Deno.remove(`${folder.path}/cp`, { recursive: true });

  await using second = await first.again();
  await inConflict(second, 1);
  equal((await second.call("POST", "/v1/takeover")).status, 409);
  // The way back that the manual names: a router's own config, then the takeover.
  const saved = await (await fetch(`${a.adminUrl}/config`)).text();
  equal(
    (await second.call("PUT", "/v1/config", { body: saved })).body.version,
    1,
  );
  // A blank router gets nothing either while those in conflict are more than those that follow.
  await using blank = await Router.start("blank", options);
  await until("blank to connect", async () => (await blank.status()).connected);
  await inConflict(second, 1);
  equal((await blank.ask("acme")).status, 503);
  equal((await a.ask("acme")).version, 2);

  const takeover = await second.call("POST", "/v1/takeover?wait=applied");
  equal(takeover.status, 200);
  equal(takeover.body.version, 3);
  await Promise.all([a.serves(3), blank.serves(3)]);
  equal((await a.ask("visa")).placement, "one");
  // Also one that was away meanwhile follows.
  await using back = await away.again();
  await back.serves(3);
  await inConflict(second, 0);
});

Deno.test("a store restored from an older copy overwrites nobody, and a takeover ends the conflict", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  const store = `${folder.path}/cp`;
  await using first = await ControlPlane.start(store);
  await first.call("PUT", "/v1/config", { body: configOf([one, two]) });
  equal((await first.program.stop()).code, 0);
  await copyStore(store, `${folder.path}/backup`);

  await using second = await first.again();
  const edit = await second.call("PATCH", "/v1/customers/acme", {
    body: { placement: "two" },
  });
  equal(edit.body.version, 2);
  await using router = await Router.start("r", {
    folder: folder.path,
    cpUrl: second.connectUrl,
  });
  await router.serves(2);
  equal((await second.program.stop()).code, 0);
  await Deno.remove(store, { recursive: true });
  await copyStore(`${folder.path}/backup`, store);

  await using third = await first.again();
  await inConflict(third, 1);
  // Another version 2 in the same history: still not the router's.
  await third.call("PUT", "/v1/customers/visa", { body: { placement: "one" } });
  await third.call("PUT", "/v1/customers/globex", {
    body: { placement: "one" },
  });
  await inConflict(third, 1);
  equal((await router.ask("acme")).placement, "two");
  const { body } = await third.call("POST", "/v1/takeover?wait=applied");
  ok(body.version > 3);
  await router.serves(body.version);
  deepEqual(
    [
      (await router.ask("acme")).placement,
      (await router.ask("visa")).placement,
    ],
    ["one", "one"],
  );
});
