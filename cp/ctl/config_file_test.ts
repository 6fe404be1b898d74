import assert from "node:assert/strict";
import fc from "fast-check";
import { formatOf, readConfigFile, writeConfigFile } from "./config_file.ts";
import { CommandError } from "./exit.ts";

const CONFIG = {
  default_placement: "b",
  customer_to_placement: { zoe: "a", acme: "b" },
  placement_to_endpoint: { b: "http://b.example", a: "http://a.example:1/x" },
};

function problemsOf(text: string, name: string): string {
  try {
    readConfigFile(text, name);
  } catch (error) {
    assert.ok(error instanceof CommandError, String(error));
    return error.message;
  }
  throw new Error("It was read");
}

Deno.test("formatOf() goes by the name's ending", () => {
  assert.deepEqual(
    ["a.json", "a.YAML", "x/a.yml", "config", "a.json.txt"].map(formatOf),
    ["json", "yaml", "yaml", null, null],
  );
});

Deno.test("readConfigFile() reads what writeConfigFile() wrote, whatever the names", () => {
  const placement = fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/)
    .filter((name) => name !== "." && name !== "..");
  const customer = fc.oneof(
    fc.stringMatching(/^[\x21-\x7e]{1,20}$/)
      .filter((name) => name !== "." && name !== ".."),
    fc.constantFrom(
      "no",
      "null",
      "~",
      "1e3",
      "0x1",
      "007",
      "__proto__",
      "#",
      "-",
      "<<",
      "y",
    ),
  );
  fc.assert(fc.property(
    placement,
    fc.uniqueArray(customer, { maxLength: 10 }),
    fc.constantFrom("json", "yaml"),
    (place, customers, format) => {
      const config = {
        default_placement: place,
        customer_to_placement: Object.fromEntries(
          customers.map((name) => [name, place]),
        ),
        placement_to_endpoint: { [place]: "http://a.example" },
      };
      const text = writeConfigFile(config, format as "json" | "yaml");
      const read = JSON.parse(readConfigFile(text, `config.${format}`));
      assert.deepEqual(
        Object.entries(read.customer_to_placement).sort(),
        Object.entries(config.customer_to_placement).sort(),
      );
      assert.equal(read.default_placement, place);
    },
  ));
});

Deno.test("writeConfigFile() sorts, so that a change is one line", () => {
  assert.equal(
    writeConfigFile(CONFIG, "yaml"),
    "default_placement: b\nplacement_to_endpoint:\n  a: http://a.example:1/x\n  b: http://b.example\ncustomer_to_placement:\n  acme: b\n  zoe: a\n",
  );
});

Deno.test("readConfigFile() takes every scalar of YAML for text", () => {
  const text =
    "default_placement: 1\nplacement_to_endpoint: {1: http://a, yes: http://b}\ncustomer_to_placement:\n  no: yes\n  123: 1\n";
  assert.deepEqual(
    JSON.parse(readConfigFile(text, "c.yaml")).customer_to_placement,
    { no: "yes", 123: "1" },
  );
});

Deno.test("readConfigFile() takes the field that names the schema out", () => {
  const json = JSON.stringify({ $schema: "./s.json", ...CONFIG });
  assert.deepEqual(JSON.parse(readConfigFile(json, "c.json")), CONFIG);
  const yaml = `$schema: ./s.json\n${writeConfigFile(CONFIG, "yaml")}`;
  assert.deepEqual(JSON.parse(readConfigFile(yaml, "c.yml")), CONFIG);
});

Deno.test("readConfigFile() names each problem with its line", () => {
  const text = writeConfigFile(CONFIG, "yaml")
    .replace("acme: b", "acme: nowhere").replace("http://b.example", "ftp://b");
  const said = problemsOf(text, "c.yaml");
  assert.match(said, /c\.yaml:4: .*"ftp:\/\/b"/);
  assert.match(said, /c\.yaml:6: .*"acme".*"nowhere"/);
  const json = JSON.stringify({ ...CONFIG, default_placement: "x" }, null, 1);
  assert.match(problemsOf(json, "c.json"), /c\.json:2: .*"x"/);
});

Deno.test("readConfigFile() refuses a key that stands twice, and what is neither JSON nor YAML", () => {
  assert.match(
    problemsOf("default_placement: a\ndefault_placement: b\n", "c.yaml"),
    /c\.yaml:2: The key at \/default_placement stands more than once/,
  );
  assert.match(
    problemsOf('{"default_placement":"a","default_placement":"b"}', "c.json"),
    /c\.json:1: .*default_placement stands more than once/,
  );
  assert.match(problemsOf("{", "c.json"), /c\.json: Cannot read/);
  assert.match(problemsOf("a: [", "c.yaml"), /c\.yaml:1: It is no YAML/);
  assert.match(problemsOf("", "c.yaml"), /c\.yaml: /);
});
