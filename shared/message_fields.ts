/** Reads the messages of the push protocol field by field: what is not known is ignored, what is wrong is named. */
import { customerProblem } from "./config.ts";
import { JsonSyntaxError, type JsonValue, readJson, show } from "./json.ts";
import type { Counted, Parsed } from "./protocol.ts";

export const EPOCH = /^[A-Za-z0-9._:-]{1,64}$/;
export const DIGEST = /^sha256:[0-9a-f]{64}$/;
/** W3C Trace Context, section 3.2. */
const TRACEPARENT = /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** What a message's shape breaks; never leaves this file. */
class Malformed extends Error {}

/**
 * Reads a message of the push protocol; never throws what is wrong with it.
 *
 * @param configAt where a config is in it, whose own mistakes are for its reader; null for nowhere.
 * @param build answers the message of a type, null for a type that is not known.
 */
export function readMessage<M>(
  text: string,
  configAt: string | null,
  build: (
    type: string,
    fields: Fields,
    repeated: readonly string[],
  ) => M | null,
): Parsed<M> {
  try {
    const { value, repeated } = readJson(text);
    if (!(value instanceof Map)) {
      throw new Malformed(`a message is an object, not ${show(value)}`);
    }
    // Keys that stand twice inside the config make the config invalid, not the message malformed:
    // the router then says `rejected` and keeps its connection.
    const inConfig = repeated.filter((at) =>
      configAt !== null && at.startsWith(`${configAt}/`)
    );
    if (inConfig.length < repeated.length) {
      throw new Malformed(`a key stands twice: ${repeated}`);
    }
    const type = value.get("type");
    if (typeof type !== "string") {
      throw new Malformed(`"type" must be text, not ${show(type)}`);
    }
    const configRepeated = inConfig.map((at) => at.slice(configAt!.length));
    const message = build(type, new Fields(type, value), configRepeated);
    return message === null
      ? { kind: "unknown", type }
      : { kind: "message", message };
  } catch (error) {
    if (error instanceof Malformed || error instanceof JsonSyntaxError) {
      return { kind: "malformed", reason: error.message };
    }
    throw error;
  }
}

/** Reads the fields of a message; unknown ones are ignored, so that fleets can run mixed releases. */
export class Fields {
  readonly #type: string;
  readonly #fields: ReadonlyMap<string, JsonValue>;

  constructor(type: string, fields: ReadonlyMap<string, JsonValue>) {
    this.#type = type;
    this.#fields = fields;
  }

  required(name: string): JsonValue {
    return this.#fields.get(name) ?? this.missing(name);
  }

  missing(name: string): never {
    throw new Malformed(`${this.#type} without "${name}"`);
  }

  version(min: number): number {
    return this.whole("version", min) ?? this.missing("version");
  }

  whole(name: string, min: number): number | null {
    const value = this.#fields.get(name) ?? null;
    if (value === null) return null;
    if (
      typeof value !== "number" || !Number.isSafeInteger(value) || value < min
    ) {
      this.#wrong(name, `a whole number from ${min}`);
    }
    return value;
  }

  text(name: string, pattern: RegExp | null): string | null {
    const value = this.#fields.get(name) ?? null;
    if (value === null) return null;
    if (typeof value !== "string") this.#wrong(name, "text");
    if (pattern !== null && !pattern.test(value)) {
      this.#wrong(name, `of the form ${pattern.source}`);
    }
    return value;
  }

  flag(name: string): boolean | null {
    const value = this.#fields.get(name) ?? null;
    if (value !== null && typeof value !== "boolean") {
      this.#wrong(name, "true or false");
    }
    return value;
  }

  oneOf<const T extends string>(name: string, values: readonly T[]): T {
    const value = this.required(name);
    return values.find((one) => one === value) ??
      this.#wrong(name, `one of ${values.join(", ")}`);
  }

  /** A span of time in milliseconds, of at most so many. */
  span(name: string, most: number): number | null {
    const value = this.whole(name, 0);
    if (value !== null && value > most) this.#wrong(name, `at most ${most}`);
    return value;
  }

  customers(name: string, most: number): readonly string[] {
    const value = this.required(name);
    const rule = `a list of 1 to ${most} customers`;
    if (
      !Array.isArray(value) || value.length === 0 ||
      value.length > most
    ) this.#wrong(name, rule);
    return value.map((customer) =>
      typeof customer === "string" && customerProblem(customer) === null
        ? customer
        : this.#wrong(name, rule)
    );
  }

  guardedSince(): { readonly guarded_since?: number } {
    const value = this.whole("guarded_since", 0);
    return value === null ? {} : { guarded_since: value };
  }

  counted(): Partial<Counted> {
    const requests = this.whole("requests", 0);
    const errors = this.whole("errors", 0);
    return requests === null ? {} : { requests, errors: errors ?? 0 };
  }

  /** One that is none is ignored, as its standard asks for. */
  traceparent(): { readonly traceparent?: string } {
    const value = this.#fields.get("traceparent");
    return typeof value === "string" && TRACEPARENT.test(value)
      ? { traceparent: value }
      : {};
  }

  epochs(name: string): readonly string[] {
    const value = this.#fields.get(name) ?? null;
    if (value === null) return [];
    if (!Array.isArray(value)) this.#wrong(name, "a list of epochs");
    return value.map((epoch) =>
      typeof epoch === "string" && EPOCH.test(epoch)
        ? epoch
        : this.#wrong(name, "a list of epochs")
    );
  }

  #wrong(name: string, rule: string): never {
    throw new Malformed(
      `"${name}" of ${this.#type} must be ${rule}, not ${
        show(this.#fields.get(name))
      }`,
    );
  }
}
