import { chosen, count, readArguments } from "../arguments.ts";
import type { TableForm } from "../table.ts";
import { type Form, FORMS } from "./forms.ts";

/** What the command line asks for. */
export interface Options {
  /** Customers of a config. */
  readonly sizes: readonly number[];
  readonly forms: readonly Form[];
  readonly measured: readonly Measurement[];
  readonly rounds: number;
  readonly form: TableForm;
}

/** What is measured. */
export interface Measurement {
  readonly id: "serving" | "lookup" | "start";
}

const MEASUREMENTS: readonly Measurement[] = [
  { id: "serving" },
  { id: "lookup" },
  { id: "start" },
];

/** As many as a config may have. */
const MAX_SIZE = 2_000_000;

export const USAGE = `Options:
  --measure=serving,start   of ${MEASUREMENTS.map(({ id }) => id).join(", ")}
  --sizes=1000,100000       customers of a config, from 1 to ${MAX_SIZE}
  --forms=nothing,parts     of ${FORMS.map(({ id }) => id).join(", ")}
  --rounds=5                pushes of each form at each size, and starts at each size
  --markdown                tables as Markdown
ROUTER_* variables are passed on to the router.`;

/** @throws {TypeError} naming the argument that is wrong. */
export function parseOptions(args: readonly string[]): Options {
  const options = {
    sizes: [1000, 100_000, 1_000_000],
    forms: FORMS,
    measured: MEASUREMENTS,
    rounds: 5,
    form: "text" as TableForm,
  };
  readArguments(args, {
    "--measure": (value) => {
      options.measured = chosen(MEASUREMENTS, value);
    },
    "--sizes": (value, arg) => {
      options.sizes = value.split(",")
        .map((size) => count(arg, size, MAX_SIZE)).sort((a, b) => a - b);
    },
    "--forms": (value) => {
      options.forms = chosen(FORMS, value);
    },
    "--rounds": (value, arg) => {
      options.rounds = count(arg, value);
    },
    "--markdown": () => {
      options.form = "markdown";
    },
  });
  return options;
}
