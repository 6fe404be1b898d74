/**
 * `deno task bench:stall`: whether our router's clients feel it when a config is applied, what a lookup costs,
 * how soon it serves after a start, and how much memory it takes, at several sizes of the config. `--help` tells
 * the options.
 */
import { runProgram } from "../program.ts";
import { Child } from "../child.ts";
import { machine } from "../machine.ts";
import { noteLine } from "../proxy/report.ts";
import { startEndpoint } from "../proxy/start_endpoint.ts";
import { commandLine, routerEnv } from "../router_env.ts";
import { randomNames } from "./customers.ts";
import { type Figures, figuresOf } from "./figures.ts";
import type { Lookup } from "./lookup_kinds.ts";
import {
  type Measurement,
  type Options,
  parseOptions,
  USAGE,
} from "./options.ts";
import { LEGEND, report } from "./report.ts";
import { LOAD_TEXT } from "./running_load.ts";
import type { Customers, Scene } from "./scene.ts";
import { measureServing, type Served } from "./serving.ts";
import { measureStart, type Started } from "./start.ts";

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const { sizes, forms, rounds, form } = options;
  const measures = (id: Measurement["id"]) =>
    options.measured.some((one) => one.id === id);
  const tell = (text: string) => console.error(text);
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.makeTempDir({ dir: "/tmp", prefix: "bench-" });
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  const scene: Scene = {
    endpoint: stack.use(await startEndpoint()),
    folder,
    routerEnv: routerEnv(),
    rounds,
    signal,
    tell,
  };
  const served: [Served, Figures][] = [];
  const started: Started[] = [];
  const lookups = measures("lookup")
    ? await measureLookups(options, scene)
    : [];
  for (const size of sizes) {
    const customers = await writeCustomers(size, folder);
    for (const form of measures("serving") ? forms : []) {
      signal.throwIfAborted();
      const one = await measureServing(scene, { form, customers });
      served.push([one, figuresOf(one)]);
    }
    if (measures("start")) started.push(await measureStart(scene, customers));
  }
  const notes = [
    `Machine: ${await machine()}`,
    `Load: ${LOAD_TEXT}, answers of 1 KiB; ${rounds} rounds; the load, the endpoint and the control plane share the machine with the router`,
    `Command: ${commandLine("bench:stall", scene.routerEnv)}`,
  ];
  console.log(report({ served, lookups, started }, form));
  console.log(
    ["", LEGEND, "", ...notes.map((note) => noteLine(note, form))].join("\n"),
  );
}

async function writeCustomers(
  size: number,
  folder: string,
): Promise<Customers> {
  const names = randomNames(size);
  const namesFile = `${folder}/names`;
  await Deno.writeFile(namesFile, names);
  return { names, namesFile };
}

/** In a process of its own, whose memory nobody else has used. */
async function measureLookups(
  { sizes }: Options,
  { signal, tell }: Scene,
): Promise<Lookup[]> {
  tell("Looking names up");
  await using child = new Child(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--no-prompt",
      new URL("lookup.ts", import.meta.url).pathname,
      JSON.stringify(sizes),
    ],
    signal,
  });
  return JSON.parse(await child.succeeds());
}

await runProgram({ usage: USAGE, parse: parseOptions, run });
