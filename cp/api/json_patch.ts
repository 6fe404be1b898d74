import { type JsonValue, pointer, show } from "../../shared/json.ts";

/** One operation of a JSON Patch (RFC 6902, section 4), with its pointers taken apart. */
export type Operation =
  | {
    readonly op: "add" | "replace" | "test";
    readonly path: Path;
    readonly value: JsonValue;
  }
  | { readonly op: "remove"; readonly path: Path }
  | { readonly op: "move" | "copy"; readonly path: Path; readonly from: Path };

/** A JSON Pointer (RFC 6901) as text and as its unescaped parts. */
export interface Path {
  readonly text: string;
  readonly parts: readonly string[];
}

/** An operation cannot be done. `failedTest` is true where it is a `test` that found something else. */
export class PatchError extends Error {
  override name = "PatchError";
  /** JSON Pointer of the operation in the patch. */
  readonly pointer: string;
  readonly failedTest: boolean;

  constructor(
    message: string,
    options: { pointer: string; failedTest?: boolean },
  ) {
    super(message);
    this.pointer = options.pointer;
    this.failedTest = options.failedTest ?? false;
  }
}

/**
 * Reads a JSON Patch. Members that an operation does not define are ignored (RFC 6902, section 4).
 *
 * @returns the operations, or the first problem of each operation that is none.
 */
export function parseJsonPatch(
  patch: JsonValue,
): { readonly operations: Operation[]; readonly problems: PatchError[] } {
  if (!Array.isArray(patch)) {
    const problem = new PatchError(
      `A JSON Patch is a list of operations, not ${show(patch)}.`,
      { pointer: "" },
    );
    return { operations: [], problems: [problem] };
  }
  const operations: Operation[] = [];
  const problems: PatchError[] = [];
  for (const [index, entry] of patch.entries()) {
    try {
      operations.push(parseOperation(entry, pointer("", index)));
    } catch (error) {
      if (!(error instanceof PatchError)) throw error;
      problems.push(error);
    }
  }
  return { operations, problems };
}

function parseOperation(entry: JsonValue, at: string): Operation {
  if (!(entry instanceof Map)) {
    throw new PatchError(`An operation is an object, not ${show(entry)}.`, {
      pointer: at,
    });
  }
  const op = entry.get("op");
  const path = (name: "path" | "from"): Path => {
    const text = entry.get(name);
    if (typeof text === "string" && /^(?:\/(?:[^~]|~[01])*)?$/s.test(text)) {
      const parts = text.split("/").slice(1).map((part) =>
        part.replaceAll("~1", "/").replaceAll("~0", "~")
      );
      return { text, parts };
    }
    throw new PatchError(
      text === undefined
        ? `The operation has no ${JSON.stringify(name)}.`
        : `${
          JSON.stringify(name)
        } must be a JSON Pointer, empty or beginning with "/", not ${
          show(text)
        }.`,
      { pointer: text === undefined ? at : pointer(at, name) },
    );
  };
  switch (op) {
    case "add":
    case "replace":
    case "test": {
      const value = entry.get("value");
      if (value === undefined) {
        throw new PatchError(`The operation ${op} has no "value".`, {
          pointer: at,
        });
      }
      return { op, path: path("path"), value };
    }
    case "remove":
      return { op, path: path("path") };
    case "move":
    case "copy":
      return { op, path: path("path"), from: path("from") };
    default:
      throw new PatchError(
        `"op" must be add, remove, replace, move, copy or test, not ${
          show(op)
        }.`,
        { pointer: op === undefined ? at : pointer(at, "op") },
      );
  }
}

/**
 * Applies a JSON Patch (RFC 6902) to a document and answers the result. The document is changed in
 * place, also when an operation fails, so it has to be the caller's own; the patch is not.
 *
 * @throws {PatchError} if an operation cannot be done.
 */
export function applyJsonPatch(
  document: JsonValue,
  operations: readonly Operation[],
): JsonValue {
  const target = new Target(document);
  for (const [index, operation] of operations.entries()) {
    target.pointer = pointer("", index);
    apply(target, operation);
  }
  return target.document;
}

/**
 * How many values the copies of one patch may hold. Copies of copies double each time: without a bound 30 of them,
 * in a body of 1 KiB, take seconds and gigabytes. What a body itself holds is bounded by its size.
 */
const MAX_COPIED = 200_000;
/** How deep what is copied may nest: a patch can put values into each other until going through them takes too much stack. */
const MAX_DEPTH = 128;

function apply(target: Target, operation: Operation): void {
  const { op, path } = operation;
  switch (op) {
    case "add":
      return target.add(path, target.clone(operation.value));
    case "remove":
      target.remove(path);
      return;
    case "replace":
      return target.replace(path, target.clone(operation.value));
    case "copy":
      return target.add(path, target.copy(target.get(operation.from)));
    case "move":
      if (path.text.startsWith(`${operation.from.text}/`)) {
        target.fail(
          `Cannot move ${operation.from.text} to ${path.text}, which is below it.`,
        );
      }
      if (path.text === operation.from.text) {
        target.get(path);
        return;
      }
      return target.add(path, target.remove(operation.from));
    case "test": {
      const found = target.get(path);
      if (!target.equal(found, operation.value)) {
        target.fail(
          `The test of ${show(path.text)} failed: it is ${show(found)}, not ${
            show(operation.value)
          }.`,
          true,
        );
      }
      return;
    }
    default:
      op satisfies never;
  }
}

/** A member that knows how to copy itself without going through all that it holds. */
export interface Copyable extends Map<string, JsonValue> {
  /** A copy that may be changed on its own; `clone` makes that of a value. */
  copy(clone: (value: JsonValue) => JsonValue): Copyable;
}

/** A document at work. */
class Target {
  /** JSON Pointer of the operation at work, for its errors. */
  pointer = "";
  // The document is the member "" of a map, so that replacing the whole is no case of its own.
  readonly #root: Map<string, JsonValue>;
  /** How many values may still be copied. */
  #copies = MAX_COPIED;

  constructor(document: JsonValue) {
    this.#root = new Map([["", document]]);
  }

  get document(): JsonValue {
    return this.#root.get("")!;
  }

  fail(message: string, failedTest = false): never {
    throw new PatchError(message, { pointer: this.pointer, failedTest });
  }

  /** A copy of a value of the patch, which stays as it is. */
  clone(value: JsonValue): JsonValue {
    return this.#cloned(value, 0, false);
  }

  /** A copy of a value of the document: what that may hold is bounded by no body. */
  copy(value: JsonValue): JsonValue {
    return this.#cloned(value, 0, true);
  }

  #cloned(value: JsonValue, depth: number, counted: boolean): JsonValue {
    if (counted && --this.#copies < 0) {
      this.fail(
        `The patch copies more than ${MAX_COPIED} values; make it smaller.`,
      );
    }
    if (depth > MAX_DEPTH) {
      this.fail(`The patch nests values deeper than ${MAX_DEPTH} levels.`);
    }
    const inner = (each: JsonValue) => this.#cloned(each, depth + 1, counted);
    if (isCopyable(value)) return value.copy(inner);
    if (value instanceof Map) {
      const copy = new Map<string, JsonValue>();
      for (const [key, member] of value) copy.set(key, inner(member));
      return copy;
    }
    return Array.isArray(value) ? value.map(inner) : value;
  }

  /** Equality of RFC 6902, section 4.6: the order of members does not matter. */
  equal(a: JsonValue, b: JsonValue): boolean {
    if (a instanceof Map) {
      if (!(b instanceof Map) || a.size !== b.size) return false;
      for (const [key, member] of a) {
        const other = b.get(key);
        if (other === undefined || !this.equal(member, other)) return false;
      }
      return true;
    }
    if (Array.isArray(a)) {
      return Array.isArray(b) && a.length === b.length &&
        a.every((item, index) => this.equal(item, b[index]!));
    }
    return a === b;
  }

  get(path: Path): JsonValue {
    const { parent, key } = this.#place(path);
    if (parent instanceof Map) return this.#member(parent, key, path);
    return parent[this.#index(key, path, parent.length - 1)]!;
  }

  add(path: Path, value: JsonValue): void {
    const { parent, key } = this.#place(path);
    if (parent instanceof Map) parent.set(key, value);
    else {
      const at = key === "-"
        ? parent.length
        : this.#index(key, path, parent.length);
      parent.splice(at, 0, value);
    }
  }

  replace(path: Path, value: JsonValue): void {
    const { parent, key } = this.#place(path);
    if (parent instanceof Map) {
      if (!parent.has(key)) this.#missing(path);
      parent.set(key, value);
    } else parent[this.#index(key, path, parent.length - 1)] = value;
  }

  remove(path: Path): JsonValue {
    if (path.parts.length === 0) {
      this.fail("Cannot remove the whole document.");
    }
    const { parent, key } = this.#place(path);
    if (parent instanceof Map) {
      const value = this.#member(parent, key, path);
      parent.delete(key);
      return value;
    }
    return parent.splice(this.#index(key, path, parent.length - 1), 1)[0]!;
  }

  /** The container a path ends in, and the key there. */
  #place(path: Path): {
    parent: Map<string, JsonValue> | JsonValue[];
    key: string;
  } {
    let parent: Map<string, JsonValue> | JsonValue[] = this.#root;
    let key = "";
    for (const part of path.parts) {
      const next: JsonValue | undefined = parent instanceof Map
        ? parent.get(key)
        : parent[this.#index(key, path, parent.length - 1)];
      if (!(next instanceof Map) && !Array.isArray(next)) this.#missing(path);
      parent = next;
      key = part;
    }
    return { parent, key };
  }

  #member(
    parent: ReadonlyMap<string, JsonValue>,
    key: string,
    path: Path,
  ): JsonValue {
    const value = parent.get(key);
    return value === undefined ? this.#missing(path) : value;
  }

  #missing(path: Path): never {
    return this.fail(`There is nothing at ${show(path.text)}.`);
  }

  /** An array index (RFC 6901, section 4): no sign, no leading zeros. */
  #index(key: string, path: Path, max: number): number {
    const index = /^(?:0|[1-9][0-9]{0,9})$/.test(key) ? Number(key) : NaN;
    if (!(index <= max)) {
      this.fail(
        `${show(key)} in ${show(path.text)} is not an index of the list there.`,
      );
    }
    return index;
  }
}

function isCopyable(value: JsonValue): value is Copyable {
  return value instanceof Map && "copy" in value;
}
