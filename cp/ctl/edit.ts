import type { Diff, EditAnswer, Rollout } from "../api/answers.ts";
import { linesOf, summaryText } from "../ui/page/summary.ts";
import { counted, milliseconds } from "../ui/page/text.ts";
import type { Client } from "./client.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import { RolloutProgress } from "./rollout_progress.ts";
import { styled, type Terminal } from "./terminal.ts";

/** What a command has at hand. */
export interface Context {
  readonly client: Client;
  readonly terminal: Terminal;
  /** Whether the answer is for a program. */
  readonly json: boolean;
  /** Aborts when the command is interrupted. */
  readonly signal: AbortSignal;
}

/** The options of every edit. */
export interface EditOptions {
  readonly author?: string;
  readonly message?: string;
  readonly dryRun?: boolean;
  readonly wait?: boolean;
  readonly timeout?: string;
  /** Commits only if this is the committed version. */
  readonly ifVersion?: number;
}

/** An edit, as a call of the API. */
export interface EditCall {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly type?: string;
}

/** Sends an edit; with `wait` shows meanwhile how the routers take it. */
export async function sendEdit(
  context: Context,
  { method, path, body, type }: EditCall,
  options: EditOptions,
): Promise<EditAnswer> {
  const { client } = context;
  const send = () =>
    client.call<EditAnswer>(path, {
      method,
      query: {
        dry_run: options.dryRun ? "true" : undefined,
        wait: options.wait ? "applied" : undefined,
        timeout: options.wait ? options.timeout : undefined,
      },
      headers: {
        "if-match": options.ifVersion === undefined
          ? undefined
          : `"${options.ifVersion}"`,
        "x-signalbox-author": options.author,
        "x-signalbox-message": options.message,
      },
      ...(body === undefined ? {} : { body }),
      ...(type === undefined ? {} : { type }),
      signal: context.signal,
    });
  if (!options.wait || options.dryRun) return await send();
  await using progress = await RolloutProgress.start(context);
  const answer = await send();
  progress.end();
  return answer;
}

/** Sends an edit, tells what came of it, and answers what to end with. */
export async function edit(
  context: Context,
  call: EditCall,
  options: EditOptions,
): Promise<ExitCode> {
  return tellEdit(context, await sendEdit(context, call, options));
}

/** Tells what came of an edit. */
export function tellEdit(
  { terminal, json }: Context,
  answer: EditAnswer,
): ExitCode {
  const { version, changed, summary, rollout } = answer;
  if (json) terminal.out(JSON.stringify(answer, null, 2));
  else if (answer.dry_run) {
    terminal.out(
      changed
        ? `It would change version ${version}: ${summaryText(summary)}.`
        : `It would change nothing: version ${version} is like that.`,
    );
    if (answer.diff !== undefined && changed) {
      writeDiff(terminal, [{ ...answer.diff, summary }]);
    }
  } else if (!changed) {
    terminal.out(`Nothing changed: version ${version} is like that.`);
  } else {
    terminal.out(
      `Version ${version} is committed: ${summaryText(summary)}.`,
    );
  }
  if (rollout === undefined) return EXIT.done;
  if (!json) tellRollout(terminal, version, rollout);
  if (rollout.rejected.length > 0 || rollout.conflict.length > 0) {
    return EXIT.failed;
  }
  return rollout.pending.length > 0 ? EXIT.timedOut : EXIT.done;
}

const MAX_NAMES = 10;

function tellRollout(
  terminal: Terminal,
  version: number,
  { applied, rejected, pending, gone, conflict, waited_ms }: Rollout,
): void {
  const total = applied + rejected.length + pending.length + conflict.length +
    gone.length;
  const after = milliseconds(waited_ms);
  if (total === 0) {
    terminal.out("No router is connected; each gets it when it comes.");
  } else if (applied === total) {
    terminal.out(styled(
      terminal,
      "green",
      `${counted(applied, "router")} ${
        applied === 1 ? "serves" : "serve"
      } version ${version}, after ${after}.`,
    ));
  } else {
    terminal.out(
      `${applied} of ${
        counted(total, "router")
      } serve version ${version}, after ${after}.`,
    );
  }
  for (const { id, error } of rejected) {
    terminal.out(styled(terminal, "red", `  ${id} rejected it: ${error}`));
  }
  const lists: [string, readonly string[]][] = [
    ["in conflict with this store", conflict],
    ["without an answer yet", pending],
    ["gone meanwhile", gone],
  ];
  for (const [what, ids] of lists) {
    if (ids.length === 0) continue;
    const more = ids.length > MAX_NAMES
      ? ` and ${ids.length - MAX_NAMES} more`
      : "";
    terminal.out(
      styled(
        terminal,
        "yellow",
        `  ${what}: ${ids.slice(0, MAX_NAMES).join(", ")}${more}`,
      ),
    );
  }
}

const SIGNS = { added: "+", removed: "-", changed: "~" } as const;
const STYLES = { added: "green", removed: "red", changed: "yellow" } as const;

/** Writes differences, a line each, and says how many more there are. */
export function writeDiff(
  terminal: Terminal,
  pages: readonly Pick<
    Diff,
    "summary" | "default_placement" | "placements" | "customers" | "next_cursor"
  >[],
): void {
  const lines = pages.flatMap((page, index) =>
    // Each page tells of the default again.
    linesOf(
      index === 0
        ? page
        : { ...page, default_placement: { from: null, to: null } },
    )
  );
  for (const { kind, what, name, from, to } of lines) {
    const change = kind === "changed" ? `${from} → ${to}` : from ?? to;
    terminal.out(styled(
      terminal,
      STYLES[kind],
      `  ${SIGNS[kind]} ${what}${name === "" ? "" : ` ${name}`}: ${change}`,
    ));
  }
  const total = Object.values(pages[0]!.summary).reduce(
    (sum: number, each) => sum + Number(each),
    0,
  );
  if (total > lines.length) {
    terminal.out(`  and ${counted(total - lines.length, "more difference")}`);
  }
}
