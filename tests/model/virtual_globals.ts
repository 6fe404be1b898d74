import type { SimulatedEvent } from "./event_queue.ts";
import type { Process, Simulation } from "./simulation.ts";

const RealDate = Date;

/**
 * Has what the store takes from the platform come from a simulation: timers, the time, and what is random.
 * Whatever is set belongs to the process that runs at that moment. Undone where what is answered is disposed of.
 */
export function useVirtualGlobals(simulation: Simulation): Disposable {
  const timers = new Map<number, { process: Process; timer: SimulatedEvent }>();
  let lastTimer = 0;
  const outside = simulation.random("outside of any process");

  function setTimer(callback: () => void, milliseconds = 0): number {
    const process = simulation.current;
    if (process === null) {
      throw new TypeError("Cannot set a timer outside of any process");
    }
    const id = ++lastTimer;
    const timer = process.setTimer(() => {
      timers.delete(id);
      callback();
    }, milliseconds);
    timers.set(id, { process, timer });
    return id;
  }

  function clearTimer(id: number | undefined): void {
    const found = timers.get(id ?? 0);
    if (found === undefined) return;
    timers.delete(id!);
    found.process.clearTimer(found.timer);
  }

  function random(): number {
    return (simulation.current?.random ?? outside).below(2 ** 31) / 2 ** 31;
  }

  function wall(): number {
    return simulation.current?.wall() ?? 0;
  }

  class VirtualDate extends RealDate {
    constructor(...given: [] | [number | string]) {
      super(given.length === 0 ? wall() : given[0]);
    }

    static override now(): number {
      return wall();
    }
  }

  function randomUUID(): string {
    const source = simulation.current?.random ?? outside;
    return `${source.text("0123456789abcdef", 8, 8)}-${
      source.text("0123456789abcdef", 4, 4)
    }`;
  }

  const undo = [
    replace(globalThis, "setTimeout", setTimer),
    replace(globalThis, "clearTimeout", clearTimer),
    replace(globalThis, "Date", VirtualDate),
    replace(Math, "random", random),
    replace(performance, "now", () => simulation.now),
    replace(crypto, "randomUUID", randomUUID),
  ];
  return {
    [Symbol.dispose]() {
      for (const each of undo.reverse()) each();
    },
  };
}

/** Replaces a property; answers what puts it back as it was. */
function replace(target: object, name: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, {
    configurable: true,
    writable: true,
    value,
  });
  return () => {
    if (before === undefined) Reflect.deleteProperty(target, name);
    else Object.defineProperty(target, name, before);
  };
}
