import { count, readArguments } from "../arguments.ts";
import type { TableForm } from "../table.ts";

/** What the command line asks for. */
export interface Options {
  /** Of each kind. */
  readonly moves: number;
  readonly routers: number;
  readonly form: TableForm;
}

export const USAGE = `Options:
  --moves=50       of each kind
  --routers=2      how many routers
  --markdown       the table as Markdown`;

/** @throws {TypeError} naming the argument that is wrong. */
export function parseOptions(args: readonly string[]): Options {
  const options = { moves: 50, routers: 2, form: "text" as TableForm };
  readArguments(args, {
    "--moves": (value, arg) => {
      options.moves = count(arg, value, 10_000);
    },
    "--routers": (value, arg) => {
      options.routers = count(arg, value, 16);
    },
    "--markdown": () => {
      options.form = "markdown";
    },
  });
  return options;
}
