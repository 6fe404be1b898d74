import assert from "node:assert/strict";
import { Metrics } from "../../shared/metrics.ts";
import { manifestKey } from "../store/keys.ts";
import { openKvStore } from "../store/kv_store.ts";
import { MemoryDatabase, MemoryStore } from "../store/memory_store.ts";
import {
  type Canary,
  type Committed,
  RolloutUnderWay,
} from "../store/store.ts";
import { takeBack } from "./canary_watch.ts";
import { FakeLog, type FakeRouter, makeConfig, Rig, settle } from "./fakes.ts";

/** Commits a version that these routers are to get first. */
async function stage(
  { hub, store }: Rig,
  ids: readonly string[],
  options: { holdMs?: number; maxErrors?: number } = {},
): Promise<Committed> {
  const candidates = await hub.candidates();
  const canaries = candidates.filter(({ id }) => ids.includes(id)).map((
    { id, instance, counted, before },
  ): Canary => ({ id, instance, counted, before }));
  assert.equal(canaries.length, ids.length);
  const { holdMs = 30_000, maxErrors = 0.01 } = options;
  const committed = await store.commit(
    () => makeConfig(["staged"], "tier2"),
    { author: null, message: null },
    { staging: { canaries, holdMs, maxErrors } },
  );
  await settle();
  return committed;
}

/** Lets seconds go by in which these routers answer every ping. */
async function live(
  rig: Rig,
  seconds: number,
  routers: readonly FakeRouter[],
  pong: Record<string, unknown> = {},
): Promise<void> {
  for (let second = 0; second < seconds; second++) {
    await rig.clock.advance(1000);
    for (const { say } of routers) say({ type: "pong", ...pong });
    await settle();
  }
}

async function statusOf({ hub }: Rig, id: string): Promise<unknown[]> {
  const [view] = await hub.router(id);
  return [view?.status, view?.lag?.versions];
}

function pushed({ socket }: FakeRouter): number[] {
  return socket.pushes.map(({ version }) => version!);
}

/** Two control planes on one store, which has version 1. */
async function pair(): Promise<{ one: Rig; other: Rig } & AsyncDisposable> {
  const database = new MemoryDatabase();
  const shared = { database, exclusive: false };
  await using guard = new AsyncDisposableStack();
  const one = guard.use(await Rig.started({ ...shared, versions: 1 }));
  const other = guard.use(
    await Rig.started({ ...shared, controlPlane: "cp-2" }),
  );
  const resources = guard.move();
  return {
    one,
    other,
    [Symbol.asyncDispose]: () => resources.disposeAsync(),
  };
}

/** Two routers that serve version 1. */
async function two(rig: Rig): Promise<[FakeRouter, FakeRouter]> {
  const routers: [FakeRouter, FakeRouter] = [
    await rig.connect({ id: "a", instance: "i-a" }),
    await rig.connect({ id: "b", instance: "i-b" }),
  ];
  for (const router of routers) router.apply(1);
  await live(rig, 1, routers);
  return routers;
}

Deno.test("Hub pushes a staged version to its canaries only, and each router is told of, and judged by, what it should serve", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const [a, b] = await two(rig);
  await stage(rig, ["a"]);
  a.apply(2);
  await live(rig, 6, [a, b]);
  assert.deepEqual([pushed(a), pushed(b)], [[1, 2], [1]]);
  assert.equal(a.socket.pings.at(-1)?.version, 2);
  assert.equal(b.socket.pings.at(-1)?.version, 1);
  assert.deepEqual(await statusOf(rig, "a"), ["current", 0]);
  assert.deepEqual(await statusOf(rig, "b"), ["current", 0]);
  // Who comes, and has nothing, gets what most have; who has the version already keeps it.
  const late = await rig.connect({ id: "late" });
  assert.deepEqual(pushed(late), [1]);
  late.apply(1);
  const { version, epoch, digest } = (await rig.store.current())!;
  const ahead = await rig.connect({ id: "ahead", version, epoch, digest });
  assert.deepEqual(pushed(ahead), []);
  assert.deepEqual(await statusOf(rig, "ahead"), ["current", 0]);

  await live(rig, 25, [a, b, late, ahead]);
  assert.deepEqual((await rig.store.head()).rollout, null);
  assert.equal((await rig.store.rollout(2))?.outcome, "promoted");
  assert.deepEqual([pushed(b), pushed(late)], [[1, 2], [1, 2]]);
  assert.deepEqual(pushed(ahead), []);
  assert.equal(rig.log.find("a rollout is promoted").length, 1);
});

Deno.test("Hub waits for the canaries of a version, and for all once it is promoted", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const [a, b] = await two(rig);
  const watch = rig.hub.follow();
  const { version } = await stage(rig, ["a"]);
  const staged = watch.wait(version, { timeoutMs: 5000 });
  await settle();
  a.apply(2);
  await settle();
  const { applied, pending, gone } = await staged;
  assert.deepEqual({ applied, pending, gone }, {
    applied: 1,
    pending: [],
    gone: [],
  });
  watch.end();
  // Drained is only what all serve.
  const rollout = await rig.hub.rollout(version);
  assert.deepEqual([rollout.state, rollout.pending], ["draining", ["b"]]);

  const second = rig.hub.follow();
  await rig.hub.promote((await rig.store.head()).rollout!, "ann");
  await settle();
  const promoted = second.wait(version, { timeoutMs: 5000 });
  await settle();
  b.apply(2);
  await settle();
  assert.equal((await promoted).applied, 2);
  second.end();
  await live(rig, 1, [a, b]);
});

Deno.test("Hub halts a rollout by a canary's errors, held against its own minute before", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const [a, b] = await two(rig);
  // 10 % fail all the time.
  for (let n = 0; n <= 60; n++) {
    await live(rig, 1, [a, b], { requests: 10 * n, errors: n });
  }
  await stage(rig, ["a"], { holdMs: 60_000, maxErrors: 0.05 });
  a.apply(2);
  for (let n = 61; n < 70; n++) {
    await live(rig, 1, [a, b], { requests: 10 * n, errors: n });
  }
  assert.equal((await rig.store.head()).rollout?.version, 2);
  const [view] = await rig.hub.canaries((await rig.store.head()).rollout!);
  assert.deepEqual(view?.before, { requests: 600, errors: 60 });
  assert.deepEqual(view?.counted, { requests: 90, errors: 9 });
  await live(rig, 3, [a, b], { requests: 720, errors: 90 });
  const ended = await rig.store.rollout(2);
  assert.deepEqual([ended?.outcome, ended?.takenBackBy], ["halted", 3]);
  assert.match(
    ended!.reason!,
    /^On router "a" 25% of 120 requests failed, after 10% of 600 requests/,
  );
  const digests = [await rig.store.digestOf(1), await rig.store.digestOf(3)];
  assert.equal(digests[0]?.digest, digests[1]?.digest);
  assert.deepEqual([pushed(a), pushed(b)], [[1, 2, 3], [1, 3]]);
});

Deno.test("Hub halts a rollout by a canary that is lost, and not by a connection that is back soon", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const [a, b] = await two(rig);
  await stage(rig, ["a"]);
  a.apply(2);
  await live(rig, 2, [a, b]);
  a.link.closed();
  await live(rig, 3, [b]);
  const { version, epoch, digest } = (await rig.store.current())!;
  const again = await rig.connect({
    id: "a",
    instance: "i-a",
    version,
    epoch,
    digest,
  });
  await live(rig, 8, [again, b]);
  assert.equal((await rig.store.head()).rollout?.version, 2);
  again.link.closed();
  await live(rig, 7, [b]);
  const ended = await rig.store.rollout(2);
  assert.equal(ended?.reason, 'Router "a" is not connected any more.');
});

Deno.test("Hub halts a rollout that a canary rejects, or does not apply in time", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const [a, b] = await two(rig);
  await stage(rig, ["a"]);
  a.say({ type: "ack", version: 2, status: "rejected", error: "no" });
  await live(rig, 1, [a, b]);
  assert.equal(
    (await rig.store.rollout(2))?.reason,
    'Router "a" rejected it: no',
  );
  for (const router of [a, b]) router.apply(3);
  await stage(rig, ["b"], { holdMs: 3000 });
  await live(rig, 7, [a, b]);
  assert.equal((await rig.store.head()).rollout?.version, 4);
  await live(rig, 3, [a, b]);
  assert.equal(
    (await rig.store.rollout(4))?.reason,
    'Router "b" has not applied it in time.',
  );
});

Deno.test("a control plane that starts in the middle goes on: it waits for the canaries, and then ends the rollout", async () => {
  for (const comesBack of [true, false]) {
    const database = new MemoryDatabase();
    {
      await using rig = await Rig.started({ database, versions: 1 });
      const [a] = await two(rig);
      await stage(rig, ["a"], { holdMs: 1000 });
      a.apply(2);
    }
    await using rig = await Rig.started({ database });
    await rig.clock.advance(3000);
    // Who is no canary gets the version before.
    const b = await rig.connect({ id: "b" });
    assert.deepEqual(pushed(b), [1]);
    await live(rig, 20, [b]);
    assert.equal((await rig.store.head()).rollout?.version, 2);
    if (comesBack) {
      const { version, epoch, digest } = (await rig.store.current())!;
      const a = await rig.connect({
        id: "a",
        instance: "i-a",
        version,
        epoch,
        digest,
      });
      await live(rig, 2, [a, b]);
    } else await live(rig, 12, [b]);
    const ended = await rig.store.rollout(2);
    assert.equal(ended?.outcome, comesBack ? "promoted" : "halted");
  }
});

Deno.test("control planes on one store take part: each pushes what its routers should serve, and watches the canaries", async () => {
  await using both = await pair();
  const { one, other } = both;
  const pass = async (
    seconds: number,
    a: FakeRouter,
    b: FakeRouter,
    pong: Record<string, unknown> = {},
  ) => {
    for (let second = 0; second < seconds; second++) {
      await live(one, 1, [a]);
      await live(other, 1, [b], pong);
    }
  };
  const a = await one.connect({ id: "a", instance: "i-a" });
  const b = await other.connect({ id: "b", instance: "i-b" });
  a.apply(1);
  b.apply(1);
  await pass(2, a, b);
  await stage(one, ["b"], { holdMs: 5000 });
  b.apply(2);
  await pass(3, a, b);
  assert.deepEqual([pushed(a), pushed(b)], [[1], [1, 2]]);
  const [view] = await one.hub.canaries((await one.store.head()).rollout!);
  assert.equal(view?.state, "applied");
  await pass(5, a, b);
  assert.equal((await one.store.rollout(2))?.outcome, "promoted");
  a.apply(2);
  await pass(1, a, b);

  const { version } = await one.store.commit(() => makeConfig(["x"]), {
    author: null,
    message: null,
  });
  await settle();
  a.apply(version.version);
  b.apply(version.version);
  await pass(2, a, b, { requests: 100, errors: 0 });
  await one.store.commit(() => makeConfig(["y"]), {
    author: null,
    message: null,
  }, {
    staging: {
      canaries: [{ id: "b", instance: "i-b", counted: null, before: null }],
      holdMs: 60_000,
      maxErrors: 0.01,
    },
  });
  await settle();
  b.apply(4);
  await pass(2, a, b, { requests: 100, errors: 0 });
  await pass(2, a, b, { requests: 200, errors: 60 });
  assert.equal((await one.store.rollout(4))?.outcome, "halted");
  await pass(1, a, b);
  assert.deepEqual(pushed(a).at(-1), 5);
});

Deno.test("a control plane promotes no version before canaries of others have served it for the hold", async () => {
  for (const ahead of [0, 3_600_000]) {
    await using both = await pair();
    const { one, other } = both;
    const b = await other.connect({ id: "b", instance: "i-b" });
    b.apply(1);
    const pass = async (seconds: number) => {
      for (let second = 0; second < seconds; second++) {
        await live(one, 1, []);
        await live(other, 1, [b]);
      }
    };
    await pass(2);
    await stage(one, ["b"], { holdMs: 15_000 });
    await pass(12);
    other.clock.setWall(other.clock.wall() + ahead);
    b.apply(2);
    await pass(14);
    assert.equal((await one.store.head()).rollout?.version, 2);
    await pass(5);
    assert.equal((await one.store.rollout(2))?.outcome, "promoted");
  }
});

Deno.test("takeBack() says that a rollout is over, also where what was before it is not kept any more", async () => {
  const store = new MemoryStore({ keepVersions: 2, log: new FakeLog() });
  const nobody = { author: null, message: null };
  await store.commit(() => makeConfig(["a"]), nobody);
  await store.commit(() => makeConfig(["b"]), nobody, {
    staging: { canaries: [], holdMs: 1000, maxErrors: 0 },
  });
  const rollout = (await store.head()).rollout!;
  await store.promote(2, null);
  await store.commit(() => makeConfig(["c"]), nobody);
  await assert.rejects(
    takeBack(store, rollout, {
      outcome: "aborted",
      reason: null,
      author: null,
    }),
    RolloutUnderWay,
  );
  await store.close();
});

Deno.test("Hub takes what all but canaries should serve from the store as it is now, also once it was set back", async () => {
  const database = new MemoryDatabase();
  await using rig = await Rig.started({ database, versions: 1 });
  const [a] = await two(rig);
  // The store of an older day, which has gone on since; the hub sees none of its heads but the last.
  const restored = new MemoryDatabase();
  restored.head = { ...restored.head, epoch: (await rig.store.head()).epoch };
  const store = new MemoryStore({
    keepVersions: 100,
    log: rig.log,
    database: restored,
  });
  const nobody = { author: null, message: null };
  await store.commit(() => makeConfig(["other-1"]), nobody);
  await store.commit(() => makeConfig(["other-2"]), nobody, {
    staging: { canaries: [], holdMs: 60_000, maxErrors: 0 },
  });
  Object.assign(database, {
    head: restored.head,
    stamp: database.stamp + 1,
    versions: restored.versions,
    digests: restored.digests,
  });
  await rig.hub.refresh();
  await rig.clock.advance(10);
  assert.equal((await rig.hub.router("a"))[0]?.status, "conflict");
  assert.deepEqual(pushed(a), [1]);
});

Deno.test("a wait for a version that is halted meanwhile tells who refused it, not who serves what took its place", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const [a, b] = await two(rig);
  const watch = rig.hub.follow();
  const { version } = await stage(rig, ["a", "b"]);
  const waited = watch.wait(version, { timeoutMs: 20_000 });
  await rig.clock.advance(10);
  a.say({ type: "ack", version: 2, status: "rejected", error: "no" });
  await live(rig, 1, [a, b]);
  for (const router of [a, b]) router.apply(3);
  const { applied, rejected, pending } = await waited;
  assert.deepEqual({ applied, rejected, pending }, {
    applied: 0,
    rejected: [{ id: "a", error: "no" }],
    pending: ["b"],
  });
  watch.end();
});

Deno.test("Hub gives a canary that applies late the whole hold", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const [a, b] = await two(rig);
  await stage(rig, ["a"], { holdMs: 3000 });
  await live(rig, 5, [a, b]);
  a.apply(2);
  await live(rig, 2, [a, b]);
  assert.equal((await rig.store.head()).rollout?.version, 2);
  await live(rig, 2, [a, b]);
  assert.equal((await rig.store.rollout(2))?.outcome, "promoted");
});

Deno.test("Hub halts no rollout by a canary that serves it and connects anew when its time to apply it is over", async () => {
  for (const hangs of [true, false]) {
    await using rig = await Rig.started({ versions: 1 });
    const [a, b] = await two(rig);
    const { version } = await stage(rig, ["a", "b"], { holdMs: 10_000 });
    a.apply(2);
    await live(rig, 8, [a, b]);
    b.apply(2);
    await live(rig, 8, [a, b]);
    if (!hangs) a.link.closed();
    const again = await rig.connect({ ...version, id: "a", instance: "i-a" });
    assert.equal((await rig.store.head()).rollout?.version, 2);
    await live(rig, 3, [again, b]);
    assert.equal((await rig.store.rollout(2))?.outcome, "promoted");
  }
});

Deno.test("Hub promotes nothing before a canary that counts has told how it went until after the hold", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const a = await rig.connect({
    id: "a",
    instance: "i-a",
    features: ["counts"],
  });
  a.apply(1);
  await live(rig, 61, [a], { requests: 1000, errors: 0 });
  await stage(rig, ["a"], { holdMs: 3000 });
  a.apply(2);
  await live(rig, 1, [a], { requests: 1000, errors: 0 });
  // It is busy, and says nothing.
  await live(rig, 4, []);
  assert.equal((await rig.store.head()).rollout?.version, 2);
  await live(rig, 2, [a], { requests: 1100, errors: 100 });
  assert.equal((await rig.store.rollout(2))?.outcome, "halted");

  // One that never tells keeps nobody waiting for ever.
  a.apply(3);
  await live(rig, 1, [a]);
  await stage(rig, ["a"], { holdMs: 3000 });
  a.apply(4);
  await live(rig, 15, [a]);
  assert.equal((await rig.store.head()).rollout?.version, 4);
  await live(rig, 5, [a]);
  assert.equal((await rig.store.rollout(4))?.outcome, "promoted");
});

Deno.test("Hub goes on asking canaries for their counts, whatever else they tell", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const [a, b] = await two(rig);
  await stage(rig, ["a"], { holdMs: 60_000 });
  a.apply(2);
  await rig.clock.advance(10);
  const before = a.socket.pings.length;
  for (let n = 0; n < 50; n++) {
    await rig.clock.advance(200);
    a.say({ type: "draining", version: 2, requests: 1 });
    b.say({ type: "pong" });
    await settle();
  }
  const pings = a.socket.pings.length - before;
  assert.ok(pings >= 9 && pings <= 13, `${pings} pings in 10 s`);
});

Deno.test("a canary that is not there as its rollout begins has a moment to come back", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const [a, b] = await two(rig);
  await live(rig, 60, [a, b]);
  const [canary] = await rig.hub.candidates();
  a.link.closed();
  await rig.store.commit(
    () => makeConfig(["staged"]),
    { author: null, message: null },
    { staging: { canaries: [canary!], holdMs: 20_000, maxErrors: 0 } },
  );
  await live(rig, 3, [b]);
  assert.equal((await rig.store.head()).rollout?.version, 2);
  await live(rig, 4, [b]);
  assert.equal(
    (await rig.store.rollout(2))?.reason,
    'Router "a" is not connected any more.',
  );
});

Deno.test("a version that is damaged in the store is taken back all the same, and keeps from nobody what is sound", async () => {
  const kv = await Deno.openKv(":memory:");
  const open = () => openKvStore({ kv, keepVersions: 10, log: new FakeLog() });
  const writer = await open();
  const nobody = { author: null, message: null };
  const first = await writer.commit(() => makeConfig(["a"]), nobody);
  await writer.commit(() => makeConfig(["b"]), nobody, {
    staging: {
      canaries: [{ id: "a", instance: null, counted: null, before: null }],
      holdMs: 60_000,
      maxErrors: 0,
    },
  });
  await kv.delete(manifestKey(2));
  {
    await using rig = new Rig({ store: await open() });
    await rig.hub.start();
    const a = await rig.connect({ id: "a" });
    const b = await rig.connect({ id: "b" });
    // A database takes its own time.
    for (let turn = 0; turn < 500 && pushed(b).length === 0; turn++) {
      await new Promise((resolve) => setTimeout(resolve));
      await rig.clock.advance(10);
    }
    assert.deepEqual([pushed(a), pushed(b)], [[], [1]]);
  }
  const store = await open();
  const rollout = (await store.head()).rollout!;
  const { version } = await takeBack(store, rollout, {
    outcome: "aborted",
    reason: null,
    author: null,
  });
  assert.equal(version.version, 3);
  assert.equal(version.digest, first.version.digest);
  assert.equal((await store.current())?.digest, first.version.digest);
  await store.close();
  await writer.close();
  kv.close();
});

Deno.test("a canary whose control plane is dead is vouched for by nobody, whatever the roster says of it", async () => {
  await using both = await pair();
  const { one, other } = both;
  const a = await one.connect({ id: "a", instance: "i-a" });
  const b = await other.connect({ id: "b", instance: "i-b" });
  a.apply(1);
  b.apply(1);
  for (let second = 0; second < 2; second++) {
    await live(one, 1, [a]);
    await live(other, 1, [b]);
  }
  await stage(one, ["b"], { holdMs: 15_000 });
  b.apply(2);
  for (let second = 0; second < 3; second++) {
    await live(one, 1, [a]);
    await live(other, 1, [b]);
  }
  const [view] = await one.hub.canaries((await one.store.head()).rollout!);
  assert.equal(view?.state, "applied");
  // From here on time stands still for the other one; its record stays live for a minute.
  await live(one, 30, [a]);
  assert.equal((await one.store.head()).rollout?.version, 2);
  await live(one, 15, [a]);
  assert.equal(
    (await one.store.rollout(2))?.reason,
    'Router "b" is not connected any more.',
  );
});

Deno.test("Hub tells of no trial and no rollout before it has read the store", async () => {
  await using rig = new Rig();
  const metrics = new Metrics();
  rig.hub.register(metrics);
  const { body: text } = await metrics.text();
  assert.match(text, /^signalbox_cp_version_on_trial 0$/m);
  assert.match(text, /^signalbox_cp_rollout_under_way 0$/m);
});
