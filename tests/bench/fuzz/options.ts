import { TARGETS } from "../../fuzz/targets/all.ts";
import { count, readArguments } from "../arguments.ts";
import type { TableForm } from "../table.ts";

/** What the command line asks for. */
export interface Options {
  /** Over all targets, by their weights. */
  readonly inputs: number;
  readonly seed: number;
  /** The name of one; null for all. */
  readonly target: string | null;
  /** The number of one input; null for all. */
  readonly only: number | null;
  readonly form: TableForm;
}

export const USAGE = `Options:
  --inputs=1000000   over all targets
  --seed=1           of all random choices
  --target=NAME      one target alone: ${
  TARGETS.map(({ name }) => name).join(", ")
}
  --only=N           one input of that target alone, by its number
  --markdown         the table as Markdown`;

/** @throws {TypeError} naming the argument that is wrong. */
export function parseOptions(args: readonly string[]): Options {
  const options = {
    inputs: 1_000_000,
    seed: 1,
    target: null as string | null,
    only: null as number | null,
    form: "text" as TableForm,
  };
  readArguments(args, {
    "--inputs": (value, arg) => {
      options.inputs = count(arg, value, 100_000_000);
    },
    "--seed": (value, arg) => {
      options.seed = whole(arg, value);
    },
    "--target": (value, arg) => {
      if (!TARGETS.some(({ name }) => name === value)) {
        throw new TypeError(`Cannot read ${arg}: there is no such target`);
      }
      options.target = value;
    },
    "--only": (value, arg) => {
      options.only = whole(arg, value);
    },
    "--markdown": () => {
      options.form = "markdown";
    },
  });
  if (options.only !== null && options.target === null) {
    throw new TypeError("Cannot read --only: it needs a --target");
  }
  return options;
}

function whole(arg: string, value: string): number {
  if (/^[0-9]{1,10}$/.test(value)) return Number(value);
  throw new TypeError(`Cannot read ${arg}: it needs a whole number`);
}
