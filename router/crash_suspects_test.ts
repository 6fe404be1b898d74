import { deepEqual, equal, match } from "node:assert/strict";
import { CrashSuspects, type TrialHead } from "./crash_suspects.ts";

const HEAD: TrialHead = { version: 5, epoch: "e", digest: "sha256:5" };

/** A directory; `start()` begins as a new process of the router does. */
async function withDirectory(
  run: (start: () => Promise<CrashSuspects>, path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempDir();
  try {
    await run(async () => {
      const suspects = new CrashSuspects(path);
      await suspects.read();
      return suspects;
    }, path);
  } finally {
    await Deno.remove(path, { recursive: true });
  }
}

Deno.test("CrashSuspects condemns a config after two deaths, and none after one", () =>
  withDirectory(async (start) => {
    await (await start()).begin(HEAD);
    const second = await start();
    equal(second.suspicion(HEAD), null);
    await second.begin(HEAD);
    const third = await start();
    match(
      third.suspicion(HEAD)!,
      /^crash suspect: .* died 2 times .* version 5/,
    );
    // A start that applies nothing forgets nothing.
    match((await start()).suspicion(HEAD)!, /died 2 times/);
  }));

Deno.test("CrashSuspects forgets the deaths of a config that was applied", () =>
  withDirectory(async (start, path) => {
    await (await start()).begin(HEAD);
    const second = await start();
    await second.begin(HEAD);
    await second.end(HEAD);
    await (await start()).begin(HEAD);
    equal((await start()).suspicion(HEAD), null);
    await (await start()).clear();
    deepEqual([...Deno.readDirSync(path)], []);
  }));

Deno.test("CrashSuspects counts no end that the router was told to make", () =>
  withDirectory(async (start, path) => {
    for (let i = 0; i < 3; i++) {
      const suspects = await start();
      await suspects.begin(HEAD);
      await suspects.withdraw();
    }
    equal((await start()).suspicion(HEAD), null);
    deepEqual([...Deno.readDirSync(path)], []);
  }));

Deno.test("CrashSuspects keeps an earlier death over an end that the router was told to make", () =>
  withDirectory(async (start) => {
    await (await start()).begin(HEAD);
    const second = await start();
    await second.begin(HEAD);
    await second.withdraw();
    await (await start()).begin(HEAD);
    match((await start()).suspicion(HEAD)!, /died 2 times/);
  }));

Deno.test("CrashSuspects tells configs apart by version, epoch and, where both are known, digest", () =>
  withDirectory(async (start) => {
    for (let i = 0; i < 2; i++) await (await start()).begin(HEAD);
    const suspects = await start();
    equal(suspects.suspicion({ ...HEAD, version: 6 }), null);
    equal(suspects.suspicion({ ...HEAD, epoch: null }), null);
    equal(suspects.suspicion({ ...HEAD, digest: "sha256:6" }), null);
    match(suspects.suspicion({ ...HEAD, digest: null })!, /crash suspect/);
  }));

Deno.test("CrashSuspects remembers the newest of many configs", () =>
  withDirectory(async (start) => {
    const first = await start();
    for (let version = 1; version <= 20; version++) {
      await first.begin({ ...HEAD, version });
    }
    const second = await start();
    for (const version of [20, 1]) await second.begin({ ...HEAD, version });
    const third = await start();
    equal(third.suspicion({ ...HEAD, version: 1 }), null);
    match(third.suspicion({ ...HEAD, version: 20 })!, /crash suspect/);
  }));

for (
  const [name, text] of [
    ["empty", ""],
    ["no JSON", "{"],
    ["of another format", '{"format":2,"trials":[]}'],
    [
      "of wrong types",
      '{"format":1,"trials":[{"version":"5","epoch":null,"digest":null,"deaths":9,"begun":true}]}',
    ],
  ] as const
) {
  Deno.test(`CrashSuspects goes on where its file is ${name}`, () =>
    withDirectory(async (start, path) => {
      await Deno.writeTextFile(`${path}/applying`, text);
      const suspects = await start();
      equal(suspects.suspicion(HEAD), null);
      await suspects.begin(HEAD);
      await suspects.end(HEAD);
      deepEqual([...Deno.readDirSync(path)], []);
    }));
}

Deno.test("CrashSuspects goes on where its directory cannot be written", () =>
  withDirectory(async (_start, path) => {
    await Deno.writeTextFile(`${path}/file`, "");
    const suspects = new CrashSuspects(`${path}/file`);
    await suspects.read();
    await suspects.begin(HEAD);
    await suspects.end(HEAD);
    equal(suspects.suspicion(HEAD), null);
  }));

Deno.test("CrashSuspects does not wait for a disk that does not answer", () =>
  withDirectory(async (_start, path) => {
    // Opening a pipe that nobody reads does not return.
    const pipe = `${path}/applying.new`;
    const { success } = await new Deno.Command("mkfifo", { args: [pipe] })
      .output();
    equal(success, true);
    const suspects = new CrashSuspects(path, { waitMs: 10 });
    await suspects.begin(HEAD);
    using reader = await Deno.open(pipe);
    for await (const _ of reader.readable);
    await suspects.end(HEAD);
  }));
