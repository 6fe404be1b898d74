import assert from "node:assert/strict";

/** A line of the log. */
interface Line {
  readonly message: string;
  readonly problem: string;
  readonly port: number;
  readonly [property: string]: unknown;
}

/** Runs a control plane, handing each line of its log to `hear` until that answers true. */
async function run(
  env: Record<string, string>,
  hear: (line: Line) => boolean,
): Promise<void> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("main.ts", import.meta.url).pathname],
    env: { CP_KV: ":memory:", LOG_FORMAT: "json", ...env },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let text = "";
  let stopped = false;
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (text + part).split("\n");
    text = lines.pop()!;
    for (const line of lines) {
      if (stopped || !hear(JSON.parse(line))) continue;
      stopped = true;
      child.kill("SIGTERM");
    }
  }
  await child.status;
}

Deno.test("a control plane that cannot start tells all that is wrong at once", async () => {
  const problems: string[] = [];
  const env = {
    CP_ADMIN_TOKENS_FILE: "/tmp/not/there/tokens",
    CP_SEED: "/tmp/not/there/seed.json",
  };
  const hear = ({ message, problem }: Line) => {
    if (message === "cannot start") problems.push(problem);
    return false;
  };
  await run(env, hear);
  assert.deepEqual(
    problems.map((problem) => /CP_[A-Z_]+/.exec(problem)?.[0]),
    ["CP_ADMIN_TOKENS_FILE", "CP_SEED"],
  );
  problems.length = 0;
  await run({ ...env, CP_PING_INTERVAL: "soon" }, hear);
  assert.deepEqual(
    problems.map((problem) => /CP_[A-Z_]+/.exec(problem)?.[0]),
    ["CP_PING_INTERVAL", "CP_ADMIN_TOKENS_FILE", "CP_SEED"],
  );
});

Deno.test("the command that ends a conflict names an address that can be reached", async () => {
  for (
    const [listen, host] of [
      ["127.0.0.1:0", "127.0.0.1"],
      ["0.0.0.0:0", "127.0.0.1"],
    ] as const
  ) {
    let port = 0;
    let socket: WebSocket | null = null;
    let told = "";
    await run({ CP_LISTEN: listen, CP_INSECURE: "true" }, (line) => {
      if (line.message === "listening") {
        port = line.port;
        socket = new WebSocket(
          `ws://127.0.0.1:${port}/v1/connect?id=r1&instance=i1&epoch=other&version=7&digest=sha256:${
            "0".repeat(64)
          }`,
        );
      }
      told = /curl -X POST \S+/.exec(JSON.stringify(line))?.[0] ?? "";
      return told !== "";
    });
    assert.equal(told, `curl -X POST http://${host}:${port}/v1/takeover`);
    const open = socket as WebSocket | null;
    if (open !== null && open.readyState !== WebSocket.CLOSED) {
      await new Promise((resolve) => {
        open.onclose = resolve;
        open.close();
      });
    }
  }
});
