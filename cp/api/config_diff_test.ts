import assert from "node:assert/strict";
import fc from "fast-check";
import type { Config } from "../../shared/config.ts";
import { CustomerMap } from "../../shared/customers.ts";
import { ConfigDiff } from "./config_diff.ts";

const text = fc.constantFrom("a", "b", "c", '"', "\\", ",", "a,", "B", "~");

function config(customers: Iterable<readonly [string, string]>): Config {
  return {
    defaultPlacement: "p",
    endpoints: new Map([["p", "http://p"]]),
    customers: CustomerMap.from(customers),
  };
}

Deno.test("ConfigDiff finds what is added, removed and moved", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.dictionary(text, fc.constantFrom("p", "q")),
      fc.dictionary(text, fc.constantFrom("p", "q")),
      async (before, after) => {
        const found: Record<string, unknown> = {};
        const diff = new ConfigDiff(
          config(Object.entries(before)),
          config(Object.entries(after)),
        );
        const summary = await diff.summary(({ name, from, to }) => {
          found[name] = [from, to];
        });
        const expected: Record<string, unknown> = {};
        for (const name of Object.keys({ ...before, ...after })) {
          const change = [before[name] ?? null, after[name] ?? null];
          if (change[0] !== change[1]) expected[name] = change;
        }
        assert.deepEqual(found, expected);
        assert.equal(
          summary.customers_added + summary.customers_moved +
            summary.customers_removed,
          Object.keys(expected).length,
        );
        assert.deepEqual(await diff.summary(), summary);
      },
    ),
  );
});

Deno.test("ConfigDiff lets others have their turn while it compares much", async () => {
  const names = Array.from({ length: 100_000 }, (_, i) => `customer-${i}`);
  const diff = new ConfigDiff(
    config(names.map((name) => [name, "p"] as const)),
    config(names.map((name) => [name, "q"] as const)),
  );
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  const summary = await diff.summary();
  clearInterval(timer);
  assert.equal(summary.customers_moved, names.length);
  assert.ok(turns > 0);
});
