import type {
  RolloutUnderWay,
  Router,
  VersionInfo,
  VersionRollout,
} from "../api/answers.ts";
import { path } from "../ui/page/path.ts";
import { count, counted, moment, span } from "../ui/page/text.ts";
import {
  ABOUT,
  type Status,
  STATUSES,
  tally,
  worstFirst,
} from "../ui/page/trouble.ts";
import { type Context, endOf, tellRollout } from "./edit.ts";
import { EXIT, type ExitCode } from "./exit.ts";
import { writeTable } from "./table.ts";
import { type Style, styled, type Terminal } from "./terminal.ts";

/** The fleet, as the API lists it. */
interface FleetList {
  readonly version: number;
  readonly epoch: string;
  readonly confirm_by: string | null;
  readonly rollout: RolloutUnderWay;
  readonly routers: Router[];
}

const STYLES: Record<Status, Style> = {
  conflict: "red",
  rejected: "red",
  too_large: "red",
  unanswered: "yellow",
  gone: "faint",
  behind: "yellow",
  current: "green",
};

/** After an event the fleet is read again; those that come together cost one read. */
const GATHER_MS = 300;
/** How often it is read while nothing is told: routers of other control planes are told of nowhere else. */
const READ_MS = 5_000;

export interface StatusOptions {
  /** Lists every router, not only those that are not current. */
  readonly all?: boolean;
  /** Ends with 1 if a router is not current. */
  readonly check?: boolean;
  readonly watch?: boolean;
}

/** The fleet at a glance. */
export async function status(
  context: Context,
  options: StatusOptions,
): Promise<ExitCode> {
  if (options.watch) return await watchStatus(context, options);
  return await showStatus(context, options);
}

async function showStatus(
  { client, terminal, json, signal }: Context,
  { all = false, check = false }: StatusOptions,
): Promise<ExitCode> {
  const fleet = await client.call<FleetList>("/v1/routers", { signal });
  const [newest] = await client.list<VersionInfo>("/v1/versions", "versions", {
    limit: 1,
  });
  const troubled = fleet.routers.filter(({ status }) => status !== "current");
  if (json) {
    terminal.out(
      JSON.stringify({ ...fleet, newest: newest ?? null }, null, 2),
    );
  } else {
    writeHead(terminal, fleet, newest);
    const listed = all ? fleet.routers : troubled;
    if (listed.length > 0) {
      terminal.out("");
      writeRouters(terminal, listed);
    }
    writeAdvice(terminal, troubled);
  }
  return check && troubled.length > 0 ? EXIT.failed : EXIT.done;
}

function writeHead(
  terminal: Terminal,
  { version, confirm_by, rollout, routers }: FleetList,
  newest: VersionInfo | undefined,
): void {
  terminal.out(
    newest === undefined || version === 0
      ? "Nothing is committed yet."
      : `Version ${version}, ${age(newest.created_at)} ago${by(newest)}`,
  );
  if (confirm_by !== null) {
    terminal.out(styled(
      terminal,
      "yellow",
      `Version ${version} waits to be confirmed until ${
        moment(confirm_by)
      }, and is taken back then unless you say: confirm ${version}`,
    ));
  }
  if (rollout !== null) {
    terminal.out(styled(
      terminal,
      "yellow",
      `It is for ${
        counted(rollout.canaries.length, "canary", "canaries")
      } only; all others stay on version ${rollout.before}. For all in ${
        span((Date.parse(rollout.until) - Date.now()) / 1000)
      }.`,
    ));
  }
  if (routers.length === 0) {
    terminal.out("No router has ever connected.");
    return;
  }
  const counts = tally(routers);
  const current = counts.get("current") ?? 0;
  if (current === routers.length) {
    terminal.out(
      styled(
        terminal,
        "green",
        current === 1
          ? "The router is current."
          : `All ${count(current)} routers are current.`,
      ),
    );
    return;
  }
  const others = STATUSES.filter((status) =>
    status !== "current" && counts.has(status)
  ).map((status) =>
    styled(
      terminal,
      STYLES[status],
      `${count(counts.get(status)!)} ${ABOUT[status].name}`,
    )
  );
  terminal.out(
    `${count(current)} of ${counted(routers.length, "router")} ${
      current === 1 ? "is" : "are"
    } current; ${others.join(", ")}.`,
  );
}

function writeRouters(terminal: Terminal, routers: readonly Router[]): void {
  writeTable(
    terminal,
    ["ROUTER", "STATUS", "VERSION", "LAG", "SERVES IT", "ADDRESS", "ERROR"],
    worstFirst(routers).map((router) => [
      router.id + (router.duplicate_id ? " (twice)" : ""),
      { text: ABOUT[router.status].name, style: STYLES[router.status] },
      String(router.version ?? "-"),
      router.lag === null || router.lag.versions === 0
        ? "-"
        : `${router.lag.versions} (${span(router.lag.seconds)})`,
      router.gone_since !== null
        ? `gone ${age(router.gone_since)}`
        : router.applied_at !== null
        ? age(router.applied_at)
        : "-",
      router.address,
      (router.error ?? "").replaceAll(/\s+/g, " "),
    ]),
  );
}

/** What each trouble means and what to do about it, once. */
function writeAdvice(terminal: Terminal, troubled: readonly Router[]): void {
  for (const status of STATUSES) {
    const ids = troubled.filter((router) => router.status === status);
    if (ids.length === 0) continue;
    const { name, means, advice } = ABOUT[status];
    terminal.out("");
    terminal.out(styled(terminal, "bold", name) + `: ${means}. ${advice}`);
  }
}

/** How far a version, or the committed one, has come. */
export async function rollout(
  { client, terminal, json, signal }: Context,
  version: number | undefined,
): Promise<ExitCode> {
  const head = version ??
    (await client.call<FleetList>("/v1/routers", { signal })).version;
  const answer = await client.call<VersionRollout>(
    path`/v1/versions/${head}/rollout`,
    { signal },
  );
  if (json) terminal.out(JSON.stringify(answer, null, 2));
  else {
    tellRollout(terminal, head, answer);
    if (answer.staged !== null) {
      const { canaries, before } = answer.staged;
      terminal.out(styled(
        terminal,
        "yellow",
        `It is for ${
          canaries.join(", ")
        } only; all others are to serve version ${before}.`,
      ));
    }
  }
  return endOf(answer);
}

/** Shows the fleet again whenever something happens to it, until it is interrupted. */
async function watchStatus(
  context: Context,
  options: StatusOptions,
): Promise<ExitCode> {
  const { terminal, signal } = context;
  let shown = "";
  while (!signal.aborted) {
    const lines: string[] = [];
    const gathered = {
      ...terminal,
      out: (line: string) => void lines.push(line),
    };
    try {
      await showStatus({ ...context, terminal: gathered }, options);
    } catch (error) {
      if (signal.aborted) break;
      lines.push(styled(terminal, "red", String((error as Error).message)));
    }
    const text = lines.join("\n");
    // Where nothing is written over, only what is new is worth a line.
    if (terminal.redraws || text !== shown) {
      terminal.clear();
      terminal.out(text);
      shown = text;
    }
    await nextEvent(context).catch(() => {});
    await pause(GATHER_MS, signal);
  }
  return EXIT.done;
}

/** Waits until something is told of the fleet, or it is time to look. */
async function nextEvent({ client, signal }: Context): Promise<void> {
  const until = AbortSignal.any([signal, AbortSignal.timeout(READ_MS)]);
  let first = true;
  for await (const _event of client.events({ signal: until })) {
    // The stream begins with the version that is current.
    if (!first) return;
    first = false;
  }
}

/** Waits, or less where the signal aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

function age(time: string): string {
  return span((Date.now() - Date.parse(time)) / 1000);
}

function by({ author, message }: VersionInfo): string {
  return (author === null ? "" : `, by ${author}`) +
    (message === null ? "" : `: ${message}`);
}
