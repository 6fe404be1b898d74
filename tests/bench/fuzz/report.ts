import type { Outcome } from "../../fuzz/run.ts";
import type { Table } from "../table.ts";

export const LEGEND = [
  "Sound inputs, mutations of them, and noise, each beside an oracle (tests/fuzz/targets): a crash, an exception that is",
  "not the parser's own, a 5xx, another result than the oracle's, or more than 1 s for one input is a failure.",
  "Accepted: the parser took it, or for the steps that a push was begun. Slowest: the slowest single input.",
].join("\n");

/** What became of each target's inputs. */
export function fuzzTable(outcomes: readonly Outcome[]): Table {
  const total = outcomes.reduce(
    (sum, outcome) => ({
      ...sum,
      inputs: sum.inputs + outcome.inputs,
      accepted: sum.accepted + outcome.accepted,
      refused: sum.refused + outcome.refused,
      slowestMs: Math.max(sum.slowestMs, outcome.slowestMs),
      seconds: sum.seconds + outcome.seconds,
      failures: [...sum.failures, ...outcome.failures],
    }),
    {
      target: "all",
      inputs: 0,
      accepted: 0,
      refused: 0,
      slowestMs: 0,
      seconds: 0,
      failures: [] as Outcome["failures"],
    },
  );
  return {
    title: "Inputs to everything that parses",
    columns: [
      { name: "target", align: "left" },
      ...["inputs", "accepted", "refused", "failed", "slowest ms", "inputs/s"]
        .map((name) => ({ name, align: "right" as const })),
    ],
    rows: [...outcomes, total].map((outcome) => [
      outcome.target,
      String(outcome.inputs),
      String(outcome.accepted),
      String(outcome.refused),
      String(outcome.failures.length),
      outcome.slowestMs.toFixed(1),
      (outcome.inputs / outcome.seconds).toFixed(0),
    ]),
  };
}
