import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Answer } from "../harness/control_plane.ts";
import { Installation } from "../harness/installation.ts";
import { until } from "../harness/until.ts";

/** An endpoint where nobody listens. */
const NOBODY = "http://127.0.0.1:1";

/** Moves `acme` to the second placement, on some routers first. */
function stage(
  { controlPlane }: Installation,
  query: string,
): Promise<Answer> {
  return controlPlane.call("PATCH", `/v1/customers/acme?${query}`, {
    body: { placement: "two" },
    headers: { "x-signalbox-author": "ann" },
  });
}

/** Waits until a rollout is over, and answers how it ended. */
async function over(
  { controlPlane }: Installation,
  id: number,
  // deno-lint-ignore no-explicit-any
): Promise<any> {
  // deno-lint-ignore no-explicit-any
  let rollout: any;
  await until(`the rollout of version ${id} to be over`, async () => {
    const { body } = await controlPlane.call("GET", `/v1/rollouts/${id}`);
    rollout = body;
    if (body.state === "under_way") throw new Error(JSON.stringify(body));
    return true;
  });
  return rollout;
}

/** The versions that all routers serve, in the order of their names. */
function served({ routers }: Installation): Promise<number[]> {
  return Promise.all(
    routers.map(async (router) => (await router.status()).version),
  );
}

Deno.test("a version goes to canaries first, all others stay on the one before, and get it when its time is over", async () => {
  await using all = await Installation.start({ routers: ["a", "b", "c"] });
  const { controlPlane, routers } = all;
  const { status, body } = await stage(
    all,
    "canary=id:b&hold=10s&wait=applied",
  );
  deepEqual([status, body.version], [200, 2]);
  deepEqual(body.staged.canaries, ["b"]);
  ok(Date.parse(body.staged.until) > Date.now());
  const { applied, rejected, pending, gone } = body.rollout;
  deepEqual({ applied, rejected, pending, gone }, {
    applied: 1,
    rejected: [],
    pending: [],
    gone: [],
  });
  deepEqual(await served(all), [1, 2, 1]);
  equal((await routers[1]!.ask("acme")).placement, "two");
  equal((await routers[0]!.ask("acme")).placement, "one");

  const config = await controlPlane.call("GET", "/v1/config");
  equal(config.headers.get("etag"), '"2"');
  deepEqual(config.body.rollout, {
    id: 2,
    before: 1,
    until: body.staged.until,
    canaries: ["b"],
  });
  const fleet = await controlPlane.call("GET", "/v1/routers");
  deepEqual(
    fleet.body.routers.map((
      router: { id: string; status: string; lag: { versions: number } },
    ) => [router.id, router.status, router.lag.versions]),
    [["a", "current", 0], ["b", "current", 0], ["c", "current", 0]],
  );
  const other = await controlPlane.call("PUT", "/v1/customers/globex", {
    body: { placement: "one" },
  });
  equal(other.status, 409);
  match(
    other.body.detail,
    /^Version 2 is being rolled out, until .*POST \/v1\/rollouts\/2\/promote .*POST \/v1\/rollouts\/2\/abort/,
  );
  const takeover = await controlPlane.call("POST", "/v1/takeover");
  equal(takeover.status, 409);

  const rollout = await over(all, 2);
  equal(rollout.state, "promoted");
  deepEqual([rollout.author, rollout.ended_by], ["ann", null]);
  for (const router of routers) await router.serves(2);
  equal((await routers[0]!.ask("acme")).placement, "two");
  equal((await controlPlane.call("GET", "/v1/config")).body.rollout, null);
  equal((await all.move("one")).status, 200);
  const list = await controlPlane.call("GET", "/v1/rollouts");
  deepEqual(
    list.body.rollouts.map(({ id }: { id: number }) => id),
    [2],
  );
});

Deno.test("a router that comes back in the middle of a rollout gets what it should serve, also of a control plane that was killed", async () => {
  await using all = await Installation.start({ routers: ["a", "b"] });
  equal((await stage(all, "canary=id:b&hold=60s&wait=applied")).status, 200);
  // One that lost its disk has nothing; it gets the version of most.
  await all.routers[0]!.program.kill("SIGKILL");
  await Deno.remove(`${all.folder}/a`, { recursive: true });
  await all.routerAgain(0);
  await all.routers[0]!.serves(1);
  await all.controlPlane.program.kill("SIGKILL");
  await all.controlPlaneAgain();
  deepEqual(await served(all), [1, 2]);
  const { body } = await all.controlPlane.call("GET", "/v1/rollouts/2");
  equal(body.state, "under_way");
  await until("the canary to have come back", async () => {
    const { body } = await all.controlPlane.call("GET", "/v1/rollouts/2");
    return body.canaries[0].state === "applied";
  });
  const promoted = await all.controlPlane.call(
    "POST",
    "/v1/rollouts/2/promote",
    { headers: { "x-signalbox-author": "bob" } },
  );
  deepEqual([promoted.status, promoted.body.state, promoted.body.ended_by], [
    200,
    "promoted",
    "bob",
  ]);
  await all.routers[0]!.serves(2);
  const metrics = await all.controlPlane.call("GET", "/metrics");
  match(metrics.body, /^signalbox_cp_rollouts_total\{outcome="promoted"\} 1$/m);
  const again = await all.controlPlane.call("POST", "/v1/rollouts/2/promote");
  equal(again.status, 409);
  match(
    again.body.detail,
    /^The rollout of version 2 is over: it was promoted\. POST \/v1\/versions\/1\/restore/,
  );
});

Deno.test("a rollout whose time ends while no control plane runs is promoted by the next one", async () => {
  await using all = await Installation.start({ routers: ["a", "b"] });
  const { body } = await stage(all, "canary=id:a&hold=500ms&wait=applied");
  await all.controlPlane.program.kill("SIGKILL");
  await until(
    "its time to be over",
    () => Promise.resolve(Date.now() > Date.parse(body.staged.until)),
  );
  await all.controlPlaneAgain();
  equal((await over(all, 2)).state, "promoted");
  for (const router of all.routers) await router.serves(2);
});

Deno.test("a rollout is halted when a canary's requests fail, and what was before returns as a new version", async () => {
  await using all = await Installation.start({
    routers: ["a", "b"],
    // What all threads have counted goes into one.
    routerEnv: { ROUTER_THREADS: "2" },
  });
  const { controlPlane, routers } = all;
  const bad = await controlPlane.call(
    "PATCH",
    "/v1/placements/one?canary=id:a&hold=60s&max_errors=5%25&wait=applied",
    { body: { endpoint: NOBODY } },
  );
  equal(bad.status, 200);
  for (let n = 0; n < 30; n++) {
    equal((await routers[0]!.ask("acme")).status, 502);
    equal((await routers[1]!.ask("acme")).status, 200);
  }
  const rollout = await over(all, 2);
  equal(rollout.state, "halted");
  match(
    rollout.reason,
    /^On router "a" [0-9.]+% of [0-9]+ requests failed, and how it was in the minute before is not known\.$/,
  );
  equal(rollout.taken_back_by, 3);
  equal(rollout.canaries[0].state, "applied");
  ok(rollout.canaries[0].counted.errors >= 20);
  for (const router of routers) await router.serves(3);
  equal((await routers[0]!.ask("acme")).status, 200);
  const version = await controlPlane.call("GET", "/v1/versions/3");
  match(version.body.message, /^The rollout of version 2 was halted: On/);
  const metrics = await controlPlane.call("GET", "/metrics");
  match(
    metrics.body,
    /^signalbox_cp_rollouts_total\{outcome="halted"\} 1$/m,
  );
  match(metrics.body, /^signalbox_cp_rollout_under_way 0$/m);
});

Deno.test("a canary that fails is found out although the control plane restarts in between, and its time is over by then", async () => {
  await using all = await Installation.start({ routers: ["a", "b"] });
  const { body } = await all.controlPlane.call(
    "PATCH",
    "/v1/placements/one?canary=id:a&hold=5s&wait=applied",
    { body: { endpoint: NOBODY } },
  );
  await all.controlPlane.program.kill("SIGKILL");
  for (let n = 0; n < 30; n++) await all.routers[0]!.ask("acme");
  await until(
    "its time to be over",
    () => Promise.resolve(Date.now() > Date.parse(body.staged.until)),
  );
  await all.controlPlaneAgain();
  const rollout = await over(all, 2);
  equal(rollout.state, "halted");
  match(rollout.reason, /^On router "a" 100% of [0-9]+ requests failed/);
});

Deno.test("errors that there were before do not halt a rollout", async () => {
  await using all = await Installation.start({ routers: ["a"] });
  const { controlPlane, router } = all;
  const broken = await controlPlane.call(
    "PATCH",
    "/v1/placements/one?wait=applied",
    { body: { endpoint: NOBODY } },
  );
  equal(broken.body.version, 2);
  for (let n = 0; n < 40; n++) await router.ask("acme");
  // What it has counted comes with its next pong.
  await until("the failures to be known", async () => {
    const { body } = await controlPlane.call(
      "PUT",
      "/v1/customers/globex?canary=id:a&hold=60s&wait=applied",
      { body: { placement: "one" } },
    );
    const { body: { canaries } } = await controlPlane.call(
      "GET",
      `/v1/rollouts/${body.version}`,
    );
    if (canaries[0].before?.errors === 40) return true;
    await controlPlane.call("POST", `/v1/rollouts/${body.version}/abort`);
    return false;
  });
  const { body: { rollouts } } = await controlPlane.call(
    "GET",
    "/v1/rollouts?limit=1",
  );
  const { id } = rollouts[0];
  for (let n = 0; n < 25; n++) await router.ask("globex");
  await until("the failures under it to be known", async () => {
    const { body } = await controlPlane.call("GET", `/v1/rollouts/${id}`);
    equal(body.state, "under_way");
    return body.canaries[0].counted.errors >= 25;
  });
  const { status, body } = await controlPlane.call(
    "POST",
    `/v1/rollouts/${id}/promote`,
  );
  deepEqual([status, body.state], [200, "promoted"]);
});

Deno.test("a rollout is halted when a canary refuses it, is started anew or is lost", async () => {
  await using all = await Installation.start({ routers: ["a", "b"] });
  const { controlPlane } = all;
  await all.routers[0]!.program.kill("SIGTERM");
  await all.routerAgain(0, { ROUTER_MAX_CONFIG_BYTES: "1KiB" });
  await all.routers[0]!.serves(1);
  const refused = await controlPlane.call(
    "PATCH",
    "/v1/config?canary=id:a&hold=60s&wait=applied",
    {
      body: {
        customer_to_placement: Object.fromEntries(
          Array.from({ length: 60 }, (_, n) => [`customer-${n}`, "two"]),
        ),
      },
    },
  );
  equal(refused.body.rollout.rejected[0].id, "a");
  const first = await over(all, 2);
  equal(first.state, "halted");
  match(first.reason, /^Router "a" rejected it: /);
  await all.routers[1]!.serves(3);

  equal((await stage(all, "canary=id:a&hold=60s&wait=applied")).status, 200);
  await all.routers[0]!.program.kill("SIGKILL");
  await all.routerAgain(0);
  const second = await over(all, 4);
  deepEqual([second.state, second.reason], [
    "halted",
    'Router "a" was started anew.',
  ]);
  // It came back with version 4, and nobody goes back in numbers.
  for (const router of all.routers) await router.serves(5);

  equal((await stage(all, "canary=id:a&hold=60s&wait=applied")).status, 200);
  await all.routers[0]!.program.kill("SIGKILL");
  const third = await over(all, 6);
  deepEqual([third.state, third.reason], [
    "halted",
    'Router "a" is not connected any more.',
  ]);
  await all.routers[1]!.serves(7);
});

Deno.test("a rollout that is aborted is taken back at once, and what cannot be staged is refused", async () => {
  await using all = await Installation.start({ routers: ["a", "b"] });
  const { controlPlane } = all;
  for (
    const [query, status, detail] of [
      ["canary=0", 400, /canary.*must be a number of routers/],
      ["canary=1&max_errors=2", 400, /max_errors must be a share/],
      ["canary=1&hold=6m", 400, /hold must be a span of time.*at most 5m/],
      ["hold=5s", 400, /there is no canary/],
      ["max_errors=5%25", 400, /there is no canary/],
      ["canary=1&confirm_within=5s", 400, /takes no confirm_within/],
      ["canary=1&wait=drained", 400, /Nothing is drained/],
      ["canary=id:c", 409, /router "c" is not connected/],
      ["canary=3", 409, /only 2 of the 2 connected routers/],
      ["canary=51", 409, /at most 50/],
    ] as const
  ) {
    const answer = await stage(all, query);
    equal(answer.status, status, query);
    match(answer.body.detail, detail);
  }
  const fenced = await controlPlane.call("POST", "/v1/moves?canary=1", {
    body: { customers: ["acme"], to: "two", fenced: true },
  });
  equal(fenced.status, 400);
  const same = await controlPlane.call(
    "PATCH",
    "/v1/customers/acme?canary=1",
    { body: { placement: "one" } },
  );
  deepEqual([same.body.changed, same.body.staged], [false, undefined]);
  equal((await stage(all, "canary=50%25&wait=applied")).status, 200);
  const { body, status } = await controlPlane.call(
    "POST",
    "/v1/rollouts/2/abort",
    { headers: { "x-signalbox-author": "bob" } },
  );
  deepEqual(
    [status, body.state, body.ended_by, body.reason, body.taken_back_by],
    [200, "aborted", "bob", null, 3],
  );
  for (const router of all.routers) await router.serves(3);
  equal((await all.router.ask("acme")).placement, "one");
  equal(
    (await controlPlane.call("POST", "/v1/rollouts/2/abort")).status,
    409,
  );
  const metrics = await controlPlane.call("GET", "/metrics");
  match(metrics.body, /^signalbox_cp_rollouts_total\{outcome="aborted"\} 1$/m);
  equal((await controlPlane.call("GET", "/v1/rollouts/3")).status, 404);
  const long = await controlPlane.call("POST", "/v1/rollouts/2/abort", {
    headers: { "x-signalbox-author": "a".repeat(300) },
  });
  equal(long.status, 400);
  match(long.body.detail, /at most 256 characters/);
});
