import { summaryText } from "../ui/page/summary.ts";
import { readConfigFile } from "./config_file.ts";
import {
  type Context,
  type EditOptions,
  sendEdit,
  tellEdit,
  writeDiff,
} from "./edit.ts";
import { CommandError, EXIT, type ExitCode } from "./exit.ts";

export interface ApplyOptions extends EditOptions {
  /** Does not ask. */
  readonly yes?: boolean;
  /** With a dry run: ends with 1 if something would change. */
  readonly failOnDifference?: boolean;
}

/**
 * Makes a file's config the committed one: shows the difference, asks, and commits exactly what was shown. A file that
 * says what is committed already changes nothing.
 */
export async function apply(
  context: Context,
  { name, text }: { name: string; text: string },
  options: ApplyOptions,
): Promise<ExitCode> {
  const { terminal, json } = context;
  const call = {
    method: "PUT",
    path: "/v1/config",
    body: readConfigFile(text, name),
  };
  const dry = await sendEdit(context, call, { ...options, dryRun: true });
  if (options.dryRun || !dry.changed) {
    if (options.dryRun || json) tellEdit(context, dry);
    else {
      terminal.out(`Unchanged: version ${dry.version} is what ${name} says.`);
    }
    return dry.changed && options.failOnDifference ? EXIT.failed : EXIT.done;
  }
  if (!options.yes) {
    terminal.err(
      `${name} changes version ${dry.version}: ${summaryText(dry.summary)}.`,
    );
    if (dry.diff !== undefined) {
      writeDiff({ ...terminal, out: terminal.err }, [
        { ...dry.diff, summary: dry.summary },
      ]);
    }
    const answer = terminal.ask("Apply it?");
    if (answer === null) {
      throw new CommandError(
        "Nobody is there to be asked, and nothing was changed: say --yes to apply it, or --dry-run to look",
        { code: EXIT.usage },
      );
    }
    if (!answer) {
      terminal.err("Nothing was changed.");
      return EXIT.failed;
    }
  }
  // Exactly what was shown, or nothing.
  const ifVersion = options.ifVersion ?? dry.version;
  return tellEdit(
    context,
    await sendEdit(context, call, {
      ...options,
      ifVersion,
      ...(dry.guard === undefined ? {} : { confirm: dry.guard.confirm }),
    }),
  );
}
