/**
 * `deno task bench:fleet`: one control plane and simulated fleets of up to 10,000 routers. `--help`
 * tells the options.
 */
import { runProgram } from "../program.ts";
import { machine } from "../machine.ts";
import { measure } from "./measurement.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";
import { notesOf, type Outcome, reportTable } from "./report.ts";

const LEGEND = [
  "One control plane process, which has read its config from its store, and real links in processes of up to 2,500.",
  "1 % of the routers stop reading as a push begins (and come back after 20 s), 1 % reject every config; neither count.",
  'In "without trouble" all behave. Each edit moves one customer; the next follows when the last router has acknowledged.',
  "Customers' names are 16 random characters. The control plane shares the machine with the links. Its memory is the",
  "largest resident, for a link without what it had before the first came.",
].join("\n");

function tell(text: string): void {
  console.error(text);
}

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const outcomes: Outcome[] = [];
  const skipped: string[] = [];
  for (const item of options.cases) {
    const rest = { ...options, tell, signal };
    try {
      outcomes.push({
        item,
        trouble: await measure(item, { ...rest, trouble: true }),
        plain: item.compared
          ? await measure(item, { ...rest, trouble: false })
          : null,
      });
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      skipped.push(`${item.id} is skipped: ${error.message}`);
      tell(skipped.at(-1)!);
    }
  }
  const notes = [
    ...notesOf(outcomes),
    ...skipped,
    `Machine: ${await machine()}`,
    `Command: deno task bench:fleet ${Deno.args.join(" ")}`.trimEnd(),
  ];
  console.log([
    reportTable(outcomes, options.form),
    "",
    LEGEND,
    "",
    ...notes.map((note) => options.form === "markdown" ? `- ${note}` : note),
  ].join("\n"));
}

await runProgram({ usage: USAGE, parse: parseOptions, run });
