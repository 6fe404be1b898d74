import assert from "node:assert/strict";
import fc from "fast-check";
import { CustomerMap } from "../../shared/customers.ts";
import { Move } from "./move.ts";

// Quotes, backslashes, commas and colons are what the text of a bucket is made of.
const name = fc.string({
  unit: fc.constantFrom("p", "1", '"', "\\", ",", ":"),
  minLength: 1,
  maxLength: 8,
});
const pairs = fc.uniqueArray(
  fc.tuple(name, fc.constantFrom("p", "p1", "q")),
  { selector: ([name]) => name, maxLength: 100 },
);

Deno.test("Move does to customers what changing each of them does", async () => {
  await fc.assert(
    fc.asyncProperty(
      pairs,
      fc.uniqueArray(name, { maxLength: 50 }),
      fc.constantFrom("p", "p1", "q"),
      fc.boolean(),
      async (pairs, names, to, prepared) => {
        const before = CustomerMap.from(pairs);
        const all = Move.all({ from: "p", to });
        const list = Move.of(names, to);
        if (prepared) {
          await all.prepare(before);
          await list.prepare(before);
        }
        const everyone = pairs.filter(([, at]) => at === "p");
        assert.deepEqual(
          [...all.apply(before).entries()],
          [...before.with(everyone.map(([name]) => [name, to])).entries()],
        );
        assert.deepEqual(
          [...list.apply(before).entries()],
          [...before.with(names.map((name) => [name, to])).entries()],
        );
      },
    ),
  );
});

Deno.test("Move.apply() takes what was prepared, and moves what was changed since", async () => {
  const before = CustomerMap.from([["a", "p"], ["b", "p"], ["c", "q"]]);
  const move = Move.all({ from: "p", to: "q" });
  await move.prepare(before);
  const after = move.apply(before);
  assert.deepEqual([...after.counts], [["q", 3]]);
  assert.deepEqual(move.apply(before).buckets, after.buckets);
  const changed = move.apply(before.with([["d", "p"], ["b", null]]));
  assert.deepEqual([...changed.counts], [["q", 3]]);
  assert.equal(changed.get("d"), "q");
  assert.equal(move.apply(changed), changed);
});
