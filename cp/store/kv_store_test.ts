import assert from "node:assert/strict";
import fc from "fast-check";
import { configDigest } from "../../shared/canonical.ts";
import type { Config } from "../../shared/config.ts";
import { CustomerMap } from "../../shared/customers.ts";
import { chunkKeys } from "./chunks.ts";
import type { Kv } from "./database.ts";
import { StoreOwned } from "./database_file.ts";
import {
  CHUNK_PREFIX,
  digestKey,
  HEAD_KEY,
  infoKey,
  keyText,
  MANIFEST_PREFIX,
  manifestKey,
  routerKey,
  STORE_KEY,
} from "./keys.ts";
import { type KvStore, type KvStoreOptions, openKvStore } from "./kv_store.ts";
import { Manifest } from "./manifest.ts";
import { encodeRecord } from "./records.ts";
import { CommitInDoubt, StoreDamaged, StoreUnavailable } from "./store.ts";
import {
  assign,
  configOf,
  customersOf,
  routerOf,
  SILENT,
  testStore,
} from "./store_contract.ts";

const NOBODY = { author: null, message: null };

testStore("KvStore", async () => {
  const base = await openBase();
  return {
    open: (options) => base.open(options),
    remove: () => base[Symbol.asyncDispose](),
  };
});

// With a commit for each chunk, what is rare in life happens all the time.
testStore("KvStore with tiny commits", async () => {
  const base = await openBase();
  return {
    open: (options) => base.open({ ...options, batchBytes: 0 }),
    remove: () => base[Symbol.asyncDispose](),
  };
});

Deno.test("openKvStore() finds everything again after close()", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/not/there/yet/cp.kv`;
  const before = await openKvStore({ path, keepVersions: 10, log: SILENT });
  await before.commit(assign("acme", "b"), NOBODY);
  await before.takeover({ above: 6, epochs: ["other"] }, NOBODY);
  await before.saveRouters([routerOf("r-1")]);
  const head = await before.head();
  await before.close();

  const after = await openKvStore({ path, keepVersions: 10, log: SILENT });
  assert.deepEqual(await after.head(), head);
  assert.equal((await after.current())?.config.customers.get("acme"), "b");
  assert.equal((await after.get(1))?.version, 1);
  assert.deepEqual(await after.routers(), [routerOf("r-1")]);
  assert.equal(
    (await after.commit(assign("acme", "a"), NOBODY)).version.version,
    8,
  );
  await after.close();
});

Deno.test("openKvStore() keeps a store in memory", async () => {
  const options = { path: ":memory:", keepVersions: 10, log: SILENT };
  const one = await openKvStore(options);
  const two = await openKvStore(options);
  await one.commit(assign("acme", "b"), NOBODY);
  assert.equal(await two.current(), null);
  await one.close();
  await two.close();
});

Deno.test("openKvStore() refuses a file that another one owns", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/cp.kv`;
  const options = { path, keepVersions: 10, log: SILENT };
  const owner = await openKvStore(options);
  await assert.rejects(openKvStore(options), (error) => {
    assert.ok(error instanceof StoreOwned);
    assert.equal(error.path, path);
    assert.ok(error.message.includes(path));
    assert.match(error.message, /another control plane owns it/);
    return true;
  });
  // The same file by another name. (The runtime's own call wants the whole disk for that.)
  await new Deno.Command("ln", { args: ["-s", path, `${dir.path}/link.kv`] })
    .output();
  await assert.rejects(
    openKvStore({ ...options, path: `${dir.path}/link.kv` }),
    StoreOwned,
  );
  await owner.commit(assign("acme", "b"), NOBODY);
  await owner.close();
  const next = await openKvStore(options);
  assert.equal((await next.head()).version, 1);
  await next.close();
});

Deno.test("openKvStore() refuses what is no database", async () => {
  await using dir = await tempDir();
  const path = `${dir.path}/cp.kv`;
  await Deno.writeTextFile(path, "not a database, ".repeat(1000));
  await assert.rejects(
    openKvStore({ path, keepVersions: 10, log: SILENT }),
    StoreDamaged,
  );
  await assert.rejects(
    openKvStore({ path: dir.path, keepVersions: 10, log: SILENT }),
    StoreUnavailable,
  );
  for (const keepVersions of [0, 1.5, NaN]) {
    await assert.rejects(
      openKvStore({ path: ":memory:", keepVersions, log: SILENT }),
      RangeError,
    );
  }
});

Deno.test("openKvStore() refuses the layout of another release", async () => {
  await using base = await openBase();
  await base.open();
  await base.kv.set(STORE_KEY, encodeRecord({ format: 2, createdAt: "" }));
  await assert.rejects(base.open(), (error) => {
    assert.ok(error instanceof StoreUnavailable);
    assert.match(error.message, /layout is number 2/);
    return true;
  });
});

Deno.test("KvStore writes little for an edit of a large config", async () => {
  await using base = await openBase();
  const store = await base.open();
  const customers = CustomerMap.from(
    Array.from({ length: 100_000 }, (_, n) => [`customer-${n}`, "b"] as const),
  );
  const config = { ...configOf({}), customers };
  await store.commit(() => config, NOBODY);
  const chunks = (await chunksOf(base.kv)).size;
  assert.ok(chunks > 1000);
  const before = store.stats.bytesWritten;
  await store.commit(assign("new", "a"), NOBODY);
  const bytes = store.stats.bytesWritten - before;
  assert.ok(bytes < 64 * 1024, `${bytes} bytes`);
  assert.equal((await chunksOf(base.kv)).size, chunks + 1);
  const { value } = await base.kv.get<Uint8Array>(manifestKey(2));
  assert.ok(value!.length < 65_536, `a manifest of ${value!.length} bytes`);

  // A store that knows nothing yet reads all, one that knows the version before only what differs.
  const reader = await base.open();
  const first = (await reader.current())!;
  assert.equal(configDigest(first.config), (await store.head()).digest);
  await store.commit(assign("newer", "a"), NOBODY);
  const second = (await reader.current())!;
  assert.equal(configDigest(second.config), (await store.head()).digest);
  assert.equal(second.config.endpoints, first.config.endpoints);
  const shared = second.config.customers.buckets.filter((bucket, index) =>
    bucket === first.config.customers.buckets[index]
  );
  assert.equal(shared.length, 1023);
});

Deno.test("KvStore keeps a chunk of many values", async () => {
  await using base = await openBase();
  const store = await base.open();
  const config = largeTail(3000);
  await store.commit(() => config, NOBODY);
  const ref = (await manifestOf(base.kv, 1)).get(1024)!;
  assert.ok(chunkKeys(ref).length > 3);
  const other = await base.open();
  assert.equal(
    configDigest((await other.current())!.config),
    configDigest(config),
  );
  assert.deepEqual(
    [...(await other.current())!.config.endpoints].sort(),
    [...config.endpoints].sort(),
  );
});

Deno.test("KvStore deletes exactly the chunks that no version has", async () => {
  await using base = await openBase();
  const store = await base.open({ keepVersions: 4 });
  for (let n = 0; n < 20; n++) {
    await store.commit(assign(`c${n % 7}`, n % 2 === 0 ? "a" : "b"), NOBODY);
  }
  await store.collectGarbage();
  await checkStored(base.kv, store, 4);
  assert.ok(store.stats.chunksDeleted > 0);
  assert.equal(store.stats.versionsDropped, 16);
  // Fewer are kept from now on; and garbage, as a crash leaves it, is found.
  await base.kv.set(
    [...CHUNK_PREFIX, new Uint8Array(36), 0],
    new Uint8Array(9),
  );
  const stricter = await base.open({ keepVersions: 1 });
  await stricter.collectGarbage();
  await checkStored(base.kv, stricter, 1);
});

Deno.test("KvStore collects its garbage while others commit", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        seed: fc.integer(),
        keepVersions: fc.integer({ min: 1, max: 5 }),
        batchBytes: fc.constantFrom(0, 500, 600 * 1024),
      }),
      async ({ seed, keepVersions, batchBytes }) => {
        await using base = await openBase(jittered(seed));
        const options = { keepVersions, batchBytes, holdMs: 20 };
        const stores = [await base.open(options), await base.open(options)];
        const sweeper = await base.open(options);
        let done = false;
        const committing = Promise.all(stores.map(async (store, which) => {
          for (let n = 0; n < 12; n++) {
            // Few contents, so that what is garbage now is wanted again soon.
            const placement = (n + which) % 3 === 0 ? "a" : "b";
            await store.commit(
              (current) => ({
                ...(current?.config ?? configOf({})),
                customers: CustomerMap.from([
                  ["w", which === 0 ? "a" : "b"],
                  ...Array.from(
                    { length: 4 },
                    (_, c) => [`c${c}-${n % 3}`, placement] as [string, string],
                  ),
                ]),
              }),
              NOBODY,
            );
          }
        })).finally(() => done = true);
        const sweeping = (async () => {
          // Others may win each of its tries; nothing is lost by that.
          while (!done) {
            await sweeper.collectGarbage().catch((error) =>
              assert.ok(error instanceof StoreUnavailable)
            );
          }
        })();
        await Promise.all([committing, sweeping]);
        for (const store of stores) await store.collectGarbage();
        await checkStored(base.kv, stores[0]!, keepVersions);
      },
    ),
    { numRuns: 15 },
  );
});

Deno.test("KvStore deletes no chunk that a commit takes up meanwhile", async () => {
  await using base = await openBase();
  const writer = await base.open();
  await writer.commit(() => configOf({ acme: "b" }), NOBODY);
  await writer.commit(() => configOf({ acme: "a" }), NOBODY);
  let commits = 0;
  const sweeper = await base.openRaw({
    keepVersions: 1,
    kv: {
      ...plain(base.kv),
      atomic() {
        const operation = base.kv.atomic();
        const commit = operation.commit.bind(operation);
        operation.commit = async () => {
          // The first one drops version 1, the second deletes its chunk, which is wanted again now.
          if (++commits === 2) {
            await writer.commit(() => configOf({ acme: "b" }), NOBODY);
          }
          return await commit();
        };
        return operation;
      },
    },
  });
  await sweeper.collectGarbage();
  assert.ok(commits >= 2);
  const reader = await base.open();
  assert.equal((await reader.current())?.config.customers.get("acme"), "b");
  await checkStored(base.kv, reader, 1);
});

Deno.test("KvStore reads the newest version while another store commits faster than it reads", async () => {
  await using base = await openBase();
  const writer = await base.open();
  await writer.commit(assign("acme", "a"), NOBODY);
  let commits = 0;
  const reader = await base.openRaw({
    kv: {
      ...plain(base.kv),
      // Between any two reads of the head there is another version.
      async get(...args: Parameters<Kv["get"]>) {
        const entry = await base.kv.get(...args);
        if (keyText(args[0]) === keyText(HEAD_KEY)) {
          await writer.commit(assign(`c${++commits}`, "a"), NOBODY);
        }
        return entry;
      },
    } as Kv,
  });
  commits = 0;
  const { head, version } = await reader.newest();
  assert.equal(version?.version, head.version);
  assert.equal(version?.digest, head.digest);
  assert.ok(commits > 0 && commits < 5, `${commits} commits`);
});

Deno.test("KvStore gives up on an edit after many conflicts", async () => {
  await using base = await openBase();
  const store = await base.open();
  const other = await base.open();
  await store.commit(assign("acme", "a"), NOBODY);
  const lost = await base.openRaw({
    kv: {
      ...plain(base.kv),
      // Nobody else commits, and yet no check holds.
      atomic: () =>
        base.kv.atomic().check({ key: HEAD_KEY, versionstamp: null }),
    },
  });
  await assert.rejects(lost.commit(assign("acme", "b"), NOBODY), (error) => {
    assert.ok(error instanceof StoreUnavailable);
    assert.match(error.message, /each of 100 tries/);
    return true;
  });
  assert.equal(lost.stats.conflicts, 100);
  assert.equal((await other.head()).version, 1);
});

Deno.test("KvStore refuses more edits than may wait", async () => {
  await using base = await openBase();
  const store = await base.open();
  await store.collectGarbage();
  const edits = Array.from(
    { length: 1001 },
    () => store.commit(() => configOf({}), NOBODY),
  );
  const results = await Promise.allSettled(edits);
  const failed = results.filter(({ status }) => status === "rejected");
  assert.equal(failed.length, 1);
  assert.ok(
    (failed[0] as PromiseRejectedResult).reason instanceof StoreUnavailable,
  );
});

Deno.test("KvStore says that the database fails, and goes on when it works again", async () => {
  await using base = await openBase();
  const why = new Error("disk I/O error");
  let failing: "no" | "before" | "after" | "hang" = "no";
  const store = await base.openRaw({
    kv: {
      ...plain(base.kv),
      get: (...args) =>
        failing === "hang"
          ? new Promise(() => {})
          : failing === "no"
          ? base.kv.get(...args)
          : Promise.reject(why),
      atomic() {
        const operation = base.kv.atomic();
        const commit = operation.commit.bind(operation);
        operation.commit = async () => {
          if (failing === "before") throw why;
          const result = await commit();
          if (failing === "after") throw why;
          return result;
        };
        return operation;
      },
    },
    timeoutMs: 2_000,
  });
  await store.collectGarbage();
  await store.commit(assign("acme", "a"), NOBODY);
  failing = "before";
  await assert.rejects(store.commit(assign("acme", "b"), NOBODY), (error) => {
    assert.ok(error instanceof StoreUnavailable);
    assert.equal(error.cause, why);
    return true;
  });
  await assert.rejects(store.head(), StoreUnavailable);
  failing = "no";
  assert.equal((await store.current())?.config.customers.get("acme"), "a");
  // The answer is lost, the commit is not.
  failing = "after";
  const committed = await store.commit(assign("acme", "b"), NOBODY);
  assert.equal(committed.version.version, 2);
  failing = "hang";
  await assert.rejects(store.head(), (error) => {
    assert.ok(error instanceof StoreUnavailable);
    assert.match(error.message, /no answer within 2000 ms/);
    return true;
  });
  failing = "no";
  assert.equal((await store.head()).version, 2);
  assert.equal(
    (await store.commit(assign("acme", "a"), NOBODY)).version.version,
    3,
  );
});

Deno.test("KvStore says that it cannot tell whether an edit was made", async () => {
  await using base = await openBase();
  // The database takes what it is given, and does it when it is let.
  let gate: PromiseWithResolvers<void> | null = null;
  let done: Promise<unknown> = Promise.resolve();
  const store = await base.openRaw({
    kv: {
      ...plain(base.kv),
      atomic() {
        const operation = base.kv.atomic();
        const commit = operation.commit.bind(operation);
        operation.commit = () => {
          const committing = (gate?.promise ?? Promise.resolve()).then(commit);
          done = committing;
          return committing;
        };
        return operation;
      },
    },
    timeoutMs: 2_000,
  });
  await store.collectGarbage();
  await store.commit(assign("acme", "a"), NOBODY);
  gate = Promise.withResolvers<void>();
  await assert.rejects(
    store.commit(assign("acme", "b"), NOBODY),
    (error) => {
      assert.ok(error instanceof CommitInDoubt);
      assert.match(error.message, /no answer within 2000 ms/);
      return true;
    },
  );
  assert.equal((await store.head()).version, 1);
  gate.resolve();
  gate = null;
  await done;
  assert.equal((await store.head()).version, 2);
  const { version } = await store.commit(assign("globex", "b"), NOBODY);
  assert.equal(version.version, 3);
  assert.equal(version.config.customers.get("acme"), "b");
});

Deno.test("KvStore watches on by reads when the stream of changes fails", async () => {
  await using base = await openBase();
  const other = await base.open();
  const streams: (() => ReadableStream)[] = [
    () => {
      throw new Error("no watch today");
    },
    () => ReadableStream.from([]),
    () => new ReadableStream(),
  ];
  for (const stream of streams) {
    let reads = 0;
    const store = await base.openRaw({
      kv: {
        ...plain(base.kv),
        watch: stream as Deno.Kv["watch"],
        // Every third read fails.
        get: (...args) =>
          reads++ % 3 === 2
            ? Promise.reject(new Error("lost"))
            : base.kv.get(...args),
      },
      watchIntervalMs: 2,
    });
    const end = new AbortController();
    const from = (await other.head()).version;
    const seen: number[] = [];
    for await (const { version } of store.watch(end.signal)) {
      seen.push(version);
      if (version === from + 2) end.abort();
      else await other.commit(assign(`c${version}`, "a"), NOBODY);
    }
    assert.deepEqual(seen, [from, from + 1, from + 2]);
  }
});

Deno.test("KvStore names the key of a damaged chunk", async () => {
  for (const damage of ["flip", "delete", "cut", "foreign"] as const) {
    await using base = await openBase();
    const writer = await base.open();
    await writer.commit(() => configOf({ acme: "b", globex: "a" }), NOBODY);
    const before = (await writer.get(1))!;
    const [ref] = [...(await manifestOf(base.kv, 1)).entries()]
      .map(([, ref]) => ref) as [ReturnType<Manifest["get"]>];
    const [key] = chunkKeys(ref!) as [Deno.KvKey];
    const { value } = await base.kv.get<Uint8Array>(key);
    if (damage === "delete") await base.kv.delete(key);
    if (damage === "cut") await base.kv.set(key, value!.subarray(1));
    if (damage === "foreign") await base.kv.set(key, "text");
    if (damage === "flip") {
      for (let at = 0; at < value!.length; at++) {
        const flipped = new Uint8Array(value!);
        flipped[at]! ^= 1 << (at % 8);
        await base.kv.set(key, flipped);
        const reader = await base.open();
        await rejectsDamaged(reader.current(), key);
        await reader.close();
      }
    }
    const reader = await base.open();
    await rejectsDamaged(reader.current(), key);
    await rejectsDamaged(reader.get(1), key);
    await rejectsDamaged(reader.commit(assign("acme", "a"), NOBODY), key);
    // Who has it in memory has it.
    assert.equal((await writer.current())?.digest, before.digest);
    // Where it stands is known nevertheless.
    assert.equal((await reader.head()).digest, before.digest);
    await base.kv.set(key, value!);
    assert.equal((await reader.current())?.digest, before.digest);
  }
});

Deno.test("KvStore names the key of a damaged record", async () => {
  for (const key of [infoKey(2), manifestKey(2), HEAD_KEY, digestKey(2)]) {
    for (const damage of ["flip", "delete", "replace", "text"]) {
      await using base = await openBase();
      const writer = await base.open();
      await writer.commit(assign("acme", "a"), NOBODY);
      await writer.commit(assign("acme", "b"), NOBODY);
      const { value } = await base.kv.get<Uint8Array>(key);
      if (damage === "flip") {
        const flipped = new Uint8Array(value!);
        flipped[flipped.length >> 1]! ^= 4;
        await base.kv.set(key, flipped);
      } else if (damage === "delete") await base.kv.delete(key);
      else if (damage === "replace") {
        await base.kv.set(key, encodeRecord({ version: "two" }));
      } else await base.kv.set(key, "text");
      const errors: unknown[] = [];
      const log = {
        ...SILENT,
        error: (_: string, properties?: Record<string, unknown>) =>
          void errors.push(properties?.error),
      };
      const reader = await base.open({ log });
      await rejectsDamaged(reader.current(), key);
      await rejectsDamaged(reader.commit(assign("acme", "a"), NOBODY), key);
      await rejectsDamaged(
        reader.takeover({ above: 9, epochs: [] }, NOBODY),
        key,
      );
      if (key === HEAD_KEY) {
        await rejectsDamaged(reader.head(), key);
        assert.ok(errors[0] instanceof StoreDamaged);
        await rejectsDamaged(
          writer.commit(assign("acme", "c"), NOBODY),
          HEAD_KEY,
        );
      }
      if (key === digestKey(2) && damage !== "delete") {
        await rejectsDamaged(reader.digestOf(2), key);
      }
      await base.kv.set(key, value!);
      assert.equal((await reader.current())?.version, 2);
    }
  }
});

Deno.test("KvStore replaces a damaged version where it is told to", async () => {
  const contents = { acme: "b", globex: "a" };
  for (
    const damaged of [
      CHUNK_PREFIX,
      infoKey(2),
      manifestKey(2),
      digestKey(2),
    ]
  ) {
    await using base = await openBase();
    const writer = await base.open();
    await writer.commit(assign("acme", "a"), NOBODY);
    const { version } = await writer.commit(() => configOf(contents), NOBODY);
    await writer.close();
    if (damaged === CHUNK_PREFIX) {
      for await (const { key } of base.kv.list({ prefix: CHUNK_PREFIX })) {
        await base.kv.delete(key);
      }
    } else await base.kv.delete(damaged);

    const store = await base.open();
    const refusal = new Error("not this way");
    await assert.rejects(
      store.commit(
        () => {
          throw refusal;
        },
        NOBODY,
        { replaceDamaged: true },
      ),
      (thrown) => thrown === refusal,
    );
    // The same contents: every chunk is written anew all the same.
    const committed = await store.commit(
      (current) => {
        assert.equal(current, null);
        return configOf(contents);
      },
      NOBODY,
      { replaceDamaged: true },
    );
    assert.equal(committed.changed, true);
    assert.equal(committed.previous, null);
    assert.equal(committed.version.version, 3);
    assert.equal(committed.version.epoch, version.epoch);
    assert.equal(committed.version.digest, version.digest);

    for (const each of [store, await base.open()]) {
      const { config } = (await each.current())!;
      assert.deepEqual(customersOf(config), contents);
    }
    // Once it is whole again the option means nothing.
    const next = await store.commit(assign("acme", "a"), NOBODY, {
      replaceDamaged: true,
    });
    assert.equal(next.previous?.version, 3);
    assert.equal(next.version.config.customers.get("globex"), "a");
  }
});

Deno.test("KvStore replaces nothing where the head is damaged", async () => {
  await using base = await openBase();
  const writer = await base.open();
  await writer.commit(assign("acme", "a"), NOBODY);
  const { value: old } = await base.kv.get<Uint8Array>(HEAD_KEY);
  await writer.commit(assign("acme", "b"), NOBODY);
  for (const damage of [old, old!.subarray(1), null]) {
    if (damage === null) await base.kv.delete(HEAD_KEY);
    else await base.kv.set(HEAD_KEY, damage);
    const store = await base.open();
    const options = { replaceDamaged: true };
    await rejectsDamaged(
      store.commit(() => configOf({}), NOBODY, options),
      HEAD_KEY,
    );
  }
});

Deno.test("KvStore takes no head of software without a guard for a guarded one", async () => {
  await using base = await openBase();
  const writer = await base.open();
  await writer.commit(assign("acme", "a"), NOBODY);
  const made = await writer.commit(assign("acme", "b"), NOBODY);
  const head = await writer.head();
  assert.equal(head.guardedSince, 0);
  const { guardedSince: _unknown, ...older } = head;
  await base.kv.set(HEAD_KEY, encodeRecord(older));
  const store = await base.open();
  assert.equal((await store.head()).guardedSince, made.version.version);
  await store.commit(assign("acme", "a"), NOBODY);
  assert.equal((await store.head()).guardedSince, made.version.version);
  await store.takeover({ above: 0, epochs: [] }, NOBODY);
  assert.equal((await store.head()).guardedSince, 0);
});

Deno.test("KvStore does not take a lost head for an empty store", async () => {
  await using base = await openBase();
  const writer = await base.open();
  await writer.commit(assign("acme", "a"), NOBODY);
  await base.kv.delete(HEAD_KEY);
  await base.kv.delete(STORE_KEY);
  const reader = await base.open();
  await rejectsDamaged(reader.current(), HEAD_KEY);
  await rejectsDamaged(reader.commit(assign("acme", "a"), NOBODY), HEAD_KEY);
  assert.equal((await base.kv.get(HEAD_KEY)).value, null);
});

Deno.test("KvStore does not take an old head for the newest", async () => {
  await using base = await openBase();
  const writer = await base.open();
  const { value: empty } = await base.kv.get(HEAD_KEY);
  await writer.commit(assign("acme", "a"), NOBODY);
  const { value: first } = await base.kv.get(HEAD_KEY);
  await writer.commit(assign("acme", "b"), NOBODY);
  for (const old of [empty, first]) {
    await base.kv.set(HEAD_KEY, old);
    const reader = await base.open();
    for (const store of [reader, writer]) {
      await rejectsDamaged(store.current(), HEAD_KEY);
      await rejectsDamaged(store.commit(assign("acme", "c"), NOBODY), HEAD_KEY);
    }
  }
});

Deno.test("KvStore deletes nothing while a manifest is damaged", async () => {
  await using base = await openBase();
  const store = await base.open();
  for (const placement of ["a", "b", "a"]) {
    await store.commit(assign("acme", placement), NOBODY);
  }
  const { value } = await base.kv.get<Uint8Array>(manifestKey(2));
  await base.kv.set(manifestKey(2), value!.subarray(0, 40));
  const garbage = [...CHUNK_PREFIX, new Uint8Array(36), 0];
  await base.kv.set(garbage, new Uint8Array(9));
  await rejectsDamaged(store.collectGarbage(), manifestKey(2));
  assert.notEqual((await base.kv.get(garbage)).value, null);
  await base.kv.set(manifestKey(2), value!);
  await store.collectGarbage();
  assert.equal((await base.kv.get(garbage)).value, null);
  await checkStored(base.kv, store, 3);
});

Deno.test("KvStore names the key of a damaged router, which can be forgotten", async () => {
  await using base = await openBase();
  const store = await base.open();
  await store.saveRouters([routerOf("r-1"), routerOf("r-2")]);
  await base.kv.set(routerKey("r-1"), new Uint8Array(50));
  await rejectsDamaged(store.routers(), routerKey("r-1"));
  assert.equal(await store.deleteRouter("r-1"), true);
  assert.deepEqual(await store.routers(), [routerOf("r-2")]);
});

/** A database in a directory of its own, for any number of stores. */
interface Base extends AsyncDisposable {
  readonly kv: Deno.Kv;
  open(options?: Partial<KvStoreOptions>): Promise<KvStore>;
  /** Like `open`, with a database that behaves differently. */
  openRaw(options: Partial<KvStoreOptions> & { kv: Kv }): Promise<KvStore>;
}

async function openBase(wrap: (kv: Kv) => Kv = (kv) => kv): Promise<Base> {
  const dir = await tempDir();
  const kv = await Deno.openKv(`${dir.path}/cp.kv`);
  const stores: KvStore[] = [];
  async function openRaw(options: Partial<KvStoreOptions> & { kv: Kv }) {
    const store = await openKvStore({
      keepVersions: 1000,
      log: SILENT,
      ...options,
    });
    stores.push(store);
    return store;
  }
  return {
    kv,
    openRaw,
    open: (options = {}) => openRaw({ kv: wrap(kv), ...options }),
    async [Symbol.asyncDispose]() {
      for (const store of stores) await store.close();
      kv.close();
      await dir[Symbol.asyncDispose]();
    },
  };
}

async function tempDir(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempDir();
  return {
    path,
    [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }),
  };
}

/** The calls of a database as an object that can be spread. */
function plain(kv: Deno.Kv): Kv {
  return {
    get: kv.get.bind(kv),
    getMany: kv.getMany.bind(kv),
    list: kv.list.bind(kv),
    atomic: kv.atomic.bind(kv),
    watch: kv.watch.bind(kv),
    close: kv.close.bind(kv),
  };
}

/** Lets the turns of several stores fall differently for each seed. */
function jittered(seed: number): (kv: Kv) => Kv {
  let state = seed | 1;
  async function jitter(): Promise<void> {
    state = Math.imul(state, 1103515245) + 12345;
    for (let turns = (state >>> 16) & 3; turns > 0; turns--) {
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }
  return (kv) => ({
    ...plain(kv as Deno.Kv),
    async get(...args) {
      await jitter();
      return await kv.get(...args);
    },
    atomic() {
      const operation = kv.atomic();
      const commit = operation.commit.bind(operation);
      operation.commit = async () => {
        await jitter();
        return await commit();
      };
      return operation;
    },
  });
}

async function rejectsDamaged(
  promise: Promise<unknown>,
  key: Deno.KvKey,
): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof StoreDamaged, String(error));
    assert.equal(error.key, keyText(key));
    assert.ok(error.message.includes(keyText(key)));
    return true;
  });
}

async function manifestOf(kv: Kv, version: number): Promise<Manifest> {
  return Manifest.decode(await kv.get(manifestKey(version)));
}

/** The keys of all chunks, as text. */
async function chunksOf(kv: Kv): Promise<Set<string>> {
  const keys = new Set<string>();
  for await (const { key } of kv.list({ prefix: CHUNK_PREFIX })) {
    keys.add(keyText(key));
  }
  return keys;
}

/** Checks that a store holds so many versions, all of them whole, and their chunks, and no other ones. */
async function checkStored(
  kv: Kv,
  store: KvStore,
  versions: number,
): Promise<void> {
  const wanted = new Set<string>();
  let manifests = 0;
  for await (const entry of kv.list({ prefix: MANIFEST_PREFIX })) {
    manifests++;
    for (const [, ref] of Manifest.decode(entry).entries()) {
      for (const key of chunkKeys(ref)) wanted.add(keyText(key));
    }
  }
  assert.equal(manifests, versions);
  assert.deepEqual([...await chunksOf(kv)].sort(), [...wanted].sort());
  const infos = await store.list({ limit: 1000 });
  assert.equal(infos.length, versions);
  for (const { version, digest } of infos) {
    const { config } = (await store.get(version))!;
    assert.equal(configDigest(config), digest);
  }
}

/** A config whose endpoints do not compress well. */
function largeTail(placements: number): Config {
  const endpoints = new Map<string, string>();
  for (let n = 0; n < placements; n++) {
    const random = crypto.getRandomValues(new Uint8Array(60)).toHex();
    endpoints.set(`p${n}`, `http://${random}.example/`);
  }
  return {
    defaultPlacement: "p0",
    endpoints,
    customers: CustomerMap.from([["acme", "p1"]]),
  };
}
