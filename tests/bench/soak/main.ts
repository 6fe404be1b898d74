/**
 * `deno task bench:soak`: load, edits, restarts and faults mixed, for as long as is asked. It fails if a request failed,
 * something acknowledged was lost, or a process leaks. `--help` tells the options.
 */
import { machine } from "../machine.ts";
import { BenchmarkError, runProgram } from "../program.ts";
import { formatTable } from "../table.ts";
import { measure } from "./measurement.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";
import { curveTable, deedsTable, LEGEND, verdict } from "./report.ts";

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const { minutes, seed, form } = options;
  const tell = (text: string) => console.error(text);
  const outcome = await measure({ minutes, seed, tell, signal });
  const { lines, held } = verdict(outcome);
  const notes = [
    ...lines,
    `Machine: ${await machine()}`,
    `Command: deno task bench:soak --minutes ${minutes} --seed=${seed}`,
  ];
  console.log([
    formatTable(curveTable(outcome, minutes), form),
    "",
    formatTable(deedsTable(outcome), form),
    "",
    LEGEND,
    "",
    ...notes.map((note) => form === "markdown" ? `- ${note}` : note),
  ].join("\n"));
  if (!held) throw new BenchmarkError("Not everything held: see above.");
}

await runProgram({ usage: USAGE, parse: parseOptions, run });
