import assert from "node:assert/strict";
import { MemoryDatabase } from "../store/memory_store.ts";
import { FakeSocket, Rig, settle } from "./fakes.ts";
import type { Rollout } from "./fleet.ts";

/** The rollout once it is over, or null while it waits. */
function watch(waiting: Promise<Rollout>): () => Rollout | null {
  let seen: Rollout | null = null;
  void waiting.then((rollout) => seen = rollout);
  return () => seen;
}

const NOBODY = { rejected: [], pending: [], gone: [], conflict: [] };

Deno.test("wait() answers once every router has applied the version", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const one = await rig.connect({ id: "one" });
  const two = await rig.connect({ id: "two", parts: false });
  one.apply(1);
  two.apply(1);
  const following = rig.hub.follow();
  const version = await rig.commit();
  const seen = watch(following.wait(version, { timeoutMs: 10_000 }));
  await rig.clock.advance(10);
  one.apply(2);
  await rig.clock.advance(10);
  assert.equal(seen(), null);
  two.apply(2);
  await settle();
  assert.deepEqual(seen(), { applied: 2, ...NOBODY, waited_ms: 20 });
  following.end();
});

Deno.test("wait() answers at once where nobody is connected, or all are current", async () => {
  await using rig = await Rig.started();
  const version = await rig.commit();
  const empty = rig.hub.follow();
  assert.deepEqual(await empty.wait(version, { timeoutMs: 1000 }), {
    applied: 0,
    ...NOBODY,
    waited_ms: 0,
  });
  await rig.connect({ ...version });
  const current = rig.hub.follow();
  const { applied } = await current.wait(version, { timeoutMs: 1000 });
  assert.equal(applied, 1);
  empty.end();
  current.end();
});

Deno.test("wait() does not take an answer for an older version for one", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const router = await rig.connect();
  const following = rig.hub.follow();
  const version = await rig.commit();
  const seen = watch(following.wait(version, { timeoutMs: 10_000 }));
  router.apply(1);
  await settle();
  assert.equal(seen(), null);
  await rig.clock.advance(2);
  // A pong is no answer either.
  router.say({ type: "pong", version: 2, epoch: version.epoch });
  await settle();
  assert.equal(seen(), null);
  await rig.clock.advance(2);
  router.apply(2);
  await settle();
  assert.equal(seen()?.applied, 1);
  following.end();
});

Deno.test("wait() takes a newer version for an answer", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const router = await rig.connect();
  const following = rig.hub.follow();
  const version = await rig.commit();
  await rig.commit();
  const seen = watch(following.wait(version, { timeoutMs: 10_000 }));
  router.apply(1);
  await rig.clock.advance(2);
  router.say({ type: "ack", version: 3, status: "rejected", error: "bad 3" });
  await settle();
  assert.deepEqual(seen()?.rejected, [{ id: "router-1", error: "bad 3" }]);
  following.end();
});

Deno.test("wait() takes a newer version of a newer epoch for an answer", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const router = await rig.connect();
  const following = rig.hub.follow();
  const version = await rig.commit();
  await rig.store.takeover(
    { above: 0, epochs: [] },
    { author: null, message: null },
  );
  await settle();
  const seen = watch(following.wait(version, { timeoutMs: 10_000 }));
  router.apply(1);
  await rig.clock.advance(2);
  router.apply(3);
  await settle();
  assert.equal(seen()?.applied, 1);
  following.end();
});

Deno.test("wait() says who rejected, is pending, gone or in conflict when the time is up", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const applied = await rig.connect({ id: "applied" });
  const rejecting = await rig.connect({ id: "rejecting" });
  const leaving = await rig.connect({ id: "leaving" });
  const silent = await rig.connect({ id: "silent" });
  await rig.connect({ id: "foreign", epoch: "x", version: 4 });
  for (const router of [applied, rejecting, leaving]) router.apply(1);
  const following = rig.hub.follow();
  const version = await rig.commit();
  leaving.link.closed();
  const seen = watch(following.wait(version, { timeoutMs: 2_000 }));
  await rig.clock.advance(2);
  applied.apply(2);
  const error = "/x: wrong";
  rejecting.say({ type: "ack", version: 2, status: "rejected", error });
  // Connected since, and in time.
  const late = await rig.connect({ id: "late" });
  late.apply(2);
  await rig.clock.advance(1_500);
  assert.equal(seen(), null);
  silent.say({ type: "pong" });
  await rig.clock.advance(600);
  assert.deepEqual(seen(), {
    applied: 2,
    rejected: [{ id: "rejecting", error }],
    pending: ["silent"],
    gone: ["leaving"],
    conflict: ["foreign"],
    waited_ms: 2_000,
  });
  following.end();
});

Deno.test("wait() does not wait for who is gone, but counts who comes back", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const router = await rig.connect({ id: "a", instance: "1" });
  const other = await rig.connect({ id: "b" });
  const following = rig.hub.follow();
  const version = await rig.commit();
  const seen = watch(following.wait(version, { timeoutMs: 10_000 }));
  router.link.closed();
  const back = await rig.connect({ id: "a", instance: "2" });
  back.apply(2);
  await settle();
  assert.equal(seen(), null);
  other.link.closed();
  await settle();
  assert.equal(seen()?.applied, 1);
  assert.deepEqual(seen()?.gone, ["b"]);
  following.end();
});

Deno.test("wait() for drained answers once nothing old runs on any router", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const features = ["drained"];
  const one = await rig.connect({ id: "one", features });
  const two = await rig.connect({ id: "two", features });
  one.apply(1);
  two.apply(1);
  const following = rig.hub.follow();
  const version = await rig.commit();
  const seen = watch(
    following.wait(version, { timeoutMs: 10_000, until: "drained" }),
  );
  await rig.clock.advance(10);
  const ack = { type: "ack", version: 2, status: "applied" };
  one.say({ ...ack, durable: true });
  two.say({ ...ack, durable: true });
  one.say({ type: "drained", version: 2 });
  two.say({ type: "draining", version: 2, streams: 3, oldest_ms: 1500 });
  await settle();
  assert.equal(seen(), null);
  const { draining, state } = await rig.hub.rollout(version);
  assert.deepEqual([state, draining], ["draining", [
    { id: "two", requests: 0, streams: 3, oldest_seconds: 1.5 },
  ]]);
  two.say({ type: "drained", version: 2 });
  await settle();
  assert.deepEqual(seen(), {
    applied: 2,
    ...NOBODY,
    state: "drained",
    drained: 2,
    draining: [],
    unknown: [],
    waited_ms: 10,
  });
  following.end();
});

Deno.test("wait() for drained never says so of who cannot prove it", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const features = ["drained"];
  const ack = { type: "ack", version: 2, status: "applied" };
  const drained = { type: "drained", version: 2 };
  const lost = await rig.connect({ id: "lost", features });
  lost.apply(1);
  lost.link.closed();
  const draft = await rig.connect({ id: "draft" });
  const unsaved = await rig.connect({ id: "unsaved", features });
  const following = rig.hub.follow();
  const version = await rig.commit();
  const seen = watch(
    following.wait(version, { timeoutMs: 1_000, until: "drained" }),
  );
  for (const router of [draft, unsaved]) router.apply(1);
  await rig.clock.advance(10);
  draft.say({ ...ack, durable: true });
  unsaved.say({ ...ack, durable: false });
  unsaved.say(drained);
  await settle();
  assert.equal(seen(), null);
  await rig.clock.advance(1_000);
  assert.equal(seen()?.state, "unknown");
  assert.deepEqual(seen()?.unknown, [
    { id: "draft", reason: "cannot_tell" },
    { id: "lost", reason: "disconnected" },
    { id: "unsaved", reason: "not_durable" },
  ]);
  // It reaches its disk late.
  const again = watch(
    following.wait(version, { timeoutMs: 1_000, until: "drained" }),
  );
  await settle();
  unsaved.say({ ...ack, durable: true });
  await settle();
  assert.deepEqual(again()?.unknown?.map(({ id }) => id), ["draft", "lost"]);
  assert.equal(again()?.drained, 1);
  assert.equal(again()?.state, "unknown");
  following.end();
});

Deno.test("wait() for drained tells who refused, and who has yet to tell", async () => {
  await using rig = await Rig.started();
  const features = ["drained"];
  const refusing = await rig.connect({ id: "refusing", features });
  const silent = await rig.connect({ id: "silent", features });
  const following = rig.hub.follow();
  const version = await rig.commit();
  await rig.clock.advance(2);
  refusing.say({ type: "ack", version: 1, status: "rejected", error: "no" });
  silent.say({ type: "ack", version: 1, status: "applied", durable: true });
  const rollout = await rig.hub.rollout(version);
  assert.deepEqual([rollout.state, rollout.draining], ["draining", [
    { id: "silent" },
  ]]);
  silent.say({ type: "drained", version: 1 });
  assert.equal((await rig.hub.rollout(version)).state, "refused");
  following.end();
});

Deno.test("wait() ends early when nobody waits any more", async () => {
  await using rig = await Rig.started();
  await rig.connect();
  const following = rig.hub.follow();
  const version = await rig.commit();
  const abort = new AbortController();
  const seen = watch(
    following.wait(version, { timeoutMs: 1_000, signal: abort.signal }),
  );
  await settle();
  abort.abort();
  await settle();
  assert.deepEqual(seen()?.pending, ["router-1"]);
  const again = watch(following.wait(version, { timeoutMs: 60_000 }));
  await settle();
  assert.equal(again(), null);
  following.end();
  await settle();
  assert.deepEqual(again()?.pending, ["router-1"]);
});

Deno.test("wait() hears of the routers of another control plane through the roster", async () => {
  const database = new MemoryDatabase();
  const options = { database, exclusive: false };
  await using one = await Rig.started(options);
  await using two = await Rig.started({ ...options, controlPlane: "cp-2" });
  const there = await two.connect({ id: "there" });
  const refusing = await two.connect({ id: "refusing" });
  await two.clock.advance(600);

  const following = one.hub.follow();
  const version = await one.commit();
  const seen = watch(following.wait(version, { timeoutMs: 10_000 }));
  await one.clock.advance(1_000);
  assert.equal(seen(), null);
  await two.clock.advance(2);
  there.apply(1);
  refusing.say({ type: "ack", version: 1, status: "rejected", error: "no" });
  await two.clock.advance(600);
  await one.clock.advance(600);
  assert.deepEqual(seen(), {
    applied: 1,
    ...NOBODY,
    rejected: [{ id: "refusing", error: "no" }],
    waited_ms: 1_500,
  });
  following.end();
});

Deno.test("wait() waits for the routers that a takeover rescues", async () => {
  await using rig = await Rig.started({ versions: 2 });
  const rescued = await rig.connect({ id: "a", epoch: "x", version: 4 });
  const following = rig.hub.follow();
  const { highestVersion: above, epochs } = await rig.hub.conflicts();
  assert.deepEqual(epochs, ["x"]);
  const { version } = await rig.store.takeover(
    { above, epochs },
    { author: null, message: null },
  );
  // The hub has not heard of it yet.
  const seen = watch(following.wait(version, { timeoutMs: 10_000 }));
  await rig.clock.advance(10);
  assert.equal(seen(), null);
  assert.equal(rescued.socket.pushes[0]?.version, 5);
  rescued.apply(5);
  await settle();
  assert.deepEqual(seen(), { applied: 1, ...NOBODY, waited_ms: 10 });
  following.end();
});

Deno.test("wait() tells a conflict that a commit does not end", async () => {
  const database = new MemoryDatabase();
  const options = { database, exclusive: false };
  await using one = await Rig.started({ ...options, versions: 1 });
  await using two = await Rig.started({ ...options, controlPlane: "cp-2" });
  await one.connect({ id: "here", epoch: "x", version: 4 });
  await two.connect({ id: "there", epoch: "y", version: 4 });
  await two.clock.advance(600);

  const following = one.hub.follow();
  const version = await one.commit();
  const seen = watch(following.wait(version, { timeoutMs: 10_000 }));
  await one.clock.advance(100);
  // What the roster says was said before the commit.
  assert.equal(seen(), null);
  await two.clock.advance(600);
  await one.clock.advance(600);
  assert.deepEqual(seen()?.conflict, ["here", "there"]);
  following.end();
});

Deno.test("wait() hears of routers that a takeover rescues elsewhere", async () => {
  const database = new MemoryDatabase();
  const options = { database, exclusive: false };
  await using one = await Rig.started({ ...options, versions: 1 });
  await using two = await Rig.started({ ...options, controlPlane: "cp-2" });
  const there = await two.connect({ id: "there", epoch: "y", version: 4 });
  await two.clock.advance(600);

  const following = one.hub.follow();
  const { version } = await one.store.takeover(
    { above: 4, epochs: ["y"] },
    { author: null, message: null },
  );
  const seen = watch(following.wait(version, { timeoutMs: 10_000 }));
  await one.clock.advance(600);
  await two.clock.advance(600);
  assert.equal(seen(), null);
  there.apply(5);
  await two.clock.advance(600);
  await one.clock.advance(600);
  assert.deepEqual({ ...seen(), waited_ms: 0 }, {
    applied: 1,
    ...NOBODY,
    waited_ms: 0,
  });
  following.end();
});

Deno.test("wait() does not take routers for gone that leave as the hub stops", async () => {
  await using rig = await Rig.started();
  await rig.connect();
  const aborted = rig.hub.follow();
  const stopped = rig.hub.follow();
  const version = await rig.commit();
  const abort = new AbortController();
  const one = watch(
    aborted.wait(version, { timeoutMs: 60_000, signal: abort.signal }),
  );
  const two = watch(stopped.wait(version, { timeoutMs: 60_000 }));
  await settle();
  abort.abort();
  void rig.hub.stop();
  await settle();
  for (const seen of [one, two]) {
    assert.deepEqual(seen()?.pending, ["router-1"]);
    assert.deepEqual(seen()?.gone, []);
  }
});

Deno.test("wait() does not take what was not judged yet for an answer", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const { version, epoch } = (await rig.store.current())!;
  const following = rig.hub.follow();
  const digest = `sha256:${"a".repeat(64)}`;
  const admission = rig.hub.admit();
  assert.ok(typeof admission === "object");
  const announcement = { id: "liar", instance: null, features: [] };
  admission.connect(new FakeSocket(), {
    announcement: { ...announcement, epoch, version: 9, digest },
    address: "10.0.0.1",
    parts: true,
  });
  const seen = watch(
    following.wait({ version, epoch }, { timeoutMs: 10_000 }),
  );
  await rig.clock.advance(10);
  assert.deepEqual({ ...seen(), waited_ms: 0 }, {
    applied: 0,
    ...NOBODY,
    conflict: ["liar"],
    waited_ms: 0,
  });
  following.end();
});
