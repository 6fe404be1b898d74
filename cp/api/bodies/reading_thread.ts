import type { ReadingAnswer, ReadingTask } from "./reading_messages.ts";
import { packedBuffers } from "./packed_config.ts";

/** The thread died, or did not answer in time. */
export class ThreadLost extends Error {
  override name = "ThreadLost";
}

/** A task under way. */
interface Pending {
  readonly resolve: (answer: ReadingAnswer) => void;
  readonly reject: (error: ThreadLost) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** One thread that reads large bodies, as the main one sees it. */
export class ReadingThread {
  readonly #worker: Worker;
  readonly #patienceMs: number;
  #pending: Pending | null = null;
  #over = false;

  /** `module` is what it runs; a task that takes longer than `patienceMs` means that it is lost. */
  constructor(module: string, options: { patienceMs: number }) {
    this.#patienceMs = options.patienceMs;
    this.#worker = new Worker(module, {
      type: "module",
      name: "signalbox-reading",
    });
    this.#worker.onmessage = ({ data }: MessageEvent<ReadingAnswer>) => {
      const pending = this.#settle();
      pending?.resolve(data);
    };
    this.#worker.onerror = (event) => {
      // An error left alone would end the whole process.
      event.preventDefault();
      this.end(event.message);
    };
  }

  /** It has ended, or counts as lost. */
  get over(): boolean {
    return this.#over;
  }

  /**
   * Does one task; the one before must have ended. Its buffers are given away.
   *
   * @throws {ThreadLost} if it dies, or takes too long.
   */
  run(task: ReadingTask): Promise<ReadingAnswer> {
    if (this.#over) throw new ThreadLost("it was lost before");
    // Several parts of a body may lie in one buffer.
    const buffers = new Set(task.parts.map(({ buffer }) => buffer));
    this.#worker.postMessage(task, [
      ...buffers,
      ...(task.current === null ? [] : packedBuffers(task.current)),
    ]);
    const { promise, resolve, reject } = Promise.withResolvers<ReadingAnswer>();
    const timer = setTimeout(
      () => this.end(`it has not answered for ${this.#patienceMs} ms`),
      this.#patienceMs,
    );
    this.#pending = { resolve, reject, timer };
    return promise;
  }

  /** Ends it where it stands. */
  end(why: string): void {
    if (this.#over) return;
    this.#over = true;
    this.#worker.terminate();
    this.#settle()?.reject(new ThreadLost(why));
  }

  #settle(): Pending | null {
    const pending = this.#pending;
    if (pending !== null) clearTimeout(pending.timer);
    this.#pending = null;
    return pending;
  }
}
