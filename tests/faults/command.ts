/**
 * Runs a command of the operating system.
 *
 * @throws {Error} with what it said, if it fails; and naming it, if there is none.
 */
export async function run(command: string, ...args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, {
    args,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (success) return;
  throw new Error(
    `Cannot do "${[command, ...args].join(" ")}", which needs root: ${
      new TextDecoder().decode(stderr).trim()
    }`,
  );
}
