import { chosen, count } from "../arguments.ts";
import type { TableForm } from "../table.ts";
import { type Case, CASES } from "./cases.ts";

/** What the command line asks for. */
export interface Options {
  readonly cases: readonly Case[];
  /** In place of each case's own number of edits; null for that. */
  readonly edits: number | null;
  readonly holdMs: number;
  readonly form: TableForm;
}

export const USAGE = `Options:
  --cases=small,wide  of ${CASES.map(({ id }) => id).join(", ")}
  --edits=200         edits of each case, in place of ${
  CASES.map(({ id, edits }) => `${edits} (${id})`).join(", ")
}
  --hold=60           seconds that the wide fleet is held
  --markdown          the table as Markdown`;

/** @throws {TypeError} naming the argument that is wrong. */
export function parseOptions(args: readonly string[]): Options {
  const options = {
    cases: CASES,
    edits: null as number | null,
    holdMs: 60_000,
    form: "text" as TableForm,
  };
  for (const arg of args) {
    const [name, value = ""] = arg.split("=", 2);
    switch (name) {
      case "--cases":
        options.cases = chosen(CASES, value);
        break;
      case "--edits":
        options.edits = count(arg, value);
        break;
      case "--hold":
        options.holdMs = 1000 * count(arg, value);
        break;
      case "--markdown":
        options.form = "markdown";
        break;
      default:
        throw new TypeError(`Cannot read ${arg}: there is no such option`);
    }
  }
  return options;
}
