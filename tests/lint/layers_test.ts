import { deepEqual } from "node:assert/strict";
import plugin from "./layers.ts";

function messages(file: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, file, source).map(({ id, message }) =>
    `${id}: ${message}`
  );
}

Deno.test("layers lets a side import itself and shared", () => {
  deepEqual(
    messages("cp/api/x.ts", 'import { a } from "../../shared/config.ts";'),
    [],
  );
  deepEqual(messages("router/link/x.ts", 'export * from "../active.ts";'), []);
  deepEqual(messages("tests/system/x.ts", 'import "../../cp/main.ts";'), []);
  deepEqual(messages("cp/x.ts", 'import { Hono } from "hono";'), []);
});

Deno.test("layers refuses what crosses a side", () => {
  deepEqual(messages("cp/x.ts", 'import { a } from "../router/active.ts";'), [
    "signalbox/layers: A file of cp/ may not import ../router/active.ts",
  ]);
  deepEqual(messages("router/link/x.ts", 'await import("../../cp/app.ts");'), [
    "signalbox/layers: A file of router/ may not import ../../cp/app.ts",
  ]);
  deepEqual(messages("shared/x.ts", 'export { a } from "../cp/app.ts";'), [
    "signalbox/layers: A file of shared/ may not import ../cp/app.ts",
  ]);
  deepEqual(messages("cp/x.ts", 'export * from "../tests/harness/mod.ts";'), [
    "signalbox/layers: A file of cp/ may not import ../tests/harness/mod.ts",
  ]);
});

Deno.test("process keeps environment, signals and exit in main.ts", () => {
  deepEqual(messages("cp/app.ts", "Deno.env.get('X'); Deno.exit(1);"), [
    "signalbox/process: Only a main.ts may use Deno.env",
    "signalbox/process: Only a main.ts may use Deno.exit",
  ]);
  deepEqual(messages("cp/main.ts", "Deno.env.get('X'); Deno.exit(1);"), []);
});
