import { deepEqual } from "node:assert/strict";

const root = new URL("../../", import.meta.url);

Deno.test("README lists the dependencies that deno.lock pins, and no others", async () => {
  const { npm } = JSON.parse(
    await Deno.readTextFile(new URL("deno.lock", root)),
  );
  const readme = await Deno.readTextFile(new URL("README.md", root));
  const section = /^## Dependencies$(.*?)^## /ms.exec(readme)?.[1] ?? "";
  const listed = [...section.matchAll(/`([^`]+)`/g)].map(([, name]) => name);
  const pinned = Object.keys(npm).map((key) => /^@?[^@]+/.exec(key)?.[0]);
  deepEqual(
    listed.filter((name) => name !== "deno.lock").toSorted(),
    pinned.toSorted(),
  );
});
