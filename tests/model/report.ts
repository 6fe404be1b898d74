import type { Plan } from "./plan.ts";
import { only, shrink } from "./shrink.ts";
import type { Violation } from "./simulation.ts";
import type { Variation } from "./variation.ts";
import { run } from "./world.ts";

/** The last lines of a trace that are shown. */
const MAX_LINES = 250;

/** What to say of a plan that broke an invariant: how, the shortest way to it that was found, and how to go it again. */
export async function describeViolation(
  plan: Plan,
  options: { violation: Violation; variation?: Variation },
): Promise<string> {
  const { violation, variation = {} } = options;
  const { seed, store, actions } = plan;
  const kept = await shrink(plan, {
    invariant: violation.invariant,
    variation,
  });
  const { lines, violation: last } = await run(only(plan, kept), {
    variation,
    trace: true,
  });
  return [
    `Seed ${seed} (${store} store) breaks "${violation.invariant}": ${violation.detail}`,
    `With ${kept.length} of its ${actions.length} actions: ${last?.detail}`,
    ...(lines.length > MAX_LINES
      ? [`… ${lines.length - MAX_LINES} lines before`]
      : []),
    ...lines.slice(-MAX_LINES),
    `Again, with its whole trace: MODEL_SEED=${seed} MODEL_STORE=${store} MODEL_ACTIONS=${
      kept.join(",")
    } deno task test:model`,
  ].join("\n");
}
