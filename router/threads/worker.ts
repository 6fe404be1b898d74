import { passLines } from "../../shared/log.ts";
import type { ReadyConfig } from "../applier.ts";
import { copyPacked, packedBuffers } from "../config/packed_config.ts";
import type { TlsIdentity } from "../listen/tls_identity.ts";
import type { TrafficCounts } from "./counts.ts";
import type { FromThread, SentConfig, ToThread } from "./messages.ts";

/** How long a thread may take to do what it was told, in milliseconds; then it counts as lost. */
const PATIENCE = 30_000;
/** How long a thread's counters are waited for, in milliseconds; then those it told last are taken. */
const COUNT_TIME = 500;

/** What a thread was told and has yet to say that it did. */
interface Pending {
  readonly done: FromThread["type"];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** One serving thread, as the main one sees it. */
export class Thread {
  /** It takes requests. */
  listening = false;
  /** Its counters, as it told them last; null before it did. */
  counts: TrafficCounts | null = null;
  /** The config that it holds ready, or serves. */
  ready: ReadyConfig | null = null;
  readonly #worker: Worker;
  readonly #lost: (error: string) => void;
  #pending: Pending[] = [];
  /** It has ended, or counts as lost. */
  over = false;

  /** `lost` is called once if the thread dies, or does not answer; `module` is what it runs. */
  constructor(lost: (error: string) => void, module: string) {
    this.#lost = lost;
    this.#worker = new Worker(module, {
      type: "module",
      name: "signalbox-serving",
    });
    this.#worker.onmessage = ({ data }: MessageEvent<FromThread>) =>
      this.#take(data);
    this.#worker.onerror = (event) => {
      // An error left alone would end the whole process.
      event.preventDefault();
      this.lose(event.message);
    };
  }

  /** @throws if it cannot listen. */
  async start(message: ToThread & { type: "start" }): Promise<void> {
    await this.#tell(message, "listening");
    this.listening = true;
  }

  /**
   * Has it hold a config ready.
   *
   * @throws if it cannot.
   */
  async prepare(config: ReadyConfig): Promise<void> {
    this.ready = null;
    await this.#tell(
      { type: "prepare", config: sent(config) },
      "prepared",
    );
    this.ready = config;
  }

  /** Has it serve what it holds ready. */
  swap(): Promise<void> {
    return this.#tell({ type: "swap" }, "serving");
  }

  /** Asks for its counters; those it told last where it does not answer soon. */
  async count(): Promise<TrafficCounts | null> {
    await this.#tell({ type: "count" }, "counts", COUNT_TIME)
      .catch(() => {});
    return this.counts;
  }

  renew(identity: TlsIdentity): void {
    this.#worker.postMessage({ type: "renew", identity } satisfies ToThread);
  }

  /** Lets its requests end within `graceMs` milliseconds, and ends it. */
  async stop(graceMs: number): Promise<void> {
    this.listening = false;
    await this.#tell({ type: "stop", graceMs }, "stopped", graceMs + PATIENCE)
      .catch(() => {});
    this.end();
  }

  #tell(
    message: ToThread,
    done: FromThread["type"],
    patience = PATIENCE,
  ): Promise<void> {
    if (this.over) return Promise.reject(new Error("The thread is lost"));
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      if (patience !== COUNT_TIME) {
        this.lose(`it has not answered ${message.type} for ${patience} ms`);
      } else this.#settle(pending, new Error("No answer"));
    }, patience);
    const pending: Pending = { done, resolve, reject, timer };
    this.#pending.push(pending);
    this.#worker.postMessage(message, transferred(message));
    return promise;
  }

  #take(message: FromThread): void {
    if (message.type === "log") return passLines(message.lines);
    if (message.type === "counts") this.counts = message.counts;
    const failed = message.type === "failed"
      ? message.problem
      : message.type === "prepared" || message.type === "serving"
      ? message.error
      : null;
    const done = message.type === "failed" ? "listening" : message.type;
    const pending = this.#pending.find((pending) => pending.done === done);
    if (pending === undefined) return;
    this.#settle(pending, failed === null ? null : new Error(failed));
  }

  #settle(pending: Pending, error: Error | null): void {
    this.#pending.splice(this.#pending.indexOf(pending), 1);
    clearTimeout(pending.timer);
    if (error === null) pending.resolve();
    else pending.reject(error);
  }

  /** Gives it up, and tells of that. */
  lose(error: string): void {
    if (this.over) return;
    this.#lost(error);
    this.end(new Error(error));
  }

  /** Ends it where it stands. */
  end(error: Error = new Error("The thread was ended")): void {
    if (this.over) return;
    this.over = true;
    this.listening = false;
    for (const pending of [...this.#pending]) this.#settle(pending, error);
    this.#worker.terminate();
  }
}

/** What is given away with a message instead of being copied. */
function transferred(message: ToThread): Transferable[] {
  return "config" in message && message.config !== null
    ? packedBuffers(message.config.packed)
    : [];
}

/** A config as it is sent: a copy, which is given away. */
export function sent(config: ReadyConfig): SentConfig {
  const { version, epoch, source, routes } = config;
  return { version, epoch, source, packed: copyPacked(routes.packed) };
}
