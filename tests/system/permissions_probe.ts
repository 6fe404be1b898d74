/** Tries what a program may want to do, and prints what it could do, as JSON. */
const attempts: Record<string, () => unknown> = {
  "read the project": () => Deno.readTextFileSync("deno.json"),
  "read /etc/passwd": () => Deno.readTextFileSync("/etc/passwd"),
  "read the folder above": () => [...Deno.readDirSync("..")],
  "write beside data/": () =>
    Deno.removeSync(Deno.makeTempFileSync({ dir: "." })),
  "write to data/": () =>
    Deno.removeSync(Deno.makeTempFileSync({ dir: "data" })),
  "write to /tmp": () =>
    Deno.removeSync(Deno.makeTempFileSync({ dir: "/tmp" })),
  "write the source": () =>
    Deno.openSync("README.md", { append: true }).close(),
  "run a program": () => new Deno.Command("true").outputSync(),
  "load a library": () => Deno.dlopen("libc.so.6", {}),
  "read any variable": () => Deno.env.get("SOMEBODYS_SECRET"),
  "reach other machines": () => {
    // Asked, not tried: nobody is there.
    const net = { name: "net", host: "192.0.2.1:80" } as const;
    if (Deno.permissions.querySync(net).state !== "granted") {
      throw new Deno.errors.NotCapable();
    }
  },
};

const done: string[] = [];
for (const [what, attempt] of Object.entries(attempts)) {
  try {
    attempt();
    done.push(what);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) {
      done.push(`${what}: ${error}`);
    }
  }
}
console.log(JSON.stringify(done));
