import assert from "node:assert/strict";
import fc from "fast-check";
import { canonicalText, configDigest } from "../shared/canonical.ts";
import { parseConfigText } from "../shared/config.ts";
import { readCanonical } from "./canonical_reader.ts";

function canonical(customers: Iterable<readonly [string, string]>): string {
  const result = parseConfigText(JSON.stringify({
    customer_to_placement: Object.fromEntries(customers),
    default_placement: "a",
    placement_to_endpoint: { b: "http://h:2/x", a: "http://h:1" },
  }));
  assert.ok(result.ok);
  return canonicalText(result.config);
}

const customers = fc.array(
  fc.tuple(
    fc.stringMatching(/^[\x21-\x7e]{1,40}$/).filter((name) =>
      name !== "." && name !== ".."
    ),
    fc.constantFrom("a", "b"),
  ),
  { maxLength: 40 },
);

/** A small number of letters, so that buckets hold several of them. */
const crowded = fc.integer({ min: 0, max: 6000 }).map((count) =>
  Array.from({ length: count }, (_, i) => [`c${i}`, i % 3 ? "a" : "b"] as const)
);

Deno.test("readCanonical() reads what parseConfigText() reads", () => {
  fc.assert(fc.property(fc.oneof(customers, crowded), (pairs) => {
    const text = canonical(pairs);
    const config = readCanonical(text);
    if (config === null) {
      assert.ok(pairs.some(([name]) => /["\\]/.test(name)), text);
      return;
    }
    assert.equal(canonicalText(config), text);
    const parsed = parseConfigText(text);
    assert.ok(parsed.ok);
    assert.equal(configDigest(config), configDigest(parsed.config));
    assert.equal(config.customers.size, parsed.config.customers.size);
    assert.equal(config.defaultPlacement, parsed.config.defaultPlacement);
    assert.deepEqual(config.endpoints, parsed.config.endpoints);
  }));
});

Deno.test("readCanonical() takes nothing that is changed in any way, unless it is canonical again", () => {
  const base = canonical(
    Array.from({ length: 3000 }, (_, i) => [`c${i}`, i % 3 ? "a" : "b"]),
  );
  fc.assert(
    fc.property(
      fc.nat(base.length - 1),
      fc.nat(60),
      fc.oneof(
        fc.constant(""),
        fc.string({ unit: "binary", minLength: 1, maxLength: 3 }),
        fc.constantFrom(
          '"',
          ",",
          "}",
          "\\",
          '","c1":"a',
          '"c1":"a",',
          "é",
          " ",
        ),
      ),
      (at, removed, inserted) => {
        // Half the changes go where the form is richest: to the end.
        const from = at % 2 === 0
          ? at
          : Math.max(0, base.length - 150 + at % 150);
        const text = base.slice(0, from) + inserted +
          base.slice(from + removed);
        const config = readCanonical(text);
        if (config === null) return;
        assert.equal(canonicalText(config), text);
        const parsed = parseConfigText(text);
        assert.ok(parsed.ok, text.slice(Math.max(0, from - 50), from + 50));
        assert.equal(configDigest(config), configDigest(parsed.config));
      },
    ),
    { numRuns: 3000 },
  );
});

for (
  const { name, text } of [
    { name: "nothing", text: "" },
    {
      name: "a config without customers' field",
      text: '{"default_placement":"a"}',
    },
    { name: "white space", text: `${canonical([["x", "a"]])}\n` },
    {
      name: "customers out of order",
      text: canonical([["x", "a"], ["y", "b"]]).replace(
        /\{("[xy]":"[ab]"),("[xy]":"[ab]")\}/,
        "{$2,$1}",
      ),
    },
    {
      name: "a customer twice",
      text: canonical([["x", "a"]]).replace('"x":"a"', '"x":"a","x":"a"'),
    },
    {
      name: "an unknown placement",
      text: canonical([["x", "a"]]).replace('"x":"a"', '"x":"c"'),
    },
    {
      name: "the name ..",
      text: canonical([["x", "a"]]).replace('"x"', '".."'),
    },
    {
      name: "a name that is too long",
      text: canonical([["x", "a"]]).replace('"x"', `"${"x".repeat(257)}"`),
    },
    {
      name: "an empty name",
      text: canonical([["x", "a"]]).replace('"x"', '""'),
    },
    {
      name: "a comma too many",
      text: canonical([["x", "a"]]).replace('"x":"a"', '"x":"a",'),
    },
  ]
) {
  Deno.test(`readCanonical() does not take ${name}`, () => {
    assert.notEqual(text, canonical([["x", "a"]]));
    assert.equal(readCanonical(text), null);
  });
}
