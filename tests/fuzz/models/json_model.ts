import type { JsonValue } from "../../../shared/json.ts";

/** What a text says that is JSON. */
export interface ModelDocument {
  readonly value: JsonValue;
  /** The keys that stand twice in their object, each as often as it does once more. */
  readonly repeated: readonly string[];
  /** How deep it nests. */
  readonly depth: number;
}

const TOKENS = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs;

/** An object or array under way. */
type Open = { readonly array: JsonValue[] } | {
  readonly object: Map<string, JsonValue>;
  key: string | null;
};

/**
 * A text's JSON by its tokens alone; null where it is none, which `JSON.parse` says. The values are not those
 * of `JSON.parse`: in V8 15.0 that takes a key with an escape for another key that an object of the same first
 * members had before, so that `{"a":1,"\""…` after `{"a":1,"\\"…` has the key `\`.
 */
export function modelJson(text: string): ModelDocument | null {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const root: JsonValue[] = [];
  const open: Open[] = [{ array: root }];
  const repeated: string[] = [];
  let depth = 0;
  const put = (value: JsonValue) => {
    const at = open.at(-1)!;
    if ("array" in at) return void at.array.push(value);
    if (at.object.has(at.key!)) repeated.push(at.key!);
    at.object.set(at.key!, value);
    at.key = null;
  };
  for (const token of text.match(TOKENS) ?? []) {
    const at = open.at(-1)!;
    if (token === "{" || token === "[") {
      const next: Open = token === "["
        ? { array: [] }
        : { object: new Map(), key: null };
      put("array" in next ? next.array : next.object);
      open.push(next);
      depth = Math.max(depth, open.length - 1);
    } else if (token === "}" || token === "]") open.pop();
    else if (token === "," || token === ":") continue;
    else if ("object" in at && at.key === null) at.key = JSON.parse(token);
    else put(JSON.parse(token));
  }
  return { value: root[0]!, repeated, depth };
}

/** Whether two values are the same, whatever the order of members. */
export function isSameJson(a: JsonValue, b: JsonValue): boolean {
  if (a instanceof Map) {
    if (!(b instanceof Map) || a.size !== b.size) return false;
    for (const [key, member] of a) {
      const other = b.get(key);
      if (other === undefined || !isSameJson(member, other)) return false;
    }
    return true;
  }
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length &&
      a.every((item, index) => isSameJson(item, b[index]!));
  }
  return Object.is(a, b);
}

/** The value as writing it in JSON leaves it: no negative zero, and null for an infinity. */
export function asWritten(value: JsonValue): JsonValue {
  if (value instanceof Map) {
    return new Map([...value].map(([key, member]) => [key, asWritten(member)]));
  }
  if (Array.isArray(value)) return value.map(asWritten);
  if (typeof value !== "number") return value;
  return Number.isFinite(value) ? value + 0 : null;
}
