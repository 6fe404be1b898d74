import assert from "node:assert/strict";
import { fromPlain, readJson, writeJson } from "../../shared/json.ts";
import { mergePatch } from "./merge_patch.ts";

/** RFC 7396, appendix A: original, patch, result. */
const VECTORS = [
  ['{"a":"b"}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'],
  ['{"a":"b"}', '{"a":null}', "{}"],
  ['{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'],
  ['{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'],
  ['{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'],
  [
    '{"a":{"b":"c"}}',
    '{"a":{"b":"d","c":null}}',
    '{"a":{"b":"d"}}',
  ],
  ['{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'],
  ['["a","b"]', '["c","d"]', '["c","d"]'],
  ['{"a":"b"}', '["c"]', '["c"]'],
  ['{"a":"foo"}', "null", "null"],
  ['{"a":"foo"}', '"bar"', '"bar"'],
  ['{"e":null}', '{"a":1}', '{"e":null,"a":1}'],
  ["[1,2]", '{"a":"b","c":null}', '{"a":"b"}'],
  ["{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'],
] as const;

for (const [original, patch, result] of VECTORS) {
  Deno.test(`mergePatch() makes ${result} of ${original} by ${patch}`, () => {
    const patched = mergePatch(readJson(original).value, readJson(patch).value);
    assert.equal(writeJson(patched), result);
  });
}

Deno.test("mergePatch() takes names of prototypes for names", () => {
  const patch = readJson(
    '{"__proto__":{"x":1},"constructor":null,"toString":"a"}',
  ).value;
  const patched = mergePatch(fromPlain({ constructor: "b" }), patch);
  assert.equal(writeJson(patched), '{"__proto__":{"x":1},"toString":"a"}');
  assert.equal(({} as Record<string, unknown>)["x"], undefined);
});

Deno.test("mergePatch() does not change the patch", () => {
  const patch = readJson('{"a":{"b":null,"c":{"d":null}}}').value;
  const before = writeJson(patch);
  mergePatch(new Map(), patch);
  mergePatch(readJson('{"a":{"b":1}}').value, patch);
  assert.equal(writeJson(patch), before);
});
