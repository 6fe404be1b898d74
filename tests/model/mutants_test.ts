import assert from "node:assert/strict";
import { type Mutant, MUTANTS } from "./mutants.ts";
import { makePlan, type Plan } from "./plan.ts";
import { only, shrink } from "./shrink.ts";
import type { Violation } from "./simulation.ts";
import { run } from "./world.ts";

/** A mutant has to be found within so many seeds. */
const MAX_SEEDS = 2000;

/** The first seed under which a mutant breaks what it is to break. */
async function find(
  { variation, breaks, store }: Mutant,
): Promise<{ plan: Plan; violation: Violation } | null> {
  for (let seed = 1; seed <= MAX_SEEDS; seed++) {
    const plan = makePlan(seed, store === undefined ? {} : { store });
    const { violation } = await run(plan, { variation });
    // One promise that is broken may well break others first.
    if (violation !== null && breaks.includes(violation.invariant)) {
      return { plan, violation };
    }
  }
  return null;
}

for (const mutant of MUTANTS) {
  Deno.test(`the checker finds ${mutant.name}`, async () => {
    const found = await find(mutant);
    assert.ok(found !== null, `not within ${MAX_SEEDS} seeds`);
    console.log(
      `seed ${found.plan.seed}: ${found.violation.invariant}: ${found.violation.detail}`,
    );
  });
}

Deno.test("shrink() leaves out what a violation does without", async () => {
  const mutant = MUTANTS.find(({ breaks }) => breaks.includes("never older"))!;
  const { plan, violation } = (await find(mutant))!;
  const { invariant } = violation;
  const { variation } = mutant;
  const kept = await shrink(plan, { invariant, variation });
  assert.ok(kept.length < plan.actions.length / 2);
  const again = await run(only(plan, kept), { variation });
  assert.equal(again.violation?.invariant, invariant);
});
