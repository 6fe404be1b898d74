import { until } from "./until.ts";

/** One line of a program's log. */
export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly [property: string]: unknown;
}

/** The programs of this project, by the name of their task in `deno.json`. */
export type ProgramName = "cp" | "router";

const root = new URL("../../", import.meta.url);

/**
 * A control plane or router as a process of its own, with exactly the permissions its task has.
 * Leave it by `stop()` or `kill()`, or by `await using`.
 */
export class Program implements AsyncDisposable {
  /** All of its log so far. Lines that are no JSON stand as messages of level `raw`. */
  readonly log: LogLine[] = [];
  readonly name: string;
  readonly pid: number;
  /** Resolves when the process has ended and its log is read. */
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #listeners = new Set<(line: LogLine) => void>();

  private constructor(name: string, child: Deno.ChildProcess) {
    this.name = name;
    this.pid = child.pid;
    this.#child = child;
    const read = Promise.all([
      this.#read(child.stdout),
      this.#read(child.stderr),
    ]);
    this.ended = read.then(() => child.status);
  }

  /**
   * Starts a program; settings that `env` does not name have their defaults. `within` is a command that
   * runs the one that follows its own arguments, in the same process.
   */
  static start(
    name: ProgramName,
    env: Record<string, string>,
    { within = [] }: { within?: readonly string[] } = {},
  ): Program {
    const [command, ...args] = [
      ...within,
      Deno.execPath(),
      ...taskArguments(name),
    ];
    const child = new Deno.Command(command!, {
      args,
      cwd: root,
      clearEnv: true,
      env: { ...inherited(), LOG_FORMAT: "json", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    return new Program(name, child);
  }

  /** Waits for a line of the log, from its beginning on. */
  async line(
    message: string,
    properties: Record<string, unknown> = {},
  ): Promise<LogLine> {
    let over = false;
    this.ended.then(() => over = true);
    const line = await until(`"${message}" in the log of ${this.name}`, () => {
      const line = this.log.find((line) =>
        line.message === message &&
        Object.entries(properties).every(([name, value]) =>
          line[name] === value
        )
      );
      return line ?? (over ? "over" : null);
    });
    if (line !== "over") return line;
    throw new Error(`${this.name} ended; its log:\n${this.logText()}`);
  }

  /** Calls `listener` with every line from now on. */
  onLine(listener: (line: LogLine) => void): void {
    this.#listeners.add(listener);
  }

  /** Sends a signal and waits for the end. */
  async kill(signal: Deno.Signal): Promise<Deno.CommandStatus> {
    this.signal(signal);
    return await this.ended;
  }

  /** Sends a signal; nothing happens if the process has ended. */
  signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (
        !(error instanceof TypeError || error instanceof Deno.errors.NotFound)
      ) throw error;
    }
  }

  /** Ends it as an operator would. */
  async stop(): Promise<Deno.CommandStatus> {
    return await this.kill("SIGTERM");
  }

  logText(): string {
    return this.log.map((line) => JSON.stringify(line)).join("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill("SIGKILL");
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) this.#take(line);
    }
    if (rest !== "") this.#take(rest);
  }

  #take(text: string): void {
    let line: LogLine;
    try {
      line = JSON.parse(text);
    } catch {
      line = { level: "raw", message: text };
    }
    this.log.push(line);
    for (const listener of this.#listeners) listener(line);
  }
}

/** What `deno task NAME` runs, so that the permissions stand in one place only. */
function taskArguments(name: ProgramName): string[] {
  const { tasks } = JSON.parse(
    Deno.readTextFileSync(new URL("deno.json", root)),
  );
  const task: string | { command: string } = tasks[name];
  const [deno, ...rest] = (typeof task === "string" ? task : task.command)
    .split(" ");
  if (deno !== "deno" || rest[0] !== "run") {
    throw new Error(
      `Cannot start task ${name}: its command is not "deno run …"`,
    );
  }
  return ["run", "--quiet", ...rest.slice(1)];
}

/** What the runtime itself needs of the environment. */
function inherited(): Record<string, string> {
  const env: Record<string, string> = {};
  for (const name of ["HOME", "PATH", "TMPDIR", "DENO_DIR", "XDG_CACHE_HOME"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  return env;
}

/** A folder below `data/`, the one place the programs may write to; removed when disposed. */
export async function dataFolder(): Promise<
  { path: string } & AsyncDisposable
> {
  const data = new URL("data/", root);
  await Deno.mkdir(data, { recursive: true });
  const path = await Deno.makeTempDir({ dir: data.pathname, prefix: "test-" });
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}
