import assert from "node:assert/strict";
import { MemoryDatabase, MemoryStore } from "../store/memory_store.ts";
import { type RouterRecord, StoreUnavailable } from "../store/store.ts";
import { routerOf } from "../store/store_contract.ts";
import { FakeLog, Rig, settle, SettlingClock } from "./fakes.ts";
import { Roster } from "./roster.ts";

/** A store that counts and fails roster writes. */
class CountingStore extends MemoryStore {
  writes: number[] = [];
  failing = false;

  constructor(database = new MemoryDatabase()) {
    super({ keepVersions: 5, log: new FakeLog(), database });
  }

  override async saveRouters(records: readonly RouterRecord[]): Promise<void> {
    if (this.failing) throw new StoreUnavailable("Cannot write: disk full");
    this.writes.push(records.length);
    await super.saveRouters(records);
  }
}

Deno.test("Roster writes many changes at once, in bounded batches", async () => {
  const store = new CountingStore();
  await using rig = await Rig.started({ store, versions: 1 });
  for (let index = 0; index < 200; index++) {
    const router = await rig.connect({ id: `router-${index}` });
    router.apply(1);
  }
  await rig.clock.advance(600);
  // Those that are new are written at once, though not one by one.
  assert.ok(store.writes.length <= 25, `${store.writes}`);
  assert.equal((await store.routers()).length, 200);
  const records = await store.routers();
  assert.ok(records.every((record) => record.status === "current"));
  // Nothing changes, so nothing is written: an embedded file has one reader.
  const writes = store.writes.length;
  await rig.clock.advance(5_000);
  assert.equal(store.writes.length, writes);
});

Deno.test("Roster writes nobody off because the process ends; the next one finds them gone", async () => {
  const database = new MemoryDatabase();
  const store = new CountingStore(database);
  const before = await Rig.started({ store, versions: 1 });
  (await before.connect({ id: "a", instance: "1" })).apply(1);
  await before.clock.advance(600);
  // This one has not been written yet.
  (await before.connect({ id: "b", instance: "2" })).apply(1);
  const writes = store.writes.length;
  await before[Symbol.asyncDispose]();
  assert.deepEqual(store.writes.slice(writes), [1]);
  await using after = await Rig.started({ database });
  assert.deepEqual(
    (await after.hub.routers()).map(({ id, status, version }) => [
      id,
      status,
      version,
    ]),
    [["a", "gone", 1], ["b", "gone", 1]],
  );
});

Deno.test("Roster never stores routers without an id", async () => {
  await using rig = await Rig.started();
  const router = await rig.connect({ id: null });
  await rig.clock.advance(600);
  assert.equal((await rig.hub.routers()).length, 1);
  router.link.closed();
  await rig.clock.advance(600);
  assert.deepEqual(await rig.store.routers(), []);
  assert.deepEqual(await rig.hub.routers(), []);
});

Deno.test("Roster keeps who is gone, also after a restart, until it is forgotten", async () => {
  const database = new MemoryDatabase();
  const before = await Rig.started({ database, versions: 1 });
  const router = await before.connect({ id: "a", instance: "1" });
  router.apply(1);
  await before.clock.advance(600);
  router.link.closed();
  await before.connect({ id: "b" });
  assert.equal((await before.hub.router("a"))[0]?.status, "gone");
  await before[Symbol.asyncDispose]();

  await using after = await Rig.started({ database, controlPlane: "cp-2" });
  const views = await after.hub.routers();
  assert.deepEqual(
    views.map(({ id, status, version }) => [id, status, version]),
    [["a", "gone", 1], ["b", "gone", null]],
  );
  await after.connect({ id: "b" });
  assert.equal(await after.hub.forget("b"), "connected");
  assert.equal(await after.hub.forget("a"), "forgotten");
  assert.equal(await after.hub.forget("a"), "unknown");
  assert.deepEqual(await after.hub.router("a"), []);
  await after.clock.advance(1_000);
  assert.deepEqual((await after.store.routers()).map(({ id }) => id), ["b"]);
});

Deno.test("Roster takes the routers of a killed process for gone at once where none else is", async () => {
  const database = new MemoryDatabase();
  const killed = await Rig.started({ database, versions: 1 });
  await killed.connect({ id: "a", instance: "1" });
  await killed.connect({ id: "b", instance: "1" });
  await killed.clock.advance(600);

  await using after = await Rig.started({ database, controlPlane: "cp-2" });
  const [view] = await after.hub.router("a");
  assert.deepEqual([view?.status, view?.connected], ["gone", false]);
  // One comes back as a new instance, the other is written off in the end.
  await after.connect({ id: "a", instance: "2" });
  await after.clock.advance(31_000);
  await after.connect({ id: "a", instance: "2" });
  await after.clock.advance(600);
  const records = await after.store.routers();
  assert.deepEqual(
    records.map(({ id, instance, goneSince }) => [
      id,
      instance,
      goneSince === null,
    ]),
    [["a", "2", true], ["b", "1", false]],
  );
  await killed[Symbol.asyncDispose]();
});

Deno.test("Roster shows another control plane's routers while they are live", async () => {
  const database = new MemoryDatabase();
  const options = { database, exclusive: false };
  await using one = await Rig.started({ ...options, versions: 1 });
  const two = await Rig.started({ ...options, controlPlane: "cp-2" });
  await two.connect({ id: "there" });
  await two.clock.advance(600);
  const [view] = await one.hub.router("there");
  assert.deepEqual(
    [view?.connected, view?.status, view?.control_plane],
    [true, "behind", "cp-2"],
  );
  assert.equal(await one.hub.forget("there"), "connected");
  // The other process is killed: its records are not renewed.
  await one.clock.advance(61_000);
  const [later] = await one.hub.router("there");
  assert.deepEqual([later?.connected, later?.status], [false, "gone"]);
  await two[Symbol.asyncDispose]();
});

Deno.test("Roster renews the records of live routers where others read them", async () => {
  const store = new CountingStore();
  await using rig = await Rig.started({ store, exclusive: false });
  const router = await rig.connect({ id: "a" });
  const before = (await rig.clock.advance(600), await store.routers())[0]!;
  for (let seconds = 0; seconds < 21; seconds++) {
    router.say({ type: "pong" });
    await rig.clock.advance(1_000);
  }
  const after = (await store.routers())[0]!;
  assert.ok(after.liveUntil > before.liveUntil);
  assert.equal(store.writes.length, 2);
});

Deno.test("Roster does not write over a router that went to another control plane", async () => {
  const database = new MemoryDatabase();
  const options = { database, exclusive: false };
  await using one = await Rig.started(options);
  await using two = await Rig.started({ ...options, controlPlane: "cp-2" });
  await one.connect({ id: "a", instance: "1" });
  await one.clock.advance(600);
  await two.clock.advance(5_000);
  await two.connect({ id: "a", instance: "1" });
  await two.clock.advance(600);
  // The old connection is only now seen to be dead.
  await one.clock.advance(13_000);
  const [record] = await one.store.routers();
  assert.deepEqual([record?.controlPlane, record?.goneSince], ["cp-2", null]);
});

Deno.test("Roster tries a failed write again, and pushing does not suffer", async () => {
  const store = new CountingStore();
  store.failing = true;
  await using rig = await Rig.started({ store, versions: 1 });
  const router = await rig.connect();
  assert.equal(router.socket.pushes.length, 1);
  await rig.clock.advance(5_000);
  assert.equal(rig.log.find("roster cannot be written").length, 1);
  store.failing = false;
  router.say({ type: "pong" });
  await rig.clock.advance(5_000);
  await settle();
  assert.equal((await store.routers()).length, 1);
  assert.equal(rig.log.find("roster can be written again").length, 1);
});

Deno.test("Roster lists at once who comes back after it was forgotten for want of room", async () => {
  const clock = new SettlingClock();
  const store = new CountingStore();
  const live = new Set<string>();
  const roster = new Roster({
    store,
    log: new FakeLog(),
    clock,
    controlPlane: "cp-1",
    exclusive: true,
    maxGone: 1,
    live: (id) => live.has(id) ? routerOf(id) : null,
    isLive: (id) => live.has(id),
    liveIds: () => live,
  });
  const listed = async () => (await store.routers()).map(({ id }) => id);
  roster.start();
  for (const id of ["a", "b"]) {
    live.add(id);
    roster.touch(id);
    await clock.advance(1000);
    live.delete(id);
    const goneSince = new Date(clock.wall()).toISOString();
    roster.leave(routerOf(id, { goneSince }), { ending: false });
    await clock.advance(1000);
  }
  assert.deepEqual(await listed(), ["b"]);
  live.add("a");
  roster.touch("a");
  await clock.advance(100);
  assert.deepEqual(await listed(), ["a", "b"]);
  await roster.stop();
});

Deno.test("Roster writes all others where a record cannot be written", async () => {
  const refused = new Set(["router-7"]);
  class PickyStore extends CountingStore {
    override async saveRouters(
      records: readonly RouterRecord[],
    ): Promise<void> {
      this.failing = records.some(({ id }) => refused.has(id));
      await super.saveRouters(records);
    }
  }
  const store = new PickyStore();
  await using rig = await Rig.started({ store, versions: 1 });
  const routers = [];
  for (let index = 0; index < 20; index++) {
    routers.push(await rig.connect({ id: `router-${index}` }));
  }
  for (let second = 0; second < 240; second++) {
    await rig.clock.advance(1000);
    for (const { say } of routers) say({ type: "pong" });
  }
  assert.equal((await store.routers()).length, 19);
  refused.clear();
  await rig.clock.advance(31_000);
  assert.equal((await store.routers()).length, 20);
});

Deno.test("Roster forgets those longest gone, whoever else is connected", async () => {
  const store = new CountingStore();
  const clock = new SettlingClock();
  const live = new Set(["a", "b", "c", "d"]);
  // What the process before left, all of it back by now.
  for (const id of live) await store.saveRouters([routerOf(id)]);
  const roster = new Roster({
    store,
    log: new FakeLog(),
    clock,
    controlPlane: "cp-1",
    exclusive: true,
    live: (id) => live.has(id) ? routerOf(id) : null,
    isLive: (id) => live.has(id),
    liveIds: () => live,
    maxGone: 2,
  });
  roster.start();
  await settle();
  for (const id of live) roster.touch(id);
  for (const [index, id] of [...live].entries()) {
    live.delete(id);
    const goneSince = `2026-01-01T00:00:0${index}.000Z`;
    roster.leave(routerOf(id, { goneSince, status: "gone" }), {
      ending: false,
    });
    await clock.advance(1_000);
    const gone = (await store.routers()).filter((one) => one.goneSince !== null)
      .map((record) => record.id);
    assert.deepEqual(
      gone,
      ["a", "b", "c", "d"].slice(Math.max(0, index - 1), index + 1),
    );
  }
  await roster.stop();
});
