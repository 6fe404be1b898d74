import type { Config } from "../../shared/config.ts";
import { show } from "../../shared/json.ts";
import { logger } from "../../shared/log.ts";
import { MAX_HOLD_MS } from "../../shared/protocol.ts";
import type {
  Fleet,
  HoldStanding,
  Rollout,
  RolloutWatch,
} from "../hub/fleet.ts";
import {
  CommitInDoubt,
  type Edit,
  type Head,
  type HoldOrder,
  OnTrial,
  RolloutUnderWay,
  type Version,
  type VersionStore,
} from "../store/store.ts";
import { ConfigDiff } from "./config_diff.ts";
import { endHold, newHold, placeHold } from "./holds.ts";
import { ProblemError } from "./problem.ts";

const log = logger("api");

/** What is left, after the time to drain, for the routers to take the move, in milliseconds. */
const APPLY_MS = 5_000;
/** And after that to take it back, where not all did. */
const REVERT_MS = 3_000;
/** The longest time to drain, in milliseconds: with what comes after it a hold lasts as long as one may. */
const MAX_WITHIN_MS = MAX_HOLD_MS - APPLY_MS - REVERT_MS;
/** How long a router may take to have the move on its disk once it serves it, in milliseconds. */
const SAVE_MS = 1_000;
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
   * Whether no request of these customers can have run on both sides, nor will after a router's restart: false with
   * `force` where some routers did not hold, where a router does not have the move on its disk, and where somebody has
   * released or moved them before all routers served the move.
   */
  readonly proven: boolean;
  /** From the hold to the last router that serves the move. */
  readonly held_ms: number;
  /** From the hold to the end of what ran. */
  readonly drained_ms: number;
  /** Routers that could not hold, were not connected, or could come back with the config before. */
  readonly unheld: readonly string[];
}

/** What a fenced move needs. */
export interface FencedMoveDeps {
  readonly store: VersionStore;
  readonly fleet: Fleet;
  readonly author: string | null;
  /** Aborts when the caller is gone: what is not committed by then is not begun. */
  readonly left: AbortSignal;
  /** Aborts when the control plane stops. */
  readonly stopping: AbortSignal;
}

/** A committed move, with the version before. */
interface MadeMove {
  readonly version: Version;
  readonly previous: Version | null;
  readonly changed: boolean;
}

/**
 * A move that never serves both sides: holds the customers on all routers, waits until nothing of them runs, commits,
 * waits until all routers serve it, and releases. Where it does not come to its end it is taken back before anybody is
 * released, so that everything is as before; what is held is let go at its deadline, also where this process ends in
 * the middle.
 *
 * @throws {ProblemError} `conflict` that says why nothing was moved, or what was is taken back; `unavailable`.
 */
export async function fencedMove<M extends MadeMove>(
  deps: FencedMoveDeps,
  options: FenceOptions & {
    /** Commits the move; `within` makes its edit one that fails where the hold does not cover it. */
    commit: (within: (edit: Edit) => Edit) => Promise<M>;
  },
): Promise<{ made: M; fenced: FencedAnswer; rollout: Rollout }> {
  const { store, fleet, stopping } = deps;
  const { cutStreamsMs, force } = options;
  const withinMs = Math.min(options.withinMs, MAX_WITHIN_MS);
  const began = performance.now();
  const hold = await placeHold(
    store,
    newHold(options.customers, {
      forMs: withinMs + APPLY_MS + REVERT_MS,
      untilReleased: true,
      cutStreamsMs,
      author: deps.author,
    }),
  );
  const watch = fleet.follow();
  let leave = false;
  try {
    if (!await fleet.refresh()) throw unavailable("the store cannot be read");
    const base = hold.version === 0 ? null : await store.get(hold.version);
    const before = placementsIn(base, options.customers);
    const drained = await drain(deps, { hold, withinMs, force });
    const drainedMs = performance.now() - began;
    const made = await options.commit((edit) => async (current, at) => {
      checkUnmoved(current, before);
      checkLasts(at, hold);
      const config = await edit(current, at);
      await checkHeld(current?.config ?? null, config, hold);
      return config;
    });
    // From here on it comes to its end whether or not the caller waits for it.
    const rollout = await watch.wait(made.version, {
      timeoutMs: leftOf(hold, REVERT_MS),
      signal: stopping,
    });
    const heldMs = performance.now() - began;
    const lost = [
      ...rollout.gone,
      ...rollout.conflict,
      ...restarted(drained, await standing(deps, hold)),
    ];
    const refused = [
      ...rollout.rejected.map(({ id }) => id),
      ...rollout.pending,
      ...(force ? [] : lost),
    ];
    if (refused.length > 0 && made.changed) {
      if (stopping.aborted) {
        leave = true;
        throw unavailable(
          "the control plane stops before all routers serve the move, which is committed; who is held is let go once the hold's time is over",
        );
      }
      const taken = await takeBack(deps, made);
      if (taken !== null) {
        await watch.wait(taken, {
          timeoutMs: leftOf(hold),
          signal: stopping,
        });
      }
      throw new ProblemError(
        "conflict",
        `Not all routers took version ${made.version.version} in time (${
          names(refused)
        }), ${
          taken !== null
            ? "so what was before is committed again"
            : "and somebody has committed since, so it stays"
        }. ${rollout.rejected[0]?.error ?? ""}`.trim(),
      );
    }
    const stays = await isNewest(store, made.version, options.customers);
    // Somebody may have released it before all routers served the move.
    const lasted = await release(deps, hold);
    const unheld = new Set([
      ...drained.cannot,
      ...drained.gone,
      ...lost,
      ...await notOnDisk(deps, watch, made.version),
    ]);
    return {
      made,
      rollout,
      fenced: {
        proven: lasted && stays && unheld.size === 0,
        held_ms: Math.round(heldMs),
        drained_ms: Math.round(drainedMs),
        unheld: [...unheld].sort(),
      },
    };
  } catch (error) {
    // What is committed, or may be, is held until its time is over: routers that hear of it serve it by then.
    leave ||= error instanceof CommitInDoubt;
    if (!leave) await release(deps, hold);
    throw error;
  } finally {
    watch.end();
  }
}

function unavailable(why: string): ProblemError {
  return new ProblemError("unavailable", `The move did not end: ${why}.`, {
    headers: { "retry-after": "1" },
  });
}

/** How much longer a hold lasts, less what is kept for later, in milliseconds; at least 1. */
function leftOf({ until }: HoldOrder, laterMs = 0): number {
  return Math.max(1, Date.parse(until) - laterMs - Date.now());
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

/**
 * A hold that was released, or will be over before routers have the move, fences nothing.
 *
 * @throws {ProblemError} `conflict`.
 */
function checkLasts({ orders }: Head, hold: HoldOrder): void {
  const late = Date.parse(hold.until) - REVERT_MS <= Date.now();
  if (!late && orders.holds.some(({ id }) => id === hold.id)) return;
  throw new ProblemError(
    "conflict",
    late
      ? "Nothing was moved: it took so long to commit that the hold would end before all routers serve the move."
      : RELEASED,
  );
}

const RELEASED =
  "Nothing was moved: somebody has released these customers meanwhile.";

/**
 * Who is not held would be served by both sides.
 *
 * @throws {ProblemError} `conflict`.
 */
async function checkHeld(
  current: Config | null,
  next: Config,
  { customers }: HoldOrder,
): Promise<void> {
  const held = new Set(customers);
  const others: string[] = [];
  await new ConfigDiff(current, next).summary(({ of, name }) => {
    if (of === "customer" && !held.has(name)) others.push(name);
  });
  if (others.length === 0) return;
  throw new ProblemError(
    "conflict",
    `Nothing was moved: customer ${
      show(others[0])
    } would be moved as well by now, and is not held, as it came to be among them after the move began. Repeat it.`,
  );
}

/** Whether the newest version has the customers where a move put them. */
async function isNewest(
  store: VersionStore,
  version: Version,
  customers: readonly string[],
): Promise<boolean> {
  try {
    const moved = placementsIn(version, customers);
    const now = placementsIn(await store.current(), customers);
    return [...moved].every(([customer, to]) => now.get(customer) === to);
  } catch {
    // The move is committed and served; only the proof is missing.
    return false;
  }
}

/** Routers that serve a version and could come back with the one before: it is not on their disk. */
async function notOnDisk(
  { fleet, stopping }: FencedMoveDeps,
  watch: RolloutWatch,
  version: Version,
): Promise<string[]> {
  const idsIn = ({ unknown = [] }: Rollout) =>
    unknown.filter(({ reason }) => reason === "not_durable").map(({ id }) =>
      id
    );
  const ids = idsIn(await fleet.rollout(version));
  if (ids.length === 0) return ids;
  return idsIn(
    await watch.wait(version, {
      until: "drained",
      timeoutMs: SAVE_MS,
      signal: stopping,
    }),
  );
}

/** How a hold stands now. */
function standing(
  { fleet, stopping }: FencedMoveDeps,
  { id }: HoldOrder,
): Promise<HoldStanding> {
  return fleet.waitForHold(id, {
    timeoutMs: 0,
    signal: stopping,
    enough: () => true,
  });
}

/**
 * Routers that do not run in the process in which they held: one that was started since served the old side until it
 * was told.
 */
function restarted(held: HoldStanding, now: HoldStanding): string[] {
  return [...now.instances].filter(([id, instance]) =>
    instance === null || held.instances.get(id) !== instance
  ).map(([id]) => id);
}

/** Waits until nothing of the customers runs on any router. */
async function drain(
  { fleet, left, stopping }: FencedMoveDeps,
  options: { hold: HoldOrder; withinMs: number; force: boolean },
): Promise<HoldStanding> {
  const { hold, withinMs, force } = options;
  const signal = AbortSignal.any([left, stopping]);
  const rollout = await fleet.waitForHold(hold.id, {
    timeoutMs: withinMs,
    signal,
    // Who cannot hold will not by waiting.
    enough: ({ over, state, cannot, gone }) =>
      over || state === "drained" || state === "unknown" ||
      (!force && cannot.length + gone.length > 0),
  });
  const { over, state, cannot, gone, pending, holding } = rollout;
  if (signal.aborted) {
    throw unavailable(
      `${
        stopping.aborted ? "the control plane stops" : "the caller has left"
      }; nothing was moved`,
    );
  }
  if (over) throw new ProblemError("conflict", RELEASED);
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

/** Commits again what was before; null where somebody has committed since. */
async function takeBack(
  { store, author }: FencedMoveDeps,
  { version, previous }: MadeMove,
): Promise<Version | null> {
  if (previous === null) return null;
  let ours = false;
  let taken: Version;
  try {
    ({ version: taken } = await store.commit((current) => {
      ours = current?.version === version.version;
      return ours ? previous.config : current!.config;
    }, {
      author,
      message:
        `Version ${version.version}, a fenced move, was not taken by all routers in time`,
    }));
  } catch (error) {
    // What was committed since is on trial, or for canaries first.
    if (error instanceof OnTrial || error instanceof RolloutUnderWay) {
      return null;
    }
    throw error;
  }
  if (!ours) return null;
  log.warn("a fenced move is taken back: not all routers took it in time", {
    version: version.version,
  });
  return taken;
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
