import { logger } from "../../shared/log.ts";

const log = logger("threads");

/** How long after a loss another thread is started, in milliseconds, unless told otherwise. */
const FIRST_TIME = 1000;
/** The longest time between two attempts, in milliseconds. */
const MAX_TIME = 30_000;

export interface ReplacementOptions {
  /** What takes the place of what, for the log. */
  readonly what: string;
  /** Starts all that is missing; throws if it cannot. */
  readonly replace: () => Promise<void>;
  /**
   * How long after a loss that is done, in milliseconds; each failure doubles it.
   *
   * @default {1_000}
   */
  readonly time?: number | undefined;
}

/** Has lost threads replaced: soon at first, and less and less often where that fails. */
export class Replacement {
  readonly #options: ReplacementOptions;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #time: number;
  #stopped = false;

  constructor(options: ReplacementOptions) {
    this.#options = options;
    this.#time = options.time ?? FIRST_TIME;
  }

  /** Something is missing. */
  begin(): void {
    if (this.#stopped) return;
    this.#timer ??= setTimeout(() => void this.#attempt(), this.#time);
  }

  /** Replaces nothing any more. */
  stop(): void {
    this.#stopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #attempt(): Promise<void> {
    const { what, replace, time = FIRST_TIME } = this.#options;
    try {
      await replace();
      this.#timer = null;
      this.#time = time;
    } catch (error) {
      this.#timer = null;
      if (this.#stopped) return;
      this.#time = Math.min(this.#time * 2, MAX_TIME);
      log.error("a lost thread could not be replaced; trying again", {
        thread: what,
        error,
        in_ms: this.#time,
      });
      this.begin();
    }
  }
}
