import { authority } from "../../shared/settings.ts";
import type { Report, Setup } from "./messages.ts";

/** A process of the simulator, as the command sees it. */
export class LinkProcess {
  readonly pid: number;
  readonly routers: number;
  /** Resolves once it has ended; rejects if it failed by itself. */
  readonly ended: Promise<void>;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;

  /** Starts it; `hears` is called with each report. */
  constructor(setup: Setup, hears: (report: Report) => void) {
    this.routers = setup.routers.length;
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--no-check",
        `--allow-net=${target(setup.url)}`,
        new URL("links.ts", import.meta.url).pathname,
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.pid = this.#child.pid;
    this.#input = this.#child.stdin.getWriter();
    this.ended = Promise.all([
      this.#read(hears),
      this.#begin(setup),
      this.#child.status,
    ]).then(([, , { code }]) => {
      if (code !== 0) {
        throw new Error(
          `A process of ${this.routers} links ended with code ${code}`,
        );
      }
    });
  }

  /** Has it close its links and end. */
  async stop(): Promise<void> {
    // It may have ended before.
    await this.#input.close().catch(() => {});
    await this.ended;
  }

  async #begin(setup: Setup): Promise<void> {
    try {
      await this.#input.write(
        new TextEncoder().encode(JSON.stringify(setup) + "\n"),
      );
    } catch {
      // It ended before it was told anything; its exit code says so.
    }
  }

  async #read(hears: (report: Report) => void): Promise<void> {
    let rest = "";
    for await (
      const text of this.#child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) hears(JSON.parse(line));
    }
  }
}

/** The host and port of a URL, as a permission names them. */
function target(url: string): string {
  const { protocol, hostname, port } = new URL(url);
  return authority({
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port) || (protocol === "wss:" ? 443 : 80),
  });
}
