import { ControlPlane } from "../../harness/control_plane.ts";
import { dataFolder } from "../../harness/program.ts";
import { processUsage } from "../process_usage.ts";
import { Link } from "./link.ts";
import type { Gaps } from "./poller.ts";
import { RunningPoller } from "./running_poller.ts";

/** What one step of the benchmark cost. */
export interface Step {
  readonly name: string;
  /** Until the last answer was read. */
  readonly ms: number;
  readonly gaps: Gaps;
}

/** Kept beyond the number of edits, so that some are dropped, and swept, while the benchmark runs. */
const KEEP_VERSIONS = 1100;

/** A control plane with its store in a file, the poller beside it, and one router's link. */
export class Scene implements AsyncDisposable {
  /** Steps so far. */
  readonly steps: Step[] = [];
  readonly #folder: string;
  readonly #stack: AsyncDisposableStack;
  readonly #tell: (text: string) => void;
  #controlPlane!: ControlPlane;
  #poller!: RunningPoller;
  #link!: Link;

  private constructor(
    folder: string,
    stack: AsyncDisposableStack,
    tell: (text: string) => void,
  ) {
    this.#folder = folder;
    this.#stack = stack;
    this.#tell = tell;
  }

  /** Starts all of it; `tell` is told of every step. */
  static async start(tell: (text: string) => void): Promise<Scene> {
    await using stack = new AsyncDisposableStack();
    const { path } = stack.use(await dataFolder());
    const scene = new Scene(path, stack.move(), tell);
    try {
      await scene.#use(
        await ControlPlane.start(path, {
          CP_KEEP_VERSIONS: String(KEEP_VERSIONS),
          // It moves everybody, without being asked.
          CP_GUARD_SHARE: "100%",
        }),
      );
    } catch (error) {
      await scene[Symbol.asyncDispose]();
      throw error;
    }
    return scene;
  }

  async #use(controlPlane: ControlPlane): Promise<void> {
    const { port, program: { pid } } = controlPlane;
    this.#controlPlane = this.#stack.use(controlPlane);
    this.#link = this.#stack.use(new Link(controlPlane.connectUrl));
    this.#poller = this.#stack.use(await RunningPoller.start({ port, pid }));
  }

  get link(): Link {
    return this.#link;
  }

  /** Ends the control plane and starts it on the same store; the step is until it is ready. */
  async restart(name: string): Promise<void> {
    this.#link[Symbol.dispose]();
    await this.#poller[Symbol.asyncDispose]();
    await this.#controlPlane.program.stop();
    const began = performance.now();
    await this.#use(await this.#controlPlane.again());
    const { gaps } = await this.#poller.during(() =>
      this.call("GET", "/readyz")
    );
    this.#note({ name, ms: performance.now() - began, gaps });
  }

  /** Does a step, and notes its time and the gaps meanwhile. */
  async step<T>(name: string, run: () => Promise<T>): Promise<T> {
    const began = performance.now();
    let ms = 0;
    const { value, gaps } = await this.#poller.during(async () => {
      const value = await run();
      ms = performance.now() - began;
      return value;
    });
    this.#note({ name, ms, gaps });
    return value;
  }

  #note(step: Step): void {
    this.steps.push(step);
    const { name, ms, gaps: { longest, longestOwn, longestRun } } = step;
    this.#tell(
      `  ${name}: ${ms.toFixed(0)} ms, longest gap ${longest.toFixed(0)} ms, ${
        longestOwn.toFixed(0)
      } ms without waits, ${longestRun.toFixed(0)} ms running`,
    );
    this.#link.check();
  }

  /** Calls the API and reads the answer. @throws {Error} if its status is not the one expected. */
  async call(
    method: string,
    path: string,
    options: { body?: string; status?: number } = {},
  ): Promise<string> {
    const { body, status = 200 } = options;
    const response = await fetch(this.#controlPlane.url + path, {
      method,
      ...(body === undefined
        ? {}
        : { body, headers: { "content-type": "application/json" } }),
    });
    const text = await response.text();
    if (response.status !== status) {
      throw new Error(
        `${method} ${path} answered ${response.status}: ${text.slice(0, 500)}`,
      );
    }
    return text;
  }

  /** Bytes that the control plane says it has written to its store since it was started. */
  async writtenBytes(): Promise<number> {
    const text = await this.call("GET", "/metrics");
    const line = /^signalbox_cp_store_written_bytes_total ([0-9.e+]+)$/m
      .exec(text);
    if (line === null) {
      throw new Error("The metrics do not tell what is written");
    }
    return Number(line[1]);
  }

  /** The size of the store's files. */
  async fileBytes(): Promise<number> {
    let bytes = 0;
    for await (const { name, isFile } of Deno.readDir(this.#folder)) {
      if (isFile) bytes += (await Deno.stat(`${this.#folder}/${name}`)).size;
    }
    return bytes;
  }

  /** The most memory that the control plane has had resident, in bytes. */
  async peakBytes(): Promise<number> {
    return (await processUsage([this.#controlPlane.program.pid])).peakBytes;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
