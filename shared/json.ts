/**
 * Strict JSON (RFC 8259) in which a key is never lost: objects are maps, so `__proto__` is a key
 * like any other, and a key that stands twice is reported instead of overwritten in silence.
 */

/** A JSON value whose objects are maps, in the order of the text. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | JsonValue[]
  | Map<string, JsonValue>;

/** What {@linkcode readJson} answers. */
export interface JsonDocument {
  readonly value: JsonValue;
  /** JSON Pointers (RFC 6901) of keys that stand twice in their object, at most 100 of them. */
  readonly repeated: readonly string[];
}

/** The text is not JSON. The message says what was found where. */
export class JsonSyntaxError extends SyntaxError {
  override name = "JsonSyntaxError";
}

/** Nesting past this is refused: nothing of ours is deeper than 4, and a parser must not run out of stack. */
const MAX_DEPTH = 64;
/**
 * More objects and arrays, or more values, are refused: each costs many times its bytes in memory. The largest
 * config has 4 and 2,010,003 of them.
 */
const MAX_CONTAINERS = 1_000_000;
const MAX_VALUES = 4_000_000;
const MAX_REPEATED = 100;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;

/**
 * Reads a JSON text.
 *
 * @throws {JsonSyntaxError} if it is not JSON, nested deeper than 64 levels, or of more than 1,000,000 objects and
 * arrays or 4,000,000 values.
 */
export function readJson(text: string): JsonDocument {
  const reader = new Reader(text);
  return { value: reader.document(), repeated: reader.repeated };
}

class Reader {
  readonly repeated: string[] = [];
  readonly #text: string;
  #at = 0;
  #containers = 0;
  #values = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): JsonValue {
    this.#skipSpace();
    const value = this.#value("", 0);
    this.#skipSpace();
    if (this.#at < this.#text.length) this.#fail("end of the text");
    return value;
  }

  #value(path: string, depth: number): JsonValue {
    if (depth > MAX_DEPTH) {
      throw new JsonSyntaxError(
        `Cannot read JSON nested deeper than ${MAX_DEPTH} levels`,
      );
    }
    switch (this.#text.charCodeAt(this.#at)) {
      case 0x7b:
        return this.#object(path, depth);
      case 0x5b:
        return this.#array(path, depth);
      case 0x22:
        return this.#string();
      case 0x74:
        return this.#word("true", true);
      case 0x66:
        return this.#word("false", false);
      case 0x6e:
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  #object(path: string, depth: number): Map<string, JsonValue> {
    const object = new Map<string, JsonValue>();
    this.#countContainer();
    this.#at++;
    this.#skipSpace();
    if (this.#text.charCodeAt(this.#at) === 0x7d) {
      this.#at++;
      return object;
    }
    for (;;) {
      if (this.#text.charCodeAt(this.#at) !== 0x22) {
        this.#fail("a key in double quotes");
      }
      const key = this.#string();
      this.#skipSpace();
      if (this.#text.charCodeAt(this.#at) !== 0x3a) {
        this.#fail("`:` after a key");
      }
      this.#at++;
      this.#skipSpace();
      // The path is only needed where something nested or repeated has to be named, and a big map
      // of strings has neither: its million paths are never made.
      const first = this.#text.charCodeAt(this.#at);
      const value = first === 0x22 ? this.#string() : this.#value(
        first === 0x7b || first === 0x5b ? pointer(path, key) : path,
        depth + 1,
      );
      if (object.has(key) && this.repeated.length < MAX_REPEATED) {
        this.repeated.push(pointer(path, key));
      }
      object.set(key, value);
      this.#countValue();
      this.#skipSpace();
      const next = this.#text.charCodeAt(this.#at);
      this.#at++;
      if (next === 0x7d) return object;
      if (next !== 0x2c) {
        this.#at--;
        this.#fail("`,` or `}` after a value");
      }
      this.#skipSpace();
    }
  }

  #array(path: string, depth: number): JsonValue[] {
    const array: JsonValue[] = [];
    this.#countContainer();
    this.#at++;
    this.#skipSpace();
    if (this.#text.charCodeAt(this.#at) === 0x5d) {
      this.#at++;
      return array;
    }
    for (;;) {
      const first = this.#text.charCodeAt(this.#at);
      const nested = first === 0x7b || first === 0x5b;
      const at = nested ? `${path}/${array.length}` : path;
      array.push(this.#value(at, depth + 1));
      this.#countValue();
      this.#skipSpace();
      const next = this.#text.charCodeAt(this.#at);
      this.#at++;
      if (next === 0x5d) return array;
      if (next !== 0x2c) {
        this.#at--;
        this.#fail("`,` or `]` after a value");
      }
      this.#skipSpace();
    }
  }

  #countContainer(): void {
    if (++this.#containers > MAX_CONTAINERS) {
      throw new JsonSyntaxError(
        `Cannot read JSON of more than ${MAX_CONTAINERS} objects and arrays`,
      );
    }
  }

  #countValue(): void {
    if (++this.#values > MAX_VALUES) {
      throw new JsonSyntaxError(
        `Cannot read JSON of more than ${MAX_VALUES} values`,
      );
    }
  }

  #string(): string {
    const text = this.#text;
    const start = this.#at + 1;
    for (let at = start;; at++) {
      const code = text.charCodeAt(at);
      if (code === 0x22) {
        this.#at = at + 1;
        return text.slice(start, at);
      }
      if (code === 0x5c) return this.#escapedString(start, at);
      // NaN, past the end, fails this comparison too.
      if (!(code >= 0x20)) {
        this.#at = at;
        this.#fail("the end of a string");
      }
    }
  }

  /** A string with escapes in it: finds its end and leaves the escapes to `JSON.parse`. */
  #escapedString(start: number, escape: number): string {
    const text = this.#text;
    let at = escape;
    for (;; at++) {
      const code = text.charCodeAt(at);
      if (code === 0x22) break;
      if (code === 0x5c) at++;
      else if (!(code >= 0x20)) {
        this.#at = at;
        this.#fail("the end of a string");
      }
    }
    try {
      const value: string = JSON.parse(text.slice(start - 1, at + 1));
      this.#at = at + 1;
      return value;
    } catch {
      this.#at = escape;
      this.#fail("a valid escape in a string");
    }
  }

  #number(): number {
    NUMBER.lastIndex = this.#at;
    const match = NUMBER.exec(this.#text);
    if (match === null) this.#fail("a value");
    this.#at = NUMBER.lastIndex;
    return Number(match[0]);
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#fail("a value");
    this.#at += word.length;
    return value;
  }

  #skipSpace(): void {
    for (;; this.#at++) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) {
        return;
      }
    }
  }

  #fail(expected: string): never {
    const found = this.#at >= this.#text.length
      ? "the text ends"
      : `it has ${JSON.stringify(this.#text.slice(this.#at, this.#at + 12))}`;
    throw new JsonSyntaxError(
      `Cannot read the text as JSON: expected ${expected} at character ${this.#at}, where ${found}`,
    );
  }
}

/** The JSON Pointer (RFC 6901) of a member below `parent`. */
export function pointer(parent: string, key: string | number): string {
  return `${parent}/${String(key).replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

/** The JSON text of a value, without white space. */
export function writeJson(value: JsonValue): string {
  if (value instanceof Map) {
    const members: string[] = [];
    for (const [key, member] of value) {
      members.push(`${JSON.stringify(key)}:${writeJson(member)}`);
    }
    return `{${members.join(",")}}`;
  }
  if (Array.isArray(value)) return `[${value.map(writeJson).join(",")}]`;
  return JSON.stringify(value);
}

/** The value with plain objects instead of maps; they have no prototype, so any key is safe. */
export function toPlain(value: JsonValue): unknown {
  if (value instanceof Map) {
    const object: Record<string, unknown> = Object.create(null);
    for (const [key, member] of value) object[key] = toPlain(member);
    return object;
  }
  return Array.isArray(value) ? value.map(toPlain) : value;
}

/** A plain value, such as `JSON.parse` gives, with maps instead of its objects. */
export function fromPlain(value: unknown): JsonValue {
  if (Array.isArray(value)) return value.map(fromPlain);
  if (typeof value === "object" && value !== null) {
    return new Map(
      Object.entries(value).map(([key, member]) => [key, fromPlain(member)]),
    );
  }
  if (
    value === null || typeof value === "string" || typeof value === "number" ||
    typeof value === "boolean"
  ) return value;
  throw new TypeError(
    `Cannot express a value in JSON: it is of type ${typeof value}`,
  );
}

/** How a value is shown in a sentence: its JSON text, shortened. */
export function show(value: unknown): string {
  if (value instanceof Map) return "an object";
  if (Array.isArray(value)) return "an array";
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}…` : text;
}
