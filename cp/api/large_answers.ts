import { type Clock, systemClock } from "../../shared/clock.ts";
import { logger } from "../../shared/log.ts";
import { busy } from "./problem.ts";

const log = logger("api");

/** Answers up to this many bytes are sent in one go. */
const SMALL_BYTES = 256 * 1024;
/** How many larger ones may be on their way at a time; each may hold a version of its own. */
const MAX_OPEN = 8;
/** Characters that a reader is handed at a time. */
const PIECE = 64 * 1024;
/** A reader that takes no piece for this long is cut off, in milliseconds. */
const IDLE_MS = 60_000;
/** One that takes longer than this for all of it is as well. */
const TOTAL_MS = 15 * 60_000;

/** Answers that may have many megabytes: made piece by piece as their readers take them. */
export class LargeAnswers {
  readonly #clock: Clock;
  readonly #encoder = new TextEncoder();
  #open = 0;
  #refused = 0;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** How many are on their way. */
  get open(): number {
    return this.#open;
  }

  /** How many were refused. */
  get refused(): number {
    return this.#refused;
  }

  /**
   * An answer in JSON, of texts in ASCII with `bytes` characters in all.
   *
   * @throws {ProblemError} `unavailable` if too many are on their way.
   */
  answer(
    texts: Iterable<string>,
    options: { bytes: number; headers?: Readonly<Record<string, string>> },
  ): Response {
    const headers = {
      ...options.headers,
      "content-type": "application/json",
      // With it a reader that is cut off knows that something is missing.
      "content-length": String(options.bytes),
    };
    if (options.bytes <= SMALL_BYTES) {
      return new Response([...texts].join(""), { headers });
    }
    if (this.#open >= MAX_OPEN) {
      this.#refused++;
      throw busy(
        `${MAX_OPEN} large answers are on their way, which is the most; try again.`,
      );
    }
    return new Response(this.#stream(pieces(texts)), { headers });
  }

  #stream(texts: Iterator<string, void>): ReadableStream<Uint8Array> {
    const deadline = this.#clock.now() + TOTAL_MS;
    let stopTimer: (() => void) | null = null;
    this.#open++;
    const end = () => {
      if (stopTimer === null) return;
      stopTimer();
      stopTimer = null;
      this.#open--;
    };
    const wait = (controller: ReadableStreamDefaultController<Uint8Array>) => {
      stopTimer?.();
      const ms = Math.min(IDLE_MS, deadline - this.#clock.now());
      stopTimer = this.#clock.after(ms, () => {
        log.warn("a large answer was cut off: its reader is too slow");
        end();
        controller.close();
      });
    };
    return new ReadableStream<Uint8Array>({
      start: wait,
      pull: (controller) => {
        const { done, value } = texts.next();
        if (done) {
          end();
          controller.close();
        } else {
          controller.enqueue(this.#encoder.encode(value));
          wait(controller);
        }
      },
      cancel: end,
    }, { highWaterMark: 0 });
  }
}

/** A value as JSON in ASCII alone: a text that can be cut anywhere. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[\u0080-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The same text in pieces of one size: neither a thousand small ones nor one that is as large as all. */
function* pieces(texts: Iterable<string>): Generator<string, void> {
  let piece = "";
  for (const text of texts) {
    piece += text;
    while (piece.length >= PIECE) {
      yield piece.slice(0, PIECE);
      piece = piece.slice(PIECE);
    }
  }
  if (piece !== "") yield piece;
}
