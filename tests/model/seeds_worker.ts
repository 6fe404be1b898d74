/** Runs a range of seeds in a thread of its own: it is told a {@linkcode Range}, and answers {@linkcode Totals}. */
import { makePlan, type StoreKind } from "./plan.ts";
import { describeViolation } from "./report.ts";
import { run, type Seen } from "./world.ts";

/** The seeds to run, and the store to run them on; without one, each seed has its own. */
export interface Range {
  readonly from: number;
  readonly seeds: number;
  readonly store: StoreKind | undefined;
}

/** What was seen under all of them, or the first violation. */
export type Totals =
  | { readonly seen: Readonly<Record<keyof Seen, number>> }
  | { readonly violation: string };

const scope = globalThis as unknown as {
  onmessage: (event: MessageEvent<Range>) => void;
  postMessage: (message: Totals) => void;
};

async function runAll({ from, seeds, store }: Range): Promise<Totals> {
  const totals: Record<keyof Seen, number> = {
    events: 0,
    versions: 0,
    connections: 0,
    rollbacks: 0,
    conflicts: 0,
    crashes: 0,
    fenced: 0,
    held: 0,
    pins: 0,
    guarded: 0,
    guardRejections: 0,
    promoted: 0,
    halted: 0,
    haltedByErrors: 0,
    milliseconds: 0,
  };
  for (let seed = from; seed < from + seeds; seed++) {
    const plan = makePlan(seed, store === undefined ? {} : { store });
    const { violation, seen } = await run(plan);
    if (violation !== null) {
      return { violation: await describeViolation(plan, { violation }) };
    }
    for (const name of Object.keys(totals) as (keyof Seen)[]) {
      totals[name] += seen[name];
    }
  }
  return { seen: totals };
}

scope.onmessage = async ({ data }) => scope.postMessage(await runAll(data));
