import type { Clock } from "../../shared/clock.ts";
import type { Logger } from "../../shared/log.ts";
import {
  type Committed,
  OnTrial,
  type Trial,
  type VersionStore,
} from "../store/store.ts";
import { checkTrial } from "../store/version_info.ts";

/** Pause after a revert that failed. */
const RETRY_MS = 1_000;

/** Takes a version back that was not confirmed in time. */
export class Reverter {
  /** Versions that this process has taken back. */
  reverts = 0;
  readonly #store: VersionStore;
  readonly #log: Logger;
  readonly #clock: Clock;
  #trial: Trial | null = null;
  /** Whether the store has told of a head before. */
  #told = false;
  #cancel: (() => void) | null = null;
  #reverting: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: { store: VersionStore; log: Logger; clock: Clock }) {
    this.#store = options.store;
    this.#log = options.log;
    this.#clock = options.clock;
  }

  /** The store says that this version waits to be confirmed; null for none. */
  changed(trial: Trial | null): void {
    const first = !this.#told;
    this.#told = true;
    if (
      trial !== null && trial.version === this.#trial?.version &&
      trial.until === this.#trial.until
    ) return;
    this.#cancel?.();
    this.#cancel = null;
    this.#trial = trial;
    if (trial === null || this.#stopped) return;
    // Only one that began before this process has the time left that the clocks say, which may not agree. One that was
    // set back gives nobody more than was asked for.
    const left = first
      ? Date.parse(trial.until) - this.#clock.wall()
      : trial.withinMs;
    this.#after(Math.min(left, trial.withinMs));
  }

  /** Ends it; the revert under way is finished. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#reverting;
  }

  #after(ms: number): void {
    this.#cancel = this.#clock.after(Math.max(0, ms), () => {
      this.#cancel = null;
      this.#reverting = this.#revert(this.#trial!);
    });
  }

  async #revert(trial: Trial): Promise<void> {
    try {
      const { version } = await revert(this.#store, trial, {
        author: null,
        message: `Version ${trial.version} was not confirmed in time`,
      });
      this.reverts++;
      this.#log.warn("a version was not confirmed in time and is taken back", {
        version: trial.version,
        by: version.version,
      });
    } catch (error) {
      // It was confirmed at the last moment, or another control plane has taken it back.
      if (error instanceof OnTrial) return;
      this.#log.error(
        "a version that was not confirmed cannot be taken back; trying again",
        { version: trial.version, error },
      );
      if (this.#trial === trial && !this.#stopped) this.#after(RETRY_MS);
    }
  }
}

/**
 * Takes a version back that waits to be confirmed: the contents before it return as a new version.
 *
 * @throws {OnTrial} if it does not wait any more.
 */
export async function revert(
  store: VersionStore,
  { version, before }: Trial,
  attribution: { author: string | null; message: string },
): Promise<Committed> {
  const old = await store.get(before);
  if (old === null) {
    // Once it is over others commit, and the version may be dropped.
    checkTrial(await store.head(), { reverts: version });
    throw new Error(`Version ${before} is not kept any more`);
  }
  return await store.commit(() => old.config, attribution, {
    reverts: version,
    replaceDamaged: true,
  });
}
