import type { JsonValue } from "../../../shared/json.ts";
import { isSameJson } from "./json_model.ts";

/** Patches as their documents define them, on values that are never changed: each step makes a new one. */

/** RFC 7396, section 2, word for word. */
export function mergeModel(
  target: JsonValue | undefined,
  patch: JsonValue,
): JsonValue {
  if (!(patch instanceof Map)) return patch;
  const result = new Map(target instanceof Map ? target : []);
  for (const [name, value] of patch) {
    if (value === null) result.delete(name);
    else result.set(name, mergeModel(result.get(name), value));
  }
  return result;
}

/** What a JSON patch comes to: a value, or which operation fails, or that it is no patch. */
export type Patched =
  | { readonly kind: "value"; readonly value: JsonValue }
  | { readonly kind: "fails"; readonly at: number; readonly test: boolean }
  | { readonly kind: "no patch" };

class Fails extends Error {
  readonly test: boolean;

  constructor(test = false) {
    super("It fails");
    this.test = test;
  }
}

/** RFC 6902. */
export function patchModel(value: JsonValue, patch: JsonValue): Patched {
  if (!Array.isArray(patch) || !patch.every(isOperation)) {
    return { kind: "no patch" };
  }
  for (const [at, operation] of patch.entries()) {
    try {
      value = applied(value, operation as ReadonlyMap<string, JsonValue>);
    } catch (error) {
      if (!(error instanceof Fails)) throw error;
      return { kind: "fails", at, test: error.test };
    }
  }
  return { kind: "value", value };
}

function isOperation(entry: JsonValue): boolean {
  if (!(entry instanceof Map) || !isPointer(entry.get("path"))) return false;
  switch (entry.get("op")) {
    case "add":
    case "replace":
    case "test":
      return entry.has("value");
    case "remove":
      return true;
    case "move":
    case "copy":
      return isPointer(entry.get("from"));
    default:
      return false;
  }
}

function isPointer(value: JsonValue | undefined): boolean {
  return typeof value === "string" && (value === "" || value[0] === "/") &&
    !value.replaceAll("~0", "").replaceAll("~1", "").includes("~");
}

function partsOf(pointer: string): string[] {
  return pointer.split("/").slice(1).map((part) =>
    part.replaceAll("~1", "/").replaceAll("~0", "~")
  );
}

function applied(
  document: JsonValue,
  operation: ReadonlyMap<string, JsonValue>,
): JsonValue {
  const path = operation.get("path") as string;
  const value = operation.get("value")!;
  const from = operation.get("from") as string;
  const at = partsOf(path);
  switch (operation.get("op")) {
    case "add":
      return changed(document, at, { kind: "add", value });
    case "remove":
      return changed(document, at, { kind: "remove" });
    case "replace":
      found(document, at);
      return changed(document, at, { kind: "replace", value });
    case "test":
      if (!isEqual(found(document, at), value)) throw new Fails(true);
      return document;
    case "copy":
      return changed(document, at, {
        kind: "add",
        value: found(document, partsOf(from)),
      });
    default: {
      // A move: "functionally identical to a remove, followed immediately by an add" of that value.
      const source = partsOf(from);
      if (path.startsWith(`${from}/`)) throw new Fails();
      const moved = found(document, source);
      if (path === from) return document;
      const rest = changed(document, source, { kind: "remove" });
      return changed(rest, at, { kind: "add", value: moved });
    }
  }
}

function indexOf(part: string, most: number): number {
  const index = /^(?:0|[1-9][0-9]*)$/.test(part) ? Number(part) : Infinity;
  if (index > most) throw new Fails();
  return index;
}

function found(document: JsonValue, parts: readonly string[]): JsonValue {
  let value: JsonValue | undefined = document;
  for (const part of parts) {
    if (value instanceof Map) value = value.get(part);
    else if (Array.isArray(value)) {
      value = value[indexOf(part, value.length - 1)];
    } else throw new Fails();
    if (value === undefined) throw new Fails();
  }
  return value;
}

type Change =
  | { readonly kind: "add" | "replace"; readonly value: JsonValue }
  | { readonly kind: "remove" };

function changed(
  document: JsonValue,
  parts: readonly string[],
  change: Change,
): JsonValue {
  const [part, ...rest] = parts;
  if (part === undefined) {
    if (change.kind === "remove") throw new Fails();
    return change.value;
  }
  const last = rest.length === 0;
  if (document instanceof Map) {
    const copy = new Map(document);
    if (!last || change.kind === "remove") {
      const member = copy.get(part);
      if (member === undefined) throw new Fails();
      if (last) copy.delete(part);
      else copy.set(part, changed(member, rest, change));
    } else copy.set(part, (change as { value: JsonValue }).value);
    return copy;
  }
  if (!Array.isArray(document)) throw new Fails();
  const { length } = document;
  if (!last) {
    const index = indexOf(part, length - 1);
    return document.with(index, changed(document[index]!, rest, change));
  }
  if (change.kind === "add") {
    const index = part === "-" ? length : indexOf(part, length);
    return document.toSpliced(index, 0, change.value);
  }
  const index = indexOf(part, length - 1);
  return change.kind === "remove"
    ? document.toSpliced(index, 1)
    : document.with(index, change.value);
}

/** RFC 6902, section 4.6: numbers are equal by value, so a zero has no sign. */
function isEqual(a: JsonValue, b: JsonValue): boolean {
  if (typeof a === "number") return a === b;
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length &&
      a.every((item, index) => isEqual(item, b[index]!));
  }
  if (a instanceof Map) {
    return b instanceof Map && a.size === b.size &&
      [...a].every(([key, member]) =>
        b.has(key) && isEqual(member, b.get(key)!)
      );
  }
  return isSameJson(a, b);
}
