import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { gzipSync } from "node:zlib";
import { readJson } from "../../shared/json.ts";
import { type ConfigContents, readConfig } from "./config_reader.ts";

const TEXT =
  '{"customer_to_placement":{},"default_placement":"a","placement_to_endpoint":{"a":"http://127.0.0.1:1"}}';
const DIGEST =
  "sha256:06be7c60006397681ab28cb6854c6f914675048b13cc5dc3e06b9e3d042d2714";

function text(of: string): ConfigContents {
  return { kind: "text", text: new TextEncoder().encode(of) };
}

for (
  const contents of [
    text(TEXT),
    { kind: "document", document: readJson(TEXT) },
    { kind: "gzip", gzip: gzipSync(TEXT) },
  ] satisfies ConfigContents[]
) {
  Deno.test(`readConfig() reads a ${contents.kind}`, () => {
    const read = readConfig(contents, { maxBytes: 1000, digest: DIGEST });
    assert.ok(read.ok);
    assert.equal(read.packed.digest, DIGEST);
    assert.equal(new TextDecoder().decode(read.packed.text), TEXT);
  });
}

Deno.test("readConfig() reads a text that is not canonical, and gives out the one that is", () => {
  const read = readConfig(
    text(
      ` ${TEXT.replaceAll(":", " : ")} `.replace("http : ", "http:").replace(
        "1 : 1",
        "1:1",
      ),
    ),
    {
      maxBytes: 1000,
      digest: DIGEST,
    },
  );
  assert.ok(read.ok);
  assert.equal(new TextDecoder().decode(read.packed.text), TEXT);
});

Deno.test("readConfig() gives out arrays that can be given away without what lies beside them", () => {
  for (
    const contents of [
      text(TEXT),
      { kind: "gzip", gzip: gzipSync(TEXT) } as const,
    ]
  ) {
    const read = readConfig(contents, { maxBytes: 1000, digest: null });
    assert.ok(read.ok);
    assert.equal(read.packed.text.buffer.byteLength, TEXT.length);
  }
});

Deno.test("readConfig() reads a gzip member whatever size it claims", () => {
  const options = { maxBytes: 1000, digest: null };
  const honest = readConfig(
    { kind: "gzip", gzip: gzipSync(TEXT) },
    options,
  );
  assert.ok(honest.ok);
  for (const claim of [0, 1, 65, TEXT.length + 1, 2 ** 32 - 1]) {
    const member = new Uint8Array(gzipSync(TEXT));
    new DataView(member.buffer).setUint32(member.length - 4, claim, true);
    const lie = readConfig({ kind: "gzip", gzip: member }, options);
    assert.ok(!lie.ok);
    assert.match(lie.error, /no gzip member/);
  }
  // Several members in a row are one text; only what the last one claims is looked at.
  const halves = [TEXT.slice(0, 50), TEXT.slice(50)].map((half) =>
    new Uint8Array(gzipSync(half))
  );
  const gzip = new Uint8Array(Buffer.concat(halves));
  const read = readConfig({ kind: "gzip", gzip }, options);
  assert.ok(read.ok);
  assert.deepEqual(read.packed.text, honest.packed.text);
});

for (
  const { name, contents, expected } of [
    {
      name: "text over the limit",
      contents: text(TEXT.padEnd(1001)),
      expected: /larger than 1000 bytes/,
    },
    {
      name: "what unpacks to far more",
      contents: {
        kind: "gzip",
        gzip: gzipSync(new Uint8Array(64 * 1024 * 1024)),
      },
      expected: /larger than 1000 bytes/,
    },
    {
      name: "a gzip member that is cut",
      contents: { kind: "gzip", gzip: gzipSync(TEXT).subarray(0, -9) },
      expected: /no gzip member/,
    },
    {
      name: "text that is not UTF-8",
      contents: { kind: "text", text: Uint8Array.of(0xc3, 0x28) },
      expected: /not UTF-8/,
    },
    {
      name: "a byte order mark",
      contents: text(`\ufeff${TEXT}`),
      expected: /Cannot read the text as JSON/,
    },
    {
      name: "what is not JSON",
      contents: text("{]"),
      expected: /Cannot read the text as JSON/,
    },
    {
      name: "an invalid config, with all problems",
      contents: text('{"a":1,"b":2}'),
      expected: /"a" is not a field.*"b" is not a field/,
    },
    {
      name: "a key that stands twice",
      contents: text(TEXT.replace("{", '{"default_placement":"a",')),
      expected: /stands more than once/,
    },
    {
      name: "contents of another digest",
      contents: text(TEXT.replace(':1"', ':2"')),
      expected: /was announced/,
    },
  ] satisfies { name: string; contents: ConfigContents; expected: RegExp }[]
) {
  Deno.test(`readConfig() refuses ${name}`, () => {
    const read = readConfig(contents, { maxBytes: 1000, digest: DIGEST });
    assert.ok(!read.ok);
    assert.match(read.error, expected);
  });
}
