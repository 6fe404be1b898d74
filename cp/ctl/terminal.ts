/** What a command writes to and asks. */
export interface Terminal {
  /** Characters in a line; null where standard output is no terminal. */
  readonly width: number | null;
  readonly colour: boolean;
  /** Whether progress is shown in a line that is written over. */
  readonly redraws: boolean;
  /** Writes a line of the answer. */
  out(line: string): void;
  /** Writes a line about how it goes. */
  err(line: string): void;
  /** Writes over the line of progress; an empty text clears it. */
  progress(line: string): void;
  /** Clears the screen, where it is one. */
  clear(): void;
  /** Asks yes or no; null where nobody is there to answer. */
  ask(question: string): boolean | null;
}

const CODES = { bold: 1, faint: 2, red: 31, green: 32, yellow: 33 };

export type Style = keyof typeof CODES;

/** A text in a style, where the terminal shows any. */
export function styled(
  terminal: Pick<Terminal, "colour">,
  style: Style,
  text: string,
): string {
  return terminal.colour ? `\x1b[${CODES[style]}m${text}\x1b[0m` : text;
}
