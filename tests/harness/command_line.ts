const root = new URL("../../", import.meta.url);
const { tasks }: { tasks: Record<string, string> } = JSON.parse(
  await Deno.readTextFile(new URL("deno.json", root)),
);
/** What `deno task ctl` runs, with exactly its permissions. */
const ARGUMENTS = tasks.ctl!.split(" ").slice(1);

/** What a command said and ended with. */
export interface Said {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** How {@linkcode ctl} is called. */
export interface CtlOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Standard input; nothing if it is not given. */
  readonly input?: string;
}

/** Starts the command line against a control plane. */
export function startCtl(
  url: string,
  args: readonly string[],
  { env = {}, input }: CtlOptions = {},
): Deno.ChildProcess {
  const inherited = ["HOME", "PATH", "TMPDIR", "DENO_DIR", "XDG_CACHE_HOME"]
    .map((name) => [name, Deno.env.get(name)])
    .filter(([, value]) => value !== undefined);
  return new Deno.Command(Deno.execPath(), {
    args: [...ARGUMENTS, ...args],
    cwd: root,
    clearEnv: true,
    env: { ...Object.fromEntries(inherited), SIGNALBOX_URL: url, ...env },
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Runs the command line against a control plane, to its end. */
export async function ctl(
  url: string,
  args: readonly string[],
  options: CtlOptions = {},
): Promise<Said> {
  const child = startCtl(url, args, options);
  if (options.input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(options.input));
    await writer.close();
  }
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, out: text(stdout), err: text(stderr) };
}
