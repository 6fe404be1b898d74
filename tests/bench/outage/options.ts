import { count, readArguments } from "../arguments.ts";
import type { TableForm } from "../table.ts";

/** What the command line asks for. */
export interface Options {
  /** Against each port, as far as they are measured. */
  readonly attempts: number;
  /** Attempts before those: the runtime compiles and grows its heap until then. */
  readonly warmup: number;
  /** Links that try side by side. */
  readonly links: number;
  /** How many times as fast as the machine's the links' clock goes. */
  readonly speed: number;
  readonly form: TableForm;
}

export const USAGE = `Options:
  --attempts=10000   against each port
  --warmup=10000     attempts before the first of those
  --links=50         links that try side by side in one process
  --speed=100        how many times as fast as the machine's their clock goes
  --markdown         the table as Markdown`;

/** @throws {TypeError} naming the argument that is wrong. */
export function parseOptions(args: readonly string[]): Options {
  const options = {
    attempts: 10_000,
    warmup: 10_000,
    links: 50,
    speed: 100,
    form: "text" as TableForm,
  };
  readArguments(args, {
    "--attempts": (value, arg) => {
      options.attempts = count(arg, value, 10_000_000);
    },
    "--warmup": (value, arg) => {
      options.warmup = count(arg, value, 10_000_000);
    },
    "--links": (value, arg) => {
      options.links = count(arg, value);
    },
    "--speed": (value, arg) => {
      options.speed = count(arg, value);
    },
    "--markdown": () => {
      options.form = "markdown";
    },
  });
  return options;
}
