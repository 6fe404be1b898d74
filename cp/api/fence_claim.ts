import { type Config, destinationOf } from "../../shared/config.ts";
import type { Rollout } from "../hub/fleet.ts";
import { StoreDamaged, type VersionStore } from "../store/store.ts";
import { ConfigDiff } from "./config_diff.ts";

/** A version, and the configs that are read only where they are needed; undefined for one that is not kept. */
interface Claimed {
  readonly version: number;
  readonly config: () => Awaitable<Config | undefined>;
  /** What it replaced; null where there was nothing. */
  readonly before: () => Awaitable<Config | null | undefined>;
}

type Awaitable<T> = T | Promise<T>;

/**
 * What may be said of how far routers are drained of what was before a version. They tell it of the config they serve,
 * which may be newer by now: where that sends somebody back to the endpoint that the version took him from, requests
 * run there that are no old ones, and nothing is drained.
 *
 * @param rollout as the routers answered.
 */
export async function fenceClaim(
  store: VersionStore,
  rollout: Rollout,
  claimed: Claimed,
): Promise<Rollout> {
  const { state } = rollout;
  if (state !== "drained" && state !== "unknown") return rollout;
  const newest = await store.current();
  if (newest === null || newest.version <= claimed.version) return rollout;
  const back = await isBack(claimed, newest.config);
  return back
    ? { ...rollout, state: "superseded", superseded_by: newest.version }
    : rollout;
}

/** Where that cannot be told, as what is needed is not kept, or damaged, it may be so. */
async function isBack(
  { config, before }: Claimed,
  now: Config,
): Promise<boolean> {
  try {
    const was = await before();
    if (was === null) return false;
    const then = await config();
    return was === undefined || then === undefined ||
      await sendsBack(was, then, now);
  } catch (error) {
    if (error instanceof StoreDamaged) return true;
    throw error;
  }
}

/** What a version replaced; null for the first one, undefined where it is not kept. */
export async function configBefore(
  store: VersionStore,
  version: number,
): Promise<Config | null | undefined> {
  if (version === 1) return null;
  const [before] = await store.list({ before: version, limit: 1 });
  return before && (await store.get(before.version))?.config;
}

/** Whether a config sends somebody to the endpoint where he was before another one took him from there. */
async function sendsBack(
  before: Config,
  moved: Config,
  now: Config,
): Promise<boolean> {
  const returns = (was: string, then: string, is: string) =>
    was === is && was !== then;
  let found = returns(
    before.endpoints.get(before.defaultPlacement)!,
    moved.endpoints.get(moved.defaultPlacement)!,
    now.endpoints.get(now.defaultPlacement)!,
  );
  // Those who stayed assigned as they were.
  for (const [placement, was] of before.endpoints) {
    const then = moved.endpoints.get(placement);
    const is = now.endpoints.get(placement);
    if (then === undefined || is === undefined) continue;
    found ||= returns(was, then, is);
  }
  // Those who did not.
  for (const [from, to] of [[before, moved], [moved, now]] as const) {
    await new ConfigDiff(from, to).summary(({ of, name }) => {
      if (found || of !== "customer") return;
      found = returns(
        destinationOf(before, name).endpoint,
        destinationOf(moved, name).endpoint,
        destinationOf(now, name).endpoint,
      );
    });
  }
  return found;
}
