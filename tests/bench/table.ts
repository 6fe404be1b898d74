/** A table of text; numbers stand to the right. */
export interface Table {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly string[])[];
}

export interface Column {
  readonly name: string;
  readonly align: "left" | "right";
}

/** How tables are written: for a terminal, or as Markdown. */
export type TableForm = "text" | "markdown";

export function formatTable(table: Table, form: TableForm): string {
  const { columns, rows, title } = table;
  const widths = columns.map(({ name }, i) =>
    Math.max(name.length, 3, ...rows.map((row) => row[i]!.length))
  );
  const pad = (cells: readonly string[]): string[] =>
    cells.map((cell, i) =>
      columns[i]!.align === "left"
        ? cell.padEnd(widths[i]!)
        : cell.padStart(widths[i]!)
    );
  const lines = [pad(columns.map(({ name }) => name)), ...rows.map(pad)];
  if (form === "text") {
    const rule = widths.map((width) => "─".repeat(width));
    lines.splice(1, 0, rule);
    return [title, "", ...lines.map((cells) => cells.join("  ").trimEnd())]
      .join("\n");
  }
  lines.splice(
    1,
    0,
    columns.map(({ align }, i) =>
      align === "left"
        ? "-".repeat(widths[i]!)
        : "-".repeat(widths[i]! - 1) + ":"
    ),
  );
  return [
    `**${title}**`,
    "",
    ...lines.map((cells) => `| ${cells.join(" | ")} |`),
  ]
    .join("\n");
}
