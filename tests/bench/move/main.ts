/**
 * `deno task bench:move`: a customer is moved to and fro under load, in each of three ways. It fails if a request
 * failed, or a fenced move ever served both sides. `--help` tells the options.
 */
import { machine } from "../machine.ts";
import { BenchmarkError, runProgram } from "../program.ts";
import { median, percentile } from "../statistics.ts";
import { formatTable } from "../table.ts";
import { KINDS, measure, type Seen } from "./measurement.ts";
import { type Options, parseOptions, USAGE } from "./options.ts";

const NAMES = {
  plain: "wait=applied",
  drained: "wait=drained",
  fenced: "fenced",
} as const;

const LEGEND = [
  "requests: of the customer that is moved, 8 connections without a pause; as many of others are not counted here.",
  "on both sides: requests that began on one cell while others of the customer ran on the other.",
  "longest: the slowest request of the customer in each move, with the 5 to 25 ms that a cell works on it.",
  "others: p99 of all other customers' requests between moves and during them.",
].join("\n");

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const { moves, routers, form } = options;
  const all: Seen[] = [];
  for (const kind of KINDS) {
    console.error(`${moves} moves, ${NAMES[kind]} …`);
    all.push(await measure({ kind, moves, routers, signal }));
  }
  const columns = [
    "move",
    "requests",
    "failed",
    "on both sides",
    "held",
    "a move takes ms: median",
    "worst",
    "longest ms: median",
    "worst",
    "others p99 ms: before",
    "during",
  ];
  const table = formatTable({
    title: `${moves} moves of each kind, ${routers} routers, under load`,
    columns: columns.map((name, i) => ({
      name,
      align: i === 0 ? "left" : "right",
    })),
    rows: all.map(rowOf),
  }, form);
  console.log([
    table,
    "",
    LEGEND,
    "",
    `Machine: ${await machine()}`,
    `Command: deno task bench:move --moves=${moves} --routers=${routers}`,
  ].join("\n"));
  const failures = all.flatMap(({ failures }) => failures);
  const fenced = all.find(({ kind }) => kind === "fenced")!;
  if (failures.length > 0 || fenced.overlaps > 0) {
    throw new BenchmarkError(
      failures.length > 0
        ? `${failures.length} requests failed: ${failures[0]}`
        : `A fenced move served both sides ${fenced.overlaps} times.`,
    );
  }
}

function rowOf(seen: Seen): string[] {
  const ms = (value: number) => value.toFixed(1);
  return [
    NAMES[seen.kind],
    String(seen.requests.moved),
    String(seen.failures.length),
    String(seen.overlaps),
    String(seen.held),
    ms(median(seen.moves)),
    ms(Math.max(...seen.moves)),
    ms(median(seen.longest)),
    ms(Math.max(...seen.longest)),
    ms(percentile(seen.others.before, 0.99)),
    ms(percentile(seen.others.during, 0.99)),
  ];
}

await runProgram({ usage: USAGE, parse: parseOptions, run });
