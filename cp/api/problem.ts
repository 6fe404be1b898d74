import type { Problem } from "../../shared/config.ts";
import {
  PROBLEM_JSON,
  problemDocument,
  type ProblemKind,
} from "../../shared/errors.ts";
import { NoCanaries } from "../hub/canaries.ts";
import { HEAD_KEY, keyText } from "../store/keys.ts";
import { StoreReplaced } from "../store/open_files.ts";
import {
  CommitInDoubt,
  EmptyStore,
  NothingBefore,
  OnTrial,
  RolloutUnderWay,
  StoreDamaged,
  StoreUnavailable,
  TooManyCanaries,
} from "../store/store.ts";

/** What an answer of each kind is sent as. */
const STATUS = {
  "bad-request": 400,
  "not-json": 400,
  "repeated-key": 400,
  "unauthorized": 401,
  "forbidden": 403,
  "not-found": 404,
  "method-not-allowed": 405,
  "request-timeout": 408,
  "conflict": 409,
  "version-mismatch": 412,
  "too-large": 413,
  "unsupported-media-type": 415,
  "guarded": 409,
  "misdirected": 421,
  "invalid": 422,
  "internal": 500,
  "unavailable": 503,
  "damaged": 503,
} as const satisfies Partial<Record<ProblemKind, number>>;

/** The kinds of errors the API answers. */
export type ApiProblemKind = keyof typeof STATUS;

/** How long a client should wait before it tries a refused call again, in seconds. */
const RETRY_AFTER = "1";

/** What a call answers instead of what it was asked for; thrown anywhere, answered in one place. */
export class ProblemError extends Error {
  override name = "ProblemError";
  readonly kind: ApiProblemKind;
  readonly errors: readonly Problem[] | undefined;
  /** How many more errors there are than `errors` lists. */
  readonly more: number;
  readonly headers: Readonly<Record<string, string>>;
  /** What the body has besides what all problems have (RFC 9457 section 3.2). */
  readonly body: Readonly<Record<string, unknown>>;

  /** `detail` is a sentence a person can act on. */
  constructor(
    kind: ApiProblemKind,
    detail: string,
    options: {
      errors?: readonly Problem[];
      more?: number;
      headers?: Readonly<Record<string, string>>;
      body?: Readonly<Record<string, unknown>>;
      cause?: unknown;
    } = {},
  ) {
    super(detail, { cause: options.cause });
    this.kind = kind;
    this.errors = options.errors;
    this.more = options.more ?? 0;
    this.headers = options.headers ?? {};
    this.body = options.body ?? {};
  }

  get status(): number {
    return STATUS[this.kind];
  }

  /** The answer (RFC 9457). */
  response(): Response {
    const document = problemDocument(this.kind, {
      status: this.status,
      detail: this.message,
      ...(this.errors === undefined ? {} : { errors: this.errors }),
      more: this.more,
    });
    const body = JSON.stringify({ ...document, ...this.body });
    return new Response(`${body}\n`, {
      status: this.status,
      headers: { ...this.headers, "content-type": PROBLEM_JSON },
    });
  }
}

/** Content that breaks the rules: 422, with every problem. */
export function invalid(
  errors: readonly Problem[],
  options: { more?: number; subject?: string } = {},
): ProblemError {
  const { more = 0, subject = "The content" } = options;
  const count = errors.length + more;
  const detail = count === 1
    ? `${subject} is invalid: ${errors[0]!.detail}`
    : `${subject} is invalid in ${count} places; nothing was changed.`;
  return new ProblemError("invalid", detail, { errors, more });
}

/** Any error as the problem it is answered with; what nobody expected is `internal`. */
export function toProblem(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof StoreReplaced) {
    return new ProblemError(
      "damaged",
      `${error.message}, so nothing of it is shown, taken or pushed; routers keep what they have. Start this control plane again: it goes by what is there then.`,
      { cause: error },
    );
  }
  if (error instanceof StoreDamaged) {
    return new ProblemError(
      "damaged",
      `What is stored under ${error.key} does not match its digest, so it is neither shown nor pushed; routers keep what they have. ${
        error.key === keyText(HEAD_KEY)
          ? "No edit can repair this record: restore the store from a backup; or set it aside, start with a new one, PUT /v1/config with what a router's GET /config answers, then POST /v1/takeover."
          : "Where it is of the committed version, PUT /v1/config without If-Match, confirm_within or canary replaces that, with what a router's GET /config answers; or restore the store from a backup."
      }`,
      { cause: error },
    );
  }
  if (error instanceof OnTrial) {
    const { trial } = error;
    const version = trial?.version ?? 0;
    return new ProblemError(
      "conflict",
      trial === null
        ? `${error.message}.`
        : `${error.message}. POST /v1/versions/${version}/confirm keeps version ${version}, POST /v1/versions/${version}/revert takes it back; nothing was changed.`,
      { cause: error },
    );
  }
  if (error instanceof RolloutUnderWay) {
    const { rollout } = error;
    const version = rollout?.version ?? 0;
    return new ProblemError(
      "conflict",
      rollout === null
        ? `${error.message}.`
        : `${error.message}. POST /v1/rollouts/${version}/promote gives version ${version} to all routers, POST /v1/rollouts/${version}/abort takes it back; nothing was changed.`,
      { cause: error },
    );
  }
  if (error instanceof NoCanaries || error instanceof TooManyCanaries) {
    return new ProblemError(
      "conflict",
      `These routers cannot get it first: ${error.message}. Nothing was changed.`,
      { cause: error },
    );
  }
  if (error instanceof NothingBefore) {
    return new ProblemError(
      "conflict",
      `It could not be taken back: ${error.message}. Leave confirm_within, or canary, out; nothing was changed.`,
      { cause: error },
    );
  }
  if (error instanceof CommitInDoubt) {
    return new ProblemError(
      "unavailable",
      `The store did not say whether it took the edit: ${error.message}. It may be committed, or be committed yet; look at GET /v1/versions before you repeat it.`,
      { cause: error, headers: { "retry-after": RETRY_AFTER } },
    );
  }
  if (error instanceof StoreUnavailable) {
    return new ProblemError(
      "unavailable",
      `The store did not take or give what was asked: ${error.message}. Nothing was changed; try again.`,
      { cause: error, headers: { "retry-after": RETRY_AFTER } },
    );
  }
  if (error instanceof EmptyStore) return emptyStore("conflict");
  return new ProblemError(
    "internal",
    "The control plane failed in a way it does not know; its log says more.",
    { cause: error },
  );
}

/** Nothing has been committed yet. */
export function emptyStore(kind: "conflict" | "not-found"): ProblemError {
  return new ProblemError(
    kind,
    "No config has been committed yet; PUT /v1/config commits the first.",
  );
}

/** The control plane has as much to do as it may; the same call works later. */
export function busy(detail: string): ProblemError {
  return new ProblemError("unavailable", detail, {
    headers: { "retry-after": RETRY_AFTER },
  });
}
