import type { Process } from "./simulation.ts";

/** Something that is to happen. */
export interface SimulatedEvent {
  /** When, in virtual milliseconds. */
  at: number;
  /** Of two at one moment the lower one is first. */
  readonly seq: number;
  /** The process it happens in; null for what needs none, such as a network. */
  readonly process: Process | null;
  readonly run: () => void;
  cancelled: boolean;
}

/** What is to happen, the earliest first: a binary heap. */
export class EventQueue {
  readonly #heap: SimulatedEvent[] = [];

  push(event: SimulatedEvent): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  /** Takes the first event out; null if none is due by `end`. */
  next(end: number): SimulatedEvent | null {
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || (!first.cancelled && first.at > end)) {
        return null;
      }
      this.#pop();
      if (!first.cancelled) return first;
    }
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    const size = heap.length;
    if (size === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (child + 1 < size && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }
}

function before(a: SimulatedEvent, b: SimulatedEvent): boolean {
  return a.at < b.at || (a.at === b.at && a.seq < b.seq);
}
