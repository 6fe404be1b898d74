import { deepEqual } from "node:assert/strict";

const root = new URL("../../", import.meta.url);

const PROJECT = ["read the project", "write to data/"];
/** What starts the programs cannot be kept from anything that they may not do; it is kept from doing so by mistake. */
const STARTS = [...PROJECT, "run a program"];
const STARTS_TMP = [
  ...STARTS,
  "write to /tmp",
  // A checkout may itself be there.
  ...(root.pathname.startsWith("/tmp/")
    ? ["read the folder above", "write beside data/", "write the source"]
    : []),
];

/** What each task may do of what `permissions_probe.ts` tries. */
const MAY: Record<string, readonly string[]> = {
  // The names of settings that are not known are told, so all are read, once; and endpoints are anywhere.
  cp: [...PROJECT, "read any variable", "reach other machines"],
  router: [...PROJECT, "read any variable", "reach other machines"],
  // Files are named on its command line, and a control plane may be anywhere.
  ctl: [
    ...PROJECT,
    "read /etc/passwd",
    "read the folder above",
    "write beside data/",
    "write the source",
    "write to /tmp",
    "reach other machines",
  ],
  demo: STARTS,
  fleet: ["run a program"],
  generate: [],
  test: STARTS_TMP,
  "test:conformance": STARTS_TMP,
  "test:faults": STARTS_TMP,
  "test:observability": STARTS_TMP,
  "test:kv-connect": STARTS,
  "test:model": ["read the project"],
  // These hand all ROUTER_ variables on.
  "bench:proxy": [...STARTS_TMP, "read any variable"],
  "bench:stall": [...STARTS_TMP, "read any variable"],
  "bench:fleet": STARTS,
  "bench:edit": STARTS,
  "bench:soak": STARTS,
  "bench:fuzz": STARTS_TMP,
  "bench:move": STARTS,
  "bench:outage": ["run a program"],
};
/** These run no program of ours by themselves; or one of somebody else's that the runtime gives less than all to. */
const OTHERS = ["check", "ok", "test:browser"];

const { tasks }: { tasks: Record<string, string> } = JSON.parse(
  await Deno.readTextFile(new URL("deno.json", root)),
);

Deno.test("it is known of every task what it may do", () => {
  deepEqual(
    Object.keys(tasks).toSorted(),
    [...Object.keys(MAY), ...OTHERS].toSorted(),
  );
});

for (const [task, may] of Object.entries(MAY)) {
  Deno.test(`task ${task} may do what it needs, and nothing else`, async () => {
    await Deno.mkdir(new URL("data", root), { recursive: true });
    const flags = tasks[task]!.split(" ").filter((argument) =>
      /^--(?:allow|deny|no-prompt)/.test(argument)
    );
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", ...flags, "tests/system/permissions_probe.ts"],
      cwd: root,
    }).output();
    const text = new TextDecoder();
    const done: string[] | null = JSON.parse(text.decode(stdout) || "null");
    deepEqual(done?.toSorted(), may.toSorted(), text.decode(stderr));
  });
}
