/** Whether a program is there, of those that tell their version. */
export async function installed(program: string): Promise<boolean> {
  try {
    const command = new Deno.Command(program, { args: ["--version"] });
    return (await command.output()).success;
  } catch {
    return false;
  }
}
