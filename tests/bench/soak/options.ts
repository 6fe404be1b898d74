import { count, readArguments } from "../arguments.ts";
import type { TableForm } from "../table.ts";

/** What the command line asks for. */
export interface Options {
  readonly minutes: number;
  /** Of the order of faults and of the edits. */
  readonly seed: number;
  readonly form: TableForm;
}

export const USAGE = `Options:
  --minutes 30     how long it takes
  --seed=1         of the order of faults, and of the edits
  --markdown       tables as Markdown`;

/** @throws {TypeError} naming the argument that is wrong. */
export function parseOptions(args: readonly string[]): Options {
  const options = {
    minutes: 30,
    seed: Math.floor(Math.random() * 1_000_000) + 1,
    form: "text" as TableForm,
  };
  readArguments(args, {
    "--minutes": (value, arg) => {
      options.minutes = count(arg, value, 10_000);
    },
    "--seed": (value, arg) => {
      options.seed = count(arg, value, 999_999_999);
    },
    "--markdown": () => {
      options.form = "markdown";
    },
  });
  return options;
}
