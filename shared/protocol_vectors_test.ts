import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { canonicalText, configDigest } from "./canonical.ts";
import { parseConfigText, problemsLine } from "./config.ts";
import { bucketOf, FNV_BASIS, FNV_PRIME } from "./customers.ts";
import { JsonSyntaxError } from "./json.ts";
import {
  parseAnnouncement,
  type Parsed,
  parseToControlPlane,
  parseToRouter,
} from "./protocol.ts";
import { type MessageVector, readProtocolVectors } from "./protocol_vectors.ts";

const vectors = await readProtocolVectors();

Deno.test("the vectors' names have these hashes and buckets", () => {
  for (const { name, hash, bucket } of vectors.fnv1a) {
    let own = FNV_BASIS;
    for (const byte of new TextEncoder().encode(name)) {
      own = Math.imul(own ^ byte, FNV_PRIME);
    }
    equal(own >>> 0, hash, name);
    equal(bucketOf(name), bucket, name);
  }
});

for (const vector of vectors.configs) {
  Deno.test(`vector of a config: ${vector.name}`, () => {
    const result = parseConfigText(vector.text);
    ok(result.ok);
    equal(canonicalText(result.config), vector.canonical);
    equal(configDigest(result.config), vector.digest);
    deepEqual(
      [...result.config.customers.entries()].map(([customer]) => [
        customer,
        bucketOf(customer),
      ]),
      vector.buckets,
    );
    const again = parseConfigText(vector.canonical);
    ok(again.ok);
    equal(configDigest(again.config), vector.digest);
  });
}

for (const { name, text, pointers, more, error } of vectors.invalid_configs) {
  Deno.test(`vector of an invalid config: ${name}`, () => {
    if (pointers === undefined) {
      throws(() => parseConfigText(text), JsonSyntaxError);
      return;
    }
    const result = parseConfigText(text);
    ok(!result.ok);
    deepEqual(result.problems.map(({ pointer }) => pointer), pointers);
    equal(result.more, more ?? 0);
    equal(problemsLine(result.problems, result.more), error);
  });
}

Deno.test("the vectors' announcements mean what they say", () => {
  for (const vector of vectors.announcements) {
    const result = parseAnnouncement(new URLSearchParams(vector.query));
    if ("means" in vector) {
      ok(result.ok, vector.query);
      deepEqual(result.announcement, vector.means);
    } else {
      ok(!result.ok, vector.query);
      deepEqual(
        result.problems.map((problem) => problem.split(" ")[0]),
        vector.wrong,
      );
    }
  }
});

Deno.test("the vectors' messages to a router mean what they say", () => {
  for (const vector of vectors.to_router) check(vector, parseToRouter);
});

Deno.test("the vectors' messages to a control plane mean what they say", () => {
  for (const vector of vectors.to_control_plane) {
    check(vector, parseToControlPlane);
  }
});

function check(
  vector: MessageVector,
  parse: (text: string) => Parsed<object>,
): void {
  const parsed = parse(vector.text);
  if ("means" in vector) {
    ok(parsed.kind === "message", vector.text);
    const { config: _, ...fields } = { config: null, ...parsed.message };
    deepEqual(fields, vector.means, vector.text);
  } else if ("unknown" in vector) {
    deepEqual(parsed, { kind: "unknown", type: vector.unknown }, vector.text);
  } else equal(parsed.kind, "malformed", vector.text);
}
