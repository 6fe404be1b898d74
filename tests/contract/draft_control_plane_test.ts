import { deepEqual, equal, match } from "node:assert/strict";
import { startCell } from "../harness/cell.ts";
import { configOf } from "../harness/config.ts";
import { DraftControlPlane } from "../harness/draft.ts";
import { dataFolder } from "../harness/program.ts";
import { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";

Deno.test("a router works under a control plane that speaks only the draft", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using controlPlane = new DraftControlPlane();
  await using router = await Router.start("r1", {
    folder: folder.path,
    cpUrl: controlPlane.url,
  });
  await until("the router to connect", () => controlPlane.connected === 1);
  equal((await router.ask("acme")).status, 503);

  const config = configOf([one, two]);
  controlPlane.send({ type: "config_update", version: 7, config });
  const applied = await controlPlane.inbox.next();
  deepEqual([applied.type, applied.version, applied.status], [
    "ack",
    7,
    "applied",
  ]);
  deepEqual(
    [(await router.ask("acme")).placement, (await router.ask("x")).placement],
    ["one", "two"],
  );

  controlPlane.send({ type: "ping" });
  equal((await controlPlane.inbox.next()).type, "pong");

  // Once more the same: applied, and nothing changes.
  const before = await router.status();
  controlPlane.send({ type: "config_update", version: 7, config });
  equal((await controlPlane.inbox.next()).status, "applied");
  equal((await router.status()).applied_at, before.applied_at);

  // Never older, never another config under the same version, never an invalid one.
  const other = { ...config, customer_to_placement: { acme: "two" } };
  for (
    const [message, error] of [
      [
        { type: "config_update", version: 6, config: other },
        /6.*7|older|lower/,
      ],
      [{ type: "config_update", version: 7, config: other }, /digest/],
      [
        {
          type: "config_update",
          version: 8,
          config: {
            default_placement: "gone",
            customer_to_placement: { a: "nowhere" },
            placement_to_endpoint: { one: "ftp://x" },
          },
        },
        /"gone".*"nowhere"|ftp/s,
      ],
    ] as const
  ) {
    controlPlane.send(message);
    const answer = await controlPlane.inbox.next();
    deepEqual([answer.version, answer.status], [message.version, "rejected"]);
    match(answer.error, error);
    equal((await router.ask("acme")).placement, "one");
    equal((await router.ask("acme")).version, 7);
  }
  match((await router.status()).last_rejected.error, /gone/);

  controlPlane.send({ type: "config_update", version: 9, config: other });
  equal((await controlPlane.inbox.next()).status, "applied");
  equal((await router.ask("acme")).placement, "two");
});

Deno.test("a router drops a control plane that talks rubbish, keeps serving, and comes back", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using controlPlane = new DraftControlPlane();
  await using router = await Router.start("r1", {
    folder: folder.path,
    cpUrl: controlPlane.url,
  });
  await until("the router to connect", () => controlPlane.connected === 1);
  controlPlane.send({
    type: "config_update",
    version: 1,
    config: configOf([one]),
  });
  equal((await controlPlane.inbox.next()).status, "applied");
  let connections = controlPlane.announced.length;
  for (const text of ["rubbish", '{"type":"config_update"}', "null"]) {
    controlPlane.send(text);
    await until(
      "the router to come back",
      () =>
        controlPlane.announced.length > connections &&
        controlPlane.connected === 1,
    );
    connections = controlPlane.announced.length;
    equal((await router.ask("acme")).placement, "one");
  }
  // It says what it serves, also where that came from a control plane without epochs.
  equal(controlPlane.announced.at(-1)!.get("version"), "1");
  equal(controlPlane.announced.at(-1)!.get("id"), "r1");
});

Deno.test("a config that loses most customers is rejected, unless the control plane says that it is meant", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using controlPlane = new DraftControlPlane();
  const options = { folder: folder.path, cpUrl: controlPlane.url };
  const customers = Array.from({ length: 40 }, (_, i) => [`c-${i}`, "two"]);
  const push = async (
    version: number,
    kept: number,
    guarded?: { guarded_since: number },
  ) => {
    controlPlane.send({
      type: "config_update",
      version,
      epoch: "e1",
      ...guarded,
      config: {
        ...configOf([one, two]),
        default_placement: "one",
        customer_to_placement: Object.fromEntries(customers.slice(0, kept)),
      },
    });
    for (;;) {
      const answer = await controlPlane.inbox.next();
      if (answer.type === "ack") return answer;
    }
  };
  {
    await using router = await Router.start("r1", options);
    await until("the router to connect", () => controlPlane.connected === 1);
    equal((await push(7, 40)).status, "applied");
    const refused = await push(8, 19);
    equal(refused.status, "rejected");
    match(refused.error, /would lose 21 of the 40 customers/);
    equal((await push(8, 0, { guarded_since: 8 })).status, "rejected");
    equal((await router.ask("c-39")).placement, "two");
    equal((await router.status()).version, 7);
    await router.program.stop();
  }
  // What it started from is guarded as what it was pushed.
  await using router = await Router.start("r1", options);
  await until("the router to be back", () => controlPlane.connected === 1);
  equal((await push(9, 19)).status, "rejected");
  equal((await router.ask("c-39")).placement, "two");
  equal((await push(9, 0, { guarded_since: 7 })).status, "applied");
  equal((await router.ask("c-39")).placement, "one");
});
