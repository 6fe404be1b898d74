import assert from "node:assert/strict";
import fc from "fast-check";
import { decodeCursor, encodeCursor, Smallest } from "./paging.ts";
import { ProblemError } from "./problem.ts";

Deno.test("Smallest keeps the smallest, in order", () => {
  fc.assert(
    fc.property(
      fc.array(fc.string()),
      fc.integer({ min: 1, max: 20 }),
      (items, limit) => {
        const smallest = new Smallest<string>(limit, (item) => item);
        for (const item of items) smallest.add(item);
        const sorted = items.toSorted((a, b) => a < b ? -1 : a > b ? 1 : 0);
        assert.deepEqual(smallest.sorted(), sorted.slice(0, limit));
      },
    ),
  );
});

Deno.test("decodeCursor() reads what encodeCursor() wrote, for the same list only", () => {
  const cursor = encodeCursor("customers", "a/b+~?");
  assert.match(cursor, /^[A-Za-z0-9_-]+$/);
  assert.equal(decodeCursor("customers", cursor), "a/b+~?");
  assert.equal(decodeCursor("customers", undefined), null);
  assert.throws(() => decodeCursor("versions", cursor), ProblemError);
  assert.throws(() => decodeCursor("customers", "%%%"), ProblemError);
});

Deno.test("decodeCursor() refuses a place that no page of the list ends with", () => {
  for (
    const [list, after] of [
      ["versions", "abc"],
      ["versions", "1e400"],
      ["versions", "-5"],
      ["versions", "0"],
      ["versions", ""],
      ["versions", "1".repeat(16)],
      ["diff", "acme"],
    ] as const
  ) {
    assert.throws(
      () => decodeCursor(list, encodeCursor(list, after)),
      (error) => error instanceof ProblemError && error.status === 400,
      `${list}:${after}`,
    );
  }
  assert.equal(decodeCursor("versions", encodeCursor("versions", "7")), "7");
});
