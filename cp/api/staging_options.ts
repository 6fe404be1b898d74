import { isRouterId } from "../../shared/protocol.ts";
import { percent } from "../../shared/settings.ts";
import { type CanaryChoice, MAX_CANARIES } from "../hub/canaries.ts";
import type { Staging } from "../store/store.ts";
import { readAs, spanOfTime } from "./check.ts";
import { badParameters } from "./parameters.ts";

/** Longer than ROUTER_RESPONSE_TIMEOUT is where nobody sets it: requests that an endpoint never answers have failed by then. */
const DEFAULT_HOLD_MS = 45_000;
const DEFAULT_MAX_ERRORS = 0.01;

/** The query parameters of an edit whose version goes to some routers first. */
export const STAGING_QUERY = {
  canary: readAs(
    canaryChoice,
    `must be a number of routers (2), a share of them (10%), or the ids of at most ${MAX_CANARIES} (id:a,b)`,
  ).optional().openapi({
    type: "string",
    description:
      "The version goes to these routers only: so many, such a share, or those with these ids. All others stay on the one before until it is promoted, which happens by itself after hold, unless a canary does badly; then what was before returns as a new version. Until then other edits are 409.",
    example: "10%",
  }),
  hold: spanOfTime().optional().openapi({
    type: "string",
    description:
      "With canary: how long the version has to do well, at most 5m. Longer than the routers' ROUTER_RESPONSE_TIMEOUT, or endpoints that never answer are not found out.",
    default: "45s",
    example: "45s",
  }),
  max_errors: readAs(
    (text) => percent().safeParse(text).data ?? null,
    "must be a share from 0% to 100%, such as 1%",
  ).optional().openapi({
    type: "string",
    description:
      "With canary: by how much a canary's share of 5xx and upstream errors may rise over its own minute before.",
    default: "1%",
    example: "1%",
  }),
};

/** How a version is to be staged, before its canaries are chosen. */
export type AskedStaging =
  & { readonly choice: CanaryChoice }
  & Pick<Staging, "holdMs" | "maxErrors">;

/** What of an edit's query this is about. */
interface Asked {
  readonly canary?: CanaryChoice | undefined;
  readonly hold?: number | undefined;
  readonly max_errors?: number | undefined;
  readonly confirm_within?: number | undefined;
  readonly wait?: string | undefined;
}

/** Which routers a text names as canaries; null where it does not. */
function canaryChoice(text: string): CanaryChoice | null {
  if (/^[1-9][0-9]{0,5}$/.test(text)) {
    return { kind: "count", count: Number(text) };
  }
  if (text.startsWith("id:")) {
    const ids = text.slice("id:".length).split(",");
    return ids.length <= MAX_CANARIES && ids.every(isRouterId)
      ? { kind: "ids", ids }
      : null;
  }
  const share = percent().safeParse(text);
  return share.success && share.data > 0
    ? { kind: "share", share: share.data }
    : null;
}

/**
 * Reads how a version is to be staged; null where it is for all at once.
 *
 * @throws {ProblemError} `bad-request` for what does not go together.
 */
export function readStaging(query: Asked): AskedStaging | null {
  if (query.canary === undefined) {
    for (const name of ["hold", "max_errors"] as const) {
      if (query[name] === undefined) continue;
      throw badParameters("The query", [{
        pointer: name,
        detail:
          `${name} is about a version's canaries, and there is no canary.`,
      }]);
    }
    return null;
  }
  if (query.confirm_within !== undefined) {
    throw badParameters("The query", [{
      pointer: "confirm_within",
      detail:
        "A version that canaries get first is promoted or taken back by how they do; it takes no confirm_within.",
    }]);
  }
  if (query.wait === "drained") {
    throw badParameters("The query", [{
      pointer: "wait",
      detail:
        "Nothing is drained while most routers stay on the version before; wait for applied, or ask GET /v1/versions/{n}/rollout once it is promoted.",
    }]);
  }
  return {
    choice: query.canary,
    holdMs: query.hold ?? DEFAULT_HOLD_MS,
    maxErrors: query.max_errors ?? DEFAULT_MAX_ERRORS,
  };
}
