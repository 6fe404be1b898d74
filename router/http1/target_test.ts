import { equal } from "node:assert/strict";
import fc from "fast-check";
import { climbsOut } from "./target.ts";

Deno.test("climbsOut() is true wherever a server that resolves dots would leave", () => {
  const segment = fc.constantFrom(
    "a",
    "..",
    ".",
    "",
    "%2e%2e",
    ".%2E",
    "%2e",
    "b%2fc",
    "..;x",
  );
  fc.assert(
    fc.property(
      fc.array(segment, { minLength: 1, maxLength: 8 }),
      (segments) => {
        const target = `/${segments.join("/")}`;
        // The same path below a base, as the platform's own URL resolves it.
        const resolved = new URL(`http://h/base${target}`).pathname;
        if (!`${resolved}/`.startsWith("/base/")) {
          equal(climbsOut(target), true, target);
        }
      },
    ),
  );
});

Deno.test("climbsOut() leaves ordinary paths alone", () => {
  for (
    const target of [
      "/",
      "/a/../b",
      "/..a",
      "/a..",
      "/...",
      "/?a=../..",
      "/a/%2e%2e/",
      "*",
    ]
  ) {
    equal(climbsOut(target), false, target);
  }
});
