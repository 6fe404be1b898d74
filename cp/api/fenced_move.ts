import { show } from "../../shared/json.ts";
import { logger } from "../../shared/log.ts";
import type { Fleet, HoldStanding, Rollout } from "../hub/fleet.ts";
import {
  type HoldOrder,
  OnTrial,
  RolloutUnderWay,
  type Version,
  type VersionStore,
} from "../store/store.ts";
import { endHold, newHold, placeHold } from "./holds.ts";
import { ProblemError } from "./problem.ts";

const log = logger("api");

/** What is left, after the time to drain, for the routers to take the move, in milliseconds. */
const COMMIT_MS = 5_000;
/** How many routers an error names. */
const NAMED = 5;

/** How a move is fenced. */
export interface FenceOptions {
  /** Who moves. */
  readonly customers: readonly string[];
  /** How long their requests may take to drain, in milliseconds. */
  readonly withinMs: number;
  /** After how many milliseconds their streams are ended; null: they are waited for. */
  readonly cutStreamsMs: number | null;
  /** Whether it goes on where some routers cannot hold, or are not connected. */
  readonly force: boolean;
}

/** What a fenced move answers about its fence. */
export interface FencedAnswer {
  /**
   * Whether no request of these customers can have run on both sides: false only with `force`, where some routers did
   * not hold.
   */
  readonly proven: boolean;
  /** From the hold to the last router that serves the move. */
  readonly held_ms: number;
  /** From the hold to the end of what ran. */
  readonly drained_ms: number;
  /** Routers that could not hold, or were not connected. */
  readonly unheld: readonly string[];
}

/** What a fenced move needs. */
export interface FencedMoveDeps {
  readonly store: VersionStore;
  readonly fleet: Fleet;
  readonly author: string | null;
  /** Aborts when the caller is gone, or the control plane stops. */
  readonly signal: AbortSignal;
}

/**
 * A move that never serves both sides: holds the customers on all routers, waits until nothing of them runs, commits,
 * waits until all routers serve it, and releases. Where it does not come to its end everything is as before; what is
 * held is let go at its deadline, also where this process ends in the middle.
 */
export async function fencedMove<M extends { version: Version }>(
  deps: FencedMoveDeps,
  options: FenceOptions & {
    /**
     * Commits the move, unless `check` throws of the version that it is made of; answers what it made, with the version
     * before.
     */
    commit: (
      check: (current: Version | null) => void,
    ) => Promise<M & { previous: Version | null; changed: boolean }>;
  },
): Promise<{ made: M; fenced: FencedAnswer; rollout: Rollout }> {
  const { store, fleet, signal } = deps;
  const { withinMs, cutStreamsMs, force } = options;
  const began = performance.now();
  const hold = await placeHold(
    store,
    newHold(options.customers, {
      forMs: withinMs + COMMIT_MS,
      cutStreamsMs,
      author: deps.author,
    }),
  );
  const watch = fleet.follow();
  try {
    await fleet.refresh();
    // Any edit since then that moves one of them has let it go.
    const base = hold.version === 0 ? null : await store.get(hold.version);
    const before = placementsIn(base, options.customers);
    const drained = await drain(deps, { hold, withinMs, force });
    const drainedMs = performance.now() - began;
    const made = await options.commit((current) =>
      checkUnmoved(current, before)
    );
    const left = Math.max(1, Date.parse(hold.until) - Date.now());
    const rollout = await watch.wait(made.version, { timeoutMs: left, signal });
    const refused = [
      ...rollout.rejected.map(({ id }) => id),
      ...rollout.pending,
    ];
    if (refused.length > 0 && made.changed && !signal.aborted) {
      const reverted = await revert(deps, made);
      throw new ProblemError(
        "conflict",
        `Not all routers took version ${made.version.version} in time (${
          names(refused)
        }), ${
          reverted
            ? "so what was before is committed again"
            : "and somebody has committed since, so it stays"
        }. ${rollout.rejected[0]?.error ?? ""}`.trim(),
      );
    }
    const heldMs = performance.now() - began;
    const unheld = [
      ...drained.cannot,
      ...drained.gone,
      ...rollout.gone,
      ...changed(drained, await standing(deps, hold)),
    ];
    const after = placementsIn(made.version, options.customers);
    const now = placementsIn(await store.current(), options.customers);
    const movedOn = [...after].some(([customer, to]) =>
      now.get(customer) !== to
    );
    // Somebody may have released it before all routers served the move.
    const lasted = await release(deps, hold);
    return {
      made,
      rollout,
      fenced: {
        proven: lasted && !movedOn && unheld.length === 0,
        held_ms: Math.round(heldMs),
        drained_ms: Math.round(drainedMs),
        unheld: [...new Set(unheld)].sort(),
      },
    };
  } catch (error) {
    await release(deps, hold);
    throw error;
  } finally {
    watch.end();
  }
}

function placementsIn(
  version: Version | null,
  customers: readonly string[],
): ReadonlyMap<string, string | null> {
  return new Map(customers.map((customer) => [
    customer,
    version?.config.customers.get(customer) ?? null,
  ]));
}

/**
 * Whom somebody else has moved meanwhile is not held any more.
 *
 * @throws {ProblemError} `conflict`.
 */
function checkUnmoved(
  current: Version | null,
  before: ReadonlyMap<string, string | null>,
): void {
  const now = placementsIn(current, [...before.keys()]);
  for (const [customer, placement] of before) {
    if (now.get(customer) === placement) continue;
    throw new ProblemError(
      "conflict",
      `Nothing was moved: customer ${
        show(customer)
      } was moved by somebody else meanwhile, in version ${
        current?.version ?? 0
      } or before.`,
    );
  }
}

/** How a hold stands now. */
function standing(
  { fleet, signal }: FencedMoveDeps,
  { id }: HoldOrder,
): Promise<HoldStanding> {
  return fleet.waitForHold(id, { timeoutMs: 0, signal, enough: () => true });
}

/**
 * Routers that do not run in the process in which they held: one that was started since served the old side until it
 * was told.
 */
function changed(held: HoldStanding, now: HoldStanding): string[] {
  return [...now.instances].filter(([id, instance]) =>
    instance === null || held.instances.get(id) !== instance
  ).map(([id]) => id);
}

/** Waits until nothing of the customers runs on any router. */
async function drain(
  { fleet, signal }: FencedMoveDeps,
  options: { hold: HoldOrder; withinMs: number; force: boolean },
): Promise<HoldStanding> {
  const { hold, withinMs, force } = options;
  const rollout = await fleet.waitForHold(hold.id, {
    timeoutMs: withinMs,
    signal,
    // Who cannot hold will not by waiting.
    enough: ({ state, cannot, gone }) =>
      state === "drained" || state === "unknown" ||
      (!force && cannot.length + gone.length > 0),
  });
  const { state, cannot, gone, pending, holding } = rollout;
  if (!force && cannot.length + gone.length > 0) {
    throw new ProblemError(
      "conflict",
      `Nothing was moved: ${
        gone.length > 0
          ? `${
            names(gone)
          } not connected, and may run on what it had; DELETE /v1/routers/{id} forgets one that is no more.`
          : `${names(cannot)} cannot hold requests.`
      } With "force": true the move goes on without them.`,
    );
  }
  if (state === "drained" || state === "unknown") return rollout;
  const running = holding.filter(({ requests, streams }) =>
    requests + streams > 0
  );
  throw new ProblemError(
    "conflict",
    pending.length > 0
      ? `Nothing was moved: ${
        names(pending)
      } did not hold within ${withinMs} ms.`
      : `Nothing was moved: after ${withinMs} ms requests still ran: ${
        running.slice(0, NAMED).map(({ id, requests, streams }) =>
          `${requests} and ${streams} streams on ${show(id)}`
        ).join(", ")
      }. Allow more time by within, or have streams ended by cut_streams.`,
  );
}

/** Commits again what was before, unless somebody has committed since; answers whether it did. */
async function revert(
  { store, author }: FencedMoveDeps & { author: string | null },
  { version, previous }: { version: Version; previous: Version | null },
): Promise<boolean> {
  if (previous === null) return false;
  let ours = false;
  try {
    await store.commit((current) => {
      ours = current?.version === version.version;
      return ours ? previous.config : current!.config;
    }, {
      author,
      message:
        `Version ${version.version}, a fenced move, was not taken by all routers in time`,
    });
  } catch (error) {
    // What was committed since is on trial, or for canaries first.
    if (error instanceof OnTrial || error instanceof RolloutUnderWay) {
      return false;
    }
    throw error;
  }
  if (!ours) return false;
  log.warn("a fenced move is taken back: not all routers took it in time", {
    version: version.version,
  });
  return true;
}

/** Ends a hold; answers whether it lasted until now. What cannot be released ends at its deadline. */
async function release(
  { store, fleet }: FencedMoveDeps,
  hold: HoldOrder,
): Promise<boolean> {
  try {
    const lasted = await endHold(store, hold);
    await fleet.refresh();
    return lasted;
  } catch (error) {
    log.warn("a hold cannot be released; it ends at its deadline", {
      until: hold.until,
      customers: hold.customers.length,
      error,
    });
    return Date.parse(hold.until) > Date.now();
  }
}

function names(ids: readonly string[]): string {
  const shown = ids.slice(0, NAMED).map((id) => show(id)).join(", ");
  const more = ids.length > NAMED ? ` and ${ids.length - NAMED} more` : "";
  return `${ids.length === 1 ? "router" : "routers"} ${shown}${more}`;
}
