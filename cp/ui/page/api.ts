import type { FieldProblem, ProblemBody } from "../../api/answers.ts";

const TOKEN_KEY = "signalbox-token";

/** What the API answered instead of what it was asked for. Its message is the API's own sentence. */
export class ApiError extends Error {
  readonly status: number;
  readonly problems: readonly FieldProblem[];
  /** How many more problems there are than are listed. */
  readonly more: number;

  constructor(
    status: number,
    document: ProblemBody,
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
