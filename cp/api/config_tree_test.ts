import assert from "node:assert/strict";
import fc from "fast-check";
import { canonicalText, configDigest } from "../../shared/canonical.ts";
import { type Config, parseConfig } from "../../shared/config.ts";
import { CustomerMap } from "../../shared/customers.ts";
import { fromPlain, type JsonValue, readJson } from "../../shared/json.ts";
import {
  applyJsonPatch,
  type Operation,
  parseJsonPatch,
} from "./json_patch.ts";
import { configOfTree, configTree, CustomerOverlay } from "./config_tree.ts";
import { mergePatch } from "./merge_patch.ts";

const CUSTOMERS = [
  "acme",
  "visa",
  "__proto__",
  "constructor",
  'q"\\',
  ":",
  'x",',
];
const PLACEMENTS = ["p1", "p2", "p3"];
const ENDPOINTS = ["http://a:1", "http://b:2"];

const config = fc.record({
  endpoints: fc.dictionary(
    fc.constantFrom("p2", "p3"),
    fc.constantFrom(...ENDPOINTS),
  ),
  customers: fc.array(
    fc.tuple(fc.constantFrom(...CUSTOMERS), fc.nat(2)),
    { maxLength: 8 },
  ),
  fallback: fc.nat(2),
}).map(({ endpoints, customers, fallback }): Config => {
  const all = new Map([["p1", ENDPOINTS[0]!], ...Object.entries(endpoints)]);
  const names = [...all.keys()];
  const result = parseConfig(
    new Map<string, JsonValue>([
      ["default_placement", names[fallback % names.length]!],
      ["placement_to_endpoint", all],
      [
        "customer_to_placement",
        new Map(
          customers.map(([name, at]) => [name, names[at % names.length]!]),
        ),
      ],
    ]),
  );
  assert.ok(result.ok);
  return result.config;
});

const member = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom<JsonValue>(...PLACEMENTS, ...ENDPOINTS),
  },
  { weight: 3, arbitrary: fc.constant<JsonValue>(null) },
  fc.constantFrom<JsonValue>(1, true, ""),
);

function object(names: readonly string[]) {
  return fc.array(fc.tuple(fc.constantFrom(...names), member), { maxLength: 5 })
    .map((entries): JsonValue => new Map<string, JsonValue>(entries));
}

const patch = fc.array(
  fc.oneof(
    fc.tuple(
      fc.constant("customer_to_placement"),
      object([...CUSTOMERS, "new", "a b"]),
    ),
    fc.tuple(
      fc.constant("placement_to_endpoint"),
      object([...PLACEMENTS, "p4"]),
    ),
    fc.tuple(fc.constant("default_placement"), member),
    fc.tuple(
      fc.constantFrom(
        "customer_to_placement",
        "placement_to_endpoint",
        "other",
        "__proto__",
      ),
      member,
    ),
  ),
  { maxLength: 4 },
).map((entries): JsonValue => new Map<string, JsonValue>(entries));

function byPointer(problems: readonly { pointer: string; detail: string }[]) {
  return problems.map(({ pointer, detail }) => `${pointer} ${detail}`).sort();
}

/** The fast way must answer what the plain way does. */
async function agree(
  before: Config,
  change: (tree: JsonValue) => JsonValue,
): Promise<void> {
  const fast = await configOfTree(change(configTree(before)));
  const plain = parseConfig(change(plainTree(before)));
  assert.equal(fast.ok, plain.ok);
  if (fast.ok && plain.ok) {
    assert.equal(configDigest(fast.config), configDigest(plain.config));
    assert.equal(fast.config.customers.size, plain.config.customers.size);
  } else if (!fast.ok && !plain.ok) {
    assert.deepEqual(byPointer(fast.problems), byPointer(plain.problems));
  }
}

function plainTree(before: Config): JsonValue {
  return readJson(canonicalText(before)).value;
}

Deno.test("configOfTree() answers for a merge patch what the plain algorithm does", async () => {
  await fc.assert(
    fc.asyncProperty(config, patch, async (before, patch) => {
      await agree(before, (tree) => mergePatch(tree, patch));
    }),
    { numRuns: 500 },
  );
});

const operation: fc.Arbitrary<Operation> = fc.record({
  op: fc.constantFrom("add", "replace", "remove", "move", "copy", "test"),
  path: fc.constantFrom(...CUSTOMERS, "customer_to_placement"),
  from: fc.constantFrom(...CUSTOMERS, "customer_to_placement"),
  value: member,
}).map(({ op, path, from, value }): Operation => {
  const at = (name: string) => {
    const parts = name === "customer_to_placement"
      ? [name]
      : ["customer_to_placement", name];
    return { text: parts.map((part) => `/${part}`).join(""), parts };
  };
  return op === "move" || op === "copy"
    ? { op, path: at(path), from: at(from) }
    : op === "remove"
    ? { op, path: at(path) }
    : { op, path: at(path), value };
});

Deno.test("configOfTree() answers for a JSON patch what the plain algorithm does", async () => {
  await fc.assert(
    fc.asyncProperty(
      config,
      fc.array(operation, { maxLength: 4 }),
      async (before, operations) => {
        const run = (tree: JsonValue) => {
          try {
            return applyJsonPatch(tree, operations);
          } catch {
            return "failed";
          }
        };
        await agree(before, run);
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("configOfTree() shares the buckets a patch does not touch", async () => {
  const entries = Array.from(
    { length: 5000 },
    (_, i) => [`c${i}`, "p1"] as const,
  );
  const parsed = parseConfig(fromPlain({
    default_placement: "p1",
    placement_to_endpoint: { p1: "http://a:1", p2: "http://a:2" },
    customer_to_placement: Object.fromEntries(entries),
  }));
  assert.ok(parsed.ok);
  const result = await configOfTree(
    mergePatch(
      configTree(parsed.config),
      fromPlain({ customer_to_placement: { c1: "p2", c2: null, fresh: "p2" } }),
    ),
  );
  assert.ok(result.ok);
  const changed = result.config.customers.buckets.filter((bucket, index) =>
    bucket !== parsed.config.customers.buckets[index]
  );
  assert.ok(changed.length <= 3);
  assert.equal(result.config.customers.size, 5000);
});

Deno.test("a copy of all customers costs what was changed, and is changed on its own", () => {
  class Untouched extends CustomerOverlay {
    override entries(): never {
      throw new Error("it went through all customers");
    }
  }
  const customers = new Untouched(
    CustomerMap.from([["acme", "p1"], ["visa", "p1"]]),
  );
  const { operations } = parseJsonPatch(fromPlain([
    { op: "add", path: "/customers/acme", value: { list: [] } },
    { op: "copy", from: "/customers", path: "/copy" },
    { op: "add", path: "/copy/acme/list/-", value: 1 },
    { op: "replace", path: "/copy/visa", value: "p2" },
  ]));
  const tree = applyJsonPatch(new Map([["customers", customers]]), operations);
  assert.ok(tree instanceof Map);
  const copy = tree.get("copy");
  assert.ok(copy instanceof CustomerOverlay);
  assert.deepEqual(copy.get("acme"), new Map([["list", [1]]]));
  assert.equal(copy.get("visa"), "p2");
  assert.deepEqual(customers.get("acme"), new Map([["list", []]]));
  assert.equal(customers.get("visa"), "p1");
});
