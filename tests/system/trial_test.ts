import { deepEqual, equal, match, ok } from "node:assert/strict";
import { ControlPlane } from "../harness/control_plane.ts";
import { Installation } from "../harness/installation.ts";
import { until } from "../harness/until.ts";

/** Moves `acme`, to be confirmed within a time. */
async function tryMove(
  { controlPlane }: Installation,
  within: string,
): Promise<string> {
  const { status, body } = await controlPlane.call(
    "PATCH",
    `/v1/customers/acme?wait=applied&confirm_within=${within}`,
    { body: { placement: "two" } },
  );
  equal(status, 200);
  equal(body.version, 2);
  return body.confirm_by;
}

Deno.test("a version that nobody confirms is taken back, and keeps other edits out until then", async () => {
  await using all = await Installation.start();
  const { controlPlane, router } = all;
  const by = await tryMove(all, "6s");
  ok(Date.parse(by) > Date.now());
  equal((await router.ask("acme")).placement, "two");
  const config = await controlPlane.call("GET", "/v1/config");
  equal(config.body.confirm_by, by);
  const other = await controlPlane.call("PUT", "/v1/customers/globex", {
    body: { placement: "one" },
  });
  equal(other.status, 409);
  match(
    other.body.detail,
    /^Version 2 waits to be confirmed until .*POST \/v1\/versions\/2\/confirm keeps version 2/,
  );
  await router.serves(3);
  const answer = await router.ask("acme");
  deepEqual([answer.placement, answer.version], ["one", 3]);
  const version = await controlPlane.call("GET", "/v1/versions/3");
  equal(version.body.message, "Version 2 was not confirmed in time");
  equal((await controlPlane.call("GET", "/v1/config")).body.confirm_by, null);
  // Who comes too late is told what has happened.
  for (
    const [verb, told] of [
      ["confirm", "No version waits to be confirmed"],
      ["revert", "Version 2 does not wait to be confirmed"],
    ]
  ) {
    const late = await controlPlane.call("POST", `/v1/versions/2/${verb}`);
    deepEqual([late.status, late.body.detail], [
      409,
      `${told}; what was before version 2 is committed again, as version 3.`,
    ]);
  }
  equal((await all.move("two")).status, 200);
});

Deno.test("a version that is confirmed stays, and one that is reverted goes at once", async () => {
  await using all = await Installation.start();
  const { controlPlane, router } = all;
  await tryMove(all, "60s");
  equal(
    (await controlPlane.call("POST", "/v1/versions/1/confirm")).status,
    409,
  );
  const { status, body } = await controlPlane.call(
    "POST",
    "/v1/versions/2/confirm",
  );
  deepEqual([status, body.version], [200, 2]);
  const again = await controlPlane.call("POST", "/v1/versions/2/confirm");
  deepEqual([again.status, again.body.detail], [
    409,
    "No version waits to be confirmed.",
  ]);
  const back = await controlPlane.call(
    "PATCH",
    "/v1/customers/acme?confirm_within=60s",
    { body: { placement: "one" } },
  );
  equal(back.body.version, 3);
  const reverted = await controlPlane.call("POST", "/v1/versions/3/revert");
  deepEqual([reverted.status, reverted.body.version], [200, 4]);
  await router.serves(4);
  equal((await router.ask("acme")).placement, "two");
});

Deno.test("a version that nobody confirms is taken back although the control plane restarts in between", async () => {
  await using all = await Installation.start();
  await tryMove(all, "10s");
  await all.controlPlane.program.kill("SIGKILL");
  await all.controlPlaneAgain();
  equal((await all.move("one")).status, 409);
  await until(
    "version 3",
    async () => (await all.router.status()).version === 3,
  );
  equal((await all.router.ask("acme")).placement, "one");
  // One that is over while nobody was there is taken back at the start.
  const { body } = await all.controlPlane.call(
    "PATCH",
    "/v1/customers/acme?wait=applied&confirm_within=300ms",
    { body: { placement: "two" } },
  );
  equal(body.version, 4);
  await all.controlPlane.program.kill("SIGKILL");
  await until(
    "its time to be over",
    () => Promise.resolve(Date.now() > Date.parse(body.confirm_by)),
  );
  await all.controlPlaneAgain();
  await all.router.serves(5);
  equal((await all.router.ask("acme")).placement, "one");
});

Deno.test("the first version cannot be taken back", async () => {
  await using all = await Installation.start({ routers: [] });
  const [one] = all.cells;
  await using empty = await ControlPlane.start(`${all.folder}/empty`);
  const { status, body } = await empty.call(
    "PUT",
    "/v1/config?confirm_within=60s",
    {
      body: {
        default_placement: "one",
        customer_to_placement: {},
        placement_to_endpoint: { one: one.endpoint },
      },
    },
  );
  equal(status, 409);
  match(body.detail, /There is no version before that could return/);
});
