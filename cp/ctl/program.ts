import {
  Argument,
  Command,
  CommanderError,
  InvalidArgumentError,
  Option,
} from "commander";
import { apply, type ApplyOptions } from "./apply_command.ts";
import { getAssertions, setAssertions } from "./assertion_commands.ts";
import { Client } from "./client.ts";
import { path } from "../ui/page/path.ts";
import { addCompletions } from "./completions.ts";
import type { ConfigFormat } from "./config_file.ts";
import { type Context, edit, type EditOptions } from "./edit.ts";
import { CommandError, EXIT, type ExitCode } from "./exit.ts";
import { hold, holds, release } from "./hold_commands.ts";
import { rollout, status, type StatusOptions } from "./fleet_commands.ts";
import { endRollout, rollouts } from "./rollout_commands.ts";
import {
  diff,
  events,
  explain,
  exportConfig,
  getCustomer,
  getRouter,
  history,
  listCustomers,
  listPlacements,
} from "./read_commands.ts";
import { styled, type Terminal } from "./terminal.ts";

/** What the command line takes from outside. */
export interface Surroundings {
  readonly terminal: Terminal;
  /** Aborts when the command is interrupted. */
  readonly signal: AbortSignal;
  /** A variable of the environment. */
  env(name: string): string | undefined;
  /** Reads a file; `-` is standard input. */
  read(file: string): Promise<string>;
  write(file: string, text: string): Promise<void>;
}

const DEFAULT_URL = "http://127.0.0.1:8081";

interface GlobalOptions {
  readonly url?: string;
  readonly tokenFile?: string;
  readonly json?: boolean;
}

/** Runs a command line; answers what the process is to end with. Never rejects. */
export async function run(
  args: readonly string[],
  around: Surroundings,
): Promise<ExitCode> {
  const { terminal } = around;
  try {
    let ended: ExitCode = EXIT.done;
    const program = makeProgram(around, (code) => ended = code);
    await program.parseAsync(args, { from: "user" });
    return ended;
  } catch (error) {
    if (error instanceof CommanderError) {
      // It has said what is wrong itself.
      return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    }
    terminal.progress("");
    if (around.signal.aborted) {
      terminal.err(
        "Interrupted. An edit that was sent may be committed: signalbox history tells.",
      );
      return EXIT.failed;
    }
    const message = error instanceof Error ? error.message : String(error);
    terminal.err(styled(terminal, "red", "error: ") + message);
    return error instanceof CommandError ? error.code : EXIT.failed;
  }
}

/** All commands. */
export function makeProgram(
  around: Surroundings,
  ended: (code: ExitCode) => void,
): Command {
  const { terminal } = around;
  const program = new Command("signalbox")
    .description(
      "Looks at a Signalbox control plane and its fleet, and changes its routing config.",
    )
    .option(
      "--url <url>",
      `the control plane; SIGNALBOX_URL, or ${DEFAULT_URL}, if not given`,
    )
    .option(
      "--token-file <file>",
      "a file with the admin token; SIGNALBOX_TOKEN_FILE or SIGNALBOX_TOKEN if not given",
    )
    .option("--json", "answer for a program: the API's own objects")
    .addHelpText(
      "after",
      "\nEnds with 0 if it is done, 1 if it failed or a router rejects the edit, 2 if the command line is wrong,\n3 if the edit is committed and routers have not answered in time.",
    )
    .exitOverride()
    .showHelpAfterError("(--help tells how)")
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
    });

  async function context(): Promise<Context> {
    const options = program.opts<GlobalOptions>();
    return {
      client: new Client(
        options.url ?? around.env("SIGNALBOX_URL") ?? DEFAULT_URL,
        await readToken(around, options.tokenFile),
      ),
      terminal,
      json: options.json === true,
      signal: around.signal,
    };
  }
  /** What a command does, with all it needs. */
  function does<A extends unknown[]>(
    action: (context: Context, ...args: A) => Promise<ExitCode>,
  ): (...args: A) => Promise<void> {
    return async (...args) => ended(await action(await context(), ...args));
  }

  program.command("status")
    .description(
      "the fleet at a glance: the version, and who does not serve it",
    )
    .option("-w, --watch", "go on showing it as it changes")
    .option("-a, --all", "list every router")
    .option("--check", "end with 1 if a router is not current")
    .action(
      does((context, options: StatusOptions) => status(context, options)),
    );

  addReading(program, does, around);
  addEdits(program, does, around);
  addCompletions(program, async () => (await context()).client);
  return program;
}

type Does = <A extends unknown[]>(
  action: (context: Context, ...args: A) => Promise<ExitCode>,
) => (...args: A) => Promise<void>;

function addReading(program: Command, does: Does, around: Surroundings): void {
  const get = program.command("get")
    .description("shows the config, customers, placements, a router");
  get.command("config")
    .description("the whole config, as export writes it")
    .action(does((context) => exportConfig(context, { write: around.write })));
  get.command("customers")
    .description("the assigned customers, by name")
    .option("--placement <name>", "only those of a placement")
    .option("--prefix <text>", "only those that begin so")
    .option("--limit <n>", "at most so many", whole)
    .action(does((
      context,
      options: { placement?: string; prefix?: string; limit?: number },
    ) => listCustomers(context, options)));
  get.command("customer").argument("<customer>")
    .description("where a customer is, since when, and where it was")
    .action(
      does((context, customer: string) => getCustomer(context, customer)),
    );
  get.command("placements")
    .description("the placements, their endpoints and customer counts")
    .action(does((context) => listPlacements(context)));
  get.command("router").argument("<id>")
    .description("all that is known of a router")
    .action(does((context, id: string) => getRouter(context, id)));

  program.command("explain").argument("<customer>")
    .description("where a customer's requests go, and why; 1 if routers differ")
    .option(
      "--router <url>",
      "ask a router as well, by its admin listener; may be given several times",
      (url: string, before: string[]) => [...before, url],
      [] as string[],
    )
    .action(
      does((context, customer: string, options: { router: string[] }) =>
        explain(context, customer, { routers: options.router })
      ),
    );
  program.command("history")
    .description("the versions, newest first")
    .option("--limit <n>", "at most so many", whole, 20)
    .action(
      does((context, options: { limit: number }) => history(context, options)),
    );
  program.command("rollout").addArgument(
    new Argument("[version]", "the committed one if not given").argParser(
      version,
    ),
  )
    .description(
      "how far a version has come, and what still runs on what was before",
    )
    .action(does((context, version?: number) => rollout(context, version)));
  program.command("rollouts").addArgument(
    new Argument("[version]", "only this one").argParser(version),
  )
    .description(
      "versions that some routers got first, and how the canaries of one under way do",
    )
    .option("-w, --watch", "until it is over; ends with 1 if it is taken back")
    .action(
      does((context, version: number | undefined, options) =>
        rollouts(context, version, options as { watch?: boolean })
      ),
    );
  program.command("holds")
    .description("the customers that are held, and how each router stands")
    .action(does((context) => holds(context)));
  program.command("diff")
    .description("what differs between two versions")
    .addArgument(new Argument("<from>").argParser(version))
    .addArgument(new Argument("<to>").argParser(version))
    .option("--limit <n>", "show at most so many differences", whole, 1000)
    .action(does((
      context,
      from: number,
      to: number,
      { limit }: { limit: number },
    ) => diff(context, { from, to, limit })));
  program.command("export").argument("[file]")
    .description("writes the config, sorted, fit for apply")
    .addOption(
      new Option("--format <format>", "by the file's name if not given")
        .choices(["json", "yaml"]),
    )
    .option("--at <version>", "an old version", whole)
    .action(does((
      context,
      file: string | undefined,
      options: { format?: ConfigFormat; at?: number },
    ) =>
      exportConfig(context, {
        ...options,
        ...(file === undefined ? {} : { file }),
        write: around.write,
      })
    ));
  program.command("events")
    .description("what happens, as it happens, until Ctrl-C")
    .action(does((context) => events(context)));
}

function addEdits(program: Command, does: Does, around: Surroundings): void {
  asEdit(program.command("move").argument("[customers...]"))
    .description(
      "moves customers, by name or all of a placement, in one version",
    )
    .requiredOption("--to <placement>", "where they go")
    .option("--from <placement>", "all customers of this placement")
    .option(
      "--file <file>",
      "names from a file, one a line; - is standard input",
    )
    .option(
      "--fenced",
      "never on both sides: new requests wait until what runs is over and all routers serve the move",
    )
    .option("--within <time>", "with --fenced: for what runs (10s)")
    .option("--force", "with --fenced: also without routers that are away")
    .action(does(async (
      context,
      names: string[],
      options: EditOptions & MoveOptions,
    ) => {
      const { to, from, file } = options;
      const listed = file === undefined
        ? []
        : (await around.read(file)).split(/\s+/).filter((name) => name !== "");
      const customers = [...names, ...listed];
      if ((from === undefined) === (customers.length === 0)) {
        throw new CommandError(
          "Say who moves: customers by name or --file, or all of a placement by --from, and not both",
          { code: EXIT.usage },
        );
      }
      const [only] = customers;
      if (options.fenced) {
        const { within, cutStreams, force } = options;
        return await edit(context, {
          method: "POST",
          path: "/v1/moves",
          body: {
            ...(from === undefined ? { customers, to } : { from, to }),
            fenced: true,
            ...(within === undefined ? {} : { within }),
            ...(cutStreams === undefined ? {} : { cut_streams: cutStreams }),
            ...(force ? { force } : {}),
          },
        }, options);
      }
      return await edit(
        context,
        customers.length === 1
          ? {
            method: "PUT",
            path: path`/v1/customers/${only!}`,
            body: { placement: to },
          }
          : {
            method: "POST",
            path: "/v1/moves",
            body: from === undefined ? { customers, to } : { from, to },
          },
        options,
      );
    }));
  asEdit(program.command("unassign").argument("<customers...>"))
    .description(
      "takes customers' assignments away: they are in the default then",
    )
    .action(
      does((context, customers: string[], options: EditOptions) =>
        edit(context, {
          method: "PATCH",
          path: "/v1/config",
          type: "application/merge-patch+json",
          body: {
            customer_to_placement: Object.fromEntries(
              customers.map((customer) => [customer, null]),
            ),
          },
        }, options)
      ),
    );
  program.command("confirm").addArgument(
    new Argument("<version>").argParser(version),
  )
    .description("keeps a version that waits to be confirmed")
    .option("--author <name>", "who; for the log")
    .action(
      does((context, version: number, options: { author?: string }) =>
        decide(context, version, { keep: true, ...options })
      ),
    );
  program.command("revert").addArgument(
    new Argument("<version>").argParser(version),
  )
    .description("takes a version that waits to be confirmed back, at once")
    .option("--author <name>", "who; kept with the version")
    .option("-m, --message <text>", "why; kept with the version")
    .action(
      does((
        context,
        version: number,
        options: { author?: string; message?: string },
      ) => decide(context, version, { keep: false, ...options })),
    );
  program.command("promote").addArgument(
    new Argument("<version>").argParser(version),
  )
    .description("gives a version that canaries serve to all routers, at once")
    .option("--author <name>", "who; kept with the rollout")
    .action(
      does((context, version: number, options: { author?: string }) =>
        endRollout(context, version, { verb: "promote", ...options })
      ),
    );
  program.command("abort").addArgument(
    new Argument("<version>").argParser(version),
  )
    .description("takes a version that canaries serve back, at once")
    .option("--author <name>", "who; kept with the rollout")
    .option("-m, --message <text>", "why; kept with the rollout")
    .action(
      does((
        context,
        version: number,
        options: { author?: string; message?: string },
      ) => endRollout(context, version, { verb: "abort", ...options })),
    );
  program.command("hold").argument("<customer>")
    .description(
      "keeps a customer's new requests waiting on all routers, until it is released or moved",
    )
    .option("--for <time>", "at most", "10s")
    .option("--cut-streams <time>", "end event streams and tunnels after it")
    .action(does((
      context,
      customer: string,
      options: { for: string; cutStreams?: string },
    ) => hold(context, customer, options)));
  program.command("release").argument("<customer>")
    .description("lets a held customer's requests go on")
    .action(
      does((context, customer: string) => release(context, customer)),
    );
  const assertions = program.command("assertions")
    .description("rules that every version has to satisfy");
  assertions.command("get").description("writes them, fit for set")
    .action(does(getAssertions));
  assertions.command("set").argument("<file>")
    .description("replaces them by those of a JSON file; - is standard input")
    .option("--author <name>", "who; for the log")
    .action(
      does(async (context, name: string, options: { author?: string }) =>
        setAssertions(context, {
          name,
          text: await around.read(name),
          ...options,
        })
      ),
    );
  const placement = program.command("placement")
    .description("makes, changes and removes placements");
  asEdit(placement.command("set").argument("<name>").argument("<endpoint>"))
    .description("makes a placement, or leads it to another endpoint")
    .action(does((
      context,
      name: string,
      endpoint: string,
      options: EditOptions,
    ) =>
      edit(context, {
        method: "PUT",
        path: path`/v1/placements/${name}`,
        body: { endpoint },
      }, options)
    ));
  asEdit(placement.command("rm").argument("<name>"))
    .description("removes a placement that nobody is in")
    .action(
      does((context, name: string, options: EditOptions) =>
        edit(context, {
          method: "DELETE",
          path: path`/v1/placements/${name}`,
        }, options)
      ),
    );
  asEdit(placement.command("default").argument("<name>"))
    .description("makes a placement the one of whoever is not assigned")
    .action(
      does((context, name: string, options: EditOptions) =>
        edit(context, {
          method: "PATCH",
          path: "/v1/config",
          type: "application/merge-patch+json",
          body: { default_placement: name },
        }, options)
      ),
    );
  asEdit(
    program.command("restore").addArgument(
      new Argument("<version>").argParser(version),
    ),
  )
    .description("commits an old version's contents as a new version")
    .action(
      does((context, version: number, options: EditOptions) =>
        edit(context, {
          method: "POST",
          path: path`/v1/versions/${version}/restore`,
        }, options)
      ),
    );
  asEdit(program.command("apply").argument("<file>"))
    .description(
      "makes a config file (JSON or YAML; - is standard input) the committed config; shows the difference and asks",
    )
    .option("-y, --yes", "do not ask")
    .option(
      "--fail-on-difference",
      "with --dry-run: end with 1 if something would change",
    )
    .action(
      does(async (context, file: string, options: ApplyOptions) =>
        await apply(context, {
          name: file === "-" ? "standard input" : file,
          text: await around.read(file),
        }, options)
      ),
    );
  asEdit(program.command("takeover"))
    .description(
      "makes this store the truth, also for routers in conflict with it; asks",
    )
    .option("-y, --yes", "do not ask")
    .action(does(async (
      context,
      options: EditOptions & { yes?: boolean },
    ) => {
      await confirmTakeover(context, options);
      return await edit(
        context,
        { method: "POST", path: "/v1/takeover" },
        options,
      );
    }));
  program.command("resend").argument("<router>")
    .description(
      "pushes the config to a router again, also where it rejected it",
    )
    .action(does(async ({ client, terminal }, id: string) => {
      const { connections } = await client.call<{ connections: number }>(
        path`/v1/routers/${id}/resend`,
        { method: "POST" },
      );
      terminal.out(
        `Being pushed to ${id}${
          connections > 1 ? ` on ${connections} connections` : ""
        }.`,
      );
      return EXIT.done;
    }));
  program.command("forget").argument("<router>")
    .description("takes a router that is gone off the list")
    .action(does(async ({ client, terminal }, id: string) => {
      await client.call(path`/v1/routers/${id}`, { method: "DELETE" });
      terminal.out(`${id} is forgotten.`);
      return EXIT.done;
    }));
}

interface MoveOptions {
  readonly to: string;
  readonly from?: string;
  readonly file?: string;
  readonly fenced?: boolean;
  readonly within?: string;
  readonly force?: boolean;
}

/** The options that every edit takes. */
function asEdit(command: Command): Command {
  return command
    .option("-m, --message <text>", "why; kept with the version")
    .option("--author <name>", "who; kept with the version")
    .option("-n, --dry-run", "show the difference, change nothing")
    .option("--wait", "until every router has answered, or the time is up")
    .option(
      "--drained",
      "as --wait, and until nothing runs any more on what was before",
    )
    .option(
      "--cut-streams <time>",
      "with --drained, or a fenced move: end event streams and tunnels after it",
    )
    .option("--timeout <time>", "how long to wait", "10s")
    .option(
      "--confirm <digest>",
      "a refused edit that changes much is meant: what it was refused with",
    )
    .option(
      "--confirm-within <time>",
      "take it back unless it is confirmed by then",
    )
    .option(
      "--canary <routers>",
      "only for these routers at first: how many, a share (10%), or id:a,b",
    )
    .option(
      "--hold <time>",
      "with --canary: how long it has to do well there (45s)",
    )
    .option(
      "--max-errors <share>",
      "with --canary: by how much their share of errors may rise (1%)",
    )
    .option("--if-version <n>", "only if this version is committed", version)
    .hook("preAction", (_, command) => checkNeeded(command.opts()));
}

/**
 * Refuses options that change nothing without another one.
 *
 * @throws {CommandError} that says which is missing.
 */
function checkNeeded(
  { drained, cutStreams, fenced, within, force }:
    & EditOptions
    & Partial<MoveOptions>,
): void {
  const missing = cutStreams !== undefined && !drained && !fenced
    ? "--cut-streams needs --drained, or --fenced of a move"
    : within !== undefined && !fenced
    ? "--within needs --fenced: it says how long what runs may take to end"
    : force && !fenced
    ? "--force needs --fenced: it goes on without routers that are away"
    : null;
  if (missing !== null) throw new CommandError(missing, { code: EXIT.usage });
}

/** Keeps a version that waits to be confirmed, or takes it back. */
async function decide(
  { client, terminal, json }: Context,
  version: number,
  { keep, author, message }: {
    keep: boolean;
    author?: string;
    message?: string;
  },
): Promise<ExitCode> {
  const answer = await client.call<{ version: number }>(
    path`/v1/versions/${version}/${keep ? "confirm" : "revert"}`,
    {
      method: "POST",
      headers: {
        "x-signalbox-author": author,
        "x-signalbox-message": message,
      },
    },
  );
  if (json) terminal.out(JSON.stringify(answer, null, 2));
  else {
    terminal.out(
      keep
        ? `Version ${version} stays.`
        : `Version ${version} is taken back, by version ${answer.version}.`,
    );
  }
  return EXIT.done;
}

async function confirmTakeover(
  { client, terminal }: Context,
  { yes, dryRun }: { yes?: boolean; dryRun?: boolean },
): Promise<void> {
  if (yes || dryRun) return;
  const { routers } = await client.call<
    { routers: { status: string }[] }
  >("/v1/routers");
  const conflicts = routers.filter(({ status }) => status === "conflict");
  const answer = terminal.ask(
    `This store becomes the truth for all routers; ${conflicts.length} are in conflict with it and take its contents in place of theirs. Go on?`,
  );
  if (answer) return;
  throw new CommandError(
    answer === null
      ? "Nobody is there to be asked, and nothing was changed: say --yes"
      : "Nothing was changed.",
    { code: answer === null ? EXIT.usage : EXIT.failed },
  );
}

async function readToken(
  around: Surroundings,
  option: string | undefined,
): Promise<string | null> {
  const file = option ?? around.env("SIGNALBOX_TOKEN_FILE");
  const text = file === undefined
    ? around.env("SIGNALBOX_TOKEN") ?? ""
    : await around.read(file);
  return text.trim() === "" ? null : text.trim();
}

function whole(text: string): number {
  if (/^[1-9][0-9]{0,14}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be a whole number from 1.");
}

function version(text: string): number {
  if (/^(?:0|[1-9][0-9]{0,14})$/.test(text)) return Number(text);
  throw new InvalidArgumentError("It must be the number of a version.");
}
