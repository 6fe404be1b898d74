/**
 * Two control planes on one KV Connect store, each with a router of its own. It needs `denokv`, the
 * self-hosted server of Deno KV, on the PATH: `cargo install denokv`.
 */
import { deepEqual, equal } from "node:assert/strict";
import { configOf } from "../harness/config.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { dataFolder } from "../harness/program.ts";
import { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";

const TOKEN = "a-token-for-this-test";

/** Starts `denokv` on a free port. */
async function startDenokv(
  folder: string,
): Promise<{ url: string } & AsyncDisposable> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const args = ["--sqlite-path", `${folder}/kv.sqlite`, "serve"];
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command("denokv", {
      args: [...args, "--addr", `127.0.0.1:${port}`],
      env: { DENO_KV_ACCESS_TOKEN: TOKEN },
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
  } catch (cause) {
    throw new Error(
      "Cannot start denokv, which this test needs: install it with `cargo install denokv`",
      { cause },
    );
  }
  await until("denokv to listen", async () => {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  });
  return {
    url: `http://127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await child.status;
    },
  };
}

Deno.test("an edit at one control plane reaches the routers of the other", async () => {
  await using folder = await dataFolder();
  await using kv = await startDenokv(folder.path);
  const env = { CP_KV: kv.url, DENO_KV_ACCESS_TOKEN: TOKEN };
  await using first = await ControlPlane.start(folder.path, env);
  await using second = await ControlPlane.start(folder.path, env);
  await first.call("PUT", "/v1/config", {
    body: configOf([{ name: "one", endpoint: "http://127.0.0.1:9" }]),
  });
  const folderPath = folder.path;
  await using near = await Router.start("near", {
    folder: folderPath,
    cpUrl: first.connectUrl,
  });
  await using far = await Router.start("far", {
    folder: folderPath,
    cpUrl: second.connectUrl,
  });
  await Promise.all([near.serves(1), far.serves(1)]);
  for (const controlPlane of [first, second]) {
    await until("both to list the whole fleet", async () => {
      const { body } = await controlPlane.call("GET", "/v1/routers");
      deepEqual(
        body.routers.map(({ id, status }: { id: string; status: string }) => [
          id,
          status,
        ]),
        [["far", "current"], ["near", "current"]],
      );
      return true;
    });
  }

  const { body } = await first.call(
    "PUT",
    "/v1/customers/acme?wait=applied&timeout=20s",
    { body: { placement: "one" }, headers: { "If-Match": '"1"' } },
  );
  equal(body.changed, false);
  const edit = await first.call(
    "PUT",
    "/v1/customers/visa?wait=applied&timeout=20s",
    { body: { placement: "one" } },
  );
  equal(edit.body.version, 2);
  equal(edit.body.rollout.applied, 2);
  equal((await far.status()).version, 2);

  // Concurrent edits at both: all land, each as a version of its own.
  const answers = await Promise.all(
    Array.from(
      { length: 20 },
      (_, i) =>
        [first, second][i % 2]!.call("PUT", `/v1/customers/c${i}`, {
          body: { placement: "one" },
        }),
    ),
  );
  deepEqual(
    answers.map(({ body }) => body.version).sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i + 3),
  );
  await Promise.all([near.serves(22), far.serves(22)]);
});
