/** What the command line ends with. */
export const EXIT = {
  done: 0,
  /** It failed; or an edit was committed that some router refuses. */
  failed: 1,
  /** The command line itself is wrong. */
  usage: 2,
  /** The edit is committed, and not all routers have answered in time. */
  timedOut: 3,
} as const;

export type ExitCode = typeof EXIT[keyof typeof EXIT];

/** What ends a command with a sentence for the person who gave it. */
export class CommandError extends Error {
  override name = "CommandError";
  readonly code: ExitCode;

  constructor(
    message: string,
    options: { code?: ExitCode; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.code = options.code ?? EXIT.failed;
  }
}
