import type { Logger } from "../../shared/log.ts";
import { pause } from "./pause.ts";
import { type Head, StoreDamaged } from "./store.ts";

/** Wakes one sleeper; a ring while nobody sleeps is kept for the next. */
export class Alarm {
  #rung = false;
  #wake: (() => void) | null = null;

  ring(): void {
    this.#rung = true;
    this.#wake?.();
  }

  /** Sleeps until the next ring, at most so many milliseconds. */
  async sleep(milliseconds: number): Promise<void> {
    if (!this.#rung) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, milliseconds);
      });
      clearTimeout(timer);
      this.#wake = null;
    }
    this.#rung = false;
  }
}

/** Where a head comes from. */
export interface HeadSource {
  /** The head and the versionstamp that changes with it, by a strong read. */
  read(): Promise<{ readonly head: Head; readonly stamp: string }>;
  /** A stream with an item for each change; it may stall, end or fail. */
  changes(): ReadableStream<unknown>;
  readonly intervalMs: number;
  readonly log: Logger;
}

/**
 * The head, now and after each change, until `signal` aborts. What is told always comes from a strong
 * read; the stream of changes and `alarm` only say when to read, and the interval does so without them.
 */
export async function* watchHead(
  source: HeadSource,
  options: { alarm: Alarm; signal: AbortSignal },
): AsyncGenerator<Head, void> {
  const { alarm, signal } = options;
  const ended = new AbortController();
  const end = () => {
    ended.abort();
    alarm.ring();
  };
  if (signal.aborted) return;
  signal.addEventListener("abort", end);
  const following = follow(source, alarm, ended.signal);
  let told: string | null = null;
  let failing = false;
  try {
    while (!signal.aborted) {
      try {
        const { head, stamp } = await source.read();
        if (failing) source.log.info("the store's head can be read again");
        failing = false;
        if (signal.aborted) return;
        if (stamp !== told) {
          told = stamp;
          yield head;
        }
      } catch (error) {
        if (!failing && !signal.aborted) {
          const what = "the store's head cannot be read; trying again";
          if (error instanceof StoreDamaged) source.log.error(what, { error });
          else source.log.warn(what, { error });
        }
        failing = true;
      }
      if (!signal.aborted) await alarm.sleep(source.intervalMs);
    }
  } finally {
    signal.removeEventListener("abort", end);
    end();
    await following;
  }
}

/** Rings at each item of the stream of changes, and begins a new one where it ends. */
async function follow(
  source: HeadSource,
  alarm: Alarm,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const reader = source.changes().getReader();
      const cancel = () => void reader.cancel().catch(() => {});
      signal.addEventListener("abort", cancel);
      try {
        while (!(await reader.read()).done) alarm.ring();
      } finally {
        signal.removeEventListener("abort", cancel);
        cancel();
      }
    } catch (error) {
      if (!signal.aborted) {
        source.log.debug("the watch of the store's head failed", { error });
      }
    }
    await pause(source.intervalMs, signal);
  }
}
