import type { Process, Simulation } from "./simulation.ts";

interface Watcher {
  readonly process: Process;
  readonly controller: ReadableStreamDefaultController<unknown>;
}

/** The streams by which a database tells of changes: late, and sometimes not at all. */
export class ChangeStreams {
  /** Until then nobody is told. */
  silentUntil = 0;
  readonly #simulation: Simulation;
  readonly #watchers = new Set<Watcher>();

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  open(process: Process): ReadableStream<unknown> {
    let watcher: Watcher;
    return new ReadableStream({
      start: (controller) => {
        watcher = { process, controller };
        this.#watchers.add(watcher);
      },
      cancel: () => void this.#watchers.delete(watcher),
    });
  }

  /** Something has changed. */
  ring(): void {
    for (const watcher of this.#watchers) {
      const { process, controller } = watcher;
      if (!process.alive) this.#watchers.delete(watcher);
      else if (this.#simulation.now >= this.silentUntil) {
        const delay = 1 +
          process.random.below(process.random.once(8) ? 400 : 4);
        this.#simulation.after(delay, process, () => {
          if (this.#watchers.has(watcher)) controller.enqueue(null);
        });
      }
    }
  }
}
