import { deepEqual, equal, match } from "node:assert/strict";
import { TEST_CERT, TEST_KEY } from "../upstream/testing.ts";
import { readTlsIdentity } from "./tls_identity.ts";

Deno.test("readTlsIdentity() reads both files, or tells all that is wrong with them", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const cert = `${folder}/cert.pem`;
    const key = `${folder}/key.pem`;
    await Deno.writeTextFile(cert, TEST_CERT);
    await Deno.writeTextFile(key, TEST_KEY);
    deepEqual(await readTlsIdentity({ cert, key }), {
      identity: { cert: TEST_CERT, key: TEST_KEY },
      problems: [],
    });
    deepEqual(await readTlsIdentity({ cert: undefined, key: "" }), {
      identity: null,
      problems: [],
    });
    const none = await readTlsIdentity({
      cert: `${folder}/a`,
      key: `${folder}/b`,
    });
    equal(none.identity, null);
    deepEqual(none.problems.map(({ name }) => name), [
      "ROUTER_TLS_CERT",
      "ROUTER_TLS_KEY",
    ]);
    const wrong = await readTlsIdentity({ cert, key: cert });
    equal(wrong.problems.length, 1);
    match(wrong.problems[0]!.detail, /certificate and its key in PEM/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
