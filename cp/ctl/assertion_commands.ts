import { errorLine } from "../../shared/errors.ts";
import { counted } from "../ui/page/text.ts";
import type { Context } from "./edit.ts";
import { CommandError, EXIT, type ExitCode } from "./exit.ts";

const PATH = "/v1/assertions";

/** Writes the rules that every version has to satisfy, fit for {@linkcode setAssertions}. */
export async function getAssertions(
  { client, terminal }: Context,
): Promise<ExitCode> {
  const answer = await client.call<unknown>(PATH);
  terminal.out(JSON.stringify(answer, null, 2));
  return EXIT.done;
}

/**
 * Replaces them by those of a JSON text; `name` is where it came from.
 *
 * @throws {CommandError} if it is no JSON.
 */
export async function setAssertions(
  { client, terminal }: Context,
  { name, text, author }: { name: string; text: string; author?: string },
): Promise<ExitCode> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch (cause) {
    throw new CommandError(`${name} is not JSON: ${errorLine(cause)}`, {
      cause,
    });
  }
  const { rules } = await client.call<{ rules: unknown[] }>(PATH, {
    method: "PUT",
    body,
    headers: { "x-signalbox-author": author },
  });
  terminal.out(
    `${counted(rules.length, "rule")} ${
      rules.length === 1 ? "holds" : "hold"
    } for every version from now on.`,
  );
  return EXIT.done;
}
