import type { Problem } from "./config.ts";

/** The media type of an error's body (RFC 9457). */
export const PROBLEM_JSON = "application/problem+json";

/**
 * The kinds of errors that answers name: the last part of `type`, and the title of each. The names
 * are stable; programs may match on them.
 */
export const PROBLEM_TITLES = {
  "bad-request": "The request is malformed",
  "not-json": "The body is not JSON",
  "repeated-key": "A key stands twice",
  "unauthorized": "A token is required",
  "forbidden": "Not allowed from there",
  "not-found": "There is no such thing",
  "method-not-allowed": "The method is not allowed here",
  "conflict": "The edit conflicts with the current config",
  "guarded": "The edit changes much and has to be confirmed",
  "version-mismatch": "Another version is current",
  "too-large": "The body is too large",
  "unsupported-media-type": "The body's type is not supported",
  "upgrade-required": "A WebSocket handshake is required",
  "misdirected": "The host is not served here",
  "invalid": "The content is invalid",
  "unavailable": "The store is not available",
  "damaged": "The store is damaged",
  "internal": "Something went wrong here",
  "request-timeout": "The request took too long",
  "uri-too-long": "The request line is too long",
  "head-too-large": "The request's head is too large",
  "no-routing-key": "The request names no customer",
  "no-config": "No routing config yet",
  "too-many-connections": "Too many connections",
  "held": "The customer's requests are held back",
  "bad-gateway": "The placement did not answer properly",
  "gateway-timeout": "The placement did not answer in time",
  "loop-detected": "The placement leads back to this router",
} as const satisfies Record<string, string>;

/** The name of a kind of error. */
export type ProblemKind = keyof typeof PROBLEM_TITLES;

/** A problem document (RFC 9457). */
export interface ProblemDocument {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  /** A sentence a person can act on. */
  readonly detail: string;
  /** Where there are several: each with a JSON Pointer into the body, or the name of a parameter. */
  readonly errors?: readonly Problem[];
  /** How many more errors there are than `errors` lists. */
  readonly more_errors?: number;
}

/** The stable `type` of a kind of error. */
export function problemType(kind: ProblemKind): string {
  return `urn:signalbox:problem:${kind}`;
}

/** Builds a problem document. */
export function problemDocument(
  kind: ProblemKind,
  options: {
    status: number;
    detail: string;
    errors?: readonly Problem[];
    more?: number;
  },
): ProblemDocument {
  return {
    type: problemType(kind),
    title: PROBLEM_TITLES[kind],
    status: options.status,
    detail: options.detail,
    ...(options.errors === undefined ? {} : { errors: options.errors }),
    ...(options.more ? { more_errors: options.more } : {}),
  };
}

/** What is known of an error, its causes included, as one line for a log. */
export function errorLine(error: unknown): string {
  const parts: string[] = [];
  for (let at = error, depth = 0; at !== undefined && depth < 5; depth++) {
    parts.push(at instanceof Error ? `${at.name}: ${at.message}` : String(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  return parts.join(" – caused by ");
}

/** The platform's code of an error, such as `EMFILE`; empty if it has none. */
export function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}
