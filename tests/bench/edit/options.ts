import { chosen, readArguments } from "../arguments.ts";
import type { TableForm } from "../table.ts";
import type { Extent } from "./measurement.ts";

/** A number of customers, and what is measured with it. */
export interface Size extends Extent {
  readonly id: string;
  readonly customers: number;
}

const SIZES: readonly Size[] = [
  { id: "1000", customers: 1000, burst: false, history: false },
  { id: "100000", customers: 100_000, burst: true, history: false },
  { id: "1000000", customers: 1_000_000, burst: false, history: true },
];

/** What the command line asks for. */
export interface Options {
  readonly sizes: readonly Size[];
  readonly form: TableForm;
}

export const USAGE = `Options:
  --customers=1000     of ${SIZES.map(({ id }) => id).join(", ")}
  --markdown           the table as Markdown`;

/** @throws {TypeError} naming the argument that is wrong. */
export function parseOptions(args: readonly string[]): Options {
  const options = { sizes: SIZES, form: "text" as TableForm };
  readArguments(args, {
    "--customers": (value) => {
      options.sizes = chosen(SIZES, value);
    },
    "--markdown": () => {
      options.form = "markdown";
    },
  });
  return options;
}
