/**
 * How many descriptors a process started from here may have open. The runtime raises its own limit as
 * far as it may go, and its children have the same.
 *
 * @throws {Error} if the system does not tell.
 */
export async function descriptorLimit(): Promise<number> {
  const { stdout } = await new Deno.Command("sh", {
    args: ["-c", "ulimit -n"],
    stdin: "null",
  }).output();
  const text = new TextDecoder().decode(stdout).trim();
  if (text === "unlimited") return Infinity;
  if (!/^[0-9]+$/.test(text)) {
    throw new Error(`Cannot read the limit of open descriptors: ${text}`);
  }
  return Number(text);
}
