import { deepEqual, equal, match } from "node:assert/strict";
import type { Logger } from "../../shared/log.ts";
import { eventually } from "../testing.ts";
import { TEST_CERT, TEST_KEY } from "../upstream/testing.ts";
import type { TlsIdentity } from "./tls_identity.ts";
import { TlsRenewal } from "./tls_renewal.ts";

/** Files with a certificate and its key, followed. */
async function following() {
  const folder = await Deno.makeTempDir();
  const [cert, key] = [`${folder}/cert.pem`, `${folder}/key.pem`];
  await Deno.writeTextFile(cert, TEST_CERT);
  await Deno.writeTextFile(key, TEST_KEY);
  const renewed: TlsIdentity[] = [];
  const lines: { level: string; properties: Record<string, unknown> }[] = [];
  const at = (level: string) => (_: string, properties = {}) => {
    lines.push({ level, properties });
  };
  const log: Logger = {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
  };
  const renewal = new TlsRenewal({
    cert,
    key,
    identity: { cert: TEST_CERT, key: TEST_KEY },
    renew: (identity) => renewed.push(identity),
    interval: 5,
    log,
  });
  return {
    cert,
    key,
    renewed,
    lines,
    [Symbol.asyncDispose]: async () => {
      await renewal.stop();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

Deno.test("TlsRenewal tells of a pair that is new and fits, once", async () => {
  await using files = await following();
  const again = `# again\n${TEST_CERT}`;
  await Deno.writeTextFile(files.cert, again);
  await eventually(() => files.lines.length > 0, "it is told");
  deepEqual(files.renewed, [{ cert: again, key: TEST_KEY }]);
  equal(files.lines[0]!.level, "info");
  match(String(files.lines[0]!.properties.subject), /CN=localhost/);
  match(String(files.lines[0]!.properties.not_after), /2126/);
  await Deno.writeTextFile(files.cert, TEST_CERT);
  await eventually(() => files.renewed.length > 1, "the next is told");
  equal(files.lines.length, 2);
});

Deno.test("TlsRenewal tells of a pair that cannot be used once, until it is another", async () => {
  await using files = await following();
  for (const [bad, why] of [["x", /PEM/], ["y", /PEM/]] as const) {
    const before = files.lines.length;
    await Deno.writeTextFile(files.key, bad);
    await eventually(() => files.lines.length > before, "it is told");
    equal(files.lines.length, before + 1);
    match(String(files.lines.at(-1)!.properties.error), why);
  }
  await Deno.remove(files.key);
  await eventually(() => files.lines.length === 3, "a file is missing");
  deepEqual(files.renewed, []);
  // After a pair that is good, the same mistake is told again.
  const again = `# again\n${TEST_CERT}`;
  await Deno.writeTextFile(files.cert, again);
  await Deno.writeTextFile(files.key, TEST_KEY);
  await eventually(() => files.renewed.length === 1, "it is renewed");
  await Deno.writeTextFile(files.key, "y");
  await eventually(() => files.lines.length === 5, "it is told again");
  deepEqual(files.lines.map(({ level }) => level), [
    "error",
    "error",
    "error",
    "info",
    "error",
  ]);
});
