import assert from "node:assert/strict";
import { failureText, type Outcome, runTarget, shares } from "./run.ts";
import { TARGETS } from "./targets/all.ts";
import { Watchdog } from "./watchdog.ts";

/** Over all targets: half of one seed, which finds again what it has found before, and half of another each time. */
const INPUTS = 20_000;
const FIXED_SEED = 1;

/** The other seed, which is printed where something fails; FUZZ_SEED sets it. */
function otherSeed(): number {
  const given = Deno.env.get("FUZZ_SEED");
  if (given === undefined) {
    return crypto.getRandomValues(new Uint32Array(1))[0]!;
  }
  assert.match(given, /^[0-9]{1,10}$/, "FUZZ_SEED is a whole number");
  return Number(given);
}

const seeds = [FIXED_SEED, otherSeed()];

Deno.test("everything that parses stands up to sound, mutated and random inputs", async (t) => {
  console.log(`fuzzing with the seeds ${seeds.join(" and ")}`);
  const outcomes: Outcome[] = [];
  for (const seed of seeds) {
    using watchdog = new Watchdog(TARGETS, { seed });
    const { progress } = watchdog;
    for (const { target, count } of shares(TARGETS, INPUTS / seeds.length)) {
      await t.step(
        `${target.name}, ${count} inputs of seed ${seed}`,
        async () => {
          const outcome = await runTarget(target, { seed, count, progress });
          outcomes.push(outcome);
          assert.deepEqual(outcome.failures.map(failureText), []);
        },
      );
    }
  }
  for (const { name } of TARGETS) {
    const own = outcomes.filter(({ target }) => target === name);
    const sum = (of: (outcome: Outcome) => number) =>
      own.reduce((total, outcome) => total + of(outcome), 0);
    assert.ok(sum(({ accepted }) => accepted) > 0, `${name} takes nothing`);
    assert.ok(sum(({ refused }) => refused) > 0, `${name} refuses nothing`);
  }
});
