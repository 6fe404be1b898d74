import { CustomerMap } from "./customers.ts";
import { endpointProblem } from "./endpoint.ts";
import {
  type JsonDocument,
  type JsonValue,
  pointer,
  readJson,
  show,
} from "./json.ts";

/** The full routing map, valid and immutable (SPEC section 3). */
export interface Config {
  readonly defaultPlacement: string;
  /** Placement → endpoint. */
  readonly endpoints: ReadonlyMap<string, string>;
  /** Customer → placement. */
  readonly customers: CustomerMap;
}

/** Where a config sends a customer, and why. */
export function destinationOf(
  { customers, defaultPlacement, endpoints }: Config,
  customer: string,
): { placement: string; endpoint: string; reason: "assigned" | "default" } {
  const assigned = customers.get(customer);
  const placement = assigned ?? defaultPlacement;
  return {
    placement,
    // A valid config has an endpoint for each placement it names.
    endpoint: endpoints.get(placement)!,
    reason: assigned === undefined ? "default" : "assigned",
  };
}

/** One thing that is wrong with a document. */
export interface Problem {
  /** JSON Pointer (RFC 6901) of the offending place; empty for the whole document. */
  readonly pointer: string;
  /** A sentence that names the offending value and the rule. */
  readonly detail: string;
}

/** A valid config, or all that is wrong: the first 100 problems and how many more there are. */
export type ConfigResult =
  | { readonly ok: true; readonly config: Config }
  | {
    readonly ok: false;
    readonly problems: readonly Problem[];
    readonly more: number;
  };

export const MAX_PLACEMENTS = 10_000;
export const MAX_CUSTOMERS = 2_000_000;
/** How many problems one answer lists. */
export const MAX_PROBLEMS = 100;

const FIELDS = [
  "default_placement",
  "customer_to_placement",
  "placement_to_endpoint",
];

/** What is wrong with a customer's name, as a sentence; null if nothing is. */
export function customerProblem(name: unknown): string | null {
  return typeof name === "string" && /^[\x21-\x7e]{1,256}$/.test(name) &&
      name !== "." &&
      name !== ".."
    ? null
    : `Customer ${
      show(name)
    } must be 1 to 256 visible ASCII characters, and neither "." nor "..".`;
}

/** What is wrong with a placement's name, as a sentence; null if nothing is. */
export function placementProblem(name: unknown): string | null {
  return typeof name === "string" && /^[A-Za-z0-9._-]{1,128}$/.test(name) &&
      name !== "." &&
      name !== ".."
    ? null
    : `Placement ${
      show(name)
    } must be 1 to 128 of A-Z a-z 0-9 . _ - (as text), and neither "." nor "..".`;
}

/** Collects problems: keeps the first 100, counts the rest. */
export class Problems {
  readonly list: Problem[] = [];
  more = 0;

  add(pointer: string, detail: string): void {
    if (this.list.length < MAX_PROBLEMS) this.list.push({ pointer, detail });
    else this.more++;
  }

  get any(): boolean {
    return this.list.length > 0;
  }
}

/** A valid config whose customers are as they came, or all that is wrong. */
export type CheckedConfig =
  | {
    readonly ok: true;
    readonly defaultPlacement: string;
    readonly endpoints: ReadonlyMap<string, string>;
    readonly customers: ReadonlyMap<string, string>;
  }
  | (ConfigResult & { readonly ok: false });

/** Validates a JSON value as a config. */
export function parseConfig(value: JsonValue): ConfigResult {
  const checked = checkConfig(value);
  if (!checked.ok) return checked;
  const { defaultPlacement, endpoints, customers } = checked;
  return {
    ok: true,
    config: Object.freeze({
      defaultPlacement,
      endpoints,
      customers: CustomerMap.from(customers),
    }),
  };
}

/** The same, without putting the customers into their buckets. One pass over them; nothing is changed. */
export function checkConfig(value: JsonValue): CheckedConfig {
  const problems = new Problems();
  if (!(value instanceof Map)) {
    problems.add("", `A config must be an object, not ${show(value)}.`);
    return { ok: false, problems: problems.list, more: 0 };
  }
  for (const name of value.keys()) {
    if (!FIELDS.includes(name)) {
      problems.add(
        pointer("", name),
        `${show(name)} is not a field of a config; the fields are ${
          FIELDS.join(", ")
        }.`,
      );
    }
  }
  const endpoints = parseEndpoints(
    value.get("placement_to_endpoint"),
    problems,
  );
  const defaultPlacement = parseDefault(
    value.get("default_placement"),
    endpoints,
    problems,
  );
  const customers = parseCustomers(
    value.get("customer_to_placement"),
    endpoints,
    problems,
  );
  if (problems.any) {
    return { ok: false, problems: problems.list, more: problems.more };
  }
  return {
    ok: true,
    defaultPlacement,
    endpoints,
    customers: customers as ReadonlyMap<string, string>,
  };
}

function parseEndpoints(
  value: JsonValue | undefined,
  problems: Problems,
): ReadonlyMap<string, string> {
  const at = "/placement_to_endpoint";
  const endpoints = new Map<string, string>();
  if (!(value instanceof Map)) {
    problems.add(at, objectExpected("placement_to_endpoint", value));
    return endpoints;
  }
  if (value.size > MAX_PLACEMENTS) {
    problems.add(
      at,
      `A config holds at most ${MAX_PLACEMENTS} placements, not ${value.size}.`,
    );
  }
  for (const [name, endpoint] of value) {
    const problem = placementProblem(name);
    if (problem !== null) problems.add(pointer(at, name), problem);
    const wrong = typeof endpoint === "string"
      ? endpointProblem(endpoint)
      : "is not text";
    if (wrong !== null) {
      problems.add(
        pointer(at, name),
        `Endpoint ${show(endpoint)} of placement ${show(name)} ${wrong}.`,
      );
    }
    // Also where it is wrong: who refers to this placement has made no second mistake.
    endpoints.set(name, endpoint as string);
  }
  return endpoints;
}

function parseDefault(
  value: JsonValue | undefined,
  endpoints: ReadonlyMap<string, string>,
  problems: Problems,
): string {
  const at = "/default_placement";
  if (value === undefined) {
    problems.add(at, "The field default_placement is missing.");
  } else if (typeof value !== "string") {
    problems.add(
      at,
      `default_placement must be the name of a placement, not ${show(value)}.`,
    );
  } else if (!endpoints.has(value)) {
    problems.add(
      at,
      `Default placement ${show(value)} is not in placement_to_endpoint.`,
    );
  }
  return value as string;
}

function parseCustomers(
  value: JsonValue | undefined,
  endpoints: ReadonlyMap<string, string>,
  problems: Problems,
): ReadonlyMap<string, JsonValue> {
  const at = "/customer_to_placement";
  if (!(value instanceof Map)) {
    problems.add(at, objectExpected("customer_to_placement", value));
    return new Map();
  }
  if (value.size > MAX_CUSTOMERS) {
    problems.add(
      at,
      `A config holds at most ${MAX_CUSTOMERS} customers, not ${value.size}.`,
    );
    return value;
  }
  for (const [customer, placement] of value) {
    const problem = customerProblem(customer);
    if (problem !== null) problems.add(pointer(at, customer), problem);
    if (typeof placement !== "string" || !endpoints.has(placement)) {
      problems.add(
        pointer(at, customer),
        unknownPlacement(customer, placement),
      );
    }
  }
  return value;
}

function objectExpected(name: string, value: JsonValue | undefined): string {
  return value === undefined
    ? `The field ${name} is missing.`
    : `${name} must be an object, not ${show(value)}.`;
}

/** The sentence about a customer whose placement is not in the config. */
export function unknownPlacement(customer: string, placement: unknown): string {
  return typeof placement === "string"
    ? `Customer ${show(customer)} is assigned to placement ${
      show(placement)
    }, which is not in placement_to_endpoint.`
    : `Customer ${
      show(customer)
    } must be assigned to the name of a placement, not ${show(placement)}.`;
}

/**
 * Validates a document as a config; a key that stands twice is a problem of its own.
 * `at` is the pointer of the config in the document.
 */
export function parseConfigDocument(document: JsonDocument): ConfigResult {
  const result = parseConfig(document.value);
  if (document.repeated.length === 0) return result;
  const problems = new Problems();
  for (const repeated of document.repeated) {
    problems.add(repeated, repeatedKey(repeated));
  }
  if (!result.ok) {
    for (const problem of result.problems) {
      problems.add(problem.pointer, problem.detail);
    }
    problems.more += result.more;
  }
  return { ok: false, problems: problems.list, more: problems.more };
}

/** The sentence about a key that stands twice. */
export function repeatedKey(at: string): string {
  return `The key at ${at} stands more than once in its object.`;
}

/**
 * Reads and validates the text of a config file or a pushed config.
 *
 * @throws {JsonSyntaxError} if the text is not JSON.
 */
export function parseConfigText(text: string): ConfigResult {
  return parseConfigDocument(readJson(text));
}

/** Problems as one line for a log or an ack. */
export function problemsLine(
  problems: readonly Problem[],
  more: number,
): string {
  const line = problems.map(({ pointer, detail }) =>
    `${pointer || "/"}: ${detail}`
  ).join(" ");
  return more === 0 ? line : `${line} And ${more} more.`;
}
