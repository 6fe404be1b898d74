import { setImmediate } from "node:timers";
import type { Clock } from "../../shared/clock.ts";
import { Random } from "../harness/random.ts";
import { EventQueue, type SimulatedEvent } from "./event_queue.ts";

/** When a simulation begins, in milliseconds since the Unix epoch. */
const WALL_START = 1_700_000_000_000;
/** More events than any seed needs: something goes round in circles. */
const MAX_EVENTS = 60_000;

/** What an invariant was broken by. */
export interface Violation {
  /** A short name, the same for the same kind of violation. */
  readonly invariant: string;
  readonly detail: string;
}

/**
 * Virtual time, and everything that happens in it, in one order that the seed alone decides. After each
 * event all that follows from it within the same turn happens; so of several processes one runs at a time.
 */
export class Simulation {
  readonly seed: number;
  /** Milliseconds since the beginning. */
  now = 1000;
  /** The process whose event is being handled; null outside of any. */
  current: Process | null = null;
  /** The first invariant that was broken. */
  violation: Violation | null = null;
  /** What happened, one line each; null where nobody wants to read it. */
  readonly lines: string[] | null;
  readonly #queue = new EventQueue();
  #seq = 0;
  #events = 0;

  constructor(seed: number, options: { trace: boolean }) {
    this.seed = seed;
    this.lines = options.trace ? [] : null;
  }

  /** How many events there were. */
  get events(): number {
    return this.#events;
  }

  /** Random choices for one purpose, which depend on nothing else. */
  random(purpose: string): Random {
    return new Random(this.seed, purpose);
  }

  /** Whether somebody wants to read what happens; making a line costs more than asking. */
  get traced(): boolean {
    return this.lines !== null;
  }

  trace(line: string): void {
    this.lines?.push(
      `${(this.now / 1000).toFixed(3).padStart(8)} ${
        (this.current?.name ?? "-").padEnd(9)
      } ${line}`,
    );
  }

  /** An invariant is broken: nothing happens after this event. */
  fail(invariant: string, detail: string): void {
    if (this.violation !== null) return;
    this.violation = { invariant, detail };
    this.trace(`VIOLATION ${invariant}: ${detail}`);
  }

  /** Has something happen after so many milliseconds, unless its process has ended by then. */
  after(
    milliseconds: number,
    process: Process | null,
    run: () => void,
  ): SimulatedEvent {
    const event: SimulatedEvent = {
      at: this.now + milliseconds,
      seq: this.#seq++,
      process,
      run,
      cancelled: false,
    };
    this.#queue.push(event);
    return event;
  }

  /** Runs something as a part of a process, in the turn under way. */
  within<T>(process: Process, run: () => T): T {
    const before = this.current;
    this.current = process;
    try {
      return run();
    } finally {
      this.current = before;
    }
  }

  /** Lets a process go on that was suspended: what it missed happens now. */
  resume(process: Process): void {
    process.suspended = false;
    process.resumedAt = this.now;
    for (const event of process.missed.splice(0)) {
      event.at = this.now;
      this.#queue.push(event);
    }
  }

  /** Lets time go by until `done`, at most so many milliseconds; answers whether it came to be. */
  async run(milliseconds: number, done: () => boolean): Promise<boolean> {
    const end = this.now + milliseconds;
    while (this.violation === null) {
      if (done()) return true;
      const event = this.#queue.next(end);
      if (event === null) {
        this.now = Math.max(this.now, end);
        return done();
      }
      const { process } = event;
      if (process !== null && !process.alive) continue;
      if (process?.suspended) {
        process.missed.push(event);
        continue;
      }
      await this.#happen(event);
    }
    return false;
  }

  async #happen(event: SimulatedEvent): Promise<void> {
    this.now = Math.max(this.now, event.at);
    if (++this.#events > MAX_EVENTS) {
      this.fail("bounded", `more than ${MAX_EVENTS} events`);
    }
    this.current = event.process;
    try {
      event.run();
    } catch (error) {
      const text = error instanceof Error ? error.stack : String(error);
      this.fail("no exception", `${text}`);
    }
    // A turn of the real loop: every promise that can go on has gone on.
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.current = null;
  }
}

/** A program in the simulation: what belongs to it ends with it. */
export class Process {
  alive = true;
  /** While it is, nothing happens in it. */
  suspended = false;
  /** When it went on last after it had been. */
  resumedAt = -Infinity;
  /** What fell due meanwhile, in its order. */
  readonly missed: SimulatedEvent[] = [];
  /** How wrong its wall clock is, in milliseconds. */
  wallOffset = 0;
  /** Timers that are set. */
  timers = 0;
  readonly name: string;
  readonly random: Random;
  readonly clock: Clock;
  readonly #simulation: Simulation;

  constructor(simulation: Simulation, name: string) {
    this.#simulation = simulation;
    this.name = name;
    this.random = simulation.random(`process ${name}`);
    this.clock = {
      now: () => simulation.now,
      wall: () => this.wall(),
      after: (milliseconds, callback) => {
        const timer = this.setTimer(callback, milliseconds);
        return () => this.clearTimer(timer);
      },
    };
  }

  /** Its wall clock, in whole milliseconds since the Unix epoch. */
  wall(): number {
    return Math.floor(WALL_START + this.#simulation.now + this.wallOffset);
  }

  /** Calls `callback` once after so many milliseconds. */
  setTimer(callback: () => void, milliseconds: number): SimulatedEvent {
    this.timers++;
    const timer = this.#simulation.after(
      Math.max(0, milliseconds),
      this,
      () => {
        timer.cancelled = true;
        this.timers--;
        callback();
      },
    );
    return timer;
  }

  clearTimer(timer: SimulatedEvent): void {
    if (timer.cancelled) return;
    timer.cancelled = true;
    this.timers--;
  }

  /** Waits so many milliseconds; for ever, where the process ends before. */
  pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      this.#simulation.after(milliseconds, this, resolve);
    });
  }
}
