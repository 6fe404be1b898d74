import type { Random } from "../harness/random.ts";
import type { Process, Simulation } from "./simulation.ts";

/** How a call of the database goes wrong. */
export type CallFault =
  /** It fails and has not taken effect. */
  | "refused"
  /** It takes effect, and its answer is lost on the way. */
  | "lost"
  /** It takes effect, and is never answered. */
  | "silent";

/** When the caller is to die of a call. */
export interface Deathtrap {
  /** How many calls, or writes, go well before. */
  calls: number;
  readonly writesOnly: boolean;
  /** Whether the fatal call takes effect. */
  readonly effective: boolean;
  readonly die: () => void;
}

/** How long a store waits for the answer to a call, in milliseconds. */
export const CALL_TIMEOUT_MS = 10_000;
/** How long a call takes that nothing is wrong with, in milliseconds. */
const LATENCY_MS = 2;
/** A slow one. */
const SLOW_MS = 1500;

/** The calls of one process to the database: each takes effect at one moment, and is answered at a later one. */
export class RemoteCalls {
  /** What is to go wrong with the next calls. */
  faults: CallFault[] = [];
  /** Until then every call is refused. */
  outageUntil = 0;
  deathtrap: Deathtrap | null = null;
  /** Until then some caller may wait for an answer that never comes. */
  silentUntil = 0;
  readonly process: Process;
  readonly #simulation: Simulation;
  readonly #random: Random;

  constructor(simulation: Simulation, process: Process) {
    this.#simulation = simulation;
    this.process = process;
    this.#random = simulation.random(`calls of ${process.name}`);
  }

  /** Has a call take effect, later, and answers it, later still; an error where it goes wrong. */
  call<T>(
    what: string,
    effect: () => T | Promise<T>,
    options: { write?: boolean } = {},
  ): Promise<T> {
    const { write = false } = options;
    const simulation = this.#simulation;
    const fault = this.#fault();
    const there = this.#latency();
    const back = this.#latency();
    // What is on its way when its process is killed arrives, or does not.
    const outlives = this.#random.once(2);
    if (fault === "silent") {
      this.silentUntil = simulation.now + CALL_TIMEOUT_MS + 1;
    }
    return new Promise((resolve, reject) => {
      const settle = (how: () => void) =>
        simulation.after(back, this.process, how);
      simulation.after(there, null, () => {
        if (!this.process.alive && !outlives) return;
        // What follows within this turn is the caller's, as far as it is anybody's.
        simulation.current = this.process;
        const fatal = this.#isFatal(write);
        if (fault === "refused" || (fatal !== null && !fatal.effective)) {
          if (simulation.traced) simulation.trace(`store: ${what} refused`);
          if (fatal !== null) fatal.die();
          settle(() => reject(new Error("simulated: refused")));
          return;
        }
        if (simulation.traced) {
          simulation.trace(`store: ${what} ${fault ?? ""}`.trimEnd());
        }
        const result = effect();
        // Where nobody is told, nobody looks at what went wrong.
        if (result instanceof Promise) result.catch(() => {});
        if (fatal !== null) simulation.after(0, null, () => fatal.die());
        if (fault === "silent") return;
        if (fault === "lost") {
          settle(() => reject(new Error("simulated: the answer was lost")));
          return;
        }
        if (result instanceof Promise) {
          result.then(
            (value) => settle(() => resolve(value)),
            (error) => settle(() => reject(error)),
          );
        } else settle(() => resolve(result));
      });
    });
  }

  #fault(): CallFault | null {
    if (this.#simulation.now < this.outageUntil) return "refused";
    return this.faults.shift() ?? null;
  }

  #isFatal(write: boolean): Deathtrap | null {
    const { deathtrap } = this;
    if (deathtrap === null || !this.process.alive) return null;
    if (deathtrap.writesOnly && !write) return null;
    if (deathtrap.calls-- > 0) return null;
    this.deathtrap = null;
    return deathtrap;
  }

  #latency(): number {
    return this.#random.below(this.#random.once(60) ? SLOW_MS : LATENCY_MS);
  }
}
