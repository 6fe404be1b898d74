import assert from "node:assert/strict";
import { gunzipSync } from "node:zlib";
import { canonicalText } from "../../shared/canonical.ts";
import { Metrics } from "../../shared/metrics.ts";
import { openKvStore } from "../store/kv_store.ts";
import { MemoryDatabase, MemoryStore } from "../store/memory_store.ts";
import {
  type Head,
  type Newest,
  StoreDamaged,
  StoreUnavailable,
} from "../store/store.ts";
import { FakeLog, FakeSocket, makeConfig, Rig, settle } from "./fakes.ts";
import type { FleetEvent } from "./fleet.ts";

Deno.test("Hub pushes the current config on connect, in parts", async () => {
  await using rig = await Rig.started({ versions: 2 });
  const current = (await rig.store.current())!;
  const { socket } = await rig.connect();
  const [begin] = socket.pushes;
  assert.deepEqual(begin, {
    type: "config_begin",
    version: 2,
    epoch: current.epoch,
    digest: current.digest,
    guarded_since: 0,
    supersedes: [],
    encoding: "gzip",
    bytes: socket.body.length,
  });
  assert.equal(
    gunzipSync(socket.body).toString(),
    canonicalText(current.config),
  );
});

Deno.test("Hub pushes to draft routers in one text frame", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const { socket } = await rig.connect({ id: null, parts: false });
  const [update] = socket.pushes;
  const current = (await rig.store.current())!;
  assert.equal(update?.type, "config_update");
  assert.equal(update.version, 1);
  assert.equal(JSON.stringify(update.config), canonicalText(current.config));
  assert.equal(socket.body.length, 0);
  const [view] = await rig.hub.routers();
  assert.equal(view?.id, "anonymous-1");
  assert.equal(view.control_plane, "");
});

Deno.test("Hub pings a router that serves the committed version already", async () => {
  await using rig = await Rig.started({ versions: 2 });
  const { version, epoch, digest } = (await rig.store.current())!;
  const { socket } = await rig.connect({ version, epoch, digest });
  assert.deepEqual(socket.messages, [{ type: "ping", version: 2, epoch }]);
});

Deno.test("Hub pushes nothing of an empty store, then the first version", async () => {
  await using rig = await Rig.started();
  const router = await rig.connect();
  await rig.clock.advance(5_500);
  const { epoch } = await rig.store.head();
  assert.deepEqual(router.socket.messages, [{
    type: "ping",
    version: 0,
    epoch,
  }]);
  await rig.commit();
  await rig.clock.advance(2);
  assert.equal(router.socket.pushes[0]?.version, 1);
});

Deno.test("Hub lets only the newest version follow the one on its way", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const router = await rig.connect();
  for (let commits = 0; commits < 3; commits++) await rig.commit();
  await rig.clock.advance(100);
  assert.deepEqual(router.socket.pushes.map(({ version }) => version), [1]);
  router.apply(1);
  await rig.clock.advance(100);
  assert.deepEqual(router.socket.pushes.map(({ version }) => version), [1, 4]);
});

Deno.test("Hub sends a newer version 30 s after an unanswered one", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const router = await rig.connect();
  await rig.commit();
  for (let seconds = 0; seconds < 29; seconds++) {
    await rig.clock.advance(1000);
    router.say({ type: "pong" });
  }
  assert.equal(router.socket.pushes.length, 1);
  await rig.clock.advance(2000);
  assert.equal(router.socket.pushes.length, 2);
  router.say({ type: "pong" });
  await rig.clock.advance(10_000);
  router.say({ type: "pong" });
  await rig.clock.advance(10_000);
  router.say({ type: "pong" });
  await rig.clock.advance(11_000);
  assert.equal((await rig.hub.router("router-1"))[0]?.status, "unanswered");
  assert.equal(router.socket.pushes.length, 2);
});

Deno.test("Hub remembers a rejection for that instance, until asked or restarted", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const reject = { type: "ack", version: 1, status: "rejected", error: "no" };
  const first = await rig.connect({ instance: "a" });
  first.say(reject);
  first.link.closed();
  const again = await rig.connect({ instance: "a" });
  assert.equal(again.socket.pushes.length, 0);
  const [view] = await rig.hub.router("router-1");
  assert.deepEqual([view?.status, view?.error], ["rejected", "no"]);

  assert.equal(rig.hub.resend("router-1"), 1);
  await rig.clock.advance(2);
  assert.equal(again.socket.pushes.length, 1);
  again.say(reject);
  again.link.closed();

  const restarted = await rig.connect({ instance: "b" });
  assert.equal(restarted.socket.pushes.length, 1);
  assert.equal(rig.hub.resend("nobody"), 0);
});

Deno.test("Hub drops a silent router with 4408 and forgets its socket at once", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const { socket } = await rig.connect();
  await rig.clock.advance(11_000);
  assert.equal(socket.closedWith?.code, undefined);
  await rig.clock.advance(2_000);
  assert.equal(socket.closedWith?.code, 4408);
  const [view] = await rig.hub.router("router-1");
  assert.deepEqual([view?.status, view?.connected], ["gone", false]);
});

Deno.test("Hub closes with 4400, 4413 and 4409, each for its reason", async () => {
  await using rig = await Rig.started();
  const malformed = await rig.connect({ id: "a" });
  malformed.link.text("{");
  assert.equal(malformed.socket.closedWith?.code, 4400);
  const shape = await rig.connect({ id: "b" });
  shape.say({ type: "ack" });
  assert.equal(shape.socket.closedWith?.code, 4400);
  const binary = await rig.connect({ id: "c" });
  binary.link.binary();
  assert.equal(binary.socket.closedWith?.code, 4400);
  const large = await rig.connect({ id: "d" });
  large.link.text(" ".repeat(1024 * 1024 + 1));
  assert.equal(large.socket.closedWith?.code, 4413);
  const wide = await rig.connect({ id: "e" });
  wide.link.text("€".repeat(350_000));
  assert.equal(wide.socket.closedWith?.code, 4413);
  const flood = await rig.connect({ id: "f" });
  for (let messages = 0; messages <= 1000; messages++) {
    flood.say({ type: "hello" });
  }
  assert.equal(flood.socket.closedWith?.code, 4413);
  const older = await rig.connect({ id: "g", instance: "x" });
  const newer = await rig.connect({ id: "g", instance: "x" });
  assert.equal(older.socket.closedWith?.code, 4409);
  assert.equal(newer.socket.closedWith, null);
  assert.equal((await rig.hub.router("g"))[0]?.duplicate_id, false);
});

Deno.test("Hub serves two live routers with one id, and says so", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const one = await rig.connect({ instance: "a" });
  const two = await rig.connect({ instance: "b" });
  const three = await rig.connect({ instance: null });
  const views = await rig.hub.router("router-1");
  assert.deepEqual(views.map((view) => view.duplicate_id), [true, true, true]);
  for (const { socket } of [one, two, three]) {
    assert.equal(socket.pushes.length, 1);
    assert.equal(socket.closedWith, null);
  }
});

Deno.test("Hub ignores unknown messages and stray acks, and counts them", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const { version, epoch, digest } = (await rig.store.current())!;
  const router = await rig.connect({ version, epoch, digest });
  router.say({ type: "hello" });
  router.say({ type: "hello" });
  router.apply(7);
  router.say({ type: "drained", version: 1 });
  assert.equal(router.socket.closedWith, null);
  assert.equal((await rig.hub.router("router-1"))[0]?.version, 1);
  const metrics = new Metrics();
  rig.hub.register(metrics);
  const { body } = await metrics.text();
  assert.match(body, /^signalbox_cp_unknown_messages_total 2$/m);
  assert.match(body, /^signalbox_cp_acks_unsolicited_total 1$/m);
  assert.match(body, /^signalbox_cp_drained_total 1$/m);
  assert.match(body, /^signalbox_cp_routers_connected 1$/m);
  assert.equal(rig.log.find("unknown type").length, 1);
});

Deno.test("Hub counts pushes, acks and propagation", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const router = await rig.connect();
  router.apply(1);
  await rig.commit();
  await rig.clock.advance(30);
  router.apply(2);
  const metrics = new Metrics();
  rig.hub.register(metrics);
  const { body } = await metrics.text();
  assert.match(body, /^signalbox_cp_pushes_total 2$/m);
  assert.match(body, /^signalbox_cp_acks_total\{status="applied"\} 2$/m);
  assert.match(body, /^signalbox_cp_propagation_seconds_count 2$/m);
  assert.match(body, /signalbox_cp_propagation_seconds_bucket\{le="0.05"\} 2/);
  assert.match(body, /^signalbox_cp_push_bytes_in_flight 0$/m);
  assert.match(body, /^signalbox_cp_routers_behind 0$/m);
});

Deno.test("Hub is not held up by routers that read nothing", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const stalled = [];
  for (let index = 0; index < 40; index++) {
    const socket = new FakeSocket();
    socket.stalled = true;
    stalled.push(await rig.connect({ id: `stalled-${index}` }, socket));
  }
  const healthy = await rig.connect({ id: "healthy" });
  await rig.clock.advance(600);
  assert.equal(healthy.socket.pushes.length, 1);
  stalled[0]!.socket.flow();
  await rig.clock.advance(100);
  stalled[0]!.apply(1);
  assert.equal((await rig.hub.router("stalled-0"))[0]?.status, "current");
  await rig.clock.advance(13_000);
  assert.equal(stalled[1]!.socket.closedWith?.code, 4408);
});

Deno.test("Hub does not fill the buffer of who takes nothing with pings", async () => {
  await using rig = await Rig.started();
  const { socket, say } = await rig.connect();
  socket.bufferedAmount = 300 * 1024;
  await rig.clock.advance(6_000);
  say({ type: "pong" });
  assert.equal(socket.pings.length, 0);
  socket.bufferedAmount = 0;
  await rig.clock.advance(6_000);
  assert.equal(socket.pings.length, 1);
});

Deno.test("Hub leaves a router in conflict alone until the takeover", async () => {
  await using rig = await Rig.started({ versions: 2 });
  const foreign = await rig.connect({ epoch: "foreign", version: 9 });
  assert.equal(foreign.socket.pushes.length, 0);
  const [view] = await rig.hub.router("router-1");
  assert.equal(view?.status, "conflict");
  assert.match(view.error ?? "", /foreign/);
  assert.deepEqual(await rig.hub.conflicts(), {
    count: 1,
    highestVersion: 9,
    epochs: ["foreign"],
  });
  const [line] = rig.log.find("conflict");
  assert.match(
    String(line?.properties.command),
    /curl -X POST .*\/v1\/takeover/,
  );
  assert.equal(rig.hub.resend("router-1"), 0);

  await rig.commit();
  await rig.clock.advance(2);
  assert.equal(foreign.socket.pushes.length, 0);

  const { highestVersion: above, epochs } = await rig.hub.conflicts();
  await rig.store.takeover({ above, epochs }, { author: null, message: null });
  await settle();
  await rig.clock.advance(2);
  assert.equal(foreign.socket.pushes[0]?.version, 10);
  assert.ok(
    (foreign.socket.pushes[0]?.supersedes as string[]).includes("foreign"),
  );
  // Its word is that of whoever takes over.
  assert.equal(foreign.socket.pushes[0]?.guarded_since, 0);
  assert.equal((await rig.hub.conflicts()).count, 0);
});

Deno.test("Hub finds other digests and versions above the head in conflict", async () => {
  await using rig = await Rig.started({ versions: 2 });
  const { epoch } = await rig.store.head();
  const digest = `sha256:${"a".repeat(64)}`;
  const above = await rig.connect({ id: "above", epoch, version: 3 });
  const other = await rig.connect({ id: "other", epoch, version: 1, digest });
  for (const { socket } of [above, other]) {
    assert.equal(socket.pushes.length, 0);
  }
  assert.equal((await rig.hub.conflicts()).count, 2);

  assert.equal(rig.log.find("in conflict").length, 2);

  // Version 3 is committed: one of them is not above the head any more.
  await rig.commit();
  await rig.clock.advance(2);
  assert.deepEqual(await rig.hub.conflicts(), {
    count: 1,
    highestVersion: 1,
    epochs: [epoch],
  });
  assert.equal(above.socket.pushes[0]?.version, 3);
  assert.equal(rig.log.find("in conflict").length, 2, "told once");
});

Deno.test("Hub gives a version the whole time to be confirmed, though its clock is ahead, unless that began before", async () => {
  const database = new MemoryDatabase();
  const options = { database, exclusive: false };
  const ahead = (rig: Rig) => rig.clock.setWall(Date.now() + 50_000);
  await using rig = new Rig(options);
  ahead(rig);
  await rig.commit();
  await rig.hub.start();
  await rig.store.commit(
    () => makeConfig(["x"]),
    { author: null, message: null },
    { confirmWithinMs: 40_000 },
  );
  await settle();
  await rig.clock.advance(39_000);
  assert.equal((await rig.store.head()).trial?.version, 2);
  {
    // One that starts now knows nothing but what the clocks say.
    await using late = new Rig({ ...options, controlPlane: "cp-2" });
    ahead(late);
    await late.hub.start();
    await late.clock.advance(1);
    assert.equal(late.log.find("is taken back").length, 1);
  }
  assert.equal((await rig.store.head()).trial, null);
  await rig.store.commit(
    () => makeConfig(["y"]),
    { author: null, message: null },
    { confirmWithinMs: 40_000 },
  );
  await settle();
  await rig.clock.advance(41_000);
  assert.equal(rig.log.find("is taken back").length, 1);
});

Deno.test("Hub remembers what routers tell of holds only until these are over, or released", async () => {
  await using rig = await Rig.started({ exclusive: false, versions: 1 });
  const router = await rig.connect({ id: "a", features: ["hold"] });
  router.apply(1);
  const place = async (id: string, forMs: number) => {
    const wall = rig.clock.wall();
    await rig.store.changeOrders((orders) => ({
      ...orders,
      holds: [...orders.holds, {
        id,
        version: 1,
        customers: [id],
        createdAt: new Date(wall).toISOString(),
        until: new Date(wall + forMs).toISOString(),
        author: null,
        untilReleased: false,
        endedBy: null,
        cutStreamsMs: null,
      }],
    }));
    await settle();
    router.say({ type: "holding", id, requests: 1 });
    await settle();
  };
  /** What is kept of them in the roster. */
  const kept = async () => {
    router.say({ type: "drained", version: 1 });
    await rig.clock.advance(600);
    const [record] = await rig.store.routers();
    return record?.holds.map(({ id }) => id);
  };
  // The store goes by the machine's clock.
  rig.clock.setWall(Date.now());
  await place("short", 10_000);
  await place("long", 100_000);
  router.say({ type: "holding", id: "of-nobody" });
  await rig.clock.advance(1000);
  assert.deepEqual(await kept(), ["short", "long"]);
  await rig.clock.advance(9_000);
  assert.deepEqual(await kept(), ["long"]);
  await rig.store.changeOrders((orders) => ({ ...orders, holds: [] }));
  await rig.clock.advance(1000);
  assert.deepEqual(await kept(), []);
});

Deno.test("Hub holds blank routers back while conflicts outnumber followers", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const { version, epoch, digest } = (await rig.store.current())!;
  const conflict = await rig.connect({ id: "old", epoch: "x", version: 5 });
  const blank = await rig.connect({ id: "blank" });
  assert.equal(blank.socket.pushes.length, 0);
  const [view] = await rig.hub.router("blank");
  assert.match(view?.error ?? "", /conflict/);
  const follower = await rig.connect({ id: "good", version, epoch, digest });
  await rig.clock.advance(2);
  assert.equal(blank.socket.pushes.length, 1);
  follower.link.closed();
  const second = await rig.connect({ id: "blank-2" });
  assert.equal(second.socket.pushes.length, 0);
  conflict.link.closed();
  await rig.clock.advance(2);
  assert.equal(second.socket.pushes.length, 1);
});

Deno.test("Hub never lets a blank router slip through while a conflict is looked at anew", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const conflict = await rig.connect({ id: "old", epoch: "x", version: 5 });
  const blank = await rig.connect({ id: "blank" });
  conflict.say({ type: "pong", version: 6, epoch: "x" });
  await rig.clock.advance(2);
  await rig.commit();
  await rig.clock.advance(2);
  assert.equal(blank.socket.pushes.length, 0);
  assert.equal((await rig.hub.conflicts()).highestVersion, 6);
});

Deno.test("Hub decides a conflict only after a strong read of the head", async () => {
  const store = new SlowWatchStore();
  await using rig = new Rig({ store });
  await rig.commit();
  rig.hub.start();
  await settle();
  // Committed elsewhere; the watch has not told of it.
  await rig.commit();
  const { version, epoch, digest } = (await rig.store.current())!;
  const router = await rig.connect({ version, epoch, digest });
  assert.equal((await rig.hub.conflicts()).count, 0);
  assert.deepEqual(router.socket.messages, [{
    type: "ping",
    version: 2,
    epoch,
  }]);
});

Deno.test("Hub pushes what was committed before a router came, though no watch has told of it", async () => {
  const store = new SlowWatchStore();
  await using rig = new Rig({ store });
  await rig.commit();
  rig.hub.start();
  await settle();
  await rig.commit();
  for (const parts of [true, false]) {
    const { socket } = await rig.connect({ id: null, parts });
    assert.deepEqual(socket.pushes.map(({ version }) => version), [2]);
  }
});

Deno.test("Hub reads the head a few times for any number of routers that come at once", async () => {
  const store = new SlowWatchStore();
  await using rig = await Rig.started({ store, versions: 1 });
  await rig.commit();
  const { version, epoch, digest } = (await rig.store.current())!;
  const reads = store.reads;
  const coming = Array.from({ length: 1000 }, (_, index) =>
    rig.connect(
      index % 2 === 0
        ? { id: `blank-${index}` }
        : { id: `current-${index}`, version, epoch, digest },
    ));
  await rig.clock.advance(1_000);
  for (const [index, { socket }] of (await Promise.all(coming)).entries()) {
    const [first] = socket.messages;
    assert.equal(first?.type, index % 2 === 0 ? "config_begin" : "ping");
    assert.equal(first.version, 2);
  }
  assert.ok(store.reads - reads <= 3, `${store.reads - reads} reads`);
});

Deno.test("Hub lets nobody wait long for a store that does not answer", async () => {
  const store = new BrittleStore();
  await using rig = await Rig.started({ store, versions: 1 });
  store.hung = Promise.withResolvers();
  const one = await rig.connect({ id: "one" });
  const foreign = await rig.connect({ id: "x", epoch: "x", version: 5 });
  await rig.clock.advance(400);
  assert.equal(one.socket.pushes.length, 0);
  // It comes while a read hangs, and its own has not even begun.
  const two = await rig.connect({ id: "two", ...await rig.store.head() });
  await rig.clock.advance(1_500);
  assert.equal(two.socket.messages[0]?.type, "ping");
  assert.equal(foreign.socket.pushes.length, 0);
  assert.equal((await rig.hub.conflicts()).count, 0);
  foreign.link.closed();
  await rig.clock.advance(500);
  assert.equal(one.socket.pushes[0]?.version, 1);
  store.hung.resolve();
  await rig.clock.advance(500);
});

Deno.test("Hub reads the store without a fault while edits come in a burst", async () => {
  const log = new FakeLog();
  const store = await openKvStore({ path: ":memory:", keepVersions: 5, log });
  await using rig = await Rig.started({ store, log });
  for (let edits = 0; edits < 300; edits++) await rig.commit();
  // The watch of a real store tells in its own time.
  while (rig.hub.standing?.head.version !== 300) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  assert.deepEqual(log.lines.filter(({ level }) => level === "warn"), []);
});

Deno.test("Hub refuses to push what is damaged, goes on pinging, and recovers", async () => {
  const store = new BrittleStore();
  await using rig = await Rig.started({ store, versions: 1 });
  const old = await rig.connect({ id: "old" });
  old.apply(1);
  store.damaged = true;
  await rig.commit();
  const blank = await rig.connect({ id: "blank" });
  await rig.clock.advance(6_000);
  assert.equal(old.socket.pushes.length, 1);
  assert.equal(blank.socket.pushes.length, 0);
  assert.equal(old.socket.pings.at(-1)?.version, 2);
  const [view] = await rig.hub.router("old");
  assert.equal(view?.status, "behind");
  assert.match(view.error ?? "", /damaged at chunk 7/);
  const lines = rig.log.find("damaged");
  assert.equal(lines.length, 1);
  assert.equal(lines[0]?.properties.key, "chunk 7");

  store.damaged = false;
  old.say({ type: "pong" });
  blank.say({ type: "pong" });
  await rig.clock.advance(10_500);
  assert.equal(old.socket.pushes.at(-1)?.version, 2);
  assert.equal(blank.socket.pushes.at(-1)?.version, 2);
});

Deno.test("Hub goes on with what it has while the store is away", async () => {
  const store = new BrittleStore();
  await using rig = await Rig.started({ store, versions: 1 });
  store.away = true;
  const { socket } = await rig.connect();
  assert.equal(socket.pushes[0]?.version, 1);
  const foreign = await rig.connect({ id: "x", epoch: "x", version: 5 });
  await rig.clock.advance(3_000);
  assert.equal(
    (await rig.hub.conflicts()).count,
    0,
    "not decided without a read",
  );
  assert.equal(foreign.socket.pushes.length, 0);
  store.away = false;
  await rig.clock.advance(3_000);
  assert.equal((await rig.hub.conflicts()).count, 1);
});

Deno.test("Hub pushes what another control plane commits to the shared store", async () => {
  const database = new MemoryDatabase();
  await using one = await Rig.started({ database, exclusive: false });
  await using two = await Rig.started({
    database,
    exclusive: false,
    controlPlane: "cp-2",
  });
  const router = await two.connect();
  await one.commit();
  await settle();
  await two.clock.advance(2);
  assert.equal(router.socket.pushes[0]?.version, 1);
});

Deno.test("Hub trusts no record of a version from before the store was restored", async () => {
  const database = new MemoryDatabase();
  await using rig = await Rig.started({ database, versions: 5 });
  const { epoch, digest } = (await rig.store.get(3))!;
  const served = { version: 3, epoch, digest };
  const before = await rig.connect({ id: "before", ...served });
  assert.equal(before.socket.pushes[0]?.version, 5);
  before.link.closed();

  // The store of an older day, which has gone on since; the hub sees none of its heads but the last.
  const restored = new MemoryDatabase();
  restored.head = { ...restored.head, epoch };
  const store = new MemoryStore({
    keepVersions: 100,
    log: rig.log,
    database: restored,
  });
  for (let version = 1; version <= 8; version++) {
    await store.commit(
      () => makeConfig([`other-${version}`]),
      { author: null, message: null },
    );
  }
  database.head = restored.head;
  database.stamp++;
  for (const [version, whole] of restored.versions) {
    database.versions.set(version, whole);
    database.digests.set(version, restored.digests.get(version)!);
  }
  const after = await rig.connect({ id: "after", ...served });
  assert.deepEqual(after.socket.pushes, []);
  const [view] = await rig.hub.router("after");
  assert.equal(view?.status, "conflict");
});

Deno.test("Hub tells statuses by the head that the store has now", async () => {
  const store = new SlowWatchStore();
  await using rig = await Rig.started({ store });
  const router = await rig.connect();
  await rig.commit();
  rig.hub.resend("router-1");
  assert.equal((await rig.hub.routers())[0]?.status, "behind");
  assert.equal(rig.hub.standing?.head.version, 1);
  await rig.clock.advance(2);
  router.apply(1);
  assert.equal((await rig.hub.router("router-1"))[0]?.status, "current");
  await rig.commit();
  assert.equal((await rig.hub.router("router-1"))[0]?.status, "behind");
});

Deno.test("Hub remembers what a process that comes back does not say: whether its config is on its disk, and since when it serves it", async () => {
  const database = new MemoryDatabase();
  const first = await Rig.started({ database, versions: 1 });
  const { version, epoch, digest } = (await first.store.current())!;
  const served = { version, epoch, digest };
  const known = async ({ hub }: Rig) => {
    const [view] = await hub.router("router-1");
    return [view?.durable, view?.applied_at];
  };

  const one = await first.connect({ instance: "a" });
  assert.deepEqual(await known(first), [null, null]);
  one.say({ type: "ack", version: 1, status: "applied", durable: false });
  const since = new Date(first.clock.wall()).toISOString();
  assert.deepEqual(await known(first), [false, since]);
  await first.clock.advance(3_000);
  // Its connection is replaced, then lost, then lost with the control plane.
  const two = await first.connect({ instance: "a", ...served });
  assert.deepEqual(await known(first), [false, since]);
  two.link.closed();
  const three = await first.connect({ instance: "a", ...served });
  assert.deepEqual(await known(first), [false, since]);
  // It is given the same again, and changes nothing.
  first.hub.resend("router-1");
  await first.clock.advance(2);
  three.say({ type: "ack", version: 1, status: "applied", durable: true });
  assert.deepEqual(await known(first), [true, since]);
  await first[Symbol.asyncDispose]();

  await using after = await Rig.started({ database, controlPlane: "cp-2" });
  const back = await after.connect({ instance: "a", ...served });
  assert.deepEqual(await known(after), [true, since]);
  back.link.closed();
  // Of another process, or the same one with another config, nothing is known.
  const next = await after.connect({ instance: "b", ...served });
  assert.deepEqual(await known(after), [null, null]);
  next.link.closed();
  await after.connect({ instance: "b" });
  assert.deepEqual(await known(after), [null, null]);
});

Deno.test("Hub tells how fast a version reached the routers that were there", async () => {
  await using rig = await Rig.started({ versions: 1 });
  await rig.clock.advance(1_000);
  const routers = [
    await rig.connect({ id: "r1" }),
    await rig.connect({ id: "r2" }),
    await rig.connect({ id: "r3" }),
  ];
  // The first version was there before any of them.
  for (const router of routers) router.apply(1);
  assert.deepEqual(rig.hub.propagation(10), []);
  await rig.commit();
  for (const router of routers.slice(0, 2)) {
    await rig.clock.advance(100);
    router.apply(2);
  }
  await rig.clock.advance(100);
  routers[2]!.say({ type: "ack", version: 2, status: "rejected", error: "no" });
  const late = await rig.connect({ id: "r4" });
  late.apply(2);
  const [spread, ...none] = rig.hub.propagation(10);
  assert.deepEqual(none, []);
  assert.deepEqual(
    [spread?.version, spread?.applied, spread?.rejected, spread?.last_ms],
    [2, 2, 1, 200],
  );
});

Deno.test("Hub drops nobody because it was held up itself", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const { socket } = await rig.connect();
  await rig.clock.advance(4_000);
  rig.clock.suspend(60_000);
  await rig.clock.advance(7_000);
  assert.equal(socket.closedWith?.code, undefined);
  await rig.clock.advance(2_000);
  assert.equal(socket.closedWith?.code, 4408);
});

Deno.test("Hub counts sockets that do not close against the connections it takes", async () => {
  await using rig = await Rig.started({ maxConnections: 2 });
  const silent = await rig.connect({ id: "silent" });
  await rig.clock.advance(13_000);
  assert.equal(silent.socket.closedWith?.code, 4408);
  await rig.connect({ id: "b" });
  assert.equal(rig.hub.admit(), "full");
  silent.link.closed();
  const place = rig.hub.admit();
  assert.ok(typeof place === "object");
  place.cancel();
});

Deno.test("Hub counts conflicts at other control planes of the store", async () => {
  const database = new MemoryDatabase();
  const options = { database, exclusive: false };
  await using one = await Rig.started({ ...options, versions: 1 });
  await using two = await Rig.started({ ...options, controlPlane: "cp-2" });
  const { epoch } = await one.store.head();
  await one.connect({ id: "here", epoch: "x", version: 4 });
  await two.connect({ id: "there", epoch: "y", version: 77 });
  await two.connect({ id: "fine", epoch, version: 1 });
  await two.clock.advance(600);
  assert.deepEqual(await one.hub.conflicts(), {
    count: 2,
    highestVersion: 77,
    epochs: ["x", "y"],
  });
});

Deno.test("Hub times propagation from the commit, and never below nothing", async () => {
  const store = new SlowWatchStore();
  await using rig = await Rig.started({ store, versions: 1 });
  const router = await rig.connect();
  router.apply(1);
  await rig.clock.advance(10_000);
  await rig.commit();
  const { createdAt } = (await rig.store.current())!;
  // Only four seconds later does the hub hear of it.
  rig.clock.setWall(Date.parse(createdAt) + 4_000);
  await rig.hub.routers();
  await rig.clock.advance(2);
  router.apply(2);
  const lines = rig.log.find("applied the config");
  const [first, second] = lines.map(({ properties }) => Number(properties.ms));
  assert.ok(first! >= 0 && first! < 100, `${first}`);
  assert.equal(second, 4_002);
});

Deno.test("Hub logs no more than the beginning of a long reason", async () => {
  await using rig = await Rig.started();
  const { link, socket } = await rig.connect();
  const key = "k".repeat(5_000);
  const keys = Array.from({ length: 100 }, (_, n) => `"${key}${n}":1`);
  link.text(`{"type":"ack",${[...keys, ...keys].join()}}`);
  assert.equal(socket.closedWith?.code, 4400);
  const [line] = rig.log.find("router dropped");
  assert.ok(String(line?.properties.reason).length <= 2_000);
});

Deno.test("Hub tells listeners what happens to routers", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const events: FleetEvent[] = [];
  const end = rig.hub.listen((event) => events.push(event));
  const router = await rig.connect();
  router.apply(1);
  await rig.commit();
  await rig.clock.advance(2);
  router.say({ type: "ack", version: 2, status: "rejected", error: "bad" });
  router.link.closed();
  const { version, epoch, digest } = (await rig.store.current())!;
  await rig.connect({ version, epoch, digest });
  end();
  await rig.connect();
  assert.deepEqual(
    events.map(({ kind, router }) => [kind, router.version, router.status]),
    [
      ["connected", null, "behind"],
      ["applied", 1, "current"],
      ["rejected", 1, "rejected"],
      ["gone", 1, "gone"],
      ["connected", 2, "current"],
    ],
  );
});

Deno.test("Hub tells listeners of a router in conflict, and of one that does not answer", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const events: string[] = [];
  rig.hub.listen(({ kind, router }) => events.push(`${kind} ${router.status}`));
  const router = await rig.connect({ id: "r1" });
  router.apply(1);
  await rig.commit();
  await rig.clock.advance(2);
  const foreign = await rig.connect({ id: "r2", version: 7, epoch: "other" });
  for (let seconds = 0; seconds < 31; seconds++) {
    await rig.clock.advance(1000);
    for (const each of [foreign, router]) each.say({ type: "pong" });
  }
  assert.deepEqual(events, [
    "connected behind",
    "applied current",
    "conflict conflict",
    "connected conflict",
    "unanswered unanswered",
  ]);
});

Deno.test("Hub tells how far a router is behind", async () => {
  await using rig = await Rig.started({ versions: 1 });
  const router = await rig.connect();
  router.apply(1);
  await rig.commit();
  await rig.commit();
  await rig.clock.advance(2_000);
  const [view] = await rig.hub.router("router-1");
  assert.deepEqual(view?.lag, { versions: 2, seconds: 2 });
  assert.equal(view.status, "behind");
});

Deno.test("Hub takes no more connections than it may, nor while it stops", async () => {
  await using rig = await Rig.started({ maxConnections: 2 });
  const one = await rig.connect({ id: "a" });
  const place = rig.hub.admit();
  assert.equal(rig.hub.admit(), "full");
  assert.ok(typeof place === "object");
  place.cancel();
  await rig.connect({ id: "b" });
  assert.equal(rig.hub.admit(), "full");
  one.link.closed();
  const late = rig.hub.admit();
  assert.ok(typeof late === "object");
  const stopped = rig.hub.stop();
  assert.equal(rig.hub.admit(), "stopping");
  const socket = new FakeSocket();
  const announcement = {
    id: "c",
    instance: null,
    epoch: null,
    version: null,
    digest: null,
    features: [],
  };
  late.connect(socket, { announcement, address: "x", parts: true });
  assert.equal(socket.closedWith?.code, 1012);
  await rig.clock.advance(5_000);
  await stopped;
});

Deno.test("Hub stops with 1012 once the closes are out, and leaves no timer", async () => {
  const rig = await Rig.started({ versions: 1 });
  const router = await rig.connect();
  let stopped = false;
  const stopping = rig.hub.stop().then(() => stopped = true);
  await settle();
  assert.deepEqual(router.socket.closedWith, {
    code: 1012,
    reason: "server restarting",
  });
  assert.equal(stopped, false, "waits for the peer");
  router.link.closed();
  await stopping;
  assert.equal(rig.clock.timers, 0);
  // That it is gone is what the next process finds.
  const [record] = await rig.store.routers();
  assert.equal(record?.id, "router-1");
  await rig.store.close();
});

Deno.test("Hub says of a config that does not fit into a frame", async () => {
  const store = new MemoryStore({ keepVersions: 5, log: new FakeLog() });
  await using rig = await Rig.started({ store });
  const config = makeConfig();
  const endpoints = new Map(config.endpoints);
  // 18 MB of endpoints, and 52 MB of customers.
  for (let index = 0; index < 9_000; index++) {
    endpoints.set(`p${index}`, `http://x/${"a".repeat(2_000)}`);
  }
  const wide = makeConfig(
    Array.from(
      { length: 200_000 },
      (_, index) => `${index}`.padStart(250, "c"),
    ),
  );
  await rig.store.commit(
    () => ({ ...wide, endpoints }),
    { author: null, message: null },
  );
  await settle();
  const draft = await rig.connect({ parts: false });
  assert.equal(draft.socket.pushes.length, 0);
  const [view] = await rig.hub.router("router-1");
  assert.equal(view?.status, "too_large");
  assert.match(view.error ?? "", /64 MiB/);
  const router = await rig.connect({ id: "parts" });
  await rig.clock.advance(500);
  assert.equal(router.socket.pushes[0]?.bytes, router.socket.body.length);
});

Deno.test("Hub drops a router whose push cannot be made, and serves the others", async () => {
  const store = new MemoryStore({ keepVersions: 5, log: new FakeLog() });
  await using rig = await Rig.started({ store });
  const { payload } = await rig.commit().then(() => rig.hub.standing!);
  const whole = payload!.whole.bind(payload);
  payload!.whole = () => {
    throw new RangeError("Array buffer allocation failed");
  };
  const unlucky = await rig.connect({ id: "unlucky", parts: false });
  assert.equal(unlucky.socket.closedWith?.code, 1011);
  const lucky = await rig.connect({ id: "lucky" });
  assert.equal(lucky.socket.pushes.length, 1);
  payload!.whole = whole;
  const back = await rig.connect({ id: "unlucky", parts: false });
  assert.equal(back.socket.pushes.length, 1);
});

/** A store whose watch tells only of the head it begins with. */
class SlowWatchStore extends MemoryStore {
  /** How often the newest version was asked for. */
  reads = 0;

  constructor() {
    super({ keepVersions: 5, log: new FakeLog() });
  }

  override newest(): Promise<Newest> {
    this.reads++;
    return super.newest();
  }

  override async *watch(signal: AbortSignal): AsyncGenerator<Head, void> {
    yield await this.head();
    await new Promise<void>((resolve) =>
      signal.addEventListener("abort", () => resolve(), { once: true })
    );
  }
}

/** A store that can be damaged, away, and hung. */
class BrittleStore extends MemoryStore {
  damaged = false;
  away = false;
  /** While set, the newest version is answered once it resolves. */
  hung: PromiseWithResolvers<void> | null = null;

  constructor() {
    super({ keepVersions: 5, log: new FakeLog() });
  }

  override head(): Promise<Head> {
    if (this.away) throw new StoreUnavailable("Cannot read the head: away");
    return super.head();
  }

  override async newest(): Promise<Newest> {
    await this.hung?.promise;
    if (this.away) throw new StoreUnavailable("Cannot read the head: away");
    if (this.damaged) {
      throw new StoreDamaged("Cannot read chunk 7: it is damaged", "chunk 7");
    }
    return await super.newest();
  }
}
