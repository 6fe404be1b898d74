import assert from "node:assert/strict";
import fc from "fast-check";
import { canonicalText, configDigest } from "../../shared/canonical.ts";
import { parseConfigText } from "../../shared/config.ts";
import { packCanonical } from "./canonical_reader.ts";
import { NameTable } from "./name_table.ts";
import type { PackedConfig } from "./packed_config.ts";

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

function pack(text: string): PackedConfig | null {
  // Characters that are no byte stay what they are: not canonical.
  return packCanonical(new TextEncoder().encode(text));
}

/** Fails unless `packed` is what `text` says, as the reader of any config understands it. */
function assertSame(packed: PackedConfig, text: string): void {
  const parsed = parseConfigText(text);
  assert.ok(parsed.ok, text.slice(-200));
  const { config } = parsed;
  assert.equal(canonicalText(config), text);
  assert.equal(new TextDecoder().decode(packed.text), text);
  assert.equal(packed.digest, configDigest(config));
  assert.equal(packed.size, config.customers.size);
  assert.equal(packed.defaultPlacement, config.defaultPlacement);
  assert.deepEqual(packed.endpoints, config.endpoints);
  const table = new NameTable(packed.text, packed.customers);
  const placements = [...packed.endpoints.keys()];
  for (const [customer, placement] of config.customers.entries()) {
    assert.equal(placements[table.get(customer)], placement, customer);
  }
}

Deno.test("packCanonical() reads what parseConfigText() reads", () => {
  fc.assert(fc.property(fc.oneof(customers, crowded), (pairs) => {
    const text = canonical(pairs);
    const packed = pack(text);
    assert.ok(packed !== null, text);
    assertSame(packed, text);
  }));
});

Deno.test("packCanonical() takes nothing that is changed in any way, unless it is canonical again", () => {
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
        const packed = pack(text);
        if (packed !== null) assertSame(packed, text);
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
      name: "an escape that is not needed",
      text: canonical([["x", "a"]]).replace('"x"', '"\\u0078"'),
    },
    {
      name: "names with escapes out of order",
      text: canonical([['x"1', "a"]]).replace(
        '"x\\"1":"a"',
        '"x\\"1":"a","x\\"1":"a"',
      ),
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
  Deno.test(`packCanonical() does not take ${name}`, () => {
    assert.notEqual(text, canonical([["x", "a"]]));
    assert.equal(pack(text), null);
  });
}
