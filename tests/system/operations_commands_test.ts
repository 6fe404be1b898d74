import { deepEqual, equal, ok } from "node:assert/strict";
import { startCell } from "../harness/cell.ts";
import { configOf } from "../harness/config.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { installed } from "../harness/installed.ts";
import { dataFolder } from "../harness/program.ts";
import { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";

/** The commands of the pages about running the programs do what the pages say. */

/** The shell examples of a page, each as one text. */
async function examples(path: string): Promise<string[]> {
  const page = await Deno.readTextFile(
    new URL(`../../${path}`, import.meta.url),
  );
  return [...page.matchAll(/```sh\n(.*?)```/gs)].map(([, text]) => text!);
}

const runnable = await installed("curl") && await installed("bash");

/** Runs an example; the places it names are replaced by those given. */
async function run(
  example: string,
  places: Record<string, string>,
): Promise<string> {
  let here = example.replaceAll("curl -s", "curl --fail-with-body -s");
  for (const [written, real] of Object.entries(places)) {
    here = here.replaceAll(written, real);
  }
  const { code, stdout, stderr } = await new Deno.Command("bash", {
    args: ["-e", "-o", "pipefail", "-c", here],
  }).output();
  const text = new TextDecoder();
  equal(code, 0, `${here}\n${text.decode(stdout)}\n${text.decode(stderr)}`);
  return text.decode(stdout);
}

Deno.test({
  name:
    "the commands for health, backup, restore and a lost store do what the pages say",
  ignore: !runnable,
  fn: runThem,
});

async function runThem(): Promise<void> {
  const [backup, contents, restore, routers, takeover, saved, ...more] =
    await examples("cp/README.md");
  deepEqual(more, []);
  const [health, ...moreOfRouter] = await examples("router/README.md");
  deepEqual(moreOfRouter, []);

  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using first = await ControlPlane.start(folder.path);
  await first.call("PUT", "/v1/config", { body: configOf([one, two]) });
  await using router = await Router.start("router-8080", {
    folder: folder.path,
    cpUrl: first.connectUrl,
  });
  await router.serves(1);
  const places = {
    "http://127.0.0.1:8081": first.url,
    "http://127.0.0.1:9080": router.adminUrl,
    "data/": `${folder.path}/`,
  };
  await run(health!, places);
  await run(contents!, places);
  const file = `${folder.path}/config.json`;
  deepEqual(JSON.parse(await Deno.readTextFile(file)), configOf([one, two]));

  // A kill leaves the newest commits beside the file.
  await first.program.kill("SIGKILL");
  await run(backup!, places);
  let controlPlane = await first.again();
  try {
    await controlPlane.call("PATCH", "/v1/customers/acme", {
      body: { placement: "two" },
    });
    await router.serves(2);
    equal((await controlPlane.program.stop()).code, 0);
    await run(restore!, places);
    controlPlane = await controlPlane.again();
    equal((await controlPlane.call("GET", "/v1/config")).body.version, 1);
    await inConflict(controlPlane);
    ok((await run(routers!, places)).includes('"conflict"'));
    await run(takeover!, places);
    await router.serves(3);
    equal((await router.ask("acme")).placement, "two");

    // The store is gone, and what the router keeps on its disk is a config.
    await controlPlane.program.kill("SIGKILL");
    await run("rm -f data/cp.kv*", places);
    controlPlane = await controlPlane.again();
    await inConflict(controlPlane);
    await run(saved!, places);
    const served = await (await fetch(`${router.adminUrl}/config`)).text();
    equal(await Deno.readTextFile(file), served);
    equal((await controlPlane.call("POST", "/v1/takeover")).status, 200);
    await router.serves(4);
    equal((await router.ask("acme")).placement, "two");
  } finally {
    await controlPlane[Symbol.asyncDispose]();
  }
}

async function inConflict(controlPlane: ControlPlane): Promise<void> {
  await until("the router to be in conflict", async () => {
    const { body } = await controlPlane.call("GET", "/v1/routers");
    return body.routers[0]?.status === "conflict";
  });
}

Deno.test("the router's token is changed as the page says, and no router is left out", async () => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  let controlPlane = await ControlPlane.start(folder.path, {
    CP_ROUTER_TOKEN: "the-old-one",
  });
  const resources = new AsyncDisposableStack();
  try {
    await controlPlane.call("PUT", "/v1/config", { body: configOf([one]) });
    const before = resources.use(
      await Router.start("r", {
        folder: folder.path,
        cpUrl: controlPlane.connectUrl,
        env: { ROUTER_CP_TOKEN: "the-old-one" },
      }),
    );
    await before.serves(1);
    const restart = async (token: Record<string, string>) => {
      equal((await controlPlane.program.stop()).code, 0);
      const { port } = controlPlane;
      controlPlane = await ControlPlane.start(folder.path, {
        CP_LISTEN: `127.0.0.1:${port}`,
        ...token,
      });
    };
    const edit = async (placement: string) => {
      // By the control plane's word: the router may not have noticed yet that the one before has gone.
      await until("the router to connect", async () => {
        const { body } = await controlPlane.call("GET", "/metrics");
        return /^signalbox_cp_routers_connected 1$/m.test(body);
      });
      const { body } = await controlPlane.call(
        "PUT",
        "/v1/customers/x?wait=applied&timeout=10s",
        { body: { placement } },
      );
      if (body.changed) equal(body.rollout.applied, 1);
    };
    await restart({});
    await edit("one");
    equal((await before.program.stop()).code, 0);
    const after = resources.use(
      await before.again({ ROUTER_CP_TOKEN: "the-new-one" }),
    );
    await after.serves(2);
    await restart({ CP_ROUTER_TOKEN: "the-new-one" });
    await until(
      "the router to connect",
      async () => (await after.status()).connected,
    );
    await controlPlane.call("DELETE", "/v1/customers/x");
    await after.serves(3);

    // Without the step in between: refused, and serving on.
    equal((await after.program.stop()).code, 0);
    const late = resources.use(
      await after.again({ ROUTER_CP_TOKEN: "the-old-one" }),
    );
    await late.program.line("not connected to the control plane; serving on", {
      reason: "the answer is HTTP status 401 (code 1006)",
    });
    equal((await late.ask("acme")).version, 3);
  } finally {
    await resources.disposeAsync();
    await controlPlane[Symbol.asyncDispose]();
  }
});
