import { deepEqual, equal, match, throws } from "node:assert/strict";
import { TEST_CERT, TEST_KEY } from "../upstream/testing.ts";
import { checkAuthorities, readTlsFiles } from "./tls_identity.ts";

Deno.test("readTlsFiles() reads all files, or tells all that is wrong with them", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const cert = `${folder}/cert.pem`;
    const key = `${folder}/key.pem`;
    await Deno.writeTextFile(cert, TEST_CERT);
    await Deno.writeTextFile(key, TEST_KEY);
    deepEqual(await readTlsFiles({ cert, key, ca: cert }), {
      identity: { cert: TEST_CERT, key: TEST_KEY },
      ca: TEST_CERT,
      problems: [],
    });
    deepEqual(await readTlsFiles({ cert: undefined, key: "", ca: undefined }), {
      identity: null,
      ca: null,
      problems: [],
    });
    const none = await readTlsFiles({
      cert: `${folder}/a`,
      key: `${folder}/b`,
      ca: `${folder}/c`,
    });
    deepEqual([none.identity, none.ca], [null, null]);
    deepEqual(none.problems.map(({ name }) => name), [
      "ROUTER_TLS_CERT",
      "ROUTER_TLS_KEY",
      "ROUTER_CA",
    ]);
    const wrong = await readTlsFiles({ cert, key: cert, ca: key });
    deepEqual([wrong.identity, wrong.ca], [null, null]);
    equal(wrong.problems.length, 2);
    match(wrong.problems[0]!.detail, /certificate and its key in PEM/);
    match(wrong.problems[1]!.detail, /ROUTER_CA must hold certificates/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("checkAuthorities() takes certificates with text around them, and refuses what is cut or damaged", () => {
  checkAuthorities(`# one\n${TEST_CERT}\n# another\n${TEST_CERT}`);
  for (
    const bad of [
      "",
      "x",
      TEST_KEY,
      TEST_CERT.slice(0, -40),
      TEST_CERT + TEST_CERT.slice(0, 100),
      TEST_CERT.replace("MIIB", "AAAA"),
      TEST_CERT + TEST_CERT.replace("MIIB", "AAAA"),
    ]
  ) throws(() => checkAuthorities(bad), TypeError, bad);
});
