import { chosen, count, readArguments } from "../arguments.ts";
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
  readArguments(args, {
    "--cases": (value) => {
      options.cases = chosen(CASES, value);
    },
    "--edits": (value, arg) => {
      options.edits = count(arg, value);
    },
    "--hold": (value, arg) => {
      options.holdMs = 1000 * count(arg, value);
    },
    "--markdown": () => {
      options.form = "markdown";
    },
  });
  return options;
}
