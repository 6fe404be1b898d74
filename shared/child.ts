import { passLines } from "./log.ts";

/** How long a thread may take to do what it was told, in milliseconds; then it counts as lost. */
const PATIENCE = 30_000;
/** A timer later than this means that this process did not run, and so the thread could not answer. */
const LATE = 1000;

/** What a thread was told and has yet to answer. */
interface Pending<Answer> {
  readonly answers: readonly string[];
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
  timer: ReturnType<typeof setTimeout>;
}

/** The thread has died, was ended, or did not answer in time; the message says which. */
export class ChildLost extends Error {
  override name = "ChildLost";
}

/** What every thread may tell besides: lines of its log. */
export interface LogMessage {
  readonly type: "log";
  readonly lines: string;
}

export interface ChildOptions<From> {
  /** The module it runs. */
  readonly module: string;
  readonly name: string;
  /** Called once if it dies, or does not answer. */
  readonly lost: (error: string) => void;
  /** Called with what it tells without having been asked. */
  readonly told?: (message: From) => void;
}

/**
 * A worker as the thread that started it sees it: what it is told and what it answers. It ends by itself only by
 * dying; then, and where it does not answer in time, it counts as lost.
 */
export class Child<To extends { type: string }, From extends { type: string }> {
  /** It has ended, or counts as lost. */
  over = false;
  readonly #worker: Worker;
  readonly #lost: (error: string) => void;
  readonly #told: (message: From) => void;
  #pending: Pending<From>[] = [];

  constructor({ module, name, lost, told = () => {} }: ChildOptions<From>) {
    this.#lost = lost;
    this.#told = told;
    this.#worker = new Worker(module, { type: "module", name });
    this.#worker.onmessage = ({ data }: MessageEvent<From | LogMessage>) =>
      this.#take(data);
    this.#worker.onerror = (event) => {
      // An error left alone would end the whole process.
      event.preventDefault();
      this.lose(event.message);
    };
  }

  /** Tells it something that is not answered. */
  tell(message: To, transferred: Transferable[] = []): void {
    if (!this.over) this.#worker.postMessage(message, transferred);
  }

  /**
   * Tells it something, and waits for an answer of one of these types.
   *
   * @param options.patience in milliseconds; past it, the thread counts as lost.
   * @throws {ChildLost} if the thread is, or has ended.
   */
  ask<T extends From["type"]>(
    message: To,
    answers: readonly T[],
    options: { patience?: number; transferred?: Transferable[] } = {},
  ): Promise<Extract<From, { type: T }>> {
    if (this.over) return Promise.reject(new ChildLost("it is lost"));
    const { patience = PATIENCE, transferred = [] } = options;
    const { promise, resolve, reject } = Promise.withResolvers<From>();
    const wait = () => {
      const due = performance.now() + patience;
      return setTimeout(() => {
        if (performance.now() - due > LATE) pending.timer = wait();
        else {
          this.lose(`it has not answered ${message.type} for ${patience} ms`);
        }
      }, patience);
    };
    const pending: Pending<From> = { answers, resolve, reject, timer: wait() };
    this.#pending.push(pending);
    this.#worker.postMessage(message, transferred);
    return promise as Promise<Extract<From, { type: T }>>;
  }

  #take(message: From | LogMessage): void {
    if (isLog(message)) return passLines(message.lines);
    const index = this.#pending.findIndex(({ answers }) =>
      answers.includes(message.type)
    );
    if (index < 0) return this.#told(message);
    const [pending] = this.#pending.splice(index, 1);
    clearTimeout(pending!.timer);
    pending!.resolve(message);
  }

  /** Gives it up, and tells of that. */
  lose(error: string): void {
    if (this.over) return;
    this.#lost(error);
    this.end(error);
  }

  /** Ends it where it stands. */
  end(why = "it was ended"): void {
    if (this.over) return;
    this.over = true;
    const error = new ChildLost(why);
    for (const { timer, reject } of this.#pending) {
      clearTimeout(timer);
      reject(error);
    }
    this.#pending = [];
    this.#worker.terminate();
  }
}

function isLog(message: { type: string }): message is LogMessage {
  return message.type === "log";
}
