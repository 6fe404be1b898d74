/**
 * `deno task bench:outage`: what a router's link holds while there is no control plane, over many
 * attempts to reach one. `--help` tells the options.
 */
import { runProgram } from "../program.ts";
import { machine } from "../machine.ts";
import { formatTable } from "../table.ts";
import { measure, type Outcome } from "./measurement.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";
import { blackHole, closedPort, silentPort } from "./ports.ts";
import { LEGEND, outageTable } from "./report.ts";

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const outcomes: Outcome[] = [];
  const tell = (text: string) => console.error(text);
  for (const open of [closedPort, blackHole, silentPort]) {
    await using port = await open();
    outcomes.push(await measure(port, { ...options, tell, signal }));
  }
  const notes = [
    `${options.attempts} attempts against each port after ${options.warmup}, of ${options.links} links on a clock ${options.speed} times as fast as the machine's`,
    `Machine: ${await machine()}`,
    `Command: deno task bench:outage ${Deno.args.join(" ")}`.trimEnd(),
  ];
  console.log([
    formatTable(outageTable(outcomes), options.form),
    "",
    LEGEND,
    "",
    ...notes.map((note) => options.form === "markdown" ? `- ${note}` : note),
  ].join("\n"));
}

await runProgram({ usage: USAGE, parse: parseOptions, run });
