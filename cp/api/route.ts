import { type OpenAPIHono, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { PROBLEM_JSON } from "../../shared/errors.ts";
import type { JsonDocument } from "../../shared/json.ts";
import {
  type BodyBudget,
  type BodyParts,
  joinParts,
  mediaType,
  parseBody,
  readParts,
  SMALL_BODY_BYTES,
} from "./body.ts";
import { checkBody, checkParameters } from "./check.ts";
import { badParameters, pathValues, queryValues } from "./parameters.ts";
import { invalid, ProblemError } from "./problem.ts";

/** What the runtime tells about a request, and what the access check found out. */
export interface ApiEnv {
  Bindings: Deno.ServeHandlerInfo;
  Variables: {
    /** The name of the token the call came with; null where tokens have no names. */
    tokenName: string | null;
  };
}

export type ApiContext = Context<ApiEnv>;
export type Method = "get" | "put" | "patch" | "post" | "delete";

/** What a call takes as its body: how the document describes it, and how it is checked. */
export interface BodySpec<B> {
  /** Schema by media type; these are the types the call takes. */
  readonly content: Readonly<Record<string, z.ZodType>>;
  /** In bytes. */
  readonly maxBytes: number;
  /** What the call is given where there is no body; without it one is required. */
  readonly empty?: { readonly value: B };
  /** Checks what came; throws a `ProblemError`. */
  read(document: JsonDocument, mediaType: string): B;
  /** How a body of many bytes is read and checked, where it is not done here and at once. */
  readonly large?: {
    readonly aboveBytes: number;
    read(parts: BodyParts["parts"], mediaType: string): Promise<B>;
  };
}

/** One answer of a call. Without a schema it has no JSON body. */
export interface AnswerSpec {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** `application/json` if not said. */
  readonly contentType?: string;
}

/** A call: what the document says of it and what its requests are checked with are the same objects. */
export interface RouteSpec<P extends z.ZodObject, Q extends z.ZodObject, B> {
  readonly method: Method;
  /** As in an OpenAPI document: `/v1/customers/{customer}`. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly params?: P;
  /** Unknown parameters are refused, so that a misspelt filter does not answer everything. */
  readonly query?: Q;
  /** A probe, whose senders know no token and may add any query: neither is looked at. */
  readonly probe?: true;
  /** Its answer has no end, so HEAD, which would tell its length, is refused. */
  readonly endless?: true;
  readonly headers?: z.ZodObject;
  readonly body?: BodySpec<B>;
  readonly answers: Readonly<Record<number, AnswerSpec>>;
  /** Statuses of errors besides those that any such call may answer. */
  readonly problems?: readonly number[];
}

/** What is left of a call when its body is no longer needed: it may take long. */
export type Rest = () => Promise<Response>;

/** A checked request. */
export interface Call<P, Q, B> {
  readonly c: ApiContext;
  readonly params: P;
  readonly query: Q;
  readonly body: B;
}

const NONE = z.strictObject({});

const PROBLEM = z.strictObject({
  type: z.string(),
  title: z.string(),
  status: z.int(),
  detail: z.string(),
  errors: z.array(z.strictObject({ pointer: z.string(), detail: z.string() }))
    .optional(),
  more_errors: z.int().optional(),
}).catchall(z.unknown()).openapi("Problem", {
  description:
    "Some have more fields: one of the type guarded has confirm, summary and diff, as an edit's dry run.",
});

/** Adds calls to the app, and to the document that describes it. */
export class Routes {
  readonly app: OpenAPIHono<ApiEnv>;
  /** All calls, in the order they were added. */
  readonly specs: RouteSpec<z.ZodObject, z.ZodObject, unknown>[] = [];
  readonly #budget: BodyBudget;

  constructor(app: OpenAPIHono<ApiEnv>, budget: BodyBudget) {
    this.app = app;
    this.#budget = budget;
  }

  add<
    P extends z.ZodObject = typeof NONE,
    Q extends z.ZodObject = typeof NONE,
    B = undefined,
  >(
    spec: RouteSpec<P, Q, B>,
    handler: (
      call: Call<z.output<P>, z.output<Q>, B>,
    ) => Response | Rest | Promise<Response | Rest>,
    onFailure: (error: unknown, c: ApiContext) => void = () => {},
  ): void {
    this.#describe(spec);
    const path = spec.path.replaceAll(/\{([a-z_]+)\}/g, ":$1");
    this.app.on(spec.method.toUpperCase(), path, async (c) => {
      const answer = await this.#run(spec, c, handler).catch((error) => {
        onFailure(error, c);
        throw error;
      });
      return typeof answer === "function" ? await answer() : answer;
    });
  }

  /** Checks a request and handles it; its body is in memory, and in the budget, for as long as this takes. */
  async #run<P extends z.ZodObject, Q extends z.ZodObject, B>(
    spec: RouteSpec<P, Q, B>,
    c: ApiContext,
    handler: (
      call: Call<z.output<P>, z.output<Q>, B>,
    ) => Response | Rest | Promise<Response | Rest>,
  ): Promise<Response | Rest> {
    const { params = NONE, query = NONE, probe = false } = spec;
    if (spec.endless && c.req.raw.method === "HEAD") {
      throw notAllowed(c, ["GET"]);
    }
    let held = 0;
    const lease = {
      take: (bytes: number) => {
        this.#budget.take(bytes);
        held += bytes;
      },
    };
    try {
      const call = {
        c,
        params: checked(params, pathValues(spec.path, c.req.url), "path"),
        query: checked(query, probe ? {} : queryValues(c.req.url), "query"),
        body: spec.body === undefined
          ? undefined
          : await bodyValue(spec.body, c.req.raw, lease),
      };
      // What the schemas answer is what the types say; they cannot show that it is the same.
      return await handler(call as Call<z.output<P>, z.output<Q>, B>);
    } finally {
      this.#budget.give(held);
    }
  }

  /** The methods that a path has, for `Allow`; none if it is no path of the app. */
  methods(path: string): string[] {
    const methods = new Set<string>();
    for (const { method, path: template, endless } of this.specs) {
      const pattern = template.replaceAll(".", "\\.").replaceAll(
        /\{[a-z_]+\}/g,
        "[^/]+",
      );
      if (!new RegExp(`^${pattern}$`).test(path)) continue;
      methods.add(method.toUpperCase());
      if (method === "get" && !endless) methods.add("HEAD");
    }
    return [...methods];
  }

  #describe<P extends z.ZodObject, Q extends z.ZodObject, B>(
    spec: RouteSpec<P, Q, B>,
  ): void {
    this.specs.push(
      spec as unknown as RouteSpec<z.ZodObject, z.ZodObject, unknown>,
    );
    const { params, query, headers, body } = spec;
    const statuses = new Set(spec.problems ?? []);
    statuses.add(421);
    if (!spec.probe) { for (const status of [400, 401]) statuses.add(status); }
    if (params !== undefined || body !== undefined) statuses.add(422);
    if (body !== undefined) {
      for (const status of [408, 413, 415, 503]) statuses.add(status);
    }
    if (spec.method !== "get") statuses.add(403);
    this.app.openAPIRegistry.registerPath({
      method: spec.method,
      path: spec.path,
      summary: spec.summary,
      ...(spec.description === undefined
        ? {}
        : { description: spec.description }),
      ...(spec.probe ? { security: [] } : {}),
      request: {
        ...(params === undefined ? {} : { params }),
        ...(query === undefined ? {} : { query }),
        ...(headers === undefined ? {} : { headers }),
        ...(body === undefined ? {} : {
          body: {
            required: body.empty === undefined,
            content: Object.fromEntries(
              Object.entries(body.content).map((
                [type, schema],
              ) => [type, { schema }]),
            ),
          },
        }),
      },
      responses: {
        ...Object.fromEntries(
          Object.entries(spec.answers).map(([status, answer]) => [
            status,
            describeAnswer(answer),
          ]),
        ),
        ...Object.fromEntries(
          [...statuses].sort().map((status) => [
            status,
            describeAnswer({
              description: PROBLEM_MEANING[status] ?? "An error.",
              schema: PROBLEM,
              contentType: PROBLEM_JSON,
            }),
          ]),
        ),
      },
    });
  }
}

function describeAnswer({ description, schema, contentType }: AnswerSpec) {
  return schema === undefined ? { description } : {
    description,
    content: { [contentType ?? "application/json"]: { schema } },
  };
}

const PROBLEM_MEANING: Readonly<Record<number, string>> = {
  400: "The request is malformed: an unknown parameter, not JSON, a key twice.",
  401: "The call needs a bearer token.",
  403: "The call comes from a foreign page, or under another author's name.",
  404: "There is no such thing.",
  408: "The body stopped coming.",
  409: "The edit conflicts with the current config.",
  412: "Another version is committed than If-Match asks for.",
  413: "The body is too large.",
  415: "The body's type is not supported.",
  421: "The Host is not one of this control plane.",
  422: "The content is invalid; all problems are listed.",
  503: "The store is not available, or the control plane is busy.",
};

/** The body of a call that takes one small object. */
export function json<S extends z.ZodType>(
  schema: S,
  options: { maxBytes?: number; types?: readonly string[] } = {},
): BodySpec<z.output<S>> {
  const { maxBytes = SMALL_BODY_BYTES, types = ["application/json"] } = options;
  return {
    content: Object.fromEntries(types.map((type) => [type, schema])),
    maxBytes,
    read: (document) => checkBody(schema, document.value),
  };
}

/** The body of a call that needs none: nothing, or an empty object. */
export const NO_BODY: BodySpec<undefined> = {
  content: { "application/json": NONE },
  maxBytes: SMALL_BODY_BYTES,
  empty: { value: undefined },
  read: (document) => {
    checkBody(NONE, document.value);
    return undefined;
  },
};

async function bodyValue<B>(
  spec: BodySpec<B>,
  request: Request,
  lease: { take(bytes: number): void },
): Promise<B> {
  const types = Object.keys(spec.content);
  const options = { maxBytes: spec.maxBytes, lease };
  if (spec.empty === undefined) {
    // A body of a wrong type is not even read.
    const type = mediaType(request, types);
    const { parts, size } = await readParts(request, options);
    return spec.large !== undefined && size > spec.large.aboveBytes
      ? await spec.large.read(parts, type)
      : spec.read(parseBody(joinParts(parts)), type);
  }
  // Whether there is a body shows only when it is read: the runtime gives every POST a stream.
  const { parts, size } = await readParts(request, options);
  if (size === 0) return spec.empty.value;
  return spec.read(parseBody(joinParts(parts)), mediaType(request, types));
}

function checked(
  schema: z.ZodObject,
  given: Readonly<Record<string, string>>,
  where: "path" | "query",
): unknown {
  const result = checkParameters(schema, given);
  if (result.ok) return result.values;
  if (where === "path") {
    throw invalid(result.problems, { subject: "The path" });
  }
  throw badParameters("The query", result.problems);
}

/** 405, with the methods that are allowed. */
export function notAllowed(
  c: ApiContext,
  methods: readonly string[],
): ProblemError {
  const allow = methods.join(", ");
  return new ProblemError(
    "method-not-allowed",
    `${c.req.raw.method} is not allowed at ${c.req.path}; allowed: ${allow}.`,
    { headers: { allow } },
  );
}

/** An answer in JSON. */
export function answer(
  body: unknown,
  options: { status?: number; headers?: Record<string, string> } = {},
): Response {
  return new Response(`${JSON.stringify(body)}\n`, {
    status: options.status ?? 200,
    headers: { ...options.headers, "content-type": "application/json" },
  });
}
