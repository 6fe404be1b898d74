import {
  configure,
  dispose,
  getLogger,
  type LogRecord,
} from "@logtape/logtape";
import { atMost } from "./clock.ts";
import { errorLine } from "./errors.ts";

/** The levels a log may be set to, from the most told to the least. */
export const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;
export type LogLevel = typeof LOG_LEVELS[number];

/** The forms of a log: one JSON object a line, or lines for people. */
export const LOG_FORMATS = ["json", "pretty"] as const;
export type LogFormat = typeof LOG_FORMATS[number];

/** Where a part of the program tells what happens. */
export interface Logger {
  debug(message: string, properties?: Record<string, unknown>): void;
  info(message: string, properties?: Record<string, unknown>): void;
  warn(message: string, properties?: Record<string, unknown>): void;
  error(message: string, properties?: Record<string, unknown>): void;
}

/** The log of a part of the program, such as `logger("router", "link")`. */
export function logger(...parts: [string, ...string[]]): Logger {
  const log = getLogger(["signalbox", ...parts]);
  return {
    debug: (message, properties = {}) =>
      log.debug(literal(message), properties),
    info: (message, properties = {}) => log.info(literal(message), properties),
    warn: (message, properties = {}) => log.warn(literal(message), properties),
    error: (message, properties = {}) =>
      log.error(literal(message), properties),
  };
}

/** The library takes braces for the names of properties; a message means them as they stand. */
function literal(message: string): string {
  return message.replaceAll(/[{}]/g, "$&$&");
}

/** Lines not yet taken by who reads the log; past this many bytes new ones are dropped, and counted. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;

/**
 * Sends the log to standard output. Writing never waits: a reader that stalls costs lines, which are
 * counted and told, never a request.
 *
 * @returns what ends the log: writes the lines still pending, for at most a second.
 */
export async function openLog(
  options: {
    level: LogLevel;
    format: LogFormat;
    write?: (line: Uint8Array) => Promise<void>;
  },
): Promise<() => Promise<void>> {
  const lines = opened = new Lines(options.write ?? writeStdout);
  const format = options.format === "json" ? jsonLine : prettyLine;
  await configure({
    reset: true,
    sinks: { out: (record) => lines.push(format(record)) },
    loggers: [
      { category: ["signalbox"], sinks: ["out"], lowestLevel: options.level },
      { category: ["logtape", "meta"], sinks: ["out"], lowestLevel: "error" },
    ],
  });
  return async () => {
    await lines.end(1000);
    await dispose();
  };
}

/** The log opened last. */
let opened: Lines | null = null;

/** Adds lines that are formed already, as those of another thread, to the log opened last. */
export function passLines(lines: string): void {
  opened?.push(lines);
}

async function writeStdout(line: Uint8Array): Promise<void> {
  for (let at = 0; at < line.length;) {
    at += await Deno.stdout.write(line.subarray(at));
  }
}

/** A bounded queue of lines in front of an asynchronous writer. */
class Lines {
  readonly #write: (line: Uint8Array) => Promise<void>;
  readonly #encoder = new TextEncoder();
  #pending: string[] = [];
  #bytes = 0;
  #dropped = 0;
  #drain: Promise<void> | null = null;

  constructor(write: (line: Uint8Array) => Promise<void>) {
    this.#write = write;
  }

  push(line: string): void {
    if (this.#bytes + line.length > MAX_PENDING_BYTES) {
      this.#dropped++;
      return;
    }
    this.#pending.push(line);
    this.#bytes += line.length;
    this.#drain ??= this.#run();
  }

  async end(timeoutMs: number): Promise<void> {
    await atMost(timeoutMs, this.#drain);
  }

  async #run(): Promise<void> {
    try {
      while (this.#pending.length > 0) {
        const lines = this.#pending;
        const bytes = this.#bytes;
        this.#pending = [];
        await this.#write(this.#encoder.encode(lines.join("")));
        this.#bytes -= bytes;
        if (this.#dropped > 0 && this.#pending.length === 0) {
          const dropped = this.#dropped;
          this.#dropped = 0;
          this.#drain = null;
          logger("log").warn(
            "log lines were dropped: their reader was too slow",
            { dropped },
          );
          return;
        }
      }
    } catch {
      // Nobody reads standard output any more; serving goes on without a log.
      this.#pending = [];
      this.#bytes = 0;
    }
    this.#drain = null;
  }
}

function jsonLine(record: LogRecord): string {
  const { timestamp, level, category, message, properties } = record;
  const head = {
    time: new Date(timestamp).toISOString(),
    level,
    logger: category.slice(1).join("."),
    message: message.join(""),
  };
  // The head stands first, and no property of the same name replaces it.
  return `${JSON.stringify({ ...head, ...properties, ...head }, plainError)}\n`;
}

function plainError(_key: string, value: unknown): unknown {
  return value instanceof Error ? errorLine(value) : value;
}

const COLORS: Record<string, string> = {
  debug: "90",
  info: "32",
  warning: "33",
  error: "31",
};

function prettyLine(record: LogRecord): string {
  const { timestamp, level, category, message, properties } = record;
  const time = new Date(timestamp).toISOString().slice(11, 23);
  let line = `${time} \x1b[${COLORS[level] ?? "31"}m${level.padEnd(7)}\x1b[0m ${
    category.slice(1).join(".")
  } ${message.join("")}`;
  for (const [name, value] of Object.entries(properties)) {
    const text = typeof value === "string"
      ? value
      : JSON.stringify(value, plainError);
    line += ` \x1b[90m${name}=\x1b[0m${text}`;
  }
  return `${line}\n`;
}
