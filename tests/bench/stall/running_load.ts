import { Child } from "../child.ts";
import type { LoadOptions, RecordingFiles } from "./load.ts";
import type { Recording } from "./recording.ts";
import type { Scene } from "./scene.ts";

const CONNECTIONS = 8;
const REQUESTS_PER_SECOND = 4000;

/** The load, in words. */
export const LOAD_TEXT =
  `${REQUESTS_PER_SECOND} requests a second for known customers in turn, over ${CONNECTIONS} kept connections`;

/** The load as a process of its own. */
export class RunningLoad implements AsyncDisposable {
  readonly #child: Child;
  readonly #files: RecordingFiles;

  private constructor(child: Child, files: RecordingFiles) {
    this.#child = child;
    this.#files = files;
  }

  /** Starts it, and waits until it has its connections. */
  static async start(
    { folder, endpoint }: Scene,
    { port, namesFile }: { port: number; namesFile: string },
  ): Promise<RunningLoad> {
    const files = {
      due: `${folder}/due`,
      answered: `${folder}/answered`,
      looked: `${folder}/looked`,
    };
    const options: LoadOptions = {
      port,
      namesFile,
      cells: endpoint.cells.length,
      connections: CONNECTIONS,
      requestsPerSecond: REQUESTS_PER_SECOND,
      files,
    };
    const child = new Child(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--allow-net=127.0.0.1",
        `--allow-read=${folder}`,
        `--allow-write=${folder}`,
        new URL("load.ts", import.meta.url).pathname,
        JSON.stringify(options),
      ],
    });
    try {
      await child.line(/^loading$/);
      return new RunningLoad(child, files);
    } catch (error) {
      await child[Symbol.asyncDispose]();
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Ends it, and answers what it has seen. */
  async stop(): Promise<Recording> {
    Deno.kill(this.pid, "SIGTERM");
    const output = await this.#child.succeeds();
    const { due, answered, looked } = this.#files;
    return {
      due: await numbers(due),
      answered: await numbers(answered),
      looked: await numbers(looked),
      failures: JSON.parse(output.split("\n").at(-1)!),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child[Symbol.asyncDispose]();
  }
}

async function numbers(path: string): Promise<Float64Array> {
  return new Float64Array((await Deno.readFile(path)).buffer);
}
