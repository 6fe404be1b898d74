import type { Progress } from "./run.ts";

/** After so long without progress an input counts as one that never ends, in milliseconds. */
const PATIENCE_MS = 20_000;

/** What a watchdog's thread is told. */
export interface Watched {
  /** Two words: the number of the target, and that of the input it has. */
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly targets: readonly string[];
  readonly seed: number;
  readonly patienceMs: number;
}

/**
 * Ends this process, saying which input it was, where one never ends: a loop holds up all that this thread could
 * do about it, so another thread looks on.
 */
export class Watchdog implements Disposable {
  readonly #words = new Int32Array(new SharedArrayBuffer(8));
  readonly #targets: readonly string[];
  readonly #worker: Worker;

  constructor(
    targets: readonly { readonly name: string }[],
    options: {
      readonly seed: number;
      /** @default {20_000} */
      readonly patienceMs?: number;
    },
  ) {
    const { seed, patienceMs = PATIENCE_MS } = options;
    this.#targets = targets.map(({ name }) => name);
    this.#worker = new Worker(import.meta.resolve("./watchdog_worker.ts"), {
      type: "module",
    });
    const watched: Watched = {
      words: this.#words,
      targets: this.#targets,
      seed,
      patienceMs,
    };
    this.#worker.postMessage(watched);
  }

  /** To be told of each input before it is given to its target. */
  readonly progress: Progress = (target, number) => {
    this.#words[0] = this.#targets.indexOf(target);
    this.#words[1] = number;
  };

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
