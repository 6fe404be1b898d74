import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { Installation } from "../harness/installation.ts";
import { WaitingCell } from "../harness/waiting_cell.ts";
import { until } from "../harness/until.ts";

/** What the control plane says of a version's rollout. */
interface FenceBody {
  readonly state: string;
  readonly drained: number;
  readonly draining: readonly {
    readonly id: string;
    readonly requests: number;
    readonly streams: number;
    readonly oldest_seconds: number;
  }[];
  readonly unknown: readonly { readonly id: string; readonly reason: string }[];
}

async function rolloutOf(
  { controlPlane }: Installation,
  version: number,
): Promise<FenceBody> {
  const path = `/v1/versions/${version}/rollout`;
  const { status, body } = await controlPlane.call("GET", path);
  equal(status, 200);
  return body;
}

/** Puts `acme` and `globex` on a waiting cell, as version 2. */
async function onWaitingCell(
  { controlPlane, cells }: Installation,
  cell: WaitingCell,
): Promise<void> {
  const { status } = await controlPlane.call("PUT", "/v1/config?wait=applied", {
    body: {
      default_placement: "two",
      customer_to_placement: { acme: "waiting", globex: "waiting" },
      placement_to_endpoint: {
        two: cells[1].endpoint,
        waiting: cell.endpoint,
      },
    },
  });
  equal(status, 200);
}

Deno.test("wait=drained answers when no request runs on the old placement any more", async () => {
  await using all = await Installation.start({ routers: ["r1", "r2"] });
  await using cell = new WaitingCell();
  await onWaitingCell(all, cell);
  const { controlPlane, routers: [one, two] } = all;
  const late = one!.ask("acme");
  await until("it to run", () => cell.waiting === 1);
  // Another customer's stream outlives all of it.
  const events = await fetch(`${two!.url}/events`, {
    headers: { "x-routing-key": "globex" },
  });
  await until("both to run", () => cell.waiting === 2);

  const moving = controlPlane.call(
    "PATCH",
    "/v1/customers/acme?wait=drained&timeout=60s",
    { body: { placement: "two" } },
  );
  await until("both routers to serve version 3", async () => {
    const { drained, draining } = await rolloutOf(all, 3);
    return drained === 1 && draining[0]?.requests === 1;
  });
  const before = await rolloutOf(all, 3);
  equal(before.state, "draining");
  deepEqual(before.draining.map(({ id, streams }) => [id, streams]), [
    ["r1", 0],
  ]);
  equal((await one!.status()).old_work.requests, 1);
  equal((await one!.ask("acme")).placement, "two");

  cell.release();
  equal((await late).text, "late");
  const { body } = await moving;
  deepEqual([body.rollout.state, body.rollout.drained], ["drained", 2]);
  equal((await rolloutOf(all, 3)).state, "drained");
  equal((await one!.status()).old_work.requests, 0);
  await events.body?.cancel();
});

Deno.test("wait=drained does not call drained what a newer version sends back", async () => {
  await using all = await Installation.start();
  await using cell = new WaitingCell();
  await onWaitingCell(all, cell);
  const { controlPlane, router } = all;
  const late = router.ask("acme");
  await until("it to run", () => cell.waiting === 1);
  const moving = controlPlane.call(
    "PATCH",
    "/v1/customers/acme?wait=drained&timeout=60s",
    { body: { placement: "two" } },
  );
  await until("it to be old", async () => {
    const { draining } = await rolloutOf(all, 3);
    return draining[0]?.requests === 1;
  });
  await controlPlane.call("PATCH", "/v1/customers/acme", {
    body: { placement: "waiting" },
  });
  const { state, superseded_by } = (await moving).body.rollout;
  deepEqual([state, superseded_by], ["superseded", 4]);
  equal((await rolloutOf(all, 3)).state, "superseded");
  cell.release();
  await late;
  // It has not come back from the second placement.
  equal((await rolloutOf(all, 4)).state, "drained");
});

Deno.test("wait=drained tells what still runs when the time is up, and what cannot be known", async () => {
  await using all = await Installation.start({ routers: ["r1", "r2"] });
  await using cell = new WaitingCell();
  await onWaitingCell(all, cell);
  const { controlPlane, routers: [one, two] } = all;
  const events = await fetch(`${one!.url}/events`, {
    headers: { "x-routing-key": "acme" },
  });
  await two!.program.kill("SIGKILL");
  const { status, body } = await controlPlane.call(
    "PATCH",
    "/v1/customers/acme?wait=drained&timeout=4s",
    { body: { placement: "two" } },
  );
  equal(status, 200);
  const { state, draining, unknown } = body.rollout as FenceBody;
  equal(state, "draining");
  deepEqual(
    draining.map(({ id, requests, streams }) => [id, requests, streams]),
    [
      ["r1", 0, 1],
    ],
  );
  deepEqual(unknown, [{ id: "r2", reason: "disconnected" }]);

  // The control plane may be another process by the time it drains.
  await controlPlane.program.kill("SIGKILL");
  all.controlPlane = await controlPlane.again();
  await until("r1 to be back", async () => {
    const { draining } = await rolloutOf(all, 3);
    return draining.some(({ id, streams }) => id === "r1" && streams === 1);
  });
  cell.release();
  await events.text();
  await until("r1 to have drained", async () => {
    const rollout = await rolloutOf(all, 3);
    return rollout.state === "unknown" && rollout.drained === 1;
  });
  equal((await controlPlane.call("DELETE", "/v1/routers/r2")).status, 204);
  equal((await rolloutOf(all, 3)).state, "drained");
});

Deno.test("a router with several threads is drained when all of them are", async () => {
  await using all = await Installation.start({
    routerEnv: { ROUTER_THREADS: "3" },
  });
  await using cell = new WaitingCell();
  await onWaitingCell(all, cell);
  // Enough connections that all threads have some of them.
  const answers = Array.from(
    { length: 24 },
    () => all.router.ask("acme"),
  );
  await until("all to run", () => cell.waiting === 24);
  const moving = all.controlPlane.call(
    "PATCH",
    "/v1/customers/acme?wait=drained&timeout=60s",
    { body: { placement: "two" } },
  );
  await until("24 to be old", async () => {
    const { draining } = await rolloutOf(all, 3);
    return draining[0]?.requests === 24;
  });
  cell.release(23);
  await until("1 to be old", async () => {
    const { draining } = await rolloutOf(all, 3);
    return draining[0]?.requests === 1;
  });
  cell.release();
  const { body } = await moving;
  equal(body.rollout.state, "drained");
  ok((await Promise.all(answers)).every(({ text }) => text === "late"));
});

Deno.test("a version that there is not has no rollout", async () => {
  await using all = await Installation.start({ routers: [] });
  const { status, body } = await all.controlPlane.call(
    "GET",
    "/v1/versions/7/rollout",
  );
  equal(status, 404);
  equal(body.detail, "There is no version 7.");
});

Deno.test("cut_streams ends old streams after a grace, and no others", async () => {
  await using all = await Installation.start();
  await using cell = new WaitingCell();
  await onWaitingCell(all, cell);
  const open = (customer: string) =>
    fetch(`${all.router.url}/events`, {
      headers: { "x-routing-key": customer },
    });
  const moved = await open("acme");
  const other = await open("globex");
  const started = performance.now();
  const { status, body } = await all.controlPlane.call(
    "PATCH",
    "/v1/customers/acme?wait=drained&timeout=60s&cut_streams=300ms",
    { body: { placement: "two" } },
  );
  equal(status, 200);
  equal(body.rollout.state, "drained");
  ok(performance.now() - started >= 300);
  // Cut, not ended: nobody is to take it for whole.
  await rejects(moved.text());
  equal((await all.router.status()).old_work.streams, 0);
  cell.release(2);
  equal(await other.text(), "data: 1\n\n");
});
