/** What a program of Prometheus said, and whether it was content. */
export interface Verdict {
  readonly ok: boolean;
  readonly said: string;
}

/** Where the files are that come with Signalbox. */
export const FILES = new URL("../../shared/observability/", import.meta.url);

/**
 * Runs `promtool`.
 *
 * @throws {Error} that says how to install it, if it is missing.
 */
export async function promtool(...args: string[]): Promise<Verdict> {
  const output = await prometheusCommand("promtool", args).output();
  const text = new TextDecoder();
  return {
    ok: output.success,
    said: text.decode(output.stdout) + text.decode(output.stderr),
  };
}

/**
 * A program of Prometheus, to be run in the folder of the files.
 *
 * @throws {Error} that says how to install it, if it is missing.
 */
export function prometheusCommand(
  name: "promtool" | "prometheus",
  args: readonly string[],
): Deno.Command {
  try {
    Deno.statSync(`/usr/bin/${name}`);
  } catch (cause) {
    throw new Error(
      `Cannot run ${name}: /usr/bin/${name} is missing (apt-get install prometheus)`,
      { cause },
    );
  }
  return new Deno.Command(`/usr/bin/${name}`, {
    args: [...args],
    cwd: FILES,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}
