/** How a child is started. */
export interface ChildOptions {
  readonly args?: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Ends it when aborted. */
  readonly signal?: AbortSignal | undefined;
}

const KEPT_LINES = 50;

/**
 * A program that a benchmark runs beside itself, in a process group of its own, so that Ctrl-C ends
 * the benchmark first and disposing ends the program with all of its children.
 */
export class Child implements AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  readonly #process: Deno.ChildProcess;
  readonly #lines: string[] = [];
  readonly #ended: Promise<Deno.CommandStatus>;
  #over = false;
  #heard: () => void = () => {};

  /** Starts it. @throws {Deno.errors.NotFound} if there is no such program. */
  constructor(command: string, options: ChildOptions = {}) {
    this.name = command.split("/").at(-1)!;
    this.#process = new Deno.Command(command, {
      args: [...options.args ?? []],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
      env: { ...options.env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    }).spawn();
    this.pid = this.#process.pid;
    const read = Promise.all([
      this.#read(this.#process.stdout),
      this.#read(this.#process.stderr),
    ]);
    this.#ended = read.then(() => this.#process.status).then((status) => {
      this.#over = true;
      this.#heard();
      return status;
    });
  }

  /** The last lines of its output, standard and error. */
  get output(): string {
    return this.#lines.join("\n");
  }

  /** Waits for a line of its output. @throws {Error} with its output if it ends before. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      const line = this.#lines.find((line) => pattern.test(line));
      if (line !== undefined) return line;
      this.#mustRun(`it printed a line like ${pattern}`);
      await new Promise<void>((resolve) => this.#heard = resolve);
    }
  }

  /** Waits until it takes connections on a port. @throws {Error} if it ends before, or after 20 s. */
  async listens(port: number): Promise<void> {
    const deadline = performance.now() + 20_000;
    for (;;) {
      this.#mustRun(`it listened on port ${port}`);
      try {
        (await Deno.connect({ hostname: "127.0.0.1", port })).close();
        return;
      } catch (error) {
        if (
          !(error instanceof Deno.errors.ConnectionRefused) ||
          performance.now() > deadline
        ) {
          throw new Error(
            `${this.name} does not listen on port ${port}: ${this.output}`,
            { cause: error },
          );
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Waits for its end. @throws {Error} with its output if it failed. */
  async succeeds(): Promise<string> {
    const { success, code } = await this.#ended;
    if (!success) {
      throw new Error(`${this.name} ended with code ${code}: ${this.output}`);
    }
    return this.output;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      Deno.kill(-this.pid, "SIGKILL");
    } catch (error) {
      // Nobody of the group is left.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
    await this.#ended;
  }

  #mustRun(wanted: string): void {
    if (!this.#over) return;
    throw new Error(
      `${this.name} ended before ${wanted}: ${this.output}`,
    );
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    let rest = "";
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      this.#take(lines);
    }
    if (rest !== "") this.#take([rest]);
  }

  #take(lines: readonly string[]): void {
    this.#lines.push(...lines);
    this.#lines.splice(0, this.#lines.length - KEPT_LINES);
    this.#heard();
  }
}
