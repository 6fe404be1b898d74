import assert from "node:assert/strict";
import { makePlan, type Plan } from "./plan.ts";
import { describeViolation } from "./report.ts";
import { only } from "./shrink.ts";
import { run, type Seen } from "./world.ts";

/*
 * MODEL_SEED runs one seed and prints its trace, MODEL_ACTIONS only those of its actions (by number);
 * MODEL_SEEDS says how many seeds are run, MODEL_FROM which is the first, MODEL_STORE on which store:
 * twin or kv.
 */
const SEEDS = Number(Deno.env.get("MODEL_SEEDS") ?? 10_000);
const FROM = Number(Deno.env.get("MODEL_FROM") ?? 1);
const ONE = Deno.env.get("MODEL_SEED");

function planOf(seed: number): Plan {
  const store = Deno.env.get("MODEL_STORE");
  assert.ok(store === undefined || store === "twin" || store === "kv");
  return makePlan(seed, store === undefined ? {} : { store });
}

Deno.test({
  name: "every promise holds under every seed",
  ignore: ONE !== undefined,
  async fn() {
    const totals: Record<keyof Seen, number> = {
      events: 0,
      versions: 0,
      connections: 0,
      rollbacks: 0,
      conflicts: 0,
      crashes: 0,
      milliseconds: 0,
    };
    for (let seed = FROM; seed < FROM + SEEDS; seed++) {
      const plan = planOf(seed);
      const { violation, seen } = await run(plan);
      if (violation !== null) {
        assert.fail(await describeViolation(plan, { violation }));
      }
      for (const name of Object.keys(totals) as (keyof Seen)[]) {
        totals[name] += seen[name];
      }
    }
    console.log(
      `${SEEDS} seeds, ${(totals.milliseconds / 3_600_000).toFixed(1)} hours:`,
      totals,
    );
    // A simulation in which nothing happens breaks nothing.
    assert.ok(totals.versions > 3 * SEEDS, "versions were committed");
    assert.ok(totals.connections > 5 * SEEDS, "routers came back");
    assert.ok(totals.crashes > 2 * SEEDS, "processes were killed");
    assert.ok(SEEDS < 100 || totals.conflicts > 0, "there were conflicts");
  },
});

Deno.test({
  name: "one seed can be run again",
  ignore: ONE === undefined,
  async fn() {
    const plan = planOf(Number(ONE));
    const kept = Deno.env.get("MODEL_ACTIONS")?.split(",").map(Number) ??
      [...plan.actions.keys()];
    const { violation, lines } = await run(only(plan, kept), { trace: true });
    console.log(lines.join("\n"));
    assert.equal(violation, null);
  },
});

Deno.test("a seed gives the same trace, byte for byte", async () => {
  for (const store of ["twin", "kv"] as const) {
    for (let seed = 1; seed <= 25; seed++) {
      const plan = makePlan(seed, { store });
      const first = await run(plan, { trace: true });
      // What others did in between leaves no mark.
      await run(makePlan(seed + 1000, { store }));
      const again = await run(plan, { trace: true });
      assert.ok(first.lines.length > 50);
      assert.equal(again.lines.join("\n"), first.lines.join("\n"));
    }
  }
});

Deno.test("two seeds give two traces", async () => {
  const traces = new Set<string>();
  for (let seed = 1; seed <= 20; seed++) {
    const { lines } = await run(makePlan(seed), { trace: true });
    traces.add(lines.join("\n"));
  }
  assert.equal(traces.size, 20);
});

Deno.test("a simulation leaves the platform as it was", async () => {
  const before = [
    setTimeout,
    clearTimeout,
    Date,
    Math.random,
    performance.now,
    crypto.randomUUID,
  ];
  await run(makePlan(1));
  assert.deepEqual([
    setTimeout,
    clearTimeout,
    Date,
    Math.random,
    performance.now,
    crypto.randomUUID,
  ], before);
});
