import { z } from "@hono/zod-openapi";
import { ProblemError } from "./problem.ts";

/** The largest page of any list. */
export const MAX_LIMIT = 1000;
const DEFAULT_LIMIT = 100;

/** The query parameters of a list that pages. */
export const PAGING = {
  limit: z.string().regex(
    /^(?:[1-9][0-9]{0,2}|1000)$/,
    `must be a whole number from 1 to ${MAX_LIMIT}`,
  ).transform(Number).default(DEFAULT_LIMIT).openapi({
    type: "integer",
    minimum: 1,
    maximum: MAX_LIMIT,
    default: DEFAULT_LIMIT,
    description: "How many entries a page has at most.",
  }),
  cursor: z.string().max(1024, "must be a cursor that a page answered")
    .optional().openapi({
      description: "`next_cursor` of the page before; left out for the first.",
    }),
};

/** The field that every page has. */
export const NEXT_CURSOR = z.string().nullable().openapi({
  description: "What to ask the next page with; null on the last one.",
});

/** What a page of each list can end with; a cursor that says something else was not made here. */
const CURSORS = {
  customers: /^/,
  placements: /^/,
  versions: /^[1-9][0-9]{0,14}$/,
  rollouts: /^[1-9][0-9]{0,14}$/,
  diff: /^[12]/,
};
type List = keyof typeof CURSORS;

/** A cursor: where in its list a page ended. Opaque to clients. */
export function encodeCursor(list: List, after: string): string {
  return btoa(`${list}:${after}`).replaceAll("+", "-").replaceAll("/", "_")
    .replaceAll("=", "");
}

/**
 * What {@linkcode encodeCursor} was given; null for the first page.
 *
 * @throws {ProblemError} if it is not a cursor of this list.
 */
export function decodeCursor(
  list: List,
  cursor: string | undefined,
): string | null {
  if (cursor === undefined) return null;
  try {
    const text = atob(cursor.replaceAll("-", "+").replaceAll("_", "/"));
    const after = text.slice(list.length + 1);
    if (text.startsWith(`${list}:`) && CURSORS[list].test(after)) return after;
  } catch {
    // Not base64: the same answer as for a cursor of another list.
  }
  throw new ProblemError(
    "bad-request",
    `cursor must be the next_cursor of an earlier page of this list, not ${
      JSON.stringify(cursor)
    }.`,
    {
      errors: [{
        pointer: "cursor",
        detail: "It is not a cursor of this list.",
      }],
    },
  );
}

/** The `limit` smallest of many things, kept while they pass by: no list of all is ever made. */
export class Smallest<T> {
  readonly #limit: number;
  readonly #key: (item: T) => string;
  // A heap with the largest at its root: what comes is compared with that and mostly passes by.
  readonly #heap: T[] = [];

  constructor(limit: number, key: (item: T) => string) {
    this.#limit = limit;
    this.#key = key;
  }

  add(item: T): void {
    const heap = this.#heap;
    if (heap.length < this.#limit) {
      heap.push(item);
      this.#up(heap.length - 1);
    } else if (this.#key(item) < this.#key(heap[0]!)) {
      heap[0] = item;
      this.#down();
    }
  }

  /** What was kept, smallest first. */
  sorted(): T[] {
    return [...this.#heap].sort((a, b) => this.#key(a) < this.#key(b) ? -1 : 1);
  }

  #up(at: number): void {
    const heap = this.#heap;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (this.#key(heap[at]!) <= this.#key(heap[parent]!)) return;
      [heap[at], heap[parent]] = [heap[parent]!, heap[at]!];
      at = parent;
    }
  }

  #down(): void {
    const heap = this.#heap;
    for (let at = 0;;) {
      let largest = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (
          child < heap.length &&
          this.#key(heap[child]!) > this.#key(heap[largest]!)
        ) largest = child;
      }
      if (largest === at) return;
      [heap[at], heap[largest]] = [heap[largest]!, heap[at]!];
      at = largest;
    }
  }
}
