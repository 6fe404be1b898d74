import assert from "node:assert/strict";
import { readControlPlaneSettings } from "./settings.ts";

function problems(env: Record<string, string>): string[] {
  const result = readControlPlaneSettings(env);
  return result.ok ? [] : result.problems.map(({ name }) => name);
}

Deno.test("readControlPlaneSettings() has defaults for everything", () => {
  const result = readControlPlaneSettings({});
  assert.ok(result.ok);
  assert.deepEqual(result.settings.listen, {
    hostname: "127.0.0.1",
    port: 8081,
  });
  assert.equal(result.settings.kv, "./data/cp.kv");
  assert.equal(result.settings.exclusive, true);
  assert.equal(result.settings.maxConfigBytes, 128 * 2 ** 20);
  assert.equal(result.settings.routerTimeoutMs, 12_000);
});

Deno.test("readControlPlaneSettings() takes the platform's database where there is one", () => {
  const result = readControlPlaneSettings({ DENO_DEPLOYMENT_ID: "d" });
  assert.ok(result.ok);
  assert.equal(result.settings.kv, undefined);
  assert.equal(result.settings.exclusive, false);
  const url = readControlPlaneSettings({ CP_KV: "https://kv.example" });
  assert.ok(url.ok);
  assert.equal(url.settings.exclusive, false);
});

Deno.test("readControlPlaneSettings() refuses to listen beyond loopback without a token", () => {
  const env = { CP_LISTEN: "0.0.0.0:8081" };
  assert.deepEqual(problems(env), ["CP_LISTEN"]);
  assert.deepEqual(problems({ ...env, CP_INSECURE: "false" }), ["CP_LISTEN"]);
  assert.deepEqual(problems({ ...env, CP_INSECURE: "true" }), []);
  assert.deepEqual(problems({ ...env, CP_ADMIN_TOKEN: "long-enough" }), []);
  assert.deepEqual(problems({ ...env, CP_ADMIN_TOKENS_FILE: "tokens" }), []);
});

Deno.test("readControlPlaneSettings() reports all problems at once", () => {
  assert.deepEqual(
    problems({
      CP_LISTEN: ":8081",
      CP_KEEP_VERSIONS: "0",
      CP_PING_INTERVAL: "20s",
      CP_ADMIN_TOKEN: "",
      CP_ROUTER_TOKEN: "short",
      CP_ALLOWED_HOSTS: "http://x",
      CP_MAX_CONFIG_BYTES: "2GiB",
    }).toSorted(),
    [
      "CP_ADMIN_TOKEN",
      "CP_ALLOWED_HOSTS",
      "CP_KEEP_VERSIONS",
      "CP_LISTEN",
      "CP_MAX_CONFIG_BYTES",
      "CP_ROUTER_TIMEOUT",
      "CP_ROUTER_TOKEN",
    ],
  );
  assert.deepEqual(
    problems({ CP_ADMIN_TOKEN: "long-enough", CP_ADMIN_TOKENS_FILE: "f" }),
    ["CP_ADMIN_TOKENS_FILE"],
  );
});

Deno.test("readControlPlaneSettings() shows no secret", () => {
  const result = readControlPlaneSettings({
    CP_ADMIN_TOKEN: "sesame sesame",
    CP_ROUTER_TOKEN: "sesame",
  });
  assert.ok(!result.ok);
  assert.equal(result.problems.length, 2);
  assert.doesNotMatch(JSON.stringify(result.problems), /sesame/);
});

Deno.test("readControlPlaneSettings() says which files there are where others are wrong", () => {
  const env = { CP_ADMIN_TOKENS_FILE: "tokens", CP_SEED: "seed.json" };
  for (const wrong of ["CP_PING_INTERVAL", "CP_LISTEN"]) {
    const result = readControlPlaneSettings({ ...env, [wrong]: "soon" });
    assert.ok(!result.ok);
    assert.equal(result.files.adminTokensFile, "tokens");
    assert.equal(result.files.seed, "seed.json");
    assert.equal(result.files.maxConfigBytes, 128 * 2 ** 20);
  }
});
