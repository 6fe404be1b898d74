/**
 * `deno task bench:fuzz`: a million inputs, or any number, to everything that parses. `--help` tells the options.
 * It exits with code 1 if any of them is a failure.
 */
import {
  failureText,
  type Outcome,
  runTarget,
  shares,
} from "../../fuzz/run.ts";
import { TARGETS } from "../../fuzz/targets/all.ts";
import { Watchdog } from "../../fuzz/watchdog.ts";
import { machine } from "../machine.ts";
import { BenchmarkError, runProgram } from "../program.ts";
import { formatTable } from "../table.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";
import { fuzzTable, LEGEND } from "./report.ts";

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const { inputs, seed, only } = options;
  const chosen = TARGETS.filter(({ name }) =>
    options.target === null || name === options.target
  );
  using watchdog = new Watchdog(TARGETS, { seed });
  const { progress } = watchdog;
  const outcomes: Outcome[] = [];
  for (const { target, count } of shares(chosen, inputs)) {
    const range = only === null ? { count } : { from: only, count: 1 };
    const outcome = await runTarget(target, {
      seed,
      ...range,
      progress,
      signal,
    });
    outcomes.push(outcome);
    for (const failure of outcome.failures) console.error(failureText(failure));
  }
  const notes = [
    `Seed ${seed}`,
    `Machine: ${await machine()}`,
    `Command: deno task bench:fuzz ${Deno.args.join(" ")}`.trimEnd(),
  ];
  console.log([
    formatTable(fuzzTable(outcomes), options.form),
    "",
    LEGEND,
    "",
    ...notes.map((note) => options.form === "markdown" ? `- ${note}` : note),
  ].join("\n"));
  const failed = outcomes.reduce(
    (sum, { failures }) => sum + failures.length,
    0,
  );
  if (failed > 0) throw new BenchmarkError(`${failed} failures`);
}

await runProgram({ usage: USAGE, parse: parseOptions, run });
