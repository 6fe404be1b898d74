import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Installation } from "../harness/installation.ts";
import { until } from "../harness/until.ts";
import { WaitingCell } from "../harness/waiting_cell.ts";
import { type Routed, Router } from "../harness/router.ts";

/** Puts `acme` on a waiting cell, as version 2. */
async function onWaitingCell(
  { controlPlane, cells }: Installation,
  cell: WaitingCell,
): Promise<void> {
  const { status } = await controlPlane.call("PUT", "/v1/config?wait=applied", {
    body: {
      default_placement: "two",
      customer_to_placement: { acme: "waiting" },
      placement_to_endpoint: {
        two: cells[1].endpoint,
        waiting: cell.endpoint,
      },
    },
  });
  equal(status, 200);
}

/** How many requests wait on a router because their customer is held. */
async function held(router: Router): Promise<number> {
  const text = await (await fetch(`${router.adminUrl}/metrics`)).text();
  return Number(
    /^signalbox_router_held_requests (\d+)$/m.exec(text)?.[1] ?? -1,
  );
}

async function waiting(router: Router, count: number): Promise<void> {
  await until(
    `${count} requests to wait`,
    async () => await held(router) === count,
  );
}

Deno.test("a held customer's requests wait on every router, and go on when it is released", async () => {
  await using all = await Installation.start({ routers: ["r1", "r2"] });
  const { controlPlane, routers } = all;
  const hold = await controlPlane.call("POST", "/v1/customers/acme/hold", {
    body: { for: "60s" },
  });
  equal(hold.status, 200);
  equal(hold.body.state, "drained");
  deepEqual(
    hold.body.holding.map(({ id }: { id: string }) => id),
    ["r1", "r2"],
  );
  const asked = routers.map((router) => router.ask("acme"));
  for (const router of routers) await waiting(router, 1);
  equal((await routers[0]!.ask("globex")).status, 200);
  const listed = await controlPlane.call("GET", "/v1/holds");
  deepEqual(listed.body.holds[0].customers, ["acme"]);

  const again = await controlPlane.call("POST", "/v1/customers/acme/hold", {
    body: { for: "1s" },
  });
  equal(again.status, 409);
  const released = await controlPlane.call(
    "POST",
    "/v1/customers/acme/release",
  );
  deepEqual(released.body, { customer: "acme", released: [hold.body.id] });
  for (const answer of await Promise.all(asked)) {
    deepEqual([answer.status, answer.placement], [200, "one"]);
  }
  const { status, body } = await controlPlane.call(
    "POST",
    "/v1/customers/acme/release",
  );
  equal(status, 404);
  equal(body.detail, 'Customer "acme" is not held.');
});

Deno.test("a hold ends by itself although the control plane is gone, and at the move's commit", async () => {
  await using all = await Installation.start();
  const { controlPlane, router } = all;
  const hold = (time: string) =>
    controlPlane.call("POST", "/v1/customers/acme/hold", {
      body: { for: time },
    });
  await hold("60s");
  const moved = router.ask("acme");
  await waiting(router, 1);
  await all.move("two");
  equal((await moved).placement, "two");
  await controlPlane.call("POST", "/v1/customers/acme/release");

  const started = performance.now();
  await hold("1500ms");
  await controlPlane.program.kill("SIGKILL");
  const answer = await router.ask("acme");
  deepEqual([answer.status, answer.placement], [200, "two"]);
  const took = performance.now() - started;
  ok(took > 1000, `${took} ms`);
});

Deno.test("a hold that a config has ended is there no more, for no router", async () => {
  await using all = await Installation.start({ routers: ["r1", "r2"] });
  const { controlPlane, routers: [one, two] } = all;
  const hold = () =>
    controlPlane.call("POST", "/v1/customers/acme/hold", {
      body: { for: "5m" },
    });
  equal((await hold()).status, 200);
  const asked = one!.ask("acme");
  await waiting(one!, 1);
  await all.move("two");
  equal((await asked).placement, "two");
  deepEqual((await controlPlane.call("GET", "/v1/holds")).body.holds, []);
  const release = await controlPlane.call(
    "POST",
    "/v1/customers/acme/release",
  );
  equal(release.status, 404);
  await two!.program.kill("SIGKILL");
  const again = await all.routerAgain(1);
  await again.serves(2);
  equal((await again.ask("acme")).placement, "two");
  // And he can be held anew.
  equal((await hold()).status, 200);
  const other = one!.ask("acme");
  await waiting(one!, 1);
  await controlPlane.call("POST", "/v1/customers/acme/release");
  equal((await other).placement, "two");
});

Deno.test("no more requests wait than may, and none longer", async () => {
  await using all = await Installation.start({
    routerEnv: { ROUTER_HOLD_REQUESTS: "2", ROUTER_HOLD_TIMEOUT: "5s" },
  });
  const { controlPlane, router } = all;
  await controlPlane.call("POST", "/v1/customers/acme/hold", {
    body: { for: "60s" },
  });
  const asked = [router.ask("acme"), router.ask("acme")];
  await waiting(router, 2);
  const response = await fetch(router.url, {
    headers: { "x-routing-key": "acme" },
  });
  equal(response.status, 503);
  equal(response.headers.get("retry-after"), "1");
  match(await response.text(), /held back for a moment, and no more can wait/);
  for (const { status, text } of await Promise.all(asked)) {
    equal(status, 503);
    match(text, /held back, for longer than one may wait/);
  }
});

Deno.test("a router that connects, or comes back, holds as well; what was released meanwhile it lets go", async () => {
  await using all = await Installation.start();
  const { controlPlane } = all;
  await controlPlane.call("POST", "/v1/customers/acme/hold", {
    body: { for: "120s" },
  });
  await all.router.program.kill("SIGKILL");
  const router = await all.routerAgain();
  await until("it to hold", async () => {
    const { body } = await controlPlane.call("GET", "/v1/holds");
    return body.holds[0].state === "drained";
  });
  const asked = router.ask("acme");
  await waiting(router, 1);

  // The control plane restarts, and the hold goes on; then it is released while the router is away.
  await controlPlane.program.kill("SIGKILL");
  await all.controlPlaneAgain();
  equal((await all.controlPlane.call("GET", "/v1/holds")).body.holds.length, 1);
  equal(await held(router), 1);
  router.program.signal("SIGSTOP");
  await all.controlPlane.call("POST", "/v1/customers/acme/release");
  router.program.signal("SIGCONT");
  equal((await asked).placement, "one");
});

Deno.test("a fenced move waits for what runs, and never serves both sides", async () => {
  await using all = await Installation.start({ routers: ["r1", "r2"] });
  await using cell = new WaitingCell();
  await onWaitingCell(all, cell);
  const { controlPlane, routers: [one, two] } = all;
  const late = one!.ask("acme");
  await until("it to run", () => cell.waiting === 1);
  const moving = controlPlane.call("POST", "/v1/moves", {
    body: { customers: ["acme"], to: "two", fenced: true, within: "60s" },
  });
  await until("both to hold", async () => {
    const { body } = await controlPlane.call("GET", "/v1/holds");
    return body.holds[0]?.state === "draining";
  });
  const asked: Promise<Routed>[] = [one!.ask("acme"), two!.ask("acme")];
  for (const router of [one!, two!]) await waiting(router, 1);
  equal(cell.waiting, 1);
  cell.release();
  equal((await late).text, "late");
  const { status, body } = await moving;
  equal(status, 200, JSON.stringify(body));
  deepEqual([body.version, body.rollout.applied], [3, 2]);
  const { held_ms, drained_ms, ...fenced } = body.fenced;
  ok(held_ms >= drained_ms && drained_ms > 0);
  deepEqual(fenced, { proven: true, unheld: [] });
  for (const answer of await Promise.all(asked)) {
    deepEqual([answer.placement, answer.version], ["two", 3]);
  }
  deepEqual((await controlPlane.call("GET", "/v1/holds")).body.holds, []);
});

Deno.test("a fenced move that does not drain in time changes nothing, and holds nobody on", async () => {
  await using all = await Installation.start();
  await using cell = new WaitingCell();
  await onWaitingCell(all, cell);
  const { controlPlane, router } = all;
  const move = (more: object) =>
    controlPlane.call("POST", "/v1/moves", {
      body: { customers: ["acme"], to: "two", fenced: true, ...more },
    });
  const stream = await fetch(`${router.url}/events`, {
    headers: { "x-routing-key": "acme" },
  });
  const { status, body } = await move({ within: "4s" });
  equal(status, 409);
  match(
    body.detail,
    /after 4000 ms requests still ran: 0 and 1 streams on "r"/,
  );
  equal((await controlPlane.call("GET", "/v1/config")).body.version, 2);
  const asked = router.ask("acme");
  await until("it to run", () => cell.waiting === 2);
  // Streams may be ended, so that they do not keep the move.
  const moved = move({ within: "60s", cut_streams: "50ms" });
  await until("both to be there", () => cell.waiting === 2);
  cell.release(2);
  await asked;
  equal((await moved).status, 200);
  await stream.text().catch(() => {});
  equal((await router.ask("acme")).placement, "two");
});

Deno.test("a fenced move that a router refuses is taken back before anybody is let go", async () => {
  await using all = await Installation.start({ routers: ["r1"] });
  await using cell = new WaitingCell();
  const { controlPlane, router, folder } = all;
  const small = await Router.start("r2", {
    folder,
    cpUrl: controlPlane.connectUrl,
    env: { ROUTER_MAX_CONFIG_BYTES: "1KiB" },
  });
  all.routers.push(small);
  await onWaitingCell(all, cell);
  const late = router.ask("acme");
  await until("it to run", () => cell.waiting === 1);
  const others = Array.from({ length: 99 }, (_, n) => `customer-${n}`);
  const moving = controlPlane.call("POST", "/v1/moves", {
    body: {
      customers: ["acme", ...others],
      to: "two",
      fenced: true,
      within: "60s",
    },
  });
  await until("both to hold", async () => {
    const { body } = await controlPlane.call("GET", "/v1/holds");
    return body.holds[0]?.state === "draining";
  });
  const asked = router.ask("acme");
  await waiting(router, 1);
  cell.release();
  await late;
  const { status, body } = await moving;
  equal(status, 409);
  match(
    body.detail,
    /^Not all routers took version 3 in time \(router "r2"\), so what was before is committed again/,
  );
  // The first one has served the move, and sent nobody where it says.
  await until("what waited to run where it did", () => cell.waiting === 1);
  cell.release();
  equal((await asked).version, 4);
});

Deno.test("a fenced move asks for every router to be there, unless it is forced", async () => {
  await using all = await Installation.start({ routers: ["r1", "r2"] });
  const { controlPlane, routers: [, two] } = all;
  await two!.program.kill("SIGKILL");
  await until("r2 to be gone", async () => {
    const { body } = await controlPlane.call("GET", "/v1/routers/r2");
    return !body.connected;
  });
  const move = (more: object) =>
    controlPlane.call("POST", "/v1/moves", {
      body: { customers: ["acme"], to: "two", fenced: true, ...more },
    });
  const refused = await move({});
  equal(refused.status, 409);
  match(refused.body.detail, /router "r2" not connected/);
  const { status, body } = await move({ force: true });
  equal(status, 200);
  deepEqual([body.fenced.proven, body.fenced.unheld], [false, ["r2"]]);
  const wrong = await controlPlane.call("POST", "/v1/moves", {
    body: { customers: ["acme"], to: "two", within: "1s" },
  });
  equal(wrong.status, 422);
  match(
    wrong.body.errors[0].detail,
    /within says how a move is fenced, and there is no "fenced": true/,
  );
});
