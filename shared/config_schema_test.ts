import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import fc from "fast-check";
import { parseConfigText } from "./config.ts";
import { configSchema, configSchemaText } from "./config_schema.ts";

const accepts = new Ajv2020().compile(configSchema());

function config(changes: Record<string, unknown> = {}) {
  return {
    default_placement: "tier1",
    customer_to_placement: { acme: "tier1" },
    placement_to_endpoint: { tier1: "http://10.0.1.1:9001" },
    ...changes,
  };
}

Deno.test("config.schema.json is what `deno task generate` writes", async () => {
  const file = new URL("config.schema.json", import.meta.url);
  assert.equal(await Deno.readTextFile(file), configSchemaText());
});

Deno.test("the schema accepts every config that the rules accept", () => {
  const name = fc.stringMatching(/^[A-Za-z0-9._-]{1,128}$/);
  const customer = fc.stringMatching(/^[\x21-\x7e]{1,256}$/);
  const url = fc.webUrl({ withQueryParameters: false, withFragments: false });
  fc.assert(fc.property(
    fc.uniqueArray(name, { minLength: 1, maxLength: 5 }),
    fc.uniqueArray(customer, { maxLength: 5 }),
    fc.oneof(url, fc.constant("HTTPS://a@b"), fc.constant("http://a/@")),
    (placements, customers, endpoint) => {
      const [first] = placements;
      const made = config({
        default_placement: first,
        placement_to_endpoint: Object.fromEntries(
          placements.map((placement) => [placement, endpoint]),
        ),
        customer_to_placement: Object.fromEntries(
          customers.map((customer) => [customer, first]),
        ),
      });
      if (parseConfigText(JSON.stringify(made)).ok) {
        assert.ok(accepts(made), JSON.stringify(accepts.errors));
      }
    },
  ));
});

Deno.test("the schema rejects what the rules reject, as far as it can see", () => {
  const wrong: Record<string, unknown>[] = [
    { default_placement: "a b" },
    { default_placement: 1 },
    { default_placement: ".." },
    { more: 1 },
    { customer_to_placement: { "with space": "tier1" } },
    { customer_to_placement: { "": "tier1" } },
    { customer_to_placement: { acme: null } },
    { customer_to_placement: [] },
    { placement_to_endpoint: {} },
    { placement_to_endpoint: { tier1: "ftp://a" } },
    { placement_to_endpoint: { tier1: "http://a?b" } },
    { placement_to_endpoint: { tier1: "http://u@a" } },
    { placement_to_endpoint: { tier1: "http://a b" } },
    { placement_to_endpoint: { "tier/1": "http://a" } },
  ];
  for (const changes of wrong) {
    const made = config(changes);
    const text = JSON.stringify(changes);
    assert.ok(!parseConfigText(JSON.stringify(made)).ok, text);
    assert.ok(!accepts(made), text);
  }
  assert.ok(accepts(config({ $schema: "./config.schema.json" })));
});
