import type { Diff, EditAnswer, Rollout } from "../api/answers.ts";
import { linesOf, summaryText } from "../ui/page/summary.ts";
import { counted, milliseconds, oldWorkText, span } from "../ui/page/text.ts";
import { ApiError, type Client } from "./client.ts";
import { CommandError, EXIT, type ExitCode } from "./exit.ts";
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
  /** Waits as well until nothing runs any more that the edit would send elsewhere. */
  readonly drained?: boolean;
  /** With `drained`: after how long old streams are ended. */
  readonly cutStreams?: string;
  readonly timeout?: string;
  /** The difference that is meant, where it changes much. */
  readonly confirm?: string;
  /** Takes it back unless it is confirmed within this time. */
  readonly confirmWithin?: string;
  /** Which routers get it first. */
  readonly canary?: string;
  /** With `canary`: how long it has to do well there. */
  readonly hold?: string;
  /** With `canary`: by how much their share of errors may rise. */
  readonly maxErrors?: string;
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
  const goal = options.drained
    ? "drained"
    : options.wait
    ? "applied"
    : undefined;
  const send = () =>
    client.call<EditAnswer>(path, {
      method,
      query: {
        dry_run: options.dryRun ? "true" : undefined,
        confirm: options.dryRun ? undefined : options.confirm,
        confirm_within: options.confirmWithin,
        canary: options.canary,
        hold: options.hold,
        max_errors: options.maxErrors,
        wait: goal,
        timeout: goal === undefined ? undefined : options.timeout,
        cut_streams: goal === "drained" ? options.cutStreams : undefined,
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
  if (goal === undefined || options.dryRun) return await send();
  await using progress = await RolloutProgress.start(context);
  const answer = await send();
  progress.end();
  return answer;
}

/**
 * Sends an edit, tells what came of it, and answers what to end with; `force`: a fenced move need not be proven.
 */
export async function edit(
  context: Context,
  call: EditCall,
  options: EditOptions & { readonly force?: boolean },
): Promise<ExitCode> {
  try {
    return tellEdit(context, await sendEdit(context, call, options), options);
  } catch (error) {
    const confirm = error instanceof ApiError ? error.body.confirm : undefined;
    if (confirm === undefined) throw error;
    const { terminal } = context;
    terminal.err((error as ApiError).body.detail ?? "");
    if (!terminal.ask("Go on?")) {
      throw new CommandError(
        `Nothing was changed; --confirm ${confirm} says that it is meant`,
      );
    }
    return tellEdit(
      context,
      await sendEdit(context, call, { ...options, confirm }),
      options,
    );
  }
}

/** Tells what came of an edit; `force`: a fenced move need not be proven. */
export function tellEdit(
  { terminal, json }: Context,
  answer: EditAnswer,
  { force = false }: { readonly force?: boolean } = {},
): ExitCode {
  const { version, changed, summary, rollout, fenced } = answer;
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
  if (answer.confirm_by !== undefined && !json) {
    const left = (Date.parse(answer.confirm_by) - Date.now()) / 1000;
    terminal.out(styled(
      terminal,
      "yellow",
      `It is taken back in ${span(left)} unless you say: confirm ${version}`,
    ));
  }
  if (answer.staged !== undefined && !json) {
    const { canaries, until } = answer.staged;
    const left = (Date.parse(until) - Date.now()) / 1000;
    terminal.out(styled(
      terminal,
      "yellow",
      `It is for ${canaries.slice(0, MAX_NAMES).join(", ")}${
        canaries.length > MAX_NAMES
          ? ` and ${canaries.length - MAX_NAMES} more`
          : ""
      } only, and for all in ${
        span(left)
      } if it does well there: rollouts ${version} tells how it goes`,
    ));
  }
  if (rollout === undefined) return EXIT.done;
  if (!json) {
    tellRollout(terminal, version, rollout);
    if (fenced !== undefined) tellFenced(terminal, fenced, { force });
  }
  return fenced?.proven === false && !force ? EXIT.failed : endOf(rollout);
}

/** What a command ends with that has waited for a rollout. */
export function endOf(
  { rejected, pending, conflict, state }: Rollout,
): ExitCode {
  if (rejected.length > 0 || conflict.length > 0) return EXIT.failed;
  if (pending.length > 0 || state === "draining") return EXIT.timedOut;
  return state === "unknown" || state === "superseded"
    ? EXIT.failed
    : EXIT.done;
}

const MAX_NAMES = 10;

/** Tells how far a version has come. */
export function tellRollout(
  terminal: Terminal,
  version: number,
  rollout: Rollout,
): void {
  const { applied, rejected, pending, gone, conflict, waited_ms } = rollout;
  const total = applied + rejected.length + pending.length + conflict.length +
    gone.length;
  const after = waited_ms === 0 ? "" : `, after ${milliseconds(waited_ms)}`;
  if (total === 0) {
    terminal.out("No router is connected; each gets it when it comes.");
  } else if (applied === total) {
    terminal.out(styled(
      terminal,
      "green",
      `${counted(applied, "router")} ${
        applied === 1 ? "serves" : "serve"
      } version ${version}${after}.`,
    ));
  } else {
    terminal.out(
      `${applied} of ${
        counted(total, "router")
      } serve version ${version}${after}.`,
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
  tellFence(terminal, rollout);
}

function tellFenced(
  terminal: Terminal,
  { proven, held_ms, drained_ms, unheld }: NonNullable<EditAnswer["fenced"]>,
  { force }: { readonly force: boolean },
): void {
  const held = `Requests were held for ${milliseconds(held_ms)}, ${
    milliseconds(drained_ms)
  } of it for what ran`;
  terminal.out(
    proven
      ? styled(terminal, "green", `${held}; nothing ran on both sides.`)
      : styled(
        terminal,
        force ? "yellow" : "red",
        `${held}; it is not proven that nothing runs on both sides${
          unheld.length === 0
            ? ": somebody released or moved them meanwhile"
            : `, by ${
              unheld.slice(0, MAX_NAMES).join(", ")
            }, which could not hold, or may come back with what was before`
        }.`,
      ),
  );
}

/** What each state of a fence means. */
const FENCE = {
  drained: ["green", "Drained: no request runs on what was before."],
  draining: ["yellow", "Not drained yet: requests run on what was before."],
  refused: ["red", "Not drained: not every router serves this version."],
  unknown: [
    "yellow",
    "Not proven: nothing is known to run, but not every router can prove it.",
  ],
  superseded: [
    "red",
    "Not drained: a newer version sends somebody back to what was before.",
  ],
} as const;

const REASONS = {
  disconnected:
    "is not connected; it may still run, on what it had. If it is no more: forget it",
  not_durable: "could come back with what was before: it is not on its disk",
  cannot_tell: "does not tell what it runs",
  roster_unread:
    "stands for routers that may be: the store cannot be asked for them",
} as const;

function tellFence(
  terminal: Terminal,
  { state, draining = [], unknown = [] }: Rollout,
): void {
  if (state === undefined) return;
  const [style, text] = FENCE[state];
  terminal.out(styled(terminal, style, text));
  const lines = [
    ...draining.map(({ id, requests, streams = 0, oldest_seconds = 0 }) =>
      requests === undefined
        ? `${id} has yet to tell`
        : `${id} runs ${oldWorkText({ requests, streams, oldest_seconds })}`
    ),
    ...unknown.map(({ id, reason }) => `${id} ${REASONS[reason]}`),
  ];
  for (const line of lines.slice(0, MAX_NAMES)) {
    terminal.out(styled(terminal, "yellow", `  ${line}`));
  }
  if (lines.length > MAX_NAMES) {
    terminal.out(`  and ${counted(lines.length - MAX_NAMES, "more router")}`);
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
