import { show } from "../../shared/json.ts";
import type { Counted } from "../../shared/protocol.ts";
import type { Canary, CanaryEnd, StagedRollout } from "../store/store.ts";
import { type CountSample, difference } from "./counts.ts";

/** How the canaries of a rollout are to be chosen. */
export type CanaryChoice =
  | { readonly kind: "count"; readonly count: number }
  /** Of the routers that are connected, from 0 to 1; at least one. */
  | { readonly kind: "share"; readonly share: number }
  | { readonly kind: "ids"; readonly ids: readonly string[] };

/** A router that is connected and has an id of its own, and so can be a canary. */
export interface Candidate extends Canary {
  /** Whether it serves what it should. */
  readonly current: boolean;
  /** Whether it counts its requests. */
  readonly counts: boolean;
}

/** How many canaries there may be. */
export const MAX_CANARIES = 50;

/** Why canaries cannot be chosen as was asked. */
export class NoCanaries extends Error {
  override name = "NoCanaries";
}

/**
 * Chooses canaries: those asked for by id, or by chance among those that serve what they should; routers that count their
 * requests come first.
 *
 * @throws {NoCanaries} if there are not so many.
 */
export function chooseCanaries(
  choice: CanaryChoice,
  candidates: readonly Candidate[],
  random: () => number,
): Canary[] {
  const byId = new Map(candidates.map((each) => [each.id, each]));
  if (choice.kind === "ids") {
    return [...new Set(choice.ids)].sort().map((id) => {
      const found = byId.get(id);
      if (found === undefined) {
        throw new NoCanaries(
          `router ${show(id)} is not connected under that id`,
        );
      }
      return canaryOf(found);
    });
  }
  const count = choice.kind === "count"
    ? choice.count
    : Math.max(1, Math.ceil(byId.size * choice.share));
  const able = shuffled(
    [...byId.values()].filter(({ current }) => current),
    random,
  ).sort((a, b) => Number(b.counts) - Number(a.counts));
  if (count > MAX_CANARIES) {
    throw new NoCanaries(
      `that would be ${count} canaries, and there may be at most ${MAX_CANARIES}`,
    );
  }
  if (able.length < count) {
    throw new NoCanaries(
      `only ${able.length} of the ${byId.size} connected routers with an id serve what they should, and there are to be ${count} ${
        count === 1 ? "canary" : "canaries"
      }`,
    );
  }
  return able.slice(0, count).map(canaryOf).sort((a, b) =>
    a.id < b.id ? -1 : 1
  );
}

function canaryOf({ id, instance, counted, before }: Candidate): Canary {
  return { id, instance, counted, before };
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items];
  for (let n = result.length - 1; n > 0; n--) {
    const other = Math.floor(random() * (n + 1));
    [result[n], result[other]] = [result[other]!, result[n]!];
  }
  return result;
}

/** How a canary stands to the version that it gets first. */
export type CanaryState =
  /** It has not answered yet. */
  | "pending"
  | "applied"
  | "rejected"
  /** It serves another history. */
  | "conflict"
  /** It was started anew since it was chosen. */
  | "restarted"
  /** It is not connected; for long enough, where that counts. */
  | "gone"
  | "lost";

/** How a canary does. */
export interface CanaryView {
  readonly id: string;
  readonly state: CanaryState;
  /** Why it rejected. */
  readonly error: string | null;
  /** Its requests since it was chosen, of the last minute at most; null if it does not count. */
  readonly counted: Counted | null;
  /** Those in the minute before it was chosen; null if that is not known. */
  readonly before: Counted | null;
}

/** What is kept of it once its rollout is over. */
export function endOf({ id, state, counted }: CanaryView): CanaryEnd {
  return { id, state, counted };
}

/** Fewer requests tell nothing. */
export const MIN_REQUESTS = 20;
/** A share of errors that halts where it is not known how it was before. */
const UNKNOWN_BEFORE = 0.5;

/** What a rollout is halted for; null while nothing speaks against it. */
export function troubleOf(
  view: CanaryView,
  { maxErrors }: Pick<StagedRollout, "maxErrors">,
): string | null {
  const { id, state, error, counted, before } = view;
  const router = `Router ${show(id)}`;
  switch (state) {
    case "rejected":
      return `${router} rejected it: ${error}`;
    case "conflict":
      return `${router} is in conflict with this store.`;
    case "restarted":
      return `${router} was started anew.`;
    case "lost":
      return `${router} is not connected any more.`;
    case "pending":
    case "gone":
    case "applied":
      break;
    default:
      return state satisfies never;
  }
  if (counted === null || counted.requests < MIN_REQUESTS) return null;
  const now = shareOf(counted);
  const failed = `On router ${show(id)} ${percent(now)} of ${
    requests(counted)
  } failed`;
  if (before === null) {
    return now <= Math.max(UNKNOWN_BEFORE, maxErrors)
      ? null
      : `${failed}, and how it was in the minute before is not known.`;
  }
  // A few that failed by chance are no excuse for what comes.
  const then = before.requests < MIN_REQUESTS ? 0 : shareOf(before);
  return now - then - maxErrors < Number.EPSILON
    ? null
    : `${failed}, after ${percent(shareOf(before))} of ${
      requests(before)
    } in the minute before; the share may rise by ${percent(maxErrors)}.`;
}

function shareOf({ requests, errors }: Counted): number {
  return requests === 0 ? 0 : errors / requests;
}

function percent(share: number): string {
  return `${Math.round(share * 1e3) / 10}%`;
}

function requests({ requests }: Counted): string {
  return requests === 1 ? "1 request" : `${requests} requests`;
}

/**
 * A canary's requests from a moment on, by the first sample since then. Where it has come back since, so that the samples
 * begin later, by what it had counted when it was chosen, if it told.
 */
export function countedUnder(
  samples: readonly CountSample[],
  { counted }: Canary,
  { from, openedAt }: { from: number; openedAt: number },
): Counted | null {
  const newest = samples.at(-1);
  if (newest === undefined) return null;
  const base = openedAt > from && counted !== null
    ? counted
    : samples.find(({ at }) => at >= from);
  return base === undefined ? null : difference(newest, base);
}
