import type { Second } from "./load.ts";

/** The load, as the benchmark sees it. */
export class RunningLoad implements AsyncDisposable {
  /** All seconds so far. */
  readonly seconds: Second[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<void>;

  constructor(url: string, customers: readonly string[]) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--allow-net=127.0.0.1",
        new URL("load.ts", import.meta.url).pathname,
        url,
        ...customers,
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
      // Not in the benchmark's process group: Ctrl-C is the benchmark's to take.
      detached: true,
    }).spawn();
    this.#read = this.#readAll();
  }

  /** Ends it, when its last requests are answered. */
  async stop(): Promise<void> {
    await this.#child.stdin.close();
    const { success } = await this.#child.status;
    await this.#read;
    if (!success) throw new Error("The load failed");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
  }

  async #readAll(): Promise<void> {
    let rest = "";
    const texts = this.#child.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of texts) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      this.seconds.push(...lines.map((line) => JSON.parse(line)));
    }
  }
}
