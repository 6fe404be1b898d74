import { deepEqual, equal, match, throws } from "node:assert/strict";
import fc from "fast-check";
import {
  fromPlain,
  JsonSyntaxError,
  pointer,
  readJson,
  show,
  toPlain,
  writeJson,
} from "./json.ts";

Deno.test("readJson() keeps prototype names as keys", () => {
  const { value } = readJson('{"__proto__":1,"constructor":{"toString":2}}');
  deepEqual(
    value,
    new Map<string, unknown>([["__proto__", 1], [
      "constructor",
      new Map([["toString", 2]]),
    ]]),
  );
});

Deno.test("readJson() reports each key that stands twice with its pointer", () => {
  deepEqual(
    readJson('{"a":1,"b":{"x/y":1,"x/y":1},"a":2,"c":[{"d":1,"d":1}]}')
      .repeated,
    [
      "/b/x~1y",
      "/a",
      "/c/0/d",
    ],
  );
  deepEqual(readJson('{"a":{"b":1},"c":{"b":1}}').repeated, []);
});

Deno.test("readJson() sees one key behind two spellings", () => {
  deepEqual(readJson('{"acme":1,"\\u0061cme":2}').repeated, ["/acme"]);
});

Deno.test("readJson() says what was found where", () => {
  for (
    const [text, expected] of [
      ["", /expected a value at character 0, where the text ends/],
      ["{", /expected a key in double quotes at character 1/],
      [
        "{a:1}",
        /expected a key in double quotes at character 1, where it has "a:1}"/,
      ],
      ['{"a" 1}', /expected `:` after a key at character 5/],
      ['{"a":1,}', /expected a key in double quotes at character 7/],
      ["[1,]", /expected a value at character 3/],
      ["[1 2]", /expected `,` or `\]` after a value at character 3/],
      ["01", /expected end of the text at character 1/],
      ["1.", /expected end of the text at character 1/],
      ["+1", /expected a value at character 0/],
      ["NaN", /expected a value at character 0/],
      ["nul", /expected a value at character 0/],
      ['"a', /expected the end of a string at character 2/],
      ['"a\nb"', /expected the end of a string at character 2/],
      ['"\\x"', /expected a valid escape in a string at character 1/],
      ['"\\', /expected the end of a string/],
      ["{} {}", /expected end of the text at character 3/],
      ["\ufeff{}", /expected a value at character 0/],
      ["\u00a01", /expected a value at character 0/],
    ] as const
  ) {
    throws(() => readJson(text), (error) => {
      equal(error instanceof JsonSyntaxError, true);
      match((error as Error).message, expected, text);
      return true;
    });
  }
});

Deno.test("readJson() refuses deep nesting instead of running out of stack", () => {
  throws(() => readJson("[".repeat(100_000)), /deeper than 64 levels/);
  throws(() => readJson('{"a":'.repeat(100_000)), /deeper than 64 levels/);
});

Deno.test("readJson() agrees with JSON.parse on every JSON text", () => {
  fc.assert(fc.property(fc.json({ maxDepth: 6 }), fc.nat(4), (text, indent) => {
    const spaced = JSON.stringify(JSON.parse(text), null, indent);
    deepEqual(
      JSON.stringify(toPlain(readJson(spaced).value)),
      JSON.stringify(JSON.parse(spaced)),
    );
  }));
});

Deno.test("readJson() agrees with JSON.parse on what is not JSON", () => {
  const damaged = fc.tuple(
    fc.json({ maxDepth: 3 }),
    fc.nat(),
    fc.string({ maxLength: 2 }),
  ).map(
    ([text, at, insert]) => text.slice(0, at % (text.length + 1)) + insert,
  );
  fc.assert(fc.property(damaged, (text) => {
    let expected: unknown = undefined;
    try {
      expected = JSON.parse(text);
    } catch {
      throws(() => readJson(text), JsonSyntaxError);
      return;
    }
    deepEqual(
      JSON.stringify(toPlain(readJson(text).value)),
      JSON.stringify(expected),
    );
  }));
});

Deno.test("readJson() refuses what would take far more memory than its text", () => {
  for (
    const [text, reason] of [
      [`[${"{},".repeat(1_000_000)}0]`, /more than 1000000 objects and arrays/],
      [`[${"[],".repeat(1_000_000)}0]`, /more than 1000000 objects and arrays/],
      [`[${"0,".repeat(4_000_000)}0]`, /more than 4000000 values/],
    ] as const
  ) throws(() => readJson(text), reason);
  const { value } = readJson(`[${"0,".repeat(3_999_999)}0]`);
  equal((value as unknown[]).length, 4_000_000);
});

Deno.test("writeJson() and fromPlain() keep a value as it is", () => {
  fc.assert(fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
    const text = JSON.stringify(value);
    // Objects with `__proto__` come out of JSON.parse as their own property, as they should.
    equal(
      JSON.stringify(JSON.parse(writeJson(fromPlain(JSON.parse(text))))),
      text,
    );
  }));
});

Deno.test("pointer() escapes as RFC 6901 section 3 says", () => {
  equal(pointer("/a", "b/c~d"), "/a/b~1c~0d");
  equal(pointer("", ""), "/");
});

Deno.test("show() shortens what is long", () => {
  equal(show("x".repeat(200)).length, 78);
  equal(show(undefined), "undefined");
  equal(show(new Map()), "an object");
});
