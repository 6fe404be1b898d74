import assert from "node:assert/strict";
import fc from "fast-check";
import { CustomerMap } from "../../shared/customers.ts";
import { sortedCustomers } from "./customer_page.ts";

// Quotes, backslashes, commas and colons are what the text of a bucket is made of.
const name = fc.string({
  unit: fc.constantFrom("a", "b", '"', "\\", ",", ":", "!", "~"),
  minLength: 1,
  maxLength: 6,
});

Deno.test("sortedCustomers() shows all customers in order, from any place on", () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(name, { maxLength: 200 }),
      fc.option(name, { nil: null }),
      fc.oneof(fc.constant(""), name),
      fc.option(fc.constantFrom("p0", "p1", "none"), { nil: undefined }),
      (names, after, prefix, placement) => {
        const pairs = names.map((name, i) => [name, `p${i % 3}`] as const);
        const expected = pairs
          .filter(([name, at]) =>
            (after === null || name > after) && name.startsWith(prefix) &&
            (placement === undefined || at === placement)
          )
          .toSorted(([a], [b]) => a < b ? -1 : 1);
        const found = sortedCustomers(CustomerMap.from(pairs), {
          after,
          prefix,
          ...(placement === undefined ? {} : { placement }),
        });
        assert.deepEqual([...found], expected.map((pair) => [...pair]));
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("sortedCustomers() finds its place within a full bucket", () => {
  const names = Array.from(
    { length: 50_000 },
    (_, i) => `c${String(i).padStart(6, "0")}`,
  );
  const map = CustomerMap.from(names.map((name) => [name, "p"] as const));
  const found = sortedCustomers(map, { after: "c025000" });
  for (const expected of names.slice(25_001, 25_101)) {
    assert.equal(found.next().value?.[0], expected);
  }
});
