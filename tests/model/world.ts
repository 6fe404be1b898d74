import { act } from "./deeds.ts";
import { Park } from "./park.ts";
import type { Plan } from "./plan.ts";
import { comeToRest } from "./rest.ts";
import { Simulation, type Violation } from "./simulation.ts";
import type { Variation } from "./variation.ts";
import { useVirtualGlobals } from "./virtual_globals.ts";

/** What came of a seed. */
export interface Outcome {
  /** Null if every invariant held. */
  readonly violation: Violation | null;
  /** What happened, line by line; empty unless it was asked for. */
  readonly lines: readonly string[];
  /** What happened at all, so that a simulation in which nothing happens is noticed. */
  readonly seen: Seen;
}

export interface Seen {
  readonly events: number;
  /** Versions in the store at the end. */
  readonly versions: number;
  readonly connections: number;
  /** Times the store was set back or emptied. */
  readonly rollbacks: number;
  /** Routers that were in conflict once all faults had ended. */
  readonly conflicts: number;
  /** Processes that were killed. */
  readonly crashes: number;
  /** Fenced moves that came to their end, and requests that were held. */
  readonly fenced: number;
  readonly held: number;
  /** Rules that were set. */
  readonly pins: number;
  /** Edits that were refused because they change much, and pushes that a router's guard has refused. */
  readonly guarded: number;
  readonly guardRejections: number;
  /** Times a rollout was about to end by itself: to be promoted, halted, and halted for its errors. */
  readonly promoted: number;
  readonly halted: number;
  readonly haltedByErrors: number;
  /** Virtual milliseconds. */
  readonly milliseconds: number;
}

/** Runs a plan, and what follows once nothing goes wrong any more. */
export async function run(
  plan: Plan,
  options: { variation?: Variation; trace?: boolean } = {},
): Promise<Outcome> {
  const { variation = {}, trace = false } = options;
  const simulation = new Simulation(plan.seed, { trace });
  using _globals = useVirtualGlobals(simulation);
  const park = new Park(plan, simulation, variation);
  for (const each of park.controlPlanes) each.start();
  for (const each of park.routers) each.start();
  for (const action of plan.actions) {
    await simulation.run(action.after, () => false);
    if (simulation.violation !== null) break;
    act(park, action);
    park.checkTimers();
  }
  const { conflicts } = await comeToRest(park);
  let versions = 0;
  for (let node = park.history.current; node; node = node.parent) versions++;
  return {
    violation: simulation.violation,
    lines: simulation.lines ?? [],
    seen: {
      events: simulation.events,
      versions,
      connections: park.connections.length,
      rollbacks: park.history.rollbacks,
      conflicts,
      crashes: park.crashes,
      fenced: sumOf(park, "fenced"),
      held: park.traffics.held,
      pins: sumOf(park, "pins"),
      guarded: sumOf(park, "guarded"),
      guardRejections: park.routers.reduce(
        (sum, { guardRejections }) => sum + guardRejections,
        0,
      ),
      promoted: sumOf(park, "promoted"),
      halted: sumOf(park, "halted"),
      haltedByErrors: sumOf(park, "haltedByErrors"),
      milliseconds: simulation.now,
    },
  };
}

/** What all control planes have counted. */
function sumOf(
  { controlPlanes }: Park,
  name:
    | "fenced"
    | "guarded"
    | "pins"
    | "promoted"
    | "halted"
    | "haltedByErrors",
): number {
  return controlPlanes.reduce((sum, each) => sum + each[name], 0);
}
