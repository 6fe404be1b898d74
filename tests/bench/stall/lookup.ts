/**
 * What a lookup costs by itself, at several sizes: in process, with names as fresh as those of requests. Its
 * argument is a list of sizes as JSON; it prints the {@linkcode Lookup}s as JSON.
 */
import { Buffer } from "node:buffer";
import { packConfig } from "../../../router/config/packed_config.ts";
import { compileRoutes, type Routes } from "../../../router/routes.ts";
import { cellsOn } from "../proxy/customers.ts";
import { collidingNames } from "./colliding_names.ts";
import { nameOf, randomNames, sizeOf } from "./customers.ts";
import { type Lookup, LOOKUP_KINDS, type LookupKind } from "./lookup_kinds.ts";
import { configOf } from "./prepared_config.ts";

const ROUNDS = 15;
/** So many that a large table is seldom in the processor's caches. */
const LOOKUPS = 400_000;
const CELLS = cellsOn([1, 2, 3, 4]);
const VERSION = 1;

/** A table of customers, with the colliding ones besides. */
interface Subject {
  readonly names: Buffer;
  readonly routes: Routes;
}

function subjectOf(size: number, colliding: readonly string[]): Subject {
  const names = randomNames(size);
  const config = configOf({ names, cells: CELLS, version: VERSION });
  const customers = config.customers.with(
    colliding.map((name) => [name, CELLS[0]!.placement]),
  );
  const packed = packConfig({ ...config, customers });
  return { names, routes: compileRoutes(packed, VERSION) };
}

/** What is looked up in a table: at most so many different names, as bytes. */
function namesOf(
  kind: LookupKind,
  { names, colliding }: { names: Buffer; colliding: readonly string[] },
): Buffer[] {
  const known = Math.min(LOOKUPS, sizeOf(names));
  const all = (count: number, name: (i: number) => string) =>
    Array.from({ length: count }, (_, i) => Buffer.from(name(i)));
  switch (kind) {
    case "known":
      return all(known, (i) => nameOf(names, i));
    case "unknown": {
      const others = randomNames(LOOKUPS);
      return all(LOOKUPS, (i) => nameOf(others, i));
    }
    case "near":
      // No name of ours has a full stop.
      return all(known, (i) => `${nameOf(names, i).slice(0, -1)}.`);
    case "colliding":
      return all(colliding.length, (i) => colliding[i]!);
    case "longest":
      return all(LOOKUPS, (i) => `${i}`.padStart(256, '"'));
    default:
      return kind satisfies never;
  }
}

/** Always as many strings, each one of its own, so that going through them costs the same at every size. */
function fresh(names: readonly Buffer[]): string[] {
  return Array.from(
    { length: LOOKUPS },
    (_, i) => names[i % names.length]!.toString("latin1"),
  );
}

/**
 * Nanoseconds of a lookup.
 *
 * @throws {Error} if what is there is not found, or what is not there is.
 */
function measure(
  kind: LookupKind,
  { routes, asked }: { routes: Routes; asked: readonly string[] },
): number {
  const started = performance.now();
  let assigned = 0;
  for (const name of asked) {
    if (routes.find(name).reason === "assigned") assigned++;
  }
  const ms = performance.now() - started;
  const expected = kind === "known" || kind === "colliding" ? LOOKUPS : 0;
  if (assigned !== expected) {
    throw new Error(
      `Of ${LOOKUPS} ${kind} names ${assigned} were found, not ${expected}`,
    );
  }
  return ms * 1e6 / LOOKUPS;
}

const sizes: number[] = JSON.parse(Deno.args[0]!);
const colliding = collidingNames(10);
const subjects = sizes.map((size) => subjectOf(size, colliding));
const lookups: Lookup[] = [];
for (const kind of LOOKUP_KINDS) {
  const lanes = subjects.map(({ names, routes }) => {
    const asked = fresh(namesOf(kind, { names, colliding }));
    return { routes, asked, nanoseconds: new Array<number>() };
  });
  // One more for the compiler, which is not counted.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const lane of lanes) {
      const nanoseconds = measure(kind, lane);
      if (round > 0) lane.nanoseconds.push(nanoseconds);
    }
  }
  for (const [i, { nanoseconds }] of lanes.entries()) {
    // What else runs on the machine can only add to it.
    lookups.push({
      size: sizes[i]!,
      kind,
      nanoseconds: Math.min(...nanoseconds),
    });
  }
}
console.log(JSON.stringify(lookups));
