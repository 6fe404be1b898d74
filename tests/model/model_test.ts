import assert from "node:assert/strict";
import { makePlan, type Plan, type StoreKind } from "./plan.ts";
import type { Range, Totals } from "./seeds_worker.ts";
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

function storeKind(): StoreKind | undefined {
  const store = Deno.env.get("MODEL_STORE");
  assert.ok(store === undefined || store === "twin" || store === "kv");
  return store;
}

function planOf(seed: number): Plan {
  const store = storeKind();
  return makePlan(seed, store === undefined ? {} : { store });
}

/** What a thread has seen under its seeds. */
async function runThread(range: Range): Promise<Record<keyof Seen, number>> {
  const worker = new Worker(import.meta.resolve("./seeds_worker.ts"), {
    type: "module",
  });
  try {
    const { promise, resolve, reject } = Promise.withResolvers<Totals>();
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
    worker.postMessage(range);
    const totals = await promise;
    if ("violation" in totals) assert.fail(totals.violation);
    return { ...totals.seen };
  } finally {
    worker.terminate();
  }
}

Deno.test({
  name: "every promise holds under every seed",
  ignore: ONE !== undefined,
  async fn() {
    const threads = Math.min(navigator.hardwareConcurrency, SEEDS);
    const share = Math.ceil(SEEDS / threads);
    const all = await Promise.all(
      Array.from({ length: threads }, (_, i) => {
        const from = i * share;
        const seeds = Math.min(share, SEEDS - from);
        return runThread({ from: FROM + from, seeds, store: storeKind() });
      }),
    );
    const totals = all.reduce((sum, each) => {
      for (const name of Object.keys(sum) as (keyof Seen)[]) {
        sum[name] += each[name];
      }
      return sum;
    });
    console.log(
      `${SEEDS} seeds, ${(totals.milliseconds / 3_600_000).toFixed(1)} hours:`,
      totals,
    );
    // A simulation in which nothing happens breaks nothing.
    assert.ok(totals.versions > 3 * SEEDS, "versions were committed");
    assert.ok(totals.connections > 5 * SEEDS, "routers came back");
    assert.ok(totals.crashes > 2 * SEEDS, "processes were killed");
    assert.ok(totals.fenced > SEEDS / 10, "customers were moved in fences");
    assert.ok(totals.held > SEEDS / 10, "requests were held");
    assert.ok(totals.pins > SEEDS / 20, "rules were set");
    assert.ok(totals.guarded > SEEDS / 50, "edits were guarded");
    assert.ok(totals.guardRejections > SEEDS / 100, "and pushes");
    assert.ok(totals.promoted > SEEDS / 20, "versions were promoted");
    assert.ok(totals.halted > SEEDS / 20, "rollouts were halted");
    assert.ok(
      SEEDS < 100 || totals.haltedByErrors > 0,
      "some of them for their errors",
    );
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
