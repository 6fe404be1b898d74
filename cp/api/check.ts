import { z } from "@hono/zod-openapi";
import {
  customerProblem,
  placementProblem,
  type Problem,
  Problems,
} from "../../shared/config.ts";
import { endpointProblem } from "../../shared/endpoint.ts";
import { type JsonValue, pointer, show, toPlain } from "../../shared/json.ts";
import { duration } from "../../shared/settings.ts";
import { invalid } from "./problem.ts";

/** A schema over a rule that says what is wrong as a sentence, or null. */
function ruled(problem: (text: string) => string | null) {
  return z.string().superRefine((text, context) => {
    const detail = problem(text);
    if (detail !== null) context.addIssue({ code: "custom", message: detail });
  });
}

/** The longest span of time that a call takes. */
const MAX_SPAN_MS = 300_000;

/** A text that `read` makes something of; null where it is not as `rule` says it must be. */
export function readAs<T>(read: (text: string) => T | null, rule: string) {
  return z.string().transform((text, context): T => {
    const value = read(text);
    if (value !== null) return value;
    context.addIssue({ code: "custom", message: rule });
    return z.NEVER;
  });
}

/** A span of time as text; in milliseconds once it was read. */
export function spanOfTime() {
  return readAs(
    (text) => {
      const { success, data } = duration().safeParse(text);
      return success && data <= MAX_SPAN_MS ? data : null;
    },
    "must be a span of time above 0 with its unit (ms, s or m) of at most 5m, such as 10s",
  );
}

/** The name of a customer. */
export function customerName() {
  return ruled(customerProblem).openapi({
    minLength: 1,
    maxLength: 256,
    pattern: "^[\\x21-\\x7e]{1,256}$",
    example: "acme",
  });
}

/** The name of a placement. */
export function placementName() {
  return ruled(placementProblem).openapi({
    minLength: 1,
    maxLength: 128,
    pattern: "^[A-Za-z0-9._-]{1,128}$",
    example: "tier1",
  });
}

/** The base URL of a placement. */
export function endpointUrl() {
  return ruled((text) => {
    const problem = endpointProblem(text);
    return problem === null ? null : `Endpoint ${show(text)} ${problem}.`;
  }).openapi({
    description:
      "An absolute http: or https: URL with a host, an optional port and base path.",
    maxLength: 2048,
    example: "http://10.0.1.1:9001",
  });
}

/**
 * Checks a JSON value with the schema of a small object.
 *
 * @throws {ProblemError} `invalid`, with all problems.
 */
export function checkBody<S extends z.ZodType>(
  schema: S,
  value: JsonValue,
): z.output<S> {
  const problems = new Problems();
  if (value instanceof Map && value.has("__proto__")) {
    // Not every schema sees this one key; whoever sends it always gets to hear of it.
    problems.add("/__proto__", unknownField("__proto__", schema));
  }
  const result = schema.safeParse(toPlain(value));
  if (!result.success) {
    for (const issue of result.error.issues) {
      addIssue(problems, issue, { value, schema });
    }
  }
  if (problems.any || !result.success) {
    throw invalid(problems.list, { more: problems.more, subject: "The body" });
  }
  return result.data;
}

function addIssue(
  problems: Problems,
  issue: z.core.$ZodIssue,
  given: { value: JsonValue; schema: z.ZodType },
): void {
  let at = "";
  let found: JsonValue | undefined = given.value;
  for (const part of issue.path) {
    at = pointer(at, String(part));
    found = found instanceof Map
      ? found.get(String(part))
      : Array.isArray(found)
      ? found[Number(part)]
      : undefined;
  }
  if (issue.code === "unrecognized_keys") {
    for (const key of issue.keys) {
      if (key === "__proto__") continue;
      problems.add(
        pointer(at, key),
        unknownField(key, schemaAt(given.schema, issue.path)),
      );
    }
    return;
  }
  const name = issue.path.length === 0
    ? "The body"
    : `The field ${issue.path.map(String).join(".")}`;
  const detail = issue.message.endsWith(".")
    // A rule that is a whole sentence names its value itself.
    ? issue.message
    : found === undefined
    ? `${name} is missing.`
    : issue.code === "invalid_type"
    ? `${name} must be ${EXPECTED[issue.expected] ?? issue.expected}, not ${
      show(found)
    }.`
    : `${name} ${issue.message}; ${show(found)} is not.`;
  problems.add(at, detail);
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: "text",
  object: "an object",
  array: "a list",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
};

/** The schema of what stands at a path. */
function schemaAt(
  schema: z.core.$ZodType,
  path: readonly PropertyKey[],
): z.core.$ZodType {
  let at = schema;
  for (const part of path) {
    if (at instanceof z.ZodArray) at = at.element;
    else if (at instanceof z.ZodObject) at = at.shape[String(part)] ?? at;
  }
  return at;
}

function unknownField(key: string, schema: z.core.$ZodType): string {
  const fields = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  return fields.length === 0
    ? `${show(key)} is not a field here; this call takes none.`
    : `${show(key)} is not a field here; the fields are ${fields.join(", ")}.`;
}

/**
 * Checks parameters of a path, a query or a head.
 *
 * @returns their values, or all problems; the pointer of each is the parameter's name.
 */
export function checkParameters<S extends z.ZodObject>(
  schema: S,
  given: Readonly<Record<string, string>>,
): { ok: true; values: z.output<S> } | { ok: false; problems: Problem[] } {
  const result = schema.safeParse(given);
  if (result.success) return { ok: true, values: result.data };
  const problems: Problem[] = [];
  for (const issue of result.error.issues) {
    if (issue.code === "unrecognized_keys") {
      const known = Object.keys(schema.shape);
      for (const key of issue.keys) {
        const rule = known.length === 0
          ? "this call takes none"
          : `the parameters are ${known.join(", ")}`;
        problems.push({
          pointer: key,
          detail: `${show(key)} is not a parameter of this call; ${rule}.`,
        });
      }
      continue;
    }
    const name = issue.path.map(String).join(".");
    const value = given[name];
    const detail = value === undefined
      ? `The parameter ${name} is missing.`
      // A rule that is a whole sentence names its value itself.
      : issue.message.endsWith(".")
      ? issue.message
      : `${name} ${issue.message}; ${show(value)} is not.`;
    problems.push({ pointer: name, detail });
  }
  return { ok: false, problems };
}
