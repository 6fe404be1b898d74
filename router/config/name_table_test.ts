import { equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { NameTable } from "./name_table.ts";

/** A table of these names, each with its place among them. */
function tableOf(names: readonly string[]): NameTable {
  const quoted = names.map((name) => JSON.stringify(name));
  const text = new TextEncoder().encode(quoted.join(","));
  const table = NameTable.of(text, names.length);
  let at = 1;
  for (const [number, name] of quoted.entries()) {
    table.add(at, at + name.length - 2, number);
    at += name.length + 1;
  }
  return table;
}

const names = fc.uniqueArray(fc.stringMatching(/^[\x21-\x7e]{1,12}$/), {
  maxLength: 200,
});

Deno.test("NameTable.get() finds the names that were added, and no others", () => {
  fc.assert(
    fc.property(names, fc.string({ unit: "binary" }), (names, other) => {
      const table = tableOf(names);
      for (const [number, name] of names.entries()) {
        equal(table.get(name), number);
        // What a name begins with, or what begins with it, is another one.
        for (const near of [name.slice(1), name.slice(0, -1), `${name}x`]) {
          equal(table.get(near), names.indexOf(near));
        }
      }
      equal(table.get(other), names.indexOf(other));
    }),
  );
});

Deno.test("NameTable.get() takes quotes and backslashes for what they are", () => {
  const table = tableOf(['a"', "a\\", 'a\\"', '"', "\\\\"]);
  equal(table.get('a"'), 0);
  equal(table.get("a\\"), 1);
  equal(table.get('a\\"'), 2);
  equal(table.get('"'), 3);
  equal(table.get("\\\\"), 4);
  equal(table.get("\\"), -1);
  equal(table.get("a"), -1);
  equal(table.get(""), -1);
});

Deno.test("NameTable.get() finds the longest name, and nothing longer", () => {
  const longest = '"'.repeat(256);
  const table = tableOf([longest]);
  equal(table.get(longest), 0);
  equal(table.get('"'.repeat(257)), -1);
  equal(table.get("x".repeat(100_000)), -1);
});

Deno.test("NameTable scatters names that differ in their last digits only", () => {
  // At six tenths full a table with a good hash has runs of 100 at most, now and then.
  const names = Array.from(
    { length: 20_000 },
    (_, i) => `${i}`.padStart(9, "0"),
  );
  const { slots } = tableOf(names);
  const taken = slots.filter((_, i) => i % 2 === 0);
  equal(taken.filter((start) => start !== 0).length, names.length);
  let longest = 0;
  let run = 0;
  for (const start of taken) {
    run = start === 0 ? 0 : run + 1;
    longest = Math.max(longest, run);
  }
  ok(longest < 400, `${longest} slots side by side are taken`);
});
