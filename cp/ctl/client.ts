import { errorLine } from "../../shared/errors.ts";
import type { FieldProblem, ProblemBody } from "../api/answers.ts";
import { readServerEvents, type ServerEvent } from "../ui/page/sse.ts";
import { CommandError, EXIT } from "./exit.ts";

/** The largest page that the API gives. */
const PAGE = 1000;

/** What is sent besides the path; what is undefined is left out. */
export interface CallOptions {
  readonly method?: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  /** Sent as JSON; text as it is. */
  readonly body?: unknown;
  /** @default {"application/json"} */
  readonly type?: string;
  readonly signal?: AbortSignal;
}

/** An answer that is an error, in the API's words. */
export class ApiError extends CommandError {
  override name = "ApiError";
  readonly status: number;
  readonly problems: readonly FieldProblem[];
  readonly body: ProblemBody;

  constructor(status: number, body: ProblemBody, advice: string) {
    const problems = body.errors ?? [];
    const more = body.more_errors ?? 0;
    super([
      `${body.detail ?? `It answered ${status}.`}${advice}`,
      // One problem is the sentence itself.
      ...(problems.length > 1
        ? problems.map(({ pointer, detail }) => `  ${pointer}: ${detail}`)
        : []),
      ...(more > 0 ? [`  and ${more} more`] : []),
    ].join("\n"));
    this.status = status;
    this.problems = problems;
    this.body = body;
  }
}

/** Who is asked. */
interface Peer {
  readonly name: string;
  /** What somebody should know who does not reach it. */
  readonly unreachable: string;
}

const CONTROL_PLANE: Peer = {
  name: "control plane",
  unreachable:
    "Routers serve on without it. Is the address right (--url or SIGNALBOX_URL)?",
};
const ROUTER: Peer = {
  name: "router",
  unreachable: "Is it the address of its admin listener?",
};

/** The control plane's API, as the command line uses it, or a router's admin listener. */
export class Client {
  readonly #url: URL;
  readonly #token: string | null;
  readonly #peer: Peer;

  /** @throws {CommandError} if `url` is none of a control plane. */
  constructor(url: string, token: string | null, peer = CONTROL_PLANE) {
    this.#url = parseUrl(url, peer);
    this.#token = token;
    this.#peer = peer;
  }

  /** A router's admin listener. */
  static ofRouter(url: string): Client {
    return new Client(url, null, ROUTER);
  }

  /** Where it is, without a slash at the end. */
  get url(): string {
    return this.#url.href.replace(/\/$/, "");
  }

  /**
   * Sends a call.
   *
   * @throws {ApiError} if it is answered with an error.
   * @throws {CommandError} if there is no answer, or it is none of a control plane.
   */
  async send(path: string, options: CallOptions = {}): Promise<Response> {
    const { method = "GET", query = {}, headers = {}, body, type } = options;
    const url = new URL(this.url + path);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, String(value));
    }
    const sent = new Headers({ accept: "application/json" });
    if (this.#token !== null) {
      sent.set("authorization", `Bearer ${this.#token}`);
    }
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined) sent.set(name, utf8(value));
    }
    if (body !== undefined) {
      sent.set("content-type", type ?? "application/json");
    }
    let response: Response;
    try {
      response = await fetch(url, {
        method,
        headers: sent,
        ...(body === undefined ? {} : {
          body: typeof body === "string" ? body : JSON.stringify(body),
        }),
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      });
    } catch (cause) {
      if (options.signal?.aborted) throw cause;
      throw this.#unreachable(cause);
    }
    if (response.ok) return response;
    throw await this.#refused(response);
  }

  /** Sends a call and reads its answer. */
  async call<T>(path: string, options: CallOptions = {}): Promise<T> {
    const response = await this.send(path, options);
    if (response.status === 204) {
      await response.body?.cancel();
      return null as T;
    }
    const text = await response.text().catch((cause) => {
      throw this.#unreachable(cause);
    });
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new CommandError(
        `What answers at ${this.url} is no ${this.#peer.name}: its answer is not JSON`,
        { cause },
      );
    }
  }

  /** Reads a list, page by page, to its end or to `limit` entries. */
  async list<T>(
    path: string,
    field: string,
    { query = {}, limit = Infinity }: {
      query?: Readonly<Record<string, string | number | undefined>>;
      limit?: number;
    } = {},
  ): Promise<T[]> {
    const found: T[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.call<
        Record<string, unknown> & { next_cursor: string | null }
      >(path, {
        query: {
          ...query,
          limit: Math.min(PAGE, limit - found.length),
          cursor,
        },
      });
      found.push(...page[field] as T[]);
      cursor = page.next_cursor ?? undefined;
    } while (cursor !== undefined && found.length < limit);
    return found;
  }

  /** The events, from now on, or from what came after `lastId`, until the stream ends or `signal` aborts. */
  async *events(
    { lastId, signal }: { lastId?: string | null; signal: AbortSignal },
  ): AsyncGenerator<ServerEvent> {
    const { body } = await this.send("/v1/events", {
      headers: { "last-event-id": lastId ?? undefined },
      signal,
    });
    try {
      yield* readServerEvents(body!);
    } catch (cause) {
      if (!signal.aborted) throw this.#unreachable(cause);
    }
  }

  #unreachable(cause: unknown): CommandError {
    return new CommandError(
      `The ${this.#peer.name} at ${this.url} cannot be reached: ${
        errorLine(cause)
      }. ${this.#peer.unreachable}`,
      { cause },
    );
  }

  async #refused(response: Response): Promise<ApiError> {
    const { status } = response;
    const body: ProblemBody = await response.json().catch(() => ({}));
    const advice = status === 401
      ? this.#token === null
        ? " Give one by SIGNALBOX_TOKEN or --token-file."
        : " It came from SIGNALBOX_TOKEN or the token file."
      : body.detail === undefined
      ? ` Is there a ${this.#peer.name} at ${this.url}?`
      : "";
    return new ApiError(status, body, advice);
  }
}

function parseUrl(text: string, { name }: Peer): URL {
  const url = URL.parse(text);
  if (url !== null && /^https?:$/.test(url.protocol) && url.search === "") {
    return url;
  }
  throw new CommandError(
    `The ${name}'s URL must be an http: or https: URL, such as http://127.0.0.1:8081; ${
      JSON.stringify(text)
    } is not`,
    { code: EXIT.usage },
  );
}

/** A header takes bytes: those of UTF-8, a character each, which the API reads as such. */
function utf8(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}
