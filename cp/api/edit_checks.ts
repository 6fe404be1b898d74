import { canonicalLength } from "../../shared/canonical.ts";
import type { Config } from "../../shared/config.ts";
import type { Version } from "../store/store.ts";
import type { EditHead, IfMatch } from "./edit_options.ts";
import { badParameters } from "./parameters.ts";
import { invalid, ProblemError } from "./problem.ts";

/**
 * Checks that a takeover is asked for nothing it does not take: it is for all routers, and stays.
 *
 * @throws {ProblemError} `bad-request`.
 */
export function checkTakeoverOptions(
  { staged, confirmWithinMs }: EditHead,
): void {
  const pointer = staged !== null
    ? "canary"
    : confirmWithinMs !== null
    ? "confirm_within"
    : null;
  if (pointer === null) return;
  throw badParameters("The query", [{
    pointer,
    detail:
      `A takeover is for all routers and is not taken back; it takes no ${pointer}.`,
  }]);
}

/**
 * Checks that a fenced move is asked for nothing it does not take.
 *
 * @throws {ProblemError} `bad-request`.
 */
export function checkFenceOptions(
  { wait, staged, confirmWithinMs }: EditHead,
): void {
  const refuse = (pointer: string, why: string): never => {
    throw badParameters("The query", [{
      pointer,
      detail: `A fenced move ${why}; it takes no ${pointer}.`,
    }]);
  };
  if (wait !== null) refuse("wait", "waits until all routers serve it");
  if (staged !== null) {
    refuse(
      "canary",
      "goes to all routers at once, or two sides would be served",
    );
  }
  if (confirmWithinMs !== null) {
    refuse("confirm_within", "is not taken back without a fence");
  }
}

/**
 * Checks that the committed version is one that the caller means.
 *
 * @throws {ProblemError} `version-mismatch`.
 */
export function checkMatch(
  ifMatch: IfMatch | null,
  current: Version | null,
): void {
  if (ifMatch === null) return;
  const version = current?.version ?? 0;
  const matches = ifMatch === "*"
    ? current !== null
    : ifMatch.includes(String(version));
  if (matches) return;
  const wanted = ifMatch === "*"
    ? "any version"
    : ifMatch.map((tag) => `"${tag}"`).join(", ");
  throw new ProblemError(
    "version-mismatch",
    `If-Match asks for ${wanted}, and the committed version is ${version}${
      version === 0 ? " (none yet)" : ""
    }. Nothing was changed; read the config again and repeat the edit.`,
    { headers: { etag: `"${version}"` } },
  );
}

/**
 * Checks that a config is no larger than it may be.
 *
 * @param maxBytes of its JSON.
 * @throws {ProblemError} `invalid`.
 */
export function checkSize(config: Config, maxBytes: number): void {
  const bytes = canonicalLength(config);
  if (bytes <= maxBytes) return;
  throw invalid([{
    pointer: "",
    detail:
      `The config would have ${bytes} bytes of JSON, and CP_MAX_CONFIG_BYTES is ${maxBytes}.`,
  }]);
}
