import { deepEqual, equal, match, ok } from "node:assert/strict";
import { CrashSuspects, type TrialHead } from "../crash_suspects.ts";
import { readText, type Trials } from "./text.ts";

const SERVING = { version: 4, epoch: "e1", digest: "d", durable: true };

/** Trials that write down what they are told. */
class Told implements Trials {
  readonly lines: string[] = [];
  constructor(readonly suspect: number | null = null) {}

  suspicion({ version }: TrialHead): string | null {
    return version === this.suspect ? "crash suspect" : null;
  }

  begin({ version, epoch }: TrialHead): Promise<void> {
    this.lines.push(`begin ${version} ${epoch}`);
    return Promise.resolve();
  }

  end({ version, epoch }: TrialHead): Promise<void> {
    this.lines.push(`end ${version} ${epoch}`);
    return Promise.resolve();
  }
}

/** A draft control plane's push of more than a mebibyte. */
function large(version: number, tail = "}"): string {
  const config = JSON.stringify({ padding: "x".repeat(2 ** 20) });
  return `{"type":"config_update","version":${version},"config":${config}${tail}`;
}

function read(text: string, trials: Trials | null) {
  return readText(text, { bytes: text.length, serving: SERVING, trials });
}

Deno.test("readText() reads a small text at once", () => {
  const told = new Told();
  const parsed = read('{"type":"ping","version":5}', told);
  ok(!(parsed instanceof Promise));
  equal(parsed.kind, "message");
  deepEqual(told.lines, []);
});

Deno.test("readText() notes a large config on the disk while it reads it", async () => {
  const told = new Told();
  const parsed = await read(large(5), told);
  ok(parsed.kind === "message" && parsed.message.type === "config_update");
  equal(parsed.message.version, 5);
  ok(parsed.message.config.value instanceof Map);
  deepEqual(told.lines, ["begin 5 e1", "end 5 e1"]);
});

Deno.test("readText() takes the note away where a large text cannot be read", async () => {
  const told = new Told();
  equal((await read(large(5, ""), told)).kind, "malformed");
  deepEqual(told.lines, ["begin 5 e1", "end 5 e1"]);
});

Deno.test("readText() does not read a config that the router died of", async () => {
  const told = new Told(5);
  // Were it read, it would be malformed.
  const parsed = await read(large(5, ""), told);
  ok(parsed.kind === "message" && parsed.message.type === "config_update");
  equal(parsed.message.version, 5);
  equal(parsed.message.config.value, null);
  deepEqual(told.lines, []);
});

Deno.test("readText() reads a large text of another form as it comes", () => {
  const told = new Told();
  const text = `{"version":5,"type":"config_update","config":{"a":"${
    "x".repeat(2 ** 20)
  }"}}`;
  ok(!(read(text, told) instanceof Promise));
  ok(!(read(large(5), null) instanceof Promise));
  deepEqual(told.lines, []);
});

Deno.test("a config that was noted by readText() is a suspect when it is to be applied", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const head = { version: 5, epoch: "e1", digest: null };
    for (let death = 0; death < 2; death++) {
      const dying = new CrashSuspects(directory);
      await dying.read();
      await dying.begin(head);
    }
    const suspects = new CrashSuspects(directory);
    await suspects.read();
    const parsed = await read(large(5), suspects);
    ok(parsed.kind === "message" && parsed.message.type === "config_update");
    const { version, digest } = parsed.message;
    match(
      suspects.suspicion({ version, epoch: SERVING.epoch, digest })!,
      /crash suspect/,
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
