import { isIP } from "node:net";
import { z } from "zod";
import { LOG_FORMATS, LOG_LEVELS } from "./log.ts";

/**
 * Settings come from environment variables. Every problem is reported, not only the first, and a bad
 * value never becomes the default.
 */

/** A host name or address, and a port. */
export interface ListenAddress {
  /** An IPv6 address stands without brackets. */
  readonly hostname: string;
  /** 0 takes a free port. */
  readonly port: number;
}

/** What is wrong with one variable. */
export interface SettingProblem {
  readonly name: string;
  /** A sentence with the value, if it is not a secret, and the rule. */
  readonly detail: string;
}

/** A name in the environment that looks like ours and is not. */
export interface UnknownSetting {
  readonly name: string;
  /** The known name it is nearest to. */
  readonly nearest: string;
}

export type SettingsResult<T> =
  | {
    readonly ok: true;
    readonly settings: T;
    readonly unknown: readonly UnknownSetting[];
  }
  | {
    readonly ok: false;
    readonly problems: readonly SettingProblem[];
    /** The settings with the defaults in place of what is wrong in itself: to look for more problems, not to run with. */
    readonly sound: T;
  };

/** Schemas whose values must not be shown, also not in an error. */
const secrets = new WeakSet<z.ZodType>();

const DURATION_UNITS: Record<string, number> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};
const SIZE_UNITS: Record<string, number> = {
  B: 1,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
};

/** A share of a whole, `20%`, as a number from 0 to 1. */
export function percent() {
  return parsed(
    (value) => {
      const match = /^([0-9]{1,3}(?:\.[0-9]{1,3})?)%$/.exec(value);
      const share = Number(match?.[1]) / 100;
      return match !== null && share <= 1 ? share : undefined;
    },
    "a share from 0% to 100%",
  );
}

/** A span of time with its unit, in milliseconds: `250ms`, `5s`, `1m`, `1h`. More than 0, at most 24 days. */
export function duration() {
  return parsed(
    (text) => {
      const match = /^([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)$/.exec(text);
      const ms = match === null
        ? 0
        : Number(match[1]) * DURATION_UNITS[match[2]!]!;
      // The runtime's timers take 31 bits.
      return ms > 0 && ms < 2 ** 31 ? ms : undefined;
    },
    "a span of time above 0 with its unit (ms, s, m or h), such as 5s, of at most 24 days",
  );
}

/** A size with its unit, in bytes: `65536B`, `64KiB`, `128MiB`, `1GiB`. */
export function size() {
  return parsed((text) => {
    const match = /^([0-9]+)(B|KiB|MiB|GiB)$/.exec(text);
    const bytes = match === null
      ? 0
      : Number(match[1]) * SIZE_UNITS[match[2]!]!;
    return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
  }, "a size above 0 with its unit (B, KiB, MiB or GiB), such as 128MiB");
}

/** A whole number from `min` to `max`. */
export function whole(min: number, max: number) {
  return parsed((text) => {
    const value = /^[0-9]{1,15}$/.test(text) ? Number(text) : NaN;
    return value >= min && value <= max ? value : undefined;
  }, `a whole number from ${min} to ${max}`);
}

/** `true` or `false`. */
export function flag() {
  return parsed(
    (text) => text === "true" ? true : text === "false" ? false : undefined,
    "true or false",
  );
}

/** One of a few words. */
export function oneOf<const T extends readonly string[]>(words: T) {
  return parsed(
    (text): T[number] | undefined => words.find((word) => word === text),
    `one of ${words.join(", ")}`,
  );
}

/** A listen address: `127.0.0.1:8080`, `[::1]:8080`, `localhost:0`, or `:8080` for all IPv4 addresses. */
export function listenAddress() {
  return parsed(
    parseListenAddress,
    "an address and a port from 0 to 65535, such as 127.0.0.1:8080 or [::1]:8080",
  );
}

function parseListenAddress(text: string): ListenAddress | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9.-]*)):([0-9]{1,5})$/.exec(
    text,
  );
  if (match === null) return undefined;
  const port = Number(match[3]);
  const hostname = match[1] ?? (match[2] || "0.0.0.0");
  if (port > 65535 || (match[1] !== undefined && isIP(match[1]) !== 6)) {
    return undefined;
  }
  return { hostname, port };
}

/** Any text. */
export function text() {
  return parsed((text) => text, "text");
}

/** Text that must not be shown to anybody, such as a token: visible ASCII, no spaces. */
export function secret() {
  const schema = parsed(
    (text) => /^[\x21-\x7e]+$/.test(text) ? text : undefined,
    "visible ASCII characters without spaces",
  );
  secrets.add(schema);
  return schema;
}

/** A comma list; each part is trimmed and must satisfy the rule. Empty text is an empty list. */
export function list(valid: (part: string) => boolean, rule: string) {
  return parsed((text) => {
    const parts = text === "" ? [] : text.split(",").map((part) => part.trim());
    return parts.every(valid) ? parts : undefined;
  }, `a comma list, each part ${rule}`);
}

/** What `parse` makes of the text; undefined breaks the rule, which completes "must be …". */
export function parsed<T>(
  parse: (text: string) => T | undefined,
  rule: string,
) {
  return z.string().transform((text, context): T => {
    const value = parse(text);
    if (value !== undefined) return value;
    context.addIssue({ code: "custom", message: rule });
    return z.NEVER;
  });
}

/** The settings that both programs have. */
export const LOG_SETTINGS = {
  LOG_LEVEL: oneOf(LOG_LEVELS).optional(),
  LOG_FORMAT: oneOf(LOG_FORMATS).optional(),
};

/**
 * Reads settings.
 *
 * @param shape one schema for each variable, by name; each has a default or is optional.
 * @param options.prefix names in the environment with this prefix must be in `shape`, or are reported.
 * @param options.mayBeEmpty names whose empty value means something; any other empty value is an error.
 * @param options.check finds what is wrong between settings, and what a single schema does not see; it
 * runs also where single values are wrong, so that all problems are told at once.
 */
export function readSettings<T extends z.ZodRawShape>(
  shape: T,
  options: {
    env: Readonly<Record<string, string>>;
    prefix: string;
    mayBeEmpty?: readonly string[];
    check?: (settings: z.output<z.ZodObject<T>>) => readonly SettingProblem[];
  },
): SettingsResult<z.output<z.ZodObject<T>>> {
  const { env, prefix, mayBeEmpty = [], check = () => [] } = options;
  const names = Object.keys(shape);
  const given: Record<string, string> = {};
  const problems: SettingProblem[] = [];
  for (const name of names) {
    const value = env[name];
    if (value === undefined) continue;
    if (value === "" && !mayBeEmpty.includes(name)) {
      problems.push({
        name,
        detail: `${name} is set but empty; give it a value or unset it.`,
      });
    } else given[name] = value;
  }
  const result = z.object(shape).safeParse(given);
  for (const { path, message } of result.error?.issues ?? []) {
    const name = String(path[0]);
    const shown = isSecret(shape[name])
      ? "its value"
      : JSON.stringify(given[name]);
    problems.push({
      name,
      detail: `${name} must be ${message}; ${shown} is not.`,
    });
    delete given[name];
  }
  const settings = result.data ?? z.object(shape).parse(given);
  const wrong = new Set(problems.map(({ name }) => name));
  problems.push(...check(settings).filter(({ name }) => !wrong.has(name)));
  if (problems.length > 0) return { ok: false, problems, sound: settings };
  const unknown = Object.keys(env)
    .filter((name) => name.startsWith(prefix) && !names.includes(name))
    .map((name) => ({ name, nearest: nearest(name, names) }));
  return { ok: true, settings, unknown };
}

function isSecret(schema: unknown): boolean {
  if (schema instanceof z.ZodOptional) return isSecret(schema.unwrap());
  return schema instanceof z.ZodType && secrets.has(schema);
}

/** The name with the smallest edit distance (Levenshtein). */
function nearest(name: string, names: readonly string[]): string {
  let best = names[0] ?? name;
  let least = Infinity;
  for (const candidate of names) {
    const distance = editDistance(name, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

/** Whether an address of this machine can be reached from this machine only. */
export function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "::1" ||
    /^127(\.[0-9]{1,3}){3}$/.test(hostname);
}

/** A listen address as a URL has it. */
export function authority({ hostname, port }: ListenAddress): string {
  return hostname.includes(":")
    ? `[${hostname}]:${port}`
    : `${hostname}:${port}`;
}
