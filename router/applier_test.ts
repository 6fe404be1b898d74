import assert from "node:assert/strict";
import { readJson } from "../shared/json.ts";
import { activate, activeConfig } from "./active.ts";
import { Applier, type OtherThreads } from "./applier.ts";
import type { PushContents } from "./config/config_reader.ts";
import type { Routes } from "./routes.ts";
import { SavedConfigs } from "./saved_config.ts";

const TEXT =
  '{"customer_to_placement":{},"default_placement":"a","placement_to_endpoint":{"a":"http://127.0.0.1:1"}}';
const DIGEST =
  "sha256:06be7c60006397681ab28cb6854c6f914675048b13cc5dc3e06b9e3d042d2714";
const PUSH = { version: 3, epoch: "e", digest: null, supersedes: [] };

function contents(text = TEXT): PushContents {
  return { kind: "document", document: readJson(text) };
}

async function withApplier(
  run: (
    applier: Applier,
    applied: Routes[],
    saved: SavedConfigs,
    directory: string,
  ) => Promise<void>,
  onApplied: (routes: Routes) => void = () => {},
  threads?: OtherThreads,
): Promise<void> {
  activate(null);
  const directory = await Deno.makeTempDir();
  const saved = new SavedConfigs(directory);
  const applied: Routes[] = [];
  const applier = new Applier({
    saved,
    maxConfigBytes: 1000,
    ...(threads === undefined ? {} : { threads }),
    onApplied: (routes) => {
      applied.push(routes);
      onApplied(routes);
    },
  });
  try {
    await run(applier, applied, saved, directory);
  } finally {
    activate(null);
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("Applier.apply() swaps, tells and saves", () =>
  withApplier(async (applier, applied, saved) => {
    assert.deepEqual(await applier.apply(PUSH, contents(), { sameAs: null }), {
      status: "applied",
      digest: DIGEST,
      durable: true,
    });
    const active = activeConfig();
    assert.ok(active !== null && Object.isFrozen(active));
    assert.deepEqual([active.version, active.epoch, active.source], [
      3,
      "e",
      "control_plane",
    ]);
    assert.deepEqual(applied, [active.routes]);
    assert.equal(saved.newest?.version, 3);
    assert.ok(applier.durable);
  }));

Deno.test("Applier.apply() changes nothing on a config it rejects", () =>
  withApplier(async (applier, applied) => {
    await applier.apply(PUSH, contents(), { sameAs: null });
    const before = activeConfig();
    const { status } = await applier.apply(
      { ...PUSH, version: 4 },
      contents("{}"),
      { sameAs: null },
    );
    assert.equal(status, "rejected");
    assert.equal(activeConfig(), before);
    assert.equal(applied.length, 1);
  }));

Deno.test("Applier.apply() only compares where it is asked to", () =>
  withApplier(async (applier, applied) => {
    assert.deepEqual(
      await applier.apply(PUSH, contents(), { sameAs: DIGEST }),
      { status: "unchanged", durable: true },
    );
    const other = contents(TEXT.replace(':1"', ':2"'));
    const { status } = await applier.apply(PUSH, other, { sameAs: DIGEST });
    assert.equal(status, "rejected");
    assert.equal(activeConfig(), null);
    assert.equal(applied.length, 0);
  }));

Deno.test("Applier.apply() saves what is served already, if that failed before", () =>
  withApplier(async (applier, _applied, saved, directory) => {
    // A file where the directory should be: nothing can be written below it.
    await Deno.remove(directory, { recursive: true });
    await Deno.writeTextFile(directory, "");
    const first = await applier.apply(PUSH, contents(), { sameAs: null });
    assert.ok(first.status === "applied" && !first.durable);
    await Deno.remove(directory);
    assert.deepEqual(
      await applier.apply(PUSH, contents(), { sameAs: DIGEST }),
      { status: "unchanged", durable: true },
    );
    assert.deepEqual(saved.newest, { version: 3, epoch: "e", digest: DIGEST });
  }));

Deno.test("Applier.apply() is not undone by a listener that fails", () =>
  withApplier(async (applier) => {
    const { status } = await applier.apply(PUSH, contents(), { sameAs: null });
    assert.equal(status, "applied");
    assert.equal(activeConfig()?.version, 3);
  }, () => {
    throw new Error("a listener failed");
  }));

Deno.test("Applier.apply() serves a config on all threads, or on none", async () => {
  const told: string[] = [];
  const tell = (what: string, version: number): Promise<void> => {
    told.push(`${what} ${version} beside ${activeConfig()?.version}`);
    return version === 5
      ? Promise.reject(new Error("a thread has no memory left"))
      : Promise.resolve();
  };
  await withApplier(
    async (applier) => {
      const push = (version: number) =>
        applier.apply({ ...PUSH, version }, contents(), { sameAs: null });
      assert.equal((await push(4)).status, "applied");
      assert.deepEqual(await push(5), {
        status: "rejected",
        error: "Error: a thread has no memory left",
      });
      assert.equal(activeConfig()?.version, 4);
    },
    () => {},
    {
      prepare: ({ version }) => tell("prepare", version),
      serve: ({ version }) => tell("serve", version),
    },
  );
  assert.deepEqual(told, [
    "prepare 4 beside undefined",
    "serve 4 beside 4",
    "prepare 5 beside 4",
  ]);
});
