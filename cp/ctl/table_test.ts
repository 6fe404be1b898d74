import assert from "node:assert/strict";
import { type Cell, writeTable } from "./table.ts";
import type { Terminal } from "./terminal.ts";

function written(
  options: { width?: number; colour?: boolean },
  rows: readonly (readonly Cell[])[],
): string[] {
  const lines: string[] = [];
  const terminal = {
    width: options.width ?? null,
    colour: options.colour ?? false,
    out: (line: string) => lines.push(line),
  } as unknown as Terminal;
  writeTable(terminal, ["NAME", "WHY"], rows);
  return lines;
}

Deno.test("writeTable() aligns columns, and ends no line in blanks", () => {
  assert.deepEqual(written({}, [["a", "because"], ["longer", ""]]), [
    "NAME    WHY",
    "a       because",
    "longer",
  ]);
});

Deno.test("writeTable() cuts the last column to the terminal's width, and only there", () => {
  const rows = [["a", "x".repeat(100)]];
  assert.equal(written({ width: 30 }, rows)[1], `a     ${"x".repeat(23)}…`);
  assert.equal(written({}, rows)[1]?.length, 106);
});

Deno.test("writeTable() aligns what is coloured as what is not", () => {
  const [, line] = written({ colour: true }, [
    [{ text: "a", style: "red" }, "b"],
  ]);
  assert.equal(line, "\x1b[31ma   \x1b[0m  b");
});
