import type { Plan } from "./plan.ts";
import type { Variation } from "./variation.ts";
import { run } from "./world.ts";

/** Runs that are spent on making a plan shorter. */
const MAX_RUNS = 400;

/**
 * Leaves out of a plan whatever the same violation does without: first large pieces, then single actions.
 * Answers which actions are left, by number.
 */
export async function shrink(
  plan: Plan,
  options: { invariant: string; variation?: Variation },
): Promise<readonly number[]> {
  const { invariant, variation = {} } = options;
  let runs = 0;
  async function stillBreaks(kept: readonly number[]): Promise<boolean> {
    runs++;
    const outcome = await run(only(plan, kept), { variation });
    return outcome.violation?.invariant === invariant;
  }
  let kept = [...plan.actions.keys()];
  for (let size = kept.length >> 1; size >= 1; size >>= 1) {
    for (let at = kept.length - size; at >= 0 && runs < MAX_RUNS;) {
      const less = kept.toSpliced(at, size);
      if (await stillBreaks(less)) kept = less;
      at = Math.min(at, kept.length) - size;
    }
  }
  return kept;
}

/** A plan with these of its actions only; what is left out takes no time either. */
export function only(plan: Plan, kept: readonly number[]): Plan {
  return { ...plan, actions: kept.map((number) => plan.actions[number]!) };
}
