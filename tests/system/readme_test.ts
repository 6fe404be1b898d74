import { deepEqual, equal, ok } from "node:assert/strict";
import { ctl } from "../harness/command_line.ts";
import { startCell } from "../harness/cell.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { installed } from "../harness/installed.ts";
import { dataFolder } from "../harness/program.ts";
import { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";

const README = await Deno.readTextFile(
  new URL("../../README.md", import.meta.url),
);

/** The lines of the shell examples below a heading, up to the next heading of its rank. */
function commands(heading: string): string[] {
  const section = README.split(`\n## ${heading}\n`)[1]!.split("\n## ")[0]!;
  return [...section.matchAll(/```sh\n(.*?)```/gs)].flatMap(([, block]) =>
    block!.trim().split("\n")
  );
}

Deno.test({
  name: "every line of the README's examples works when pasted",
  ignore: !await installed("curl") || !await installed("bash"),
  fn: runExamples,
});

async function runExamples(): Promise<void> {
  await using folder = await dataFolder();
  await using stack = new AsyncDisposableStack();
  const cells = ["tier1", "tier2", "tier3", "visa"].map((name) =>
    stack.use(startCell(name))
  );
  const seed = `${folder.path}/seed.json`;
  await Deno.writeTextFile(
    seed,
    JSON.stringify({
      default_placement: "tier3",
      customer_to_placement: { acme: "tier1", globex: "tier2", visa: "visa" },
      placement_to_endpoint: Object.fromEntries(
        cells.map(({ name, endpoint }) => [name, endpoint]),
      ),
    }),
  );
  const controlPlane = stack.use(
    await ControlPlane.start(folder.path, { CP_SEED: seed }),
  );
  const router = stack.use(
    await Router.start("router-1", {
      folder: folder.path,
      cpUrl: controlPlane.connectUrl,
    }),
  );
  await router.serves(1);

  const lines = commands("The API by example");
  ok(lines.length > 20);
  const changes = commands("Changes that cannot hurt");
  ok(changes.length > 10);
  const newest = async () =>
    (await controlPlane.call("GET", "/v1/config")).body.version;
  for (const line of [...lines, ...changes]) {
    // What is to be confirmed, or rolled out, is the newest version, whatever its number is by then.
    const numbered = line
      .replace(
        /(?<=versions\/)5(?=\/confirm)|(?<=ctl confirm )6|(?<=rollouts\/)7|(?<=ctl abort )8/,
        await newest(),
      );
    if (numbered.startsWith("deno task ctl ")) {
      await runCommand(numbered, { controlPlane, router, folder: folder.path });
      continue;
    }
    const here = numbered
      .replaceAll("http://127.0.0.1:8081", controlPlane.url)
      .replaceAll("http://127.0.0.1:8080", router.url)
      .replaceAll("http://127.0.0.1:9080", router.adminUrl)
      .replaceAll("curl -s", "curl --fail-with-body -s");
    const { code, stdout } = await new Deno.Command("bash", {
      args: ["-o", "pipefail", "-c", here],
    })
      .output();
    // 28 is curl's own time-out, which ends the example that listens to events.
    const expected = line.includes("-m 2") ? 28 : 0;
    equal(code, expected, `${line}\n${new TextDecoder().decode(stdout)}`);
  }
  await runCommands({ controlPlane, router, folder: folder.path });
  await until("the router to be current", async () => {
    const { body } = await controlPlane.call("GET", "/v1/routers");
    return body.routers[0].status === "current";
  });
}

/** The command line's examples, too. */
async function runCommands(
  { controlPlane, router, folder }: {
    controlPlane: ControlPlane;
    router: Router;
    folder: string;
  },
): Promise<void> {
  const lines = commands("The command line").filter((line) =>
    // What installs, goes on for ever, or asks is not for a test.
    line.startsWith("deno task ctl ") && !/--watch| apply /.test(line)
  );
  ok(lines.length > 4);
  for (const line of lines) {
    await runCommand(line, { controlPlane, router, folder });
  }
  const file = `${folder}/signalbox.yaml`;
  const applied = await ctl(controlPlane.url, ["apply", file]);
  equal(applied.code, 0, applied.err);
}

async function runCommand(
  line: string,
  { controlPlane, router, folder }: {
    controlPlane: ControlPlane;
    router: Router;
    folder: string;
  },
): Promise<void> {
  const [args = ""] = /(?<=^deno task ctl ).*/.exec(line) ?? [];
  const here = args
    .replaceAll("http://127.0.0.1:9080", router.adminUrl)
    .replaceAll("signalbox.yaml", `${folder}/signalbox.yaml`);
  const words = here.match(/'[^']*'|\S+/g)!.map((word) =>
    word.replaceAll("'", "")
  );
  const { code, out, err } = await ctl(controlPlane.url, words);
  equal(code, 0, `${line}\n${out}${err}`);
}

Deno.test("the README names every setting, and no other", async () => {
  for (const [side, prefix] of [["cp", "CP"], ["router", "ROUTER"]]) {
    const source = await Deno.readTextFile(
      new URL(`../../${side}/settings.ts`, import.meta.url),
    );
    const names = (text: string, pattern: RegExp) =>
      [...new Set([...text.matchAll(pattern)].map(([, name]) => name))].sort();
    deepEqual(
      names(README, new RegExp(`^\\| \`(${prefix}_[A-Z_]+)\``, "gm")),
      names(source, new RegExp(`^  (${prefix}_[A-Z_]+):`, "gm")),
    );
  }
});
