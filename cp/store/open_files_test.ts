import { doesNotThrow, throws } from "node:assert/strict";
import { OpenFiles, StoreReplaced } from "./open_files.ts";

/** A folder with a database's files in it. */
async function database(): Promise<{ path: string } & AsyncDisposable> {
  const folder = await Deno.makeTempDir({ prefix: "open-files-" });
  const path = `${folder}/cp.kv`;
  await Deno.writeTextFile(path, "the database");
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

Deno.test("OpenFiles takes no notice of files that grow and of a log that comes to be", async () => {
  await using files = await database();
  const open = new OpenFiles(files.path);
  await Deno.writeTextFile(`${files.path}-wal`, "log");
  open.check();
  await Deno.writeTextFile(files.path, ", longer", { append: true });
  await Deno.writeTextFile(`${files.path}-wal`, ", longer", { append: true });
  doesNotThrow(() => open.check());
});

for (const suffix of ["", "-wal"]) {
  const deeds: Record<string, (path: string) => Promise<void>> = {
    "was removed": (path) => Deno.remove(path),
    "was replaced by another file": async (path) => {
      await Deno.writeTextFile(`${path}.new`, "as long as the one before it");
      await Deno.rename(`${path}.new`, path);
    },
    "was cut from 12 to 3 bytes": (path) => Deno.truncate(path, 3),
  };
  for (const [what, deed] of Object.entries(deeds)) {
    Deno.test(`OpenFiles tells that cp.kv${suffix} ${what}`, async () => {
      await using files = await database();
      const path = files.path + suffix;
      await Deno.writeTextFile(path, "twelve bytes");
      const open = new OpenFiles(files.path);
      await deed(path);
      throws(
        () => open.check(),
        (error: unknown) =>
          error instanceof StoreReplaced && error.message.includes(what) &&
          error.message.includes(path),
      );
    });
  }
}
