import { type Style, styled, type Terminal } from "./terminal.ts";

/** A cell: a text, or one in a style. */
export type Cell = string | { readonly text: string; readonly style: Style };

const GAP = "  ";
/** No column is cut to less than this. */
const LEAST = 8;

/** Writes rows under their headings, aligned; on a terminal the last column is cut to its width. */
export function writeTable(
  terminal: Terminal,
  headings: readonly string[],
  rows: readonly (readonly Cell[])[],
): void {
  const widths = headings.map((heading, column) =>
    Math.max(
      heading.length,
      ...rows.map((row) => textOf(row[column]!).length),
    )
  );
  const last = headings.length - 1;
  if (terminal.width !== null) {
    const before = widths.slice(0, last).reduce((sum, w) => sum + w, 0) +
      GAP.length * last;
    widths[last] = Math.min(
      widths[last]!,
      Math.max(LEAST, terminal.width - before),
    );
  }
  terminal.out(
    styled(
      terminal,
      "faint",
      headings.map((heading, i) =>
        i === last ? heading : heading.padEnd(widths[i]!)
      ).join(GAP),
    ),
  );
  for (const row of rows) {
    const line = row.map((cell, column) => {
      const text = textOf(cell);
      const shown = column === last
        ? cut(text, terminal.width === null ? Infinity : widths[last]!)
        : text.padEnd(widths[column]!);
      return typeof cell === "string"
        ? shown
        : styled(terminal, cell.style, shown);
    });
    terminal.out(line.join(GAP).trimEnd());
  }
}

function textOf(cell: Cell): string {
  return typeof cell === "string" ? cell : cell.text;
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}…`;
}
