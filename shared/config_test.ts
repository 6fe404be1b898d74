import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { canonicalText, configDigest } from "./canonical.ts";
import {
  type Config,
  customerProblem,
  parseConfigText,
  placementProblem,
} from "./config.ts";
import { Bucket, bucketOf, CustomerMap } from "./customers.ts";

const VECTORS = [
  [
    '{"customer_to_placement":{},"default_placement":"a","placement_to_endpoint":{"a":"http://127.0.0.1:1"}}',
    "sha256:06be7c60006397681ab28cb6854c6f914675048b13cc5dc3e06b9e3d042d2714",
  ],
  [
    '{"customer_to_placement":{"globex":"tier3","visa":"visa","acme":"tier1","__proto__x":"tier1"},"default_placement":"tier3","placement_to_endpoint":{"tier1":"http://10.0.1.1:9001","tier3":"http://10.0.1.3:9003","visa":"https://visa.cells.example:9443/base"}}',
    "sha256:f4eed39063b6b73861b051cbf96c79f3bd1065ae290dc8fefde8946b0d4581b7",
  ],
] as const;

function parsed(text: string): Config {
  const result = parseConfigText(text);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

function problems(text: string): string[] {
  const result = parseConfigText(text);
  return result.ok
    ? []
    : result.problems.map(({ pointer, detail }) => `${pointer} ${detail}`);
}

const name = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) =>
    String.fromCharCode(code)
  ),
  minLength: 1,
  maxLength: 12,
}).filter((text) => text !== "." && text !== "..");
const customer = fc.oneof(
  name,
  fc.constantFrom(
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "0",
    "1",
  ),
);
const placement = fc.constantFrom("tier1", "tier2", "constructor", "__proto__");
const assignments = fc.uniqueArray(fc.tuple(customer, placement), {
  selector: ([name]) => name,
});

Deno.test("configDigest() and canonicalText() give the two vectors of the protocol", () => {
  for (const [text, digest] of VECTORS) {
    equal(canonicalText(parsed(text)), text);
    equal(configDigest(parsed(text)), digest);
  }
});

Deno.test("bucketOf() puts the second vector's customers where the protocol says", () => {
  deepEqual(["globex", "visa", "acme", "__proto__x"].map(bucketOf), [
    142,
    152,
    431,
    799,
  ]);
});

Deno.test("canonicalText() does not depend on the order or spacing of the source", () => {
  fc.assert(fc.property(assignments, (pairs) => {
    const endpoints = ["tier1", "tier2", "constructor", "__proto__"].map((
      name,
    ) => `${JSON.stringify(name)}: "http://${name.replaceAll("_", "x")}:80"`);
    const text = (list: [string, string][], ends: string[]) =>
      `{ "placement_to_endpoint": {${
        ends.join(" , ")
      }}, "default_placement": "tier1",
       "customer_to_placement": {${
        list.map(([a, b]) => `${JSON.stringify(a)}: ${JSON.stringify(b)}`)
      }} }`;
    const one = parsed(text(pairs, endpoints));
    const other = parsed(text(pairs.toReversed(), endpoints.toReversed()));
    equal(canonicalText(one), canonicalText(other));
    equal(configDigest(one), configDigest(other));
    // The canonical text is itself a JSON text of the config.
    equal(canonicalText(parsed(canonicalText(one))), canonicalText(one));
    for (const [customer, placement] of pairs) {
      equal(one.customers.get(customer), placement);
    }
    equal(one.customers.size, pairs.length);
    deepEqual(
      new Map(
        Object.entries(JSON.parse(canonicalText(one)).customer_to_placement),
      ),
      new Map(pairs),
    );
  }));
});

Deno.test("CustomerMap.with() is what a map would do, and shares what it leaves alone", () => {
  const change = fc.tuple(customer, fc.option(placement, { nil: null }));
  fc.assert(fc.property(assignments, fc.array(change), (pairs, changes) => {
    const before = CustomerMap.from(pairs);
    const after = before.with(changes);
    const expected = new Map(pairs);
    for (const [customer, placement] of changes) {
      if (placement === null) expected.delete(customer);
      else expected.set(customer, placement);
    }
    deepEqual(new Map(after.entries()), expected);
    equal(after.size, expected.size);
    const counts = new Map<string, number>();
    for (const placement of expected.values()) {
      counts.set(placement, (counts.get(placement) ?? 0) + 1);
    }
    deepEqual(new Map(after.counts), counts);
    const touched = new Set(changes.map(([customer]) => bucketOf(customer)));
    for (const [index, bucket] of after.buckets.entries()) {
      if (!touched.has(index)) equal(bucket, before.buckets[index]);
    }
    for (const [customer, placement] of expected) {
      equal(after.get(customer), placement);
    }
    deepEqual(new Map(before.entries()), new Map(pairs));
  }));
});

Deno.test("CustomerMap.with() answers the same map where nothing changes", () => {
  const map = CustomerMap.from([["acme", "tier1"]]);
  equal(map.with([["acme", "tier1"], ["nobody", null]]), map);
});

Deno.test("CustomerMap.changing() may be left off after every bucket", () => {
  const map = CustomerMap.from([["acme", "a"], ["globex", "a"]]);
  const changes = [["acme", "b"], ["globex", null], ["visa", "b"]] as const;
  const buckets = new Set(changes.map(([customer]) => bucketOf(customer)));
  const steps = map.changing(changes);
  for (const _ of buckets) equal(steps.next().done, false);
  const { done, value } = steps.next();
  equal(done, true);
  deepEqual([...value!.entries()], [...map.with(changes).entries()]);
});

Deno.test("Bucket.get() is not misled by names that look like pairs", () => {
  const tricky = [['a","b', "t"], ['b":"x', "u"], ['\\"b', "v"], ["b", "w"], [
    "\\",
    "x",
  ]] as [
    string,
    string,
  ][];
  const bucket = Bucket.from([...tricky]);
  for (const [customer, placement] of tricky) {
    equal(bucket.get(customer), placement);
  }
  equal(bucket.get("x"), undefined);
  equal(bucket.get('"'), undefined);
  deepEqual(new Map(bucket.entries()), new Map(tricky));
});

Deno.test("parseConfigText() names every problem, with a pointer and the value", () => {
  deepEqual(
    problems(
      '{"default_placement":"nope","customer_to_placement":{"acme":"gone","bad name":"a","x":7,"..":"a"},' +
        '"placement_to_endpoint":{"a":"ftp://h","b c":"http://h","d":5},"extra":1}',
    ),
    [
      '/extra "extra" is not a field of a config; the fields are default_placement, customer_to_placement, placement_to_endpoint.',
      '/placement_to_endpoint/a Endpoint "ftp://h" of placement "a" is not an absolute http: or https: URL.',
      '/placement_to_endpoint/b c Placement "b c" must be 1 to 128 of A-Z a-z 0-9 . _ - (as text), and neither "." nor "..".',
      '/placement_to_endpoint/d Endpoint 5 of placement "d" is not text.',
      '/default_placement Default placement "nope" is not in placement_to_endpoint.',
      '/customer_to_placement/acme Customer "acme" is assigned to placement "gone", which is not in placement_to_endpoint.',
      '/customer_to_placement/bad name Customer "bad name" must be 1 to 256 visible ASCII characters, and neither "." nor "..".',
      '/customer_to_placement/x Customer "x" must be assigned to the name of a placement, not 7.',
      '/customer_to_placement/.. Customer ".." must be 1 to 256 visible ASCII characters, and neither "." nor "..".',
    ],
  );
});

Deno.test("parseConfigText() says which fields are missing or of the wrong type", () => {
  deepEqual(problems("{}"), [
    "/placement_to_endpoint The field placement_to_endpoint is missing.",
    "/default_placement The field default_placement is missing.",
    "/customer_to_placement The field customer_to_placement is missing.",
  ]);
  for (const text of ["null", "[]", "7", '"x"', "true"]) {
    equal(problems(text).length, 1, text);
  }
  equal(
    problems(
      '{"default_placement":null,"customer_to_placement":[],"placement_to_endpoint":"x"}',
    ).length,
    3,
  );
});

Deno.test("parseConfigText() refuses a key that stands twice", () => {
  deepEqual(
    problems(
      '{"default_placement":"a","customer_to_placement":{"acme":"a","acme":"a"},"placement_to_endpoint":{"a":"http://h"}}',
    ),
    ["/customer_to_placement/acme The key at /customer_to_placement/acme stands more than once in its object."],
  );
});

Deno.test("parseConfigText() lists 100 problems and counts the rest", () => {
  const customers = Array.from({ length: 250 }, (_, i) => `"c${i}":"gone"`);
  const result = parseConfigText(
    `{"default_placement":"a","customer_to_placement":{${customers}},"placement_to_endpoint":{"a":"http://h"}}`,
  );
  ok(!result.ok);
  equal(result.problems.length, 100);
  equal(result.more, 150);
});

Deno.test("parseConfigText() takes prototype names as data and never as inherited values", () => {
  const config = parsed(
    '{"default_placement":"constructor","customer_to_placement":{"__proto__":"__proto__"},' +
      '"placement_to_endpoint":{"constructor":"http://h","__proto__":"http://i"}}',
  );
  equal(config.customers.get("__proto__"), "__proto__");
  equal(config.customers.get("toString"), undefined);
  deepEqual(
    problems(
      '{"default_placement":"toString","customer_to_placement":{},"placement_to_endpoint":{}}',
    ),
    ['/default_placement Default placement "toString" is not in placement_to_endpoint.'],
  );
});

Deno.test("customerProblem() and placementProblem() know their alphabets and lengths", () => {
  equal(customerProblem("x".repeat(256)), null);
  equal(customerProblem('!"#~'), null);
  for (
    const bad of [
      "",
      "x".repeat(257),
      "a b",
      "é",
      "a\u0000",
      ".",
      "..",
      "\ud800",
      5,
      null,
    ]
  ) {
    ok(customerProblem(bad) !== null, String(bad));
  }
  equal(placementProblem("A-z.0_9"), null);
  equal(placementProblem("x".repeat(128)), null);
  for (
    const bad of ["", "x".repeat(129), "a/b", "a b", ".", "..", "ä", undefined]
  ) {
    ok(placementProblem(bad) !== null, String(bad));
  }
});
