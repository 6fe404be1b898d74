import { deepEqual, equal, match, ok } from "node:assert/strict";
import { configOf } from "../harness/config.ts";
import { ControlPlane } from "../harness/control_plane.ts";
import { dataFolder } from "../harness/program.ts";
import { until } from "../harness/until.ts";

/** `deno task fleet`, with what it prints. */
class Command implements AsyncDisposable {
  readonly lines: string[] = [];
  errors = "";
  readonly #child: Deno.ChildProcess;
  readonly #read: Promise<unknown>;

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["task", "--quiet", "fleet", ...args],
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#read = Promise.all([
      this.#each(this.#child.stdout, (text) => {
        const lines = ((this.lines.pop() ?? "") + text).split("\n");
        this.lines.push(...lines);
      }),
      this.#each(this.#child.stderr, (text) => this.errors += text),
    ]);
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async code(): Promise<number> {
    await this.#read;
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGTERM");
    } catch (error) {
      // It has ended.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.code();
  }

  async #each(
    stream: ReadableStream<Uint8Array<ArrayBuffer>>,
    take: (text: string) => void,
  ): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      take(text);
    }
  }
}

Deno.test("the command tells how a fleet is, and a Ctrl-C ends it with a summary", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path, {
    CP_ROUTER_TOKEN: "a-token-of-routers",
  });
  const body = configOf([
    { name: "one", endpoint: "http://127.0.0.1:1" },
    { name: "two", endpoint: "http://127.0.0.1:2" },
  ]);
  await controlPlane.call("PUT", "/v1/config", { body });
  await using command = new Command([
    "--routers",
    "20",
    "--cp",
    controlPlane.url,
    "--stalled=1",
    "--rejecters=5%",
    "--prefix=big",
    "--ramp=0.1",
  ], { ROUTER_CP_TOKEN: "a-token-of-routers" });
  const shows = (text: string) =>
    until(
      `a line with ${text}`,
      () => {
        ok(
          command.lines.some((line) => line.includes(text)),
          command.lines.join("\n") + command.errors,
        );
        return true;
      },
    );
  await shows("20 of 20 connected | 18 current at version 1 | 1 stalled");
  await controlPlane.call("PATCH", "/v1/customers/acme", {
    body: { placement: "two" },
  });
  await shows("20 of 20 connected | 18 current at version 2 | 1 stalled");
  const { routers } = (await controlPlane.call("GET", "/v1/routers")).body;
  deepEqual(
    [routers.length, routers[0].id, routers[19].id],
    [20, "big-01", "big-20"],
  );
  command.signal("SIGINT");
  equal(await command.code(), 0, command.errors);
  const text = command.lines.join("\n");
  match(text, /^2 versions seen, applied 36 times, rejected 2 times/m);
  match(text, /over all versions: p50 [0-9.]+ m?s, p99/);
  match(text, /^ +(to|above) [0-9]+ m?s +[0-9]+ █+$/m);
  await until("all to be gone", async () => {
    const { body } = await controlPlane.call("GET", "/v1/routers");
    return body.routers.every(({ connected }: { connected: boolean }) =>
      !connected
    );
  });
});

Deno.test("--for ends the command by itself, --json prints objects", async () => {
  await using folder = await dataFolder();
  await using controlPlane = await ControlPlane.start(folder.path);
  await using command = new Command([
    "--routers=3",
    `--cp=${controlPlane.url}`,
    "--for=1",
    "--json",
  ]);
  equal(await command.code(), 0, command.errors);
  const objects = command.lines.filter((line) => line !== "").map((line) =>
    JSON.parse(line)
  );
  const { type, routers, faults, propagation } = objects.at(-1);
  deepEqual([type, routers, faults, propagation], ["summary", 3, [], null]);
});

Deno.test("a bad option ends the command with its name and the rule", async () => {
  await using command = new Command([
    "--routers=none",
    "--cp=http://127.0.0.1:9",
  ]);
  equal(await command.code(), 2);
  match(
    command.errors,
    /^Cannot read --routers none: it needs a whole number from 1 to 100000$/m,
  );
});
