import { deepEqual, equal, match } from "node:assert/strict";
import { TEST_CERT, TEST_KEY } from "../../router/upstream/testing.ts";
import { type Cell, startCell } from "../harness/cell.ts";
import { configOf } from "../harness/config.ts";
import { dataFolder, Program } from "../harness/program.ts";
import { Router } from "../harness/router.ts";

/** Writes a certificate, its key and a bootstrap config; answers the settings that name them. */
async function writeFiles(folder: string, cell: Cell) {
  const files = {
    ROUTER_TLS_CERT: `${folder}/cert.pem`,
    ROUTER_TLS_KEY: `${folder}/key.pem`,
    ROUTER_BOOTSTRAP: `${folder}/bootstrap.json`,
  };
  await Deno.writeTextFile(files.ROUTER_TLS_CERT, TEST_CERT);
  await Deno.writeTextFile(files.ROUTER_TLS_KEY, TEST_KEY);
  await Deno.writeTextFile(
    files.ROUTER_BOOTSTRAP,
    JSON.stringify(configOf([cell])),
  );
  return files;
}

Deno.test("a router with a certificate and key serves its data listener over TLS", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  const files = await writeFiles(folder.path, one);
  await using router = await Router.start("r", {
    folder: folder.path,
    cpUrl: "",
    env: files,
  });
  using client = Deno.createHttpClient({ caCerts: [TEST_CERT] });
  const response = await fetch(router.url.replace("http:", "https:"), {
    headers: { "X-Routing-Key": "acme" },
    client,
  });
  equal(response.headers.get("x-routed-to"), "one");
  equal((await response.json()).cell, "one");
  equal((await router.program.stop()).code, 0);
});

Deno.test("a router with ROUTER_H2_LISTEN serves HTTP/2 beside HTTP/1.1", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  const files = await writeFiles(folder.path, one);
  await using router = await Router.start("r", {
    folder: folder.path,
    cpUrl: "",
    env: { ...files, ROUTER_H2_LISTEN: "127.0.0.1:0" },
  });
  const { address } = await router.program.line("listening", {
    listener: "h2",
  });
  for (
    const [url, versions, status] of [
      [`https://${address}`, { http1: false, http2: true }, 200],
      [`https://${address}`, { http1: true, http2: false }, 505],
      [
        router.url.replace("http:", "https:"),
        { http1: true, http2: false },
        200,
      ],
    ] as const
  ) {
    using client = Deno.createHttpClient({ caCerts: [TEST_CERT], ...versions });
    const response = await fetch(`${url}/path?query`, {
      method: "POST",
      headers: { "X-Routing-Key": "acme" },
      body: "hello",
      client,
    });
    equal(response.status, status);
    const answer = await response.json();
    if (status === 200) equal(answer.path, "/path?query");
  }
  equal((await router.program.stop()).code, 0);
});

Deno.test("a certificate without its key, or one that cannot be used, stops the start", async () => {
  await using folder = await dataFolder();
  const cert = `${folder.path}/cert.pem`;
  await Deno.writeTextFile(cert, "not a certificate");
  const common = {
    ROUTER_LISTEN: "127.0.0.1:0",
    ROUTER_ADMIN_LISTEN: "127.0.0.1:0",
    ROUTER_CP_URL: "",
    ROUTER_STATE_DIR: `${folder.path}/r`,
    ROUTER_TLS_CERT: cert,
  };
  for (
    const [key, told] of [
      [{}, /ROUTER_TLS_KEY is missing/],
      [{ ROUTER_TLS_KEY: `${folder.path}/none.pem` }, /none\.pem/],
      [{ ROUTER_TLS_KEY: cert }, /certificate|key/],
    ] as const
  ) {
    await using program = Program.start("router", { ...common, ...key });
    deepEqual((await program.ended).code, 1);
    match(program.logText(), told);
  }
});
