import assert from "node:assert/strict";
import { EDIT_HEADERS, parseIfMatch } from "./edit_options.ts";

Deno.test("parseIfMatch() reads tags, lists and *", () => {
  assert.deepEqual(parseIfMatch('"42"'), ["42"]);
  assert.deepEqual(parseIfMatch(' "42" ,"43","" '), ["42", "43", ""]);
  assert.equal(parseIfMatch("*"), "*");
  for (const bad of ["", "42", 'W/"42"', '"42', '"42" "43"', '"4"2"', "**"]) {
    assert.equal(parseIfMatch(bad), null, bad);
  }
});

Deno.test("EDIT_HEADERS takes visible text for author and message", () => {
  const read = (author: string) =>
    EDIT_HEADERS.safeParse({ "x-signalbox-author": author });
  assert.equal(read("J\xc3\xbcrgen").data?.["x-signalbox-author"], "Jürgen");
  assert.equal(read("J\xfcrgen").data?.["x-signalbox-author"], "J\xfcrgen");
  assert.equal(read("  ").data?.["x-signalbox-author"], undefined);
  for (const bad of ["a\x07b", "a\x9bb", "x".repeat(257), "\xe2\x80\xa8"]) {
    const text = bad === "\xe2\x80\xa8" ? `a${bad}b` : bad;
    assert.equal(read(text).success, false, JSON.stringify(text));
  }
});
