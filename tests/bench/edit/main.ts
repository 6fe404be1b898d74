/**
 * `deno task bench:edit`: what an edit costs the control plane, and how long it does nothing else
 * meanwhile, up to a million customers. `--help` tells the options.
 */
import { optionsOrEnd } from "../arguments.ts";
import { machine } from "../machine.ts";
import { noteLine } from "../proxy/report.ts";
import { measure, type Measured } from "./measurement.ts";
import { parseOptions, USAGE } from "./options.ts";
import { report } from "./report.ts";

if (Deno.args.includes("--help")) {
  console.log(USAGE);
  Deno.exit(0);
}
const options = optionsOrEnd(parseOptions);
const all: Measured[] = [];
for (const size of options.sizes) {
  console.error(`${size.customers} customers`);
  all.push(
    await measure(size.customers, {
      ...size,
      tell: (text) => console.error(text),
    }),
  );
}
const notes = [
  "A gap is the longest time between two answers to GET /healthz, asked by a process of its own on one kept connection, 2 ms after each answer, while a router's link takes every push; in brackets first the longest without the time for which the control plane's thread or the asking process could have run and had no core, then the most time for which that thread ran between two answers. Memory is the control plane's resident peak (VmHWM).",
  `Machine: ${await machine()}`,
  `Command: deno task bench:edit ${Deno.args.join(" ")}`.trimEnd(),
];
console.log(
  [
    report(all, options.form),
    "",
    ...notes.map((note) => noteLine(note, options.form)),
  ].join("\n"),
);
