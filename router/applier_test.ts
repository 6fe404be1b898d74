import assert from "node:assert/strict";
import { readJson } from "../shared/json.ts";
import type { NextConfig } from "./active.ts";
import { Applier, type ApplierOptions } from "./applier.ts";
import type { PushContents } from "./config/config_reader.ts";
import { CrashSuspects } from "./crash_suspects.ts";
import { SavedConfigs } from "./saved_config.ts";

const TEXT =
  '{"customer_to_placement":{},"default_placement":"a","placement_to_endpoint":{"a":"http://127.0.0.1:1"}}';
const DIGEST =
  "sha256:06be7c60006397681ab28cb6854c6f914675048b13cc5dc3e06b9e3d042d2714";
const PUSH = { version: 3, epoch: "e", digest: null, supersedes: [] };
const HEAD = { version: 3, epoch: "e", digest: DIGEST };

function contents(text = TEXT): PushContents {
  return { kind: "document", document: readJson(text) };
}

async function withApplier(
  run: (
    applier: Applier,
    served: NextConfig[],
    saved: SavedConfigs,
    directory: string,
  ) => Promise<void>,
  serve: ApplierOptions["serve"] = () => Promise.resolve(),
): Promise<void> {
  const directory = await Deno.makeTempDir();
  const saved = new SavedConfigs(directory);
  const served: NextConfig[] = [];
  const applier = new Applier({
    guard: () => null,
    saved,
    maxConfigBytes: 1000,
    serve: async (config) => {
      // What is saved has been served.
      assert.equal(saved.newest, null);
      await serve(config);
      served.push(config);
    },
  });
  try {
    await run(applier, served, saved, directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("Applier.apply() has a config served, then saves it", () =>
  withApplier(async (applier, served, saved) => {
    assert.deepEqual(await applier.apply(PUSH, contents(), { sameAs: null }), {
      status: "applied",
      digest: DIGEST,
      durable: true,
    });
    assert.equal(served.length, 1);
    const { packed, ...rest } = served[0]!;
    assert.deepEqual(rest, {
      version: 3,
      epoch: "e",
      source: "control_plane",
    });
    assert.equal(packed.digest, DIGEST);
    assert.deepEqual(saved.newest, HEAD);
    assert.equal(applier.applySeconds.counts.reduce((a, b) => a + b), 1);
  }));

Deno.test("Applier.apply() changes nothing on a config it rejects", () =>
  withApplier(async (applier, served, saved) => {
    const { status } = await applier.apply(
      { ...PUSH, version: 4 },
      contents("{}"),
      { sameAs: null },
    );
    assert.equal(status, "rejected");
    assert.equal(served.length, 0);
    assert.equal(saved.newest, null);
  }));

Deno.test("Applier.apply() rejects and does not save what cannot be served", () =>
  withApplier(
    async (applier, _served, saved) => {
      assert.deepEqual(
        await applier.apply(PUSH, contents(), { sameAs: null }),
        {
          status: "rejected",
          error: "Error: a thread has no memory left",
        },
      );
      assert.equal(saved.newest, null);
    },
    () => Promise.reject(new Error("a thread has no memory left")),
  ));

Deno.test("Applier.apply() only compares where it is asked to", () =>
  withApplier(async (applier, served) => {
    assert.deepEqual(
      await applier.apply(PUSH, contents(), { sameAs: DIGEST }),
      { status: "unchanged", durable: true },
    );
    const other = contents(TEXT.replace(':1"', ':2"'));
    const { status } = await applier.apply(PUSH, other, { sameAs: DIGEST });
    assert.equal(status, "rejected");
    assert.equal(served.length, 0);
  }));

Deno.test("Applier.apply() saves what is served already, if that failed before", () =>
  withApplier(async (applier, served, saved, directory) => {
    // A file where the directory should be: nothing can be written below it.
    await Deno.remove(directory, { recursive: true });
    await Deno.writeTextFile(directory, "");
    const first = await applier.apply(PUSH, contents(), { sameAs: null });
    assert.ok(first.status === "applied" && !first.durable);
    await Deno.remove(directory);
    const again = () => applier.apply(PUSH, contents(), { sameAs: DIGEST });
    assert.deepEqual(await again(), { status: "unchanged", durable: true });
    assert.deepEqual(saved.newest, HEAD);
    // Once it is there it is not written again.
    await Deno.remove(directory, { recursive: true });
    await Deno.writeTextFile(directory, "");
    assert.deepEqual(await again(), { status: "unchanged", durable: true });
    assert.equal(served.length, 1);
  }));

Deno.test("Applier.apply() marks a config on the disk while it applies it", async () => {
  let path = "";
  const marks: unknown[] = [];
  await withApplier(async (applier, _served, _saved, directory) => {
    path = `${directory}/applying`;
    await applier.apply(PUSH, contents(), { sameAs: null });
    await assert.rejects(Deno.stat(path), Deno.errors.NotFound);
  }, async () => {
    marks.push(JSON.parse(await Deno.readTextFile(path)));
  });
  const trial = {
    version: 3,
    epoch: "e",
    digest: null,
    deaths: 0,
    begun: true,
  };
  assert.deepEqual(marks, [{ format: 1, trials: [trial] }]);
});

Deno.test("Applier.apply() takes the mark of a rejected config away", () =>
  withApplier(async (applier, _served, _saved, directory) => {
    await applier.apply(PUSH, contents("{}"), { sameAs: null });
    await assert.rejects(
      Deno.stat(`${directory}/applying`),
      Deno.errors.NotFound,
    );
  }));

Deno.test("Applier.apply() rejects a crash suspect, and takes a newer version, which clears it", () =>
  withApplier(async (applier, served, saved, directory) => {
    const suspects = [PUSH, { ...PUSH, version: 2 }];
    for (let death = 0; death < 2; death++) {
      const dying = new CrashSuspects(directory);
      await dying.read();
      for (const suspect of suspects) await dying.begin(suspect);
    }
    await saved.suspects.read();
    const outcome = await applier.apply(
      { ...PUSH, digest: DIGEST },
      contents(),
      { sameAs: null },
    );
    assert.equal(outcome.status, "rejected");
    assert.match(outcome.error, /^crash suspect: .* version 3/);
    assert.equal(served.length, 0);

    const newer = { ...PUSH, version: 4 };
    const { status } = await applier.apply(newer, contents(), { sameAs: null });
    assert.equal(status, "applied");
    assert.equal(saved.suspects.suspicion(PUSH), null);
    assert.equal(saved.suspects.suspicion(suspects[1]!), null);
  }));
