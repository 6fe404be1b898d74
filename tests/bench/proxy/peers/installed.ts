import { commandOutput } from "../../command_output.ts";
import { NotInstalled } from "./peer.ts";

/**
 * The version that a program of a Debian package prints.
 *
 * @throws {NotInstalled} saying how to install it.
 */
export async function installedVersion(
  command: string,
  flag: string,
): Promise<string> {
  const output = await commandOutput(command, [flag]);
  if (output === undefined) {
    throw new NotInstalled(
      `${command} is not installed (apt install ${command})`,
    );
  }
  const version = /[0-9]+\.[0-9]+(?:\.[0-9]+)?/.exec(output);
  return version?.[0] ?? output.trim();
}
