import type { z } from "zod";
import type {
  ASSIGNMENT_CHANGE,
  DIFF,
  DIFF_SAMPLE,
  EDIT_ANSWER,
  PLACEMENT,
  PROPAGATION,
  ROUTER,
  SUMMARY,
  VERSION_INFO,
} from "../../api/schemas.ts";

export type Router = z.output<typeof ROUTER>;
export type VersionInfo = z.output<typeof VERSION_INFO>;
export type Placement = z.output<typeof PLACEMENT>;
export type Summary = z.output<typeof SUMMARY>;
export type DiffSample = z.output<typeof DIFF_SAMPLE>;
export type Diff = z.output<typeof DIFF>;
export type EditAnswer = z.output<typeof EDIT_ANSWER>;
export type Propagation = z.output<typeof PROPAGATION>;
export type AssignmentChange = z.output<typeof ASSIGNMENT_CHANGE>;

const TOKEN_KEY = "signalbox-token";

/** One problem of several: where in what was sent, and what is wrong there. */
export interface FieldProblem {
  readonly pointer: string;
  readonly detail: string;
}

/** What the API answered instead of what it was asked for. Its message is the API's own sentence. */
export class ApiError extends Error {
  readonly status: number;
  readonly problems: readonly FieldProblem[];
  /** How many more problems there are than are listed. */
  readonly more: number;

  constructor(
    status: number,
    document: {
      detail?: string;
      errors?: FieldProblem[];
      more_errors?: number;
    },
  ) {
    super(document.detail ?? `The control plane answered ${status}.`);
    this.status = status;
    this.problems = document.errors ?? [];
    this.more = document.more_errors ?? 0;
  }
}

/** What is sent besides the path. */
export interface CallOptions {
  readonly method?: string;
  readonly query?: Readonly<Record<string, string | number | null>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Keeps the token for this tab. */
export function keepToken(token: string): void {
  sessionStorage.setItem(TOKEN_KEY, token);
}

/**
 * Sends a call, with the token if there is one.
 *
 * @throws {ApiError} if the answer is an error.
 * @throws {TypeError} if there is no answer.
 */
export async function send(
  path: string,
  options: CallOptions = {},
): Promise<Response> {
  const { method = "GET", query = {}, body, signal } = options;
  const headers: Record<string, string> = { ...options.headers };
  const token = sessionStorage.getItem(TOKEN_KEY);
  if (token !== null) headers.authorization = `Bearer ${token}`;
  if (body !== undefined) headers["content-type"] ??= "application/json";
  const given = Object.entries(query).filter(([, value]) => value !== null)
    .map(([name, value]) => [name, String(value)]);
  const search = given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
  const response = await fetch(path + search, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  });
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  throw new ApiError(response.status, problem);
}

/** Sends a call and reads the answer. */
export async function call<T>(
  path: string,
  options?: CallOptions,
): Promise<T> {
  const response = await send(path, options);
  return response.status === 204 ? null as T : await response.json();
}

/** A path with names in it, whatever characters they have. */
export function path(
  strings: TemplateStringsArray,
  ...names: (string | number)[]
): string {
  return strings.reduce((before, text, index) =>
    before + encodeURIComponent(names[index - 1]!) + text
  );
}
