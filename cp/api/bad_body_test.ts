import assert from "node:assert/strict";
import { seeded } from "../app_fixture.ts";

const JSON_PATCH = "application/json-patch+json";

/** What is wrong, in what it is sent, the status, and what the answer must name. */
const BAD_BODIES: readonly (readonly [
  what: string,
  method: string,
  path: string,
  options: { body: string; type?: string; headers?: Record<string, string> },
  status: number,
  named: RegExp,
])[] = [
  ["null", "PUT", "/v1/config", { body: "null" }, 422, /object, not null/],
  ["an array", "PUT", "/v1/config", { body: "[]" }, 422, /not an array/],
  ["text", "PUT", "/v1/config", { body: '"x"' }, 422, /not "x"/],
  ["not JSON", "PUT", "/v1/config", { body: "{a:1}" }, 400, /not JSON/],
  ["nothing", "PUT", "/v1/config", { body: "" }, 400, /empty/],
  [
    "a trailing comma",
    "PUT",
    "/v1/config",
    { body: '{"a":1,}' },
    400,
    /key in double/,
  ],
  [
    "a wrong type",
    "PUT",
    "/v1/config",
    { body: "{}", type: "text/plain" },
    415,
    /text\/plain/,
  ],
  [
    "a wrong charset",
    "PUT",
    "/v1/config",
    {
      body: "{}",
      type: "application/json; charset=latin1",
    },
    415,
    /latin1/,
  ],
  [
    "an encoding",
    "PUT",
    "/v1/config",
    {
      body: "{}",
      headers: { "content-encoding": "gzip" },
    },
    415,
    /gzip/,
  ],
  [
    "a large body",
    "PUT",
    "/v1/config",
    { body: " ".repeat(1024 * 1024 + 1) },
    413,
    /1048576/,
  ],
  [
    "a large small body",
    "PUT",
    "/v1/customers/a",
    { body: " ".repeat(65537) },
    413,
    /65536/,
  ],
  [
    "an unknown field",
    "PUT",
    "/v1/config",
    { body: '{"extra":1}' },
    422,
    /"extra"/,
  ],
  [
    "__proto__ as a field",
    "PUT",
    "/v1/config",
    { body: '{"__proto__":1}' },
    422,
    /__proto__/,
  ],
  [
    "a key twice",
    "PUT",
    "/v1/config",
    {
      body: '{"a":{"b":1,"b":2},"a":3}',
    },
    400,
    /\/a\/b, \/a/,
  ],
  [
    "a key twice",
    "PATCH",
    "/v1/customers/a",
    {
      body: '{"placement":"tier1","placement":"tier2"}',
    },
    400,
    /\/placement/,
  ],
  [
    "an unknown field",
    "PUT",
    "/v1/customers/a",
    {
      body: '{"placement":"tier1","plcement":1}',
    },
    422,
    /"plcement"/,
  ],
  [
    "__proto__ as a field",
    "PUT",
    "/v1/customers/a",
    {
      body: '{"placement":"tier1","__proto__":{}}',
    },
    422,
    /__proto__/,
  ],
  [
    "null",
    "PATCH",
    "/v1/customers/a",
    { body: '{"placement":null}' },
    422,
    /not null/,
  ],
  ["null", "PATCH", "/v1/config", { body: "null" }, 422, /not null/],
  [
    "a missing map",
    "PATCH",
    "/v1/config",
    {
      body: '{"customer_to_placement":null}',
    },
    422,
    /customer_to_placement is missing/,
  ],
  [
    "an array",
    "PATCH",
    "/v1/placements/tier1",
    { body: "[]" },
    422,
    /an array/,
  ],
  [
    "a bad endpoint",
    "PUT",
    "/v1/placements/x",
    {
      body: '{"endpoint":"ftp://x"}',
    },
    422,
    /ftp:\/\/x/,
  ],
  [
    "no list",
    "PATCH",
    "/v1/config",
    { body: "{}", type: JSON_PATCH },
    422,
    /list of operations/,
  ],
  [
    "a merge patch",
    "PUT",
    "/v1/config",
    {
      body: "{}",
      type: "application/merge-patch+json",
    },
    415,
    /merge-patch/,
  ],
  [
    "a body where there is none",
    "POST",
    "/v1/takeover",
    { body: '{"x":1}' },
    422,
    /"x"/,
  ],
  [
    "a time without its unit",
    "POST",
    "/v1/customers/acme/hold",
    { body: '{"for":"5"}' },
    422,
    /"The body is invalid: The field for must be a span of time .*; "5" is not\."/,
  ],
  [
    "no time",
    "POST",
    "/v1/customers/acme/hold",
    { body: '{"for":"5s","cut_streams":""}' },
    422,
    /The field cut_streams must be a span of time .*; "" is not\./,
  ],
  [
    "a time of 0",
    "POST",
    "/v1/moves",
    {
      body: '{"customers":["acme"],"to":"tier2","fenced":true,"within":"0s"}',
    },
    422,
    /The field within must be a span of time .*; "0s" is not\./,
  ],
  [
    "a rule without a name",
    "PUT",
    "/v1/assertions",
    { body: '{"rules":[{"name":"","customers":"a","placements":"b"}]}' },
    422,
    /The field rules\.0\.name must be 1 to 128 of .*; "" is not\./,
  ],
  [
    "a count that is not whole",
    "PUT",
    "/v1/assertions",
    { body: '{"rules":[{"name":"a","placements":"b","max_customers":1.5}]}' },
    422,
    /max_customers must be a whole number, not 1\.5\./,
  ],
  [
    "a count below 0",
    "PUT",
    "/v1/assertions",
    { body: '{"rules":[{"name":"a","placements":"b","max_customers":-1}]}' },
    422,
    /max_customers must be a whole number from 0 to [0-9]+; -1 is not\./,
  ],
  [
    "an unknown field of a rule",
    "PUT",
    "/v1/assertions",
    { body: '{"rules":[{"name":"a","placements":"b","most":1}]}' },
    422,
    /"most" is not a field here; the fields are name, customers, placements/,
  ],
  [
    "too many rules",
    "PUT",
    "/v1/assertions",
    {
      body: JSON.stringify({
        rules: Array(101).fill({ name: "a", customers: "b", placements: "c" }),
      }),
    },
    422,
    /There may be at most 100 rules\./,
  ],
];

for (const [what, method, path, options, status, named] of BAD_BODIES) {
  Deno.test(`${method} ${path} refuses ${what} and changes nothing`, async () => {
    await using app = await seeded();
    const before = await app.store.head();
    const answer = await app.call(method, path, options);
    assert.equal(answer.status, status);
    assert.equal(
      answer.headers.get("content-type"),
      "application/problem+json",
    );
    assert.match(JSON.stringify(answer.body).replaceAll("\\", ""), named);
    assert.deepEqual(await app.store.head(), before);
  });
}

Deno.test("a config with three errors is answered with all three", async () => {
  await using app = await seeded();
  const { status, body } = await app.call("PUT", "/v1/config", {
    body: {
      default_placement: "none",
      customer_to_placement: { acme: "gone" },
      placement_to_endpoint: { tier1: "nonsense" },
    },
  });
  assert.equal(status, 422);
  assert.equal(body.errors.length, 3);
});

Deno.test("bytes that are not UTF-8 are not JSON", async () => {
  await using app = await seeded();
  const answer = await app.fetch("/v1/config", {
    method: "PUT",
    headers: { "content-type": "application/json" },
    body: new Uint8Array([0x22, 0xff, 0x22]),
  });
  assert.equal(answer.status, 400);
  await answer.body?.cancel();
});
