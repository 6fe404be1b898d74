import { Child, ChildLost } from "../../../shared/child.ts";
import type { Config } from "../../../shared/config.ts";
import { logger } from "../../../shared/log.ts";
import { SerialQueue } from "../../store/serial_queue.ts";
import type { VersionStore } from "../../store/store.ts";
import { joinParts, parseBody } from "../body.ts";
import { busy, ProblemError } from "../problem.ts";
import type { BodySpec } from "../route.ts";
import {
  BODY_EDITS,
  type BodyEdit,
  type BodyEditKind,
  needsCurrent,
} from "./body_edits.ts";
import { packedBuffers, packPlain, unpack } from "./packed_config.ts";
import {
  type FromReading,
  partBuffers,
  type ReadingTask,
  type SentProblem,
  type ToReading,
} from "./reading_messages.ts";

const log = logger("api");

/** Bodies above this are read by a thread of their own, in bytes. */
const LARGE_BYTES = 64 * 1024;
/** How long the thread may take for a body, in milliseconds; then it counts as lost. */
const PATIENCE_MS = 60_000;
/** A thread that has read more than this in one task is replaced, in bytes: it keeps the memory that it took. */
const RENEW_BYTES = 4 * 1024 * 1024;
/**
 * How long after its last such task it is, in milliseconds: not while bodies come one after the other, since
 * starting a thread stalls this one for some 10 to 30 ms.
 */
const RENEW_MS = 30_000;
/** How many bodies may wait for the one that is read. */
const MAX_WAITING = 16;

/** What a body says, before it is put together with a config. */
type Body = Omit<ReadingTask, "current">;

/** What has been made of a body: the config, or the problem with it. */
type Made = { readonly config: Config } | { readonly problem: ProblemError };

export interface LargeBodiesOptions {
  readonly store: VersionStore;
  /**
   * What the thread runs.
   *
   * @default {"./reading_worker.ts"}
   */
  readonly module?: string;
  /**
   * How long the thread may take for a body, in milliseconds.
   *
   * @default {60_000}
   */
  readonly patienceMs?: number;
  /**
   * Bodies above this are read by the thread, in bytes.
   *
   * @default {65_536}
   */
  readonly aboveBytes?: number;
}

/**
 * Reads the bodies of edits. A large one is read by a thread, with the very code that reads small ones
 * here, because reading, checking, hashing and compressing a million customers takes seconds: this
 * thread only takes over, bucket by bucket, what was made of it.
 */
export class LargeBodies {
  readonly #store: VersionStore;
  readonly #module: string;
  readonly #patienceMs: number;
  readonly #aboveBytes: number;
  /** One body at a time: each may need many times its size in memory. */
  readonly #queue = new SerialQueue();
  #thread: Child<ToReading, FromReading> | null = null;
  #renewing: ReturnType<typeof setTimeout> | undefined;
  #alone = false;
  #ended = false;

  constructor(options: LargeBodiesOptions) {
    this.#store = options.store;
    this.#module = options.module ??
      import.meta.resolve("./reading_worker.ts");
    this.#patienceMs = options.patienceMs ?? PATIENCE_MS;
    this.#aboveBytes = options.aboveBytes ?? LARGE_BYTES;
  }

  /** Starts the thread, which stalls this one for a moment; else the first large body does. */
  start(): void {
    if (this.#ended || this.#alone || this.#thread?.over === false) return;
    try {
      this.#thread = new Child({
        module: this.#module,
        name: "signalbox-reading",
        // Whoever waits for it is told, and sees to another one.
        lost: () => {},
      });
    } catch (error) {
      // Some hosted platforms have one thread only.
      log.warn("no thread can be started; large bodies hold up all else", {
        error,
      });
      this.#alone = true;
    }
  }

  /** Ends the thread; what it is reading is answered as unavailable. */
  end(): void {
    this.#ended = true;
    clearTimeout(this.#renewing);
    this.#thread?.end("the control plane is stopping");
  }

  /** How a body of one kind is described and read. */
  spec(
    kind: BodyEditKind,
    options: Pick<BodySpec<BodyEdit>, "content" | "maxBytes">,
  ): BodySpec<BodyEdit> {
    return {
      ...options,
      read: BODY_EDITS[kind],
      large: {
        aboveBytes: this.#aboveBytes,
        read: (parts, mediaType) => this.#read({ kind, mediaType, parts }),
      },
    };
  }

  /**
   * Has a body read, and applied to what is current: it is likely to be that still once it is committed.
   *
   * @throws {ProblemError} if something is wrong with the body itself.
   */
  async #read(body: Body): Promise<BodyEdit> {
    this.start();
    if (this.#alone) {
      const document = parseBody(joinParts(body.parts));
      return BODY_EDITS[body.kind](document, body.mediaType);
    }
    const whole = !needsCurrent(body.kind);
    let { parts } = body;
    const apply = async (current: Config | null): Promise<Made> => {
      const answer = await this.#run({ ...body, parts }, current);
      // What is applied once only need not be kept.
      parts = whole ? [] : answer.parts;
      return answer.made;
    };
    // A store that cannot be read tells so where the edit is committed.
    const base = whole
      ? null
      : (await this.#store.current().catch(() => null))?.config ?? null;
    const first = await apply(base);
    return {
      async make(current) {
        const made = whole || current === base ? first : await apply(current);
        if ("problem" in made) throw made.problem;
        return made.config;
      },
    };
  }

  async #run(
    body: Body,
    current: Config | null,
  ): Promise<{ made: Made; parts: Body["parts"] }> {
    if (this.#queue.size > MAX_WAITING) {
      throw busy(
        `${MAX_WAITING} large bodies wait to be read already, which is the most; try again.`,
      );
    }
    return await this.#queue.run(async () => {
      const task = {
        ...body,
        current: current === null ? null : await packPlain(current),
      };
      const bytes = taskBytes(task);
      const { outcome, parts } = await this.#inThread(task);
      if (bytes > RENEW_BYTES) this.#renewLater();
      switch (outcome.type) {
        case "unreadable":
          throw received(outcome.problem);
        case "refused":
          return { made: { problem: received(outcome.problem) }, parts };
        case "made": {
          const config = await unpack(outcome.config, current);
          return { made: { config }, parts };
        }
        case "failed":
          throw new Error(
            `The thread that reads large bodies failed: ${outcome.error}`,
          );
        default:
          return outcome satisfies never;
      }
    });
  }

  /** Replaces the thread once it has had nothing large to do for a while. */
  #renewLater(): void {
    clearTimeout(this.#renewing);
    this.#renewing = setTimeout(() => {
      if (this.#queue.size > 0) return this.#renewLater();
      this.#thread?.end("it has done its work");
      this.start();
    }, RENEW_MS);
  }

  async #inThread(task: ReadingTask) {
    try {
      this.start();
      if (this.#thread === null) throw new ChildLost("it was ended");
      return await this.#thread.ask({ type: "read", ...task }, ["read"], {
        patience: this.#patienceMs,
        transferred: [
          ...partBuffers(task.parts),
          ...(task.current === null ? [] : packedBuffers(task.current)),
        ],
      });
    } catch (error) {
      if (!(error instanceof ChildLost)) throw error;
      if (!this.#ended) {
        log.error(
          "the thread that reads large bodies is lost; another one takes its place",
          { error },
        );
        this.start();
      }
      throw busy(
        `The thread that reads large bodies is lost: ${error.message}. Nothing was changed; try again.`,
      );
    }
  }
}

/** Bytes that the thread reads for a task. */
function taskBytes({ parts, current }: ReadingTask): number {
  return parts.reduce(
    (sum, part) => sum + part.length,
    current?.text.length ?? 0,
  );
}

/** A problem that the thread found, as if it had been found here. */
function received(
  { kind, detail, errors, more, headers }: SentProblem,
): ProblemError {
  return new ProblemError(kind, detail, {
    ...(errors === undefined ? {} : { errors }),
    more,
    headers,
  });
}
