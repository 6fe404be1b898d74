import assert from "node:assert/strict";
import { join } from "node:path";
import { parseConfigText } from "../shared/config.ts";
import { packConfig } from "./config/packed_config.ts";
import { firstConfig } from "./first_config.ts";
import { SavedConfigs } from "./saved_config.ts";

const TEXT =
  '{"customer_to_placement":{},"default_placement":"a","placement_to_endpoint":{"a":"http://127.0.0.1:1"}}';
const DIGEST =
  "sha256:06be7c60006397681ab28cb6854c6f914675048b13cc5dc3e06b9e3d042d2714";

async function withDirectory(
  run: (directory: string, saved: SavedConfigs) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await run(directory, new SavedConfigs(directory));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function bootstrapFile(directory: string, text: string): Promise<string> {
  const path = join(directory, "bootstrap.json");
  await Deno.writeTextFile(path, text);
  return path;
}

async function save(saved: SavedConfigs): Promise<void> {
  const result = parseConfigText(TEXT);
  assert.ok(result.ok);
  const packed = packConfig(result.config);
  const { digest } = packed;
  await saved.save({ version: 4, epoch: "e", digest }, packed);
}

Deno.test("firstConfig() answers nothing where there is nothing", () =>
  withDirectory(async (_directory, saved) => {
    assert.deepEqual(
      await firstConfig(saved, { bootstrap: null, maxConfigBytes: 1000 }),
      { config: null, bootstrapProblem: null },
    );
  }));

Deno.test("firstConfig() answers the bootstrap config as version 0 without epoch", () =>
  withDirectory(async (directory, saved) => {
    const bootstrap = await bootstrapFile(directory, TEXT);
    const { config } = await firstConfig(saved, {
      bootstrap,
      maxConfigBytes: 1000,
    });
    assert.ok(config !== null);
    const { packed, ...rest } = config;
    assert.deepEqual(rest, { version: 0, epoch: null, source: "bootstrap" });
    assert.equal(packed.digest, DIGEST);
  }));

Deno.test("firstConfig() prefers the last known good config", () =>
  withDirectory(async (directory, saved) => {
    await save(saved);
    const bootstrap = await bootstrapFile(directory, TEXT);
    const { config } = await firstConfig(saved, {
      bootstrap,
      maxConfigBytes: 1000,
    });
    assert.equal(config?.source, "last_known_good");
    assert.equal(config?.version, 4);
  }));

Deno.test("firstConfig() falls back to the bootstrap config where all that was saved is damaged", () =>
  withDirectory(async (directory, saved) => {
    await save(saved);
    await Deno.truncate(join(directory, "last_known_good"), 50);
    const bootstrap = await bootstrapFile(directory, TEXT);
    const { config } = await firstConfig(saved, {
      bootstrap,
      maxConfigBytes: 1000,
    });
    assert.equal(config?.source, "bootstrap");
  }));

for (
  const { name, text, expected } of [
    {
      name: "is not there",
      text: null,
      expected: /Cannot read .*bootstrap\.json.*NotFound/,
    },
    {
      name: "is not JSON",
      text: "{",
      expected: /Cannot use .* Cannot read the text as JSON/,
    },
    {
      name: "is invalid in two ways",
      text: '{"x":1}',
      expected: /is not a field.*placement_to_endpoint is missing/,
    },
    {
      name: "is too large",
      text: " ".repeat(1001),
      expected: /larger than 1000 bytes/,
    },
  ]
) {
  Deno.test(`firstConfig() says so when the bootstrap file ${name}, also when it is not needed`, () =>
    withDirectory(async (directory, saved) => {
      const bootstrap = text === null
        ? join(directory, "bootstrap.json")
        : await bootstrapFile(directory, text);
      const options = { bootstrap, maxConfigBytes: 1000 };
      const without = await firstConfig(saved, options);
      assert.equal(without.config, null);
      assert.match(without.bootstrapProblem!, expected);
      await save(saved);
      const withSaved = await firstConfig(saved, options);
      assert.equal(withSaved.config?.version, 4);
      assert.match(withSaved.bootstrapProblem!, expected);
    }));
}
