import { modelJson } from "./json_model.ts";

/**
 * What a message is by PROTOCOL.md alone: its type where it is sound, `unknown` for a type that is not known,
 * null where it is malformed.
 */
export function messageKind(
  text: string,
  direction: "to_router" | "to_control_plane",
): string | null {
  const document = modelJson(text);
  if (document === null || !(document.value instanceof Map)) return null;
  const fields = document.value;
  const type = fields.get("type");
  if (typeof type !== "string") return null;
  // What stands twice inside a config is the config's fault.
  const { repeated } = direction === "to_router"
    ? modelJson(withoutConfig(text))!
    : document;
  if (repeated.length > 0) return null;
  const rules = RULES[direction]!;
  if (!Object.hasOwn(rules, type)) return "unknown";
  const sound = Object.entries(rules[type]!).every(([name, rule]) =>
    rule(fields.get(name) ?? null)
  );
  return sound ? type : null;
}

type Rule = (value: unknown) => boolean;

const whole = (least: number): Rule => (value) =>
  Number.isSafeInteger(value) && value as number >= least;
const form = (pattern: RegExp): Rule => (value) =>
  typeof value === "string" && pattern.test(value);
const optional = (rule: Rule): Rule => (value) => value === null || rule(value);
const listOf = (rule: Rule): Rule => (value) =>
  Array.isArray(value) && value.every(rule);

const EPOCH = form(/^[\w.:-]{1,64}$/);
const DIGEST = form(/^sha256:[0-9a-f]{64}$/);
const span: Rule = (value) => whole(0)(value) && Number(value) <= 300_000;
const heldCustomers: Rule = (value) =>
  Array.isArray(value) && value.length >= 1 && value.length <= 100 &&
  value.every((name) =>
    typeof name === "string" && /^[!-~]{1,256}$/.test(name) && name !== "." &&
    name !== ".."
  );
const BEYOND_NULL: Rule = (value) => value !== null;

const RULES: Readonly<
  Record<string, Readonly<Record<string, Readonly<Record<string, Rule>>>>>
> = {
  to_router: {
    config_update: {
      version: whole(1),
      config: BEYOND_NULL,
      epoch: optional(EPOCH),
      digest: optional(DIGEST),
      supersedes: optional(listOf(EPOCH)),
      guarded_since: optional(whole(0)),
    },
    config_begin: {
      version: whole(1),
      epoch: EPOCH,
      digest: DIGEST,
      supersedes: optional(listOf(EPOCH)),
      guarded_since: optional(whole(0)),
      encoding: form(/^gzip$/),
      bytes: whole(1),
    },
    ping: { version: optional(whole(0)), epoch: optional(EPOCH) },
    hold: {
      id: EPOCH,
      version: whole(0),
      customers: heldCustomers,
      until_released: optional((value) => typeof value === "boolean"),
      for_ms: span,
      cut_streams_ms: optional(span),
    },
    release: { id: EPOCH },
    cut_streams: { version: whole(1), after_ms: optional(span) },
  },
  to_control_plane: {
    ack: {
      version: whole(1),
      status: form(/^(?:applied|rejected)$/),
      error: optional(form(/^/)),
      epoch: optional(EPOCH),
      durable: optional((value) => typeof value === "boolean"),
    },
    pong: { version: optional(whole(0)), epoch: optional(EPOCH) },
    drained: {
      version: whole(1),
      digest: optional(DIGEST),
      epoch: optional(EPOCH),
      durable: optional((value) => typeof value === "boolean"),
    },
    draining: {
      version: whole(1),
      epoch: optional(EPOCH),
      digest: optional(DIGEST),
      durable: optional((value) => typeof value === "boolean"),
      requests: optional(whole(0)),
      streams: optional(whole(0)),
      oldest_ms: optional(whole(0)),
    },
    holding: {
      id: EPOCH,
      requests: optional(whole(0)),
      streams: optional(whole(0)),
      oldest_ms: optional(whole(0)),
      waiting: optional(whole(0)),
    },
  },
};

/** The text of an object with `null` in place of each value of its member "config". */
function withoutConfig(text: string): string {
  let depth = 0;
  let skipping = false;
  let kept = "";
  let last = "";
  for (
    const token of text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs)!
  ) {
    const ends = depth === 1 && (token === "," || token === "}");
    if (ends) skipping = false;
    if (token === "{" || token === "[") depth++;
    if (token === "}" || token === "]") depth--;
    if (!skipping) kept += token;
    if (
      depth === 1 && token === ":" && !skipping && JSON.parse(last) === "config"
    ) {
      kept += "null";
      skipping = true;
    }
    last = token;
  }
  return kept;
}
