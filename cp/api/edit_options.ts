import { z } from "@hono/zod-openapi";
import { show } from "../../shared/json.ts";
import type { RolloutGoal } from "../hub/fleet.ts";
import { checkParameters, spanOfTime } from "./check.ts";
import { ProblemError } from "./problem.ts";
import { badParameters } from "./parameters.ts";
import type { ApiContext } from "./route.ts";
import {
  type AskedStaging,
  readStaging,
  STAGING_QUERY,
} from "./staging_options.ts";

const DEFAULT_WAIT_MS = 10_000;
const MAX_AUTHOR = 256;
const MAX_MESSAGE = 1024;

/** The query parameters of every edit. */
export const EDIT_QUERY = z.strictObject({
  dry_run: z.enum(["true", "false"], { error: "must be true or false" })
    .optional().openapi({
      description:
        "With true: validates, answers the difference, commits nothing.",
    }),
  wait: z.enum(["applied", "drained"], { error: "must be applied or drained" })
    .optional().openapi({
      description:
        "With applied: answers when every router has answered for this version or a newer one, or the time is up. With drained: also when nothing runs any more that the version would send elsewhere.",
    }),
  timeout: spanOfTime().optional().openapi({
    type: "string",
    description: "How long a wait lasts, at most 5m.",
    default: "10s",
    example: "10s",
  }),
  confirm: z.string().regex(
    /^[0-9a-f]{16}$/,
    "must be what a refused edit, or its dry run, has answered as confirm",
  ).optional().openapi({
    description:
      "For an edit that was refused because it changes much: the difference that is meant.",
  }),
  confirm_within: spanOfTime().optional().openapi({
    type: "string",
    description:
      "The version has to be confirmed within this time (POST /v1/versions/{n}/confirm), or the contents before it return as a new version. Until then other edits are 409.",
    example: "60s",
  }),
  ...STAGING_QUERY,
  cut_streams: spanOfTime().optional().openapi({
    type: "string",
    description:
      "With wait=drained: how long after a router serves the version its event streams and tunnels are ended that would go elsewhere.",
    example: "5s",
  }),
});

/** The headers of every edit. */
export const EDIT_HEADERS = z.object({
  "if-match": z.string().transform((text, context) => {
    const match = parseIfMatch(text);
    if (match !== null) return match;
    context.addIssue({
      code: "custom",
      message:
        `If-Match must be versions in double quotes, such as "42" or "42", "43", or *; ${
          show(text)
        } is not. Weak tags match nothing here.`,
    });
    return z.NEVER;
  }).optional().openapi({
    type: "string",
    description:
      "Commits only if one of these is the committed version; 412 otherwise.",
    example: '"42"',
  }),
  "x-signalbox-author": headerText("X-Signalbox-Author", MAX_AUTHOR).openapi({
    type: "string",
    description: "Who edits; kept with the version. Visible text, UTF-8.",
  }),
  "x-signalbox-message": headerText("X-Signalbox-Message", MAX_MESSAGE)
    .openapi({
      type: "string",
      description: "Why; kept with the version. Visible text, UTF-8.",
    }),
});

/** The headers of calls that are no edits, and are kept with who makes them. */
export const ATTRIBUTION_HEADERS = EDIT_HEADERS.omit({ "if-match": true });

/** Entity tags without their quotes, or any. */
export type IfMatch = "*" | readonly string[];

/** What of its rollout an edit waits for. */
export interface EditWait {
  readonly until: RolloutGoal;
  /** How long, in milliseconds. */
  readonly ms: number;
  /** When old streams are ended on each router, in milliseconds after it serves the version; null: they are left. */
  readonly cutStreamsMs: number | null;
}

/** The options of an edit. */
export interface EditHead {
  readonly dryRun: boolean;
  /** Null: it waits for nothing. */
  readonly wait: EditWait | null;
  /** Which difference was confirmed; null for none. */
  readonly confirm: string | null;
  readonly ifMatch: IfMatch | null;
  /** Within what time the version has to be confirmed, in milliseconds; null: it needs not be. */
  readonly confirmWithinMs: number | null;
  /** Which routers get the version first; null: all at once. */
  readonly staged: AskedStaging | null;
  readonly author: string | null;
  readonly message: string | null;
}

/**
 * Reads the options of an edit.
 *
 * @throws {ProblemError} `bad-request`, or `forbidden` under another author's name than the token's.
 */
export function readEditHead(
  c: ApiContext,
  query: z.output<typeof EDIT_QUERY>,
): EditHead {
  const { ifMatch, ...attribution } = readHeaders(c);
  if (c.req.raw.headers.has("if-none-match")) {
    throw new ProblemError(
      "bad-request",
      "Edits take If-Match and no If-None-Match; nothing was changed.",
    );
  }
  if (query.timeout !== undefined && query.wait === undefined) {
    throw badParameters("The query", [{
      pointer: "timeout",
      detail:
        "timeout says how long a wait lasts, and there is no wait=applied or wait=drained.",
    }]);
  }
  if (query.cut_streams !== undefined && query.wait !== "drained") {
    throw badParameters("The query", [{
      pointer: "cut_streams",
      detail:
        "cut_streams ends streams that wait=drained would wait for, and there is no wait=drained.",
    }]);
  }
  return {
    dryRun: query.dry_run === "true",
    wait: query.wait === undefined ? null : {
      until: query.wait,
      ms: query.timeout ?? DEFAULT_WAIT_MS,
      cutStreamsMs: query.cut_streams ?? null,
    },
    confirm: query.confirm ?? null,
    confirmWithinMs: query.confirm_within ?? null,
    staged: readStaging(query),
    ifMatch,
    ...attribution,
  };
}

/**
 * Who makes a call that is no edit, and why.
 *
 * @throws {ProblemError} as {@linkcode readEditHead} does.
 */
export function readAttribution(
  c: ApiContext,
): Pick<EditHead, "author" | "message"> {
  const { author, message } = readHeaders(c);
  return { author, message };
}

function readHeaders(
  c: ApiContext,
): Pick<EditHead, "ifMatch" | "author" | "message"> {
  const given: Record<string, string> = {};
  for (const name of Object.keys(EDIT_HEADERS.shape)) {
    const value = c.req.raw.headers.get(name);
    if (value !== null) given[name] = value;
  }
  const result = checkParameters(EDIT_HEADERS, given);
  if (!result.ok) throw badParameters("The head", result.problems);
  const author = result.values["x-signalbox-author"] ?? null;
  const tokenName = c.get("tokenName");
  if (tokenName !== null && author !== null && author !== tokenName) {
    throw new ProblemError(
      "forbidden",
      `The token is ${
        show(tokenName)
      }'s, who is the author; X-Signalbox-Author says ${
        show(author)
      }. Leave it out.`,
    );
  }
  return {
    ifMatch: result.values["if-match"] ?? null,
    author: tokenName ?? author,
    message: result.values["x-signalbox-message"] ?? null,
  };
}

/** Who makes a call, for the log: also where what it says is wrong. */
export function authorOf(c: ApiContext): string | null {
  const header = c.req.raw.headers.get("x-signalbox-author");
  return c.get("tokenName") ??
    (header === null ? null : decodeHeader(header).slice(0, MAX_AUTHOR));
}

/** RFC 9110, section 13.1.1: a list of entity tags, or `*`. Weak tags never match, so they are an error. */
export function parseIfMatch(text: string): IfMatch | null {
  if (text.trim() === "*") return "*";
  if (
    !/^\s*"[\x21\x23-\x7e\x80-\xff]*"(?:\s*,\s*"[\x21\x23-\x7e\x80-\xff]*")*\s*$/
      .test(text)
  ) return null;
  return [...text.matchAll(/"([^"]*)"/g)].map((match) => match[1]!);
}

function headerText(name: string, max: number) {
  return z.string().transform((raw, context) => {
    const text = decodeHeader(raw).trim();
    if (text === "") return undefined;
    // deno-lint-ignore no-control-regex
    if (text.length <= max && !/[\x00-\x1f\x7f-\x9f\u2028\u2029]/.test(text)) {
      return text;
    }
    context.addIssue({
      code: "custom",
      message:
        `${name} must be at most ${max} characters of visible text; it has ${text.length}${
          text.length > max ? "" : " and a control character among them"
        }.`,
    });
    return z.NEVER;
  }).optional();
}

/** A header's bytes come as one character each; where they are UTF-8 they are read as such. */
function decodeHeader(raw: string): string {
  // deno-lint-ignore no-control-regex
  if (!/[\x80-\xff]/.test(raw) || /[^\x00-\xff]/.test(raw)) return raw;
  const bytes = Uint8Array.from(raw, (char) => char.charCodeAt(0));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return raw;
  }
}
