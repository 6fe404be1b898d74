import assert from "node:assert/strict";
import { readJson, writeJson } from "../../shared/json.ts";
import { applyJsonPatch, parseJsonPatch, PatchError } from "./json_patch.ts";

function patched(document: string, patch: string): string {
  const { operations, problems } = parseJsonPatch(readJson(patch).value);
  if (problems.length > 0) throw problems[0];
  return writeJson(applyJsonPatch(readJson(document).value, operations));
}

/** RFC 6902, appendix A; null where the patch must fail. */
const VECTORS: readonly (readonly [
  name: string,
  document: string,
  patch: string,
  result: string | null,
])[] = [
  [
    "A.1 adds an object member",
    '{"foo":"bar"}',
    '[{"op":"add","path":"/baz","value":"qux"}]',
    '{"foo":"bar","baz":"qux"}',
  ],
  [
    "A.2 adds an array element",
    '{"foo":["bar","baz"]}',
    '[{"op":"add","path":"/foo/1","value":"qux"}]',
    '{"foo":["bar","qux","baz"]}',
  ],
  [
    "A.3 removes an object member",
    '{"baz":"qux","foo":"bar"}',
    '[{"op":"remove","path":"/baz"}]',
    '{"foo":"bar"}',
  ],
  [
    "A.4 removes an array element",
    '{"foo":["bar","qux","baz"]}',
    '[{"op":"remove","path":"/foo/1"}]',
    '{"foo":["bar","baz"]}',
  ],
  [
    "A.5 replaces a value",
    '{"baz":"qux","foo":"bar"}',
    '[{"op":"replace","path":"/baz","value":"boo"}]',
    '{"baz":"boo","foo":"bar"}',
  ],
  [
    "A.6 moves a value",
    '{"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}}',
    '[{"op":"move","from":"/foo/waldo","path":"/qux/thud"}]',
    '{"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}}',
  ],
  [
    "A.7 moves an array element",
    '{"foo":["all","grass","cows","eat"]}',
    '[{"op":"move","from":"/foo/1","path":"/foo/3"}]',
    '{"foo":["all","cows","eat","grass"]}',
  ],
  [
    "A.8 tests a value",
    '{"baz":"qux","foo":["a",2,"c"]}',
    '[{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}]',
    '{"baz":"qux","foo":["a",2,"c"]}',
  ],
  [
    "A.9 fails a test",
    '{"baz":"qux"}',
    '[{"op":"test","path":"/baz","value":"bar"}]',
    null,
  ],
  [
    "A.10 adds a nested member object",
    '{"foo":"bar"}',
    '[{"op":"add","path":"/child","value":{"grandchild":{}}}]',
    '{"foo":"bar","child":{"grandchild":{}}}',
  ],
  [
    "A.11 ignores unrecognized elements",
    '{"foo":"bar"}',
    '[{"op":"add","path":"/baz","value":"qux","xyz":123}]',
    '{"foo":"bar","baz":"qux"}',
  ],
  [
    "A.12 does not add to a nonexistent target",
    '{"foo":"bar"}',
    '[{"op":"add","path":"/baz/bat","value":"qux"}]',
    null,
  ],
  [
    "A.14 orders ~ escapes",
    '{"/":9,"~1":10}',
    '[{"op":"test","path":"/~01","value":10}]',
    '{"/":9,"~1":10}',
  ],
  [
    "A.15 does not compare text with numbers",
    '{"/":9,"~1":10}',
    '[{"op":"test","path":"/~01","value":"10"}]',
    null,
  ],
  [
    "A.16 adds an array value",
    '{"foo":["bar"]}',
    '[{"op":"add","path":"/foo/-","value":["abc","def"]}]',
    '{"foo":["bar",["abc","def"]]}',
  ],
];

for (const [name, document, patch, result] of VECTORS) {
  Deno.test(`applyJsonPatch() follows RFC 6902 ${name}`, () => {
    if (result === null) {
      assert.throws(() => patched(document, patch), PatchError);
    } else assert.equal(patched(document, patch), result);
  });
}

Deno.test("applyJsonPatch() replaces, adds and copies the whole document", () => {
  assert.equal(
    patched('{"a":1}', '[{"op":"replace","path":"","value":[1]}]'),
    "[1]",
  );
  assert.equal(
    patched('{"a":1}', '[{"op":"copy","from":"","path":"/b"}]'),
    '{"a":1,"b":{"a":1}}',
  );
});

Deno.test("applyJsonPatch() treats null as a value like any other", () => {
  assert.equal(
    patched(
      '{"a":null}',
      '[{"op":"test","path":"/a","value":null},{"op":"move","from":"/a","path":"/b"},{"op":"replace","path":"/b","value":null}]',
    ),
    '{"b":null}',
  );
});

Deno.test("applyJsonPatch() takes names of prototypes for names", () => {
  assert.equal(
    patched("{}", '[{"op":"add","path":"/__proto__","value":{"x":1}}]'),
    '{"__proto__":{"x":1}}',
  );
  assert.throws(() =>
    patched("{}", '[{"op":"add","path":"/constructor/prototype/x","value":1}]')
  );
});

Deno.test("applyJsonPatch() changes copies apart from their originals and the patch", () => {
  assert.equal(
    patched(
      '{"a":{"b":1}}',
      '[{"op":"copy","from":"/a","path":"/c"},{"op":"add","path":"/c/d","value":2}]',
    ),
    '{"a":{"b":1},"c":{"b":1,"d":2}}',
  );
  const value = readJson(
    '[{"op":"add","path":"/a","value":{}},{"op":"add","path":"/a/b","value":1}]',
  ).value;
  const before = writeJson(value);
  const { operations } = parseJsonPatch(value);
  applyJsonPatch(new Map(), operations);
  assert.equal(writeJson(value), before);
});

Deno.test("applyJsonPatch() refuses what cannot be done, and says which operation", () => {
  for (
    const [operation, message] of [
      ['{"op":"remove","path":"/none"}', /nothing at "\/none"/],
      ['{"op":"remove","path":""}', /whole document/],
      ['{"op":"replace","path":"/none","value":1}', /nothing at/],
      ['{"op":"add","path":"/list/01","value":1}', /not an index/],
      ['{"op":"add","path":"/list/3","value":1}', /not an index/],
      ['{"op":"remove","path":"/list/-"}', /not an index/],
      ['{"op":"move","from":"/map","path":"/map/inner"}', /below it/],
      ['{"op":"copy","from":"/none","path":"/x"}', /nothing at/],
    ] as const
  ) {
    assert.throws(
      () =>
        patched(
          '{"list":[1,2],"map":{}}',
          `[{"op":"test","path":"/map","value":{}},${operation}]`,
        ),
      (error: unknown) =>
        error instanceof PatchError && error.pointer === "/1" &&
        message.test(error.message) && !error.failedTest,
      operation,
    );
  }
});

for (
  const { name, start, path } of [
    { name: "maps", start: { a: 1 }, path: (i: number) => `/x/c${i}` },
    { name: "lists", start: [[]], path: () => "/x/-" },
  ]
) {
  Deno.test(`applyJsonPatch() stops a patch whose copies of ${name} grow without bound, before it has cost much`, () => {
    const copies = Array.from(
      { length: 40 },
      (_, index) => ({ op: "copy", from: "/x", path: path(index) }),
    );
    const operations = [{ op: "add", path: "/x", value: start }, ...copies];
    assert.throws(
      () => patched("{}", JSON.stringify(operations)),
      (error: unknown) =>
        error instanceof PatchError &&
        /copies more than 200000 values/.test(error.message) &&
        // Each copy doubles what there is: a limit of 10,000,000 would stop some six operations later.
        Number(error.pointer.slice(1)) < 20,
    );
  });
}

Deno.test("applyJsonPatch() refuses to copy what moves have nested too deep", () => {
  let value: unknown = {};
  for (let depth = 0; depth < 60; depth++) value = { a: value };
  const operations: object[] = [{ op: "add", path: "/x", value: {} }];
  // Moves copy nothing, so it is only here that somebody has to go through it all.
  for (let times = 0; times < 300; times++) {
    operations.push(
      { op: "add", path: "/y", value },
      { op: "move", from: "/x", path: `/y${"/a".repeat(60)}/a` },
      { op: "move", from: "/y", path: "/x" },
    );
  }
  operations.push({ op: "copy", from: "/x", path: "/z" });
  assert.throws(
    () => patched("{}", JSON.stringify(operations)),
    (error: unknown) =>
      error instanceof PatchError && /deeper than 128/.test(error.message),
  );
});

Deno.test("parseJsonPatch() lists the problem of each operation", () => {
  const { problems } = parseJsonPatch(
    readJson(
      '[1,{"op":"spin","path":""},{"op":"add","path":"a","value":1},{"op":"add","path":"/a"},{"op":"move","path":"/a"},{"path":""},{"op":"remove","path":"/~2"}]',
    ).value,
  );
  assert.deepEqual(problems.map(({ pointer }) => pointer), [
    "/0",
    "/1/op",
    "/2/path",
    "/3",
    "/4",
    "/5",
    "/6/path",
  ]);
  assert.equal(parseJsonPatch(new Map()).problems.length, 1);
});
