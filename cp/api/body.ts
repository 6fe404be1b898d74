import {
  type JsonDocument,
  JsonSyntaxError,
  readJson,
} from "../../shared/json.ts";
import { repeatedKey } from "../../shared/config.ts";
import { Turns } from "../store/turns.ts";
import { busy, ProblemError } from "./problem.ts";

/** A body that says nothing for this long is given up, in milliseconds. */
const BODY_IDLE_MS = 60_000;

/** A body that is not complete by then is given up as well, in milliseconds. */
const BODY_TOTAL_MS = 10 * 60_000;

/** Parts that are taken before others get their turn; one is at most 64 KiB. */
const PARTS_PER_TURN = 16;

/** The largest body of a call that takes a few fields, in bytes. */
export const SMALL_BODY_BYTES = 64 * 1024;

/**
 * How many bytes of bodies may be in memory at once, over all calls. Each call holds what it has read
 * until it is answered, since what is parsed of it lives as long.
 */
export class BodyBudget {
  readonly #limit: number;
  #used = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes held now. */
  get used(): number {
    return this.#used;
  }

  /**
   * @throws {ProblemError} `unavailable` if that much is not free.
   */
  take(bytes: number): void {
    if (this.#used + bytes > this.#limit) {
      throw busy(
        `The control plane is reading ${this.#used} bytes of other bodies and takes ${this.#limit} at a time; try again.`,
      );
    }
    this.#used += bytes;
  }

  give(bytes: number): void {
    this.#used -= bytes;
  }
}

/** What a call holds of the budget. */
export interface BodyLease {
  take(bytes: number): void;
}

/** The media type of a body, lower case, without parameters; "" if none is given. */
export function mediaType(
  request: Request,
  accepted: readonly string[],
): string {
  const header = request.headers.get("content-type") ?? "";
  const [type = "", ...parameters] = header.toLowerCase().split(";").map((
    part,
  ) => part.trim());
  const headers: Record<string, string> = request.method === "PATCH"
    ? { "accept-patch": accepted.join(", ") }
    : {};
  if (!accepted.includes(type)) {
    throw new ProblemError(
      "unsupported-media-type",
      `${
        header === ""
          ? "The body has no Content-Type"
          : `The body's Content-Type is ${JSON.stringify(header)}`
      }; this call takes ${accepted.join(" or ")}.`,
      { headers },
    );
  }
  for (const parameter of parameters) {
    if (parameter === "" || /^charset="?utf-8"?$/.test(parameter)) continue;
    throw new ProblemError(
      "unsupported-media-type",
      `The body's Content-Type is ${
        JSON.stringify(header)
      }; JSON is UTF-8 and its only parameter here is charset=utf-8.`,
      { headers },
    );
  }
  const coding = request.headers.get("content-encoding");
  if (coding !== null && coding.toLowerCase() !== "identity") {
    throw new ProblemError(
      "unsupported-media-type",
      `The body's Content-Encoding is ${
        JSON.stringify(coding)
      }; bodies are taken unencoded.`,
      { headers: { "accept-encoding": "identity" } },
    );
  }
  return type;
}

/**
 * Reads the bytes of a body as JSON.
 *
 * @throws {ProblemError} if they are not UTF-8, not JSON, or have a key twice.
 */
export function parseBody(bytes: Uint8Array): JsonDocument {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ProblemError("not-json", "The body is not UTF-8.", { cause });
  }
  let document: JsonDocument;
  try {
    document = readJson(text);
  } catch (cause) {
    if (!(cause instanceof JsonSyntaxError)) throw cause;
    const detail = text.trim() === ""
      ? "The body is empty; this call takes a JSON document."
      : `The body is not JSON: ${cause.message}.`;
    throw new ProblemError("not-json", detail, { cause });
  }
  if (document.repeated.length > 0) {
    throw new ProblemError(
      "repeated-key",
      `A key stands more than once in its object: ${
        document.repeated.slice(0, 3).join(", ")
      }${
        document.repeated.length > 3
          ? ` and ${document.repeated.length - 3} more`
          : ""
      }. Which of the values is meant cannot be told, so none is taken.`,
      {
        errors: document.repeated.map((pointer) => ({
          pointer,
          detail: repeatedKey(pointer),
        })),
      },
    );
  }
  return document;
}

/** What came of a body, in the parts that it came in. */
export interface BodyParts {
  readonly parts: readonly Uint8Array<ArrayBuffer>[];
  /** Bytes in all. */
  readonly size: number;
}

/**
 * Reads a body, which may be empty.
 *
 * @throws {ProblemError} if it is too large or too slow, breaks off, or the budget is used up.
 */
export async function readParts(
  request: Request,
  options: {
    maxBytes: number;
    lease: BodyLease;
    idleMs?: number;
    totalMs?: number;
  },
): Promise<BodyParts> {
  const { maxBytes, lease } = options;
  const { idleMs = BODY_IDLE_MS, totalMs = BODY_TOTAL_MS } = options;
  const deadline = performance.now() + totalMs;
  const length = Number(request.headers.get("content-length") ?? NaN);
  if (length > maxBytes) throw tooLarge(maxBytes, `${length} bytes`);
  if (request.body === null) return { parts: [], size: 0 };
  const reader = request.body.getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const turns = new Turns();
  let size = 0;
  try {
    for (;;) {
      // A body whose next part is always there already would never let a timer win.
      const restMs = deadline - performance.now();
      if (restMs <= 0) throw tooSlow();
      const ms = Math.min(idleMs, restMs);
      const { done, value } = await readInTime(reader, ms);
      if (done) break;
      size += value.length;
      if (size > maxBytes) throw tooLarge(maxBytes, "more");
      lease.take(value.length);
      parts.push(value);
      // Of a fast sender the next part is there already, so that nobody else would ever be heard.
      if (parts.length % PARTS_PER_TURN === 0) await turns.next();
    }
  } catch (error) {
    // Whoever still sends is not waited for; what cancelling runs into changes nothing any more.
    reader.cancel().catch(() => {});
    throw error;
  }
  return { parts, size };
}

/** The bytes of a body in one piece. */
export function joinParts(
  parts: readonly Uint8Array<ArrayBuffer>[],
): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const bytes = new Uint8Array(
    parts.reduce((size, part) => size + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

async function readInTime(
  reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>>,
  ms: number,
): Promise<ReadableStreamReadResult<Uint8Array<ArrayBuffer>>> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(tooSlow()), ms);
  });
  try {
    return await Promise.race([reader.read(), late]);
  } catch (cause) {
    if (cause instanceof ProblemError) throw cause;
    throw new ProblemError("bad-request", "The body broke off.", { cause });
  } finally {
    clearTimeout(timer);
  }
}

function tooSlow(): ProblemError {
  return new ProblemError(
    "request-timeout",
    `The body came too slowly, so the call was given up; nothing was changed. It may pause for ${
      BODY_IDLE_MS / 1000
    } seconds and take ${BODY_TOTAL_MS / 1000} in all.`,
    { headers: { "connection": "close" } },
  );
}

function tooLarge(maxBytes: number, size: string): ProblemError {
  return new ProblemError(
    "too-large",
    `The body may have ${maxBytes} bytes here and has ${size}.`,
  );
}
