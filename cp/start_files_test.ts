import assert from "node:assert/strict";
import { CONFIG } from "./app_fixture.ts";
import { readSeed, readTokens } from "./start_files.ts";

const SETTINGS = {
  adminToken: undefined,
  adminTokensFile: undefined,
  seed: undefined,
  maxConfigBytes: 10_000,
};

async function withFile(
  text: string,
  use: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, text);
    await use(path);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("readTokens() reads the setting or the file, or says all that is wrong", async () => {
  assert.deepEqual(await readTokens(SETTINGS), { ok: true, value: [] });
  const one = await readTokens({ ...SETTINGS, adminToken: "long-enough" });
  assert.ok(one.ok && one.value.length === 1);
  await withFile("ann: ann-secret\nbob: short\n???\n", async (path) => {
    const bad = await readTokens({ ...SETTINGS, adminTokensFile: path });
    assert.ok(!bad.ok);
    assert.equal(bad.problems.length, 2);
    assert.ok(bad.problems.every((problem) => problem.includes(path)));
  });
  const none = await readTokens({ ...SETTINGS, adminTokensFile: "/tmp/no/t" });
  assert.ok(!none.ok);
  assert.match(none.problems[0]!, /CP_ADMIN_TOKENS_FILE \/tmp\/no\/t/);
});

Deno.test("readSeed() reads a config, or says all that is wrong", async () => {
  assert.deepEqual(await readSeed(SETTINGS), { ok: true, value: null });
  await withFile(JSON.stringify(CONFIG), async (seed) => {
    const good = await readSeed({ ...SETTINGS, seed });
    assert.ok(good.ok);
    assert.equal(good.value?.customers.size, 3);
    const large = await readSeed({ ...SETTINGS, seed, maxConfigBytes: 10 });
    assert.ok(!large.ok);
    assert.match(large.problems[0]!, /CP_MAX_CONFIG_BYTES is 10/);
  });
  for (const [text, count] of [["{", 1], ["{}", 3], ["\xff", 1]] as const) {
    await withFile(text, async (seed) => {
      const bad = await readSeed({ ...SETTINGS, seed });
      assert.ok(!bad.ok);
      assert.equal(bad.problems.length, count, text);
    });
  }
});
