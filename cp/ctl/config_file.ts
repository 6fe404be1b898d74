import {
  type Document,
  isMap,
  isScalar,
  LineCounter,
  parseDocument,
  stringify,
} from "yaml";
import {
  MAX_PROBLEMS,
  parseConfigDocument,
  type Problem,
} from "../../shared/config.ts";
import {
  type JsonDocument,
  JsonSyntaxError,
  type JsonValue,
  pointer,
  readJson,
  writeJson,
} from "../../shared/json.ts";
import type { ConfigBody } from "../api/answers.ts";
import { CommandError } from "./exit.ts";

/** How a config is written in a file. */
export type ConfigFormat = "json" | "yaml";

/** What editors find the schema by; a config has no such field. */
const SCHEMA_FIELD = "$schema";

/** The format that a file's name tells; null if it tells none. */
export function formatOf(name: string): ConfigFormat | null {
  return /\.ya?ml$/i.test(name)
    ? "yaml"
    : /\.json$/i.test(name)
    ? "json"
    : null;
}

/**
 * Reads a config file, in JSON or YAML, and checks it by the rules of every config. In YAML every scalar is text: a
 * customer may be called `no` or `123`.
 *
 * @param name the file's name, for messages; its ending tells the format.
 * @returns the config as JSON text, fit for `PUT /v1/config`.
 * @throws {CommandError} with all problems, each with its line.
 */
export function readConfigFile(text: string, name: string): string {
  const format = formatOf(name) ?? (/^\s*\{/.test(text) ? "json" : "yaml");
  const document = format === "json"
    ? readJsonFile(text, name)
    : readYamlFile(text, name);
  if (document.value instanceof Map) document.value.delete(SCHEMA_FIELD);
  const result = parseConfigDocument(document);
  if (result.ok) return writeJson(document.value);
  // JSON is YAML as well, and that reader knows the lines.
  const yaml = new YamlFile(text);
  throw wrong(
    name,
    result.problems.map((problem) => ({
      line: yaml.lineOf(problem),
      detail: problem.detail,
    })),
    result.more,
  );
}

/** Writes a config, sorted, so that a change of one customer is a change of one line. */
export function writeConfigFile(
  config: ConfigBody,
  format: ConfigFormat,
): string {
  const sorted = {
    default_placement: config.default_placement,
    placement_to_endpoint: sortedByKey(config.placement_to_endpoint),
    customer_to_placement: sortedByKey(config.customer_to_placement),
  };
  return format === "json"
    ? `${JSON.stringify(sorted, null, 2)}\n`
    // Names that older readers take for no text are quoted.
    : stringify(sorted, { schema: "yaml-1.1", lineWidth: 0 });
}

function sortedByKey(
  record: Readonly<Record<string, string>>,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(record).sort(([a], [b]) => a < b ? -1 : 1),
  );
}

function readJsonFile(text: string, name: string): JsonDocument {
  try {
    return readJson(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw wrong(name, [{ line: null, detail: error.message }]);
  }
}

function readYamlFile(text: string, name: string): JsonDocument {
  const yaml = new YamlFile(text);
  if (yaml.errors.length > 0) throw wrong(name, yaml.errors);
  return { value: yaml.value, repeated: yaml.repeated };
}

/** A YAML file whose scalars are all text, with its lines. */
class YamlFile {
  readonly #lines = new LineCounter();
  readonly #document: Document.Parsed;

  constructor(text: string) {
    this.#document = parseDocument(text, {
      schema: "failsafe",
      lineCounter: this.#lines,
      // Its own check compares each key with all before it: minutes for 100,000 customers.
      uniqueKeys: false,
      prettyErrors: false,
    });
  }

  get errors(): { line: number; detail: string }[] {
    return this.#document.errors.map(({ pos, message }) => ({
      line: this.#line(pos[0]),
      detail: `It is no YAML that can be read: ${message}.`,
    }));
  }

  get value(): JsonValue {
    return this.#document.toJS({ mapAsMap: true });
  }

  /** JSON Pointers of keys that stand twice in their map. */
  get repeated(): string[] {
    const found: string[] = [];
    const look = (node: unknown, at: string): void => {
      if (!isMap(node)) return;
      const seen = new Set<string>();
      for (const { key, value } of node.items) {
        const name = isScalar(key) ? String(key.value) : "";
        if (seen.has(name) && found.length < MAX_PROBLEMS) {
          found.push(pointer(at, name));
        }
        seen.add(name);
        look(value, pointer(at, name));
      }
    };
    look(this.#document.contents, "");
    return found;
  }

  /** The line of the nearest key on the way to a problem; null if there is none. */
  lineOf(problem: Problem): number | null {
    let node: unknown = this.#document.contents;
    let line: number | null = null;
    for (const segment of problem.pointer.split("/").slice(1)) {
      const key = segment.replaceAll("~1", "/").replaceAll("~0", "~");
      const pair = isMap(node)
        // Of a key that stands twice, the second is the problem.
        ? node.items.findLast((item) =>
          isScalar(item.key) && String(item.key.value) === key
        )
        : undefined;
      if (pair === undefined) break;
      const range = isScalar(pair.key) ? pair.key.range : null;
      if (range) line = this.#line(range[0]);
      node = pair.value;
    }
    return line;
  }

  #line(offset: number): number {
    return this.#lines.linePos(offset).line;
  }
}

function wrong(
  name: string,
  list: readonly { line: number | null; detail: string }[],
  more = 0,
): CommandError {
  return new CommandError([
    `${name} holds no config that can be applied; nothing was changed:`,
    ...list.map(({ line, detail }) =>
      `  ${name}${line === null ? "" : `:${line}`}: ${detail}`
    ),
    ...(more > 0 ? [`  and ${more} more`] : []),
  ].join("\n"));
}
