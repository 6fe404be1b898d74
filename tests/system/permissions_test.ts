import { deepEqual, equal } from "node:assert/strict";

const root = new URL("../../", import.meta.url);

for (const task of ["cp", "router"]) {
  Deno.test(`the permissions of task ${task} reach nothing outside of what README says`, async () => {
    const { tasks } = JSON.parse(
      await Deno.readTextFile(new URL("deno.json", root)),
    );
    const [deno, ...args] = tasks[task].split(" ") as string[];
    equal(deno, "deno");
    equal(args.pop(), `${task}/main.ts`);
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [...args, "tests/system/permissions_probe.ts"],
      cwd: root,
    }).output();
    const text = new TextDecoder();
    deepEqual(
      JSON.parse(text.decode(stdout) || "null"),
      [],
      text.decode(stderr),
    );
  });
}
