import { Child } from "../child.ts";
import type { Gaps } from "./poller.ts";

/** The poller, as the benchmark sees it. */
export class RunningPoller implements AsyncDisposable {
  readonly #child: Child;
  readonly #url: string;

  private constructor(child: Child, url: string) {
    this.#child = child;
    this.#url = url;
  }

  /** Starts polling a control plane. */
  static async start(
    controlPlane: { readonly port: number; readonly pid: number },
  ): Promise<RunningPoller> {
    const child = new Child(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        // Deno reads files of /proc with no narrower permission.
        "--allow-all",
        new URL("poller.ts", import.meta.url).pathname,
        String(controlPlane.port),
        String(controlPlane.pid),
      ],
    });
    try {
      const port = await child.line(/^[0-9]+$/);
      return new RunningPoller(child, `http://127.0.0.1:${port}`);
    } catch (error) {
      await child[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** What it has seen since it was asked last. */
  async gaps(): Promise<Gaps> {
    try {
      return await (await fetch(this.#url)).json();
    } catch (cause) {
      throw new Error(`The poller is gone: ${this.#child.output}`, { cause });
    }
  }

  /** What it sees while something runs. */
  async during<T>(run: () => Promise<T>): Promise<{ value: T; gaps: Gaps }> {
    await this.gaps();
    const value = await run();
    return { value, gaps: await this.gaps() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }
}
