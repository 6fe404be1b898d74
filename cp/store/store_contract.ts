import assert from "node:assert/strict";
import fc from "fast-check";
import { configDigest } from "../../shared/canonical.ts";
import type { Config } from "../../shared/config.ts";
import { CustomerMap } from "../../shared/customers.ts";
import {
  EmptyStore,
  type Head,
  type HoldOrder,
  NothingBefore,
  OnTrial,
  RolloutUnderWay,
  type RouterRecord,
  StoreDamaged,
  StoreUnavailable,
  TooManyCanaries,
  type VersionStore,
} from "./store.ts";

/** One place for versions that several stores can be opened on, each as if by a process of its own. */
export interface StorePlace {
  open(options?: { keepVersions?: number }): Promise<VersionStore>;
  /** Closes all stores that were opened and removes the place. */
  remove(): PromiseLike<void>;
}

const NOBODY = { author: null, message: null };

/** A log that says nothing. */
export const SILENT = {
  debug() {},
  info() {},
  warn() {},
  error() {},
};

/** A config with these customers; the default placement is `a`. */
export function configOf(
  customers: Record<string, string>,
  placements: readonly string[] = ["a", "b"],
): Config {
  return {
    defaultPlacement: "a",
    endpoints: new Map(placements.map((p) => [p, `http://${p}.example:9000`])),
    customers: CustomerMap.from(Object.entries(customers)),
  };
}

/** An edit that assigns one customer. */
export function assign(
  customer: string,
  placement: string | null,
): (current: { config: Config } | null) => Config {
  return (current) => {
    const config = current?.config ?? configOf({});
    return {
      ...config,
      customers: config.customers.with([[customer, placement]]),
    };
  };
}

/** The customers of a config as a plain object. */
export function customersOf(config: Config): Record<string, string> {
  return Object.fromEntries(config.customers.entries());
}

/** A router's record. */
export function routerOf(
  id: string,
  changes: Partial<RouterRecord> = {},
): RouterRecord {
  return {
    id,
    instance: "i-1",
    address: "10.0.0.1:5000",
    connectedSince: "2026-01-01T00:00:00.000Z",
    goneSince: null,
    controlPlane: "cp-1",
    liveUntil: "2026-01-01T00:00:12.000Z",
    version: 1,
    epoch: "e",
    digest: null,
    durable: true,
    appliedAt: "2026-01-01T00:00:01.000Z",
    oldWork: {
      version: 1,
      epoch: "e",
      requests: 2,
      streams: 1,
      oldestMs: 250,
    },
    holds: [{ id: "h", requests: 1, streams: 2, oldestMs: 3, waiting: 4 }],
    counted: { requests: 100, errors: 2 },
    lastMinute: { requests: 10, errors: 1 },
    features: ["drained"],
    status: "current",
    error: null,
    lastPong: null,
    ...changes,
  };
}

/** A hold of a customer that lasts for so many milliseconds. */
function holdOf(customer: string, ms: number): HoldOrder {
  const now = Date.now();
  return {
    id: `hold-${customer}`,
    version: 0,
    customers: [customer],
    createdAt: new Date(now).toISOString(),
    until: new Date(now + ms).toISOString(),
    author: "ann",
    untilReleased: true,
    endedBy: null,
    cutStreamsMs: null,
  };
}

/** What every {@linkcode VersionStore} does. */
export function testStore(
  name: string,
  makePlace: () => Promise<StorePlace>,
): void {
  function test(
    what: string,
    run: (store: VersionStore, place: StorePlace) => Promise<void>,
    options?: { keepVersions?: number },
  ): void {
    Deno.test(`${name} ${what}`, async () => {
      const place = await makePlace();
      try {
        await run(await place.open(options), place);
      } finally {
        await place.remove();
      }
    });
  }

  test("is empty at first and has an epoch", async (store) => {
    const head = await store.head();
    assert.equal(head.version, 0);
    assert.equal(head.digest, null);
    assert.deepEqual(head.supersedes, []);
    assert.match(head.epoch, /^[0-9a-f-]{36}$/);
    assert.deepEqual(await store.head(), head);
    assert.equal(await store.current(), null);
    assert.deepEqual(await store.newest(), { head, version: null });
    assert.equal(await store.get(1), null);
    assert.equal(await store.digestOf(1), null);
    assert.deepEqual(await store.list({ limit: 10 }), []);
  });

  test("changeOrders() keeps orders beside the versions, and drops those whose time is over", async (store) => {
    const first = await store.commit(assign("acme", "b"), NOBODY);
    const hold = holdOf("acme", 60_000);
    const head = await store.changeOrders((orders) => ({
      ...orders,
      holds: [...orders.holds, hold, holdOf("globex", -1)],
    }));
    assert.equal(head.orders.holds.length, 2);
    assert.deepEqual(await store.head(), head);
    assert.equal((await store.newest()).version?.digest, first.version.digest);
    const second = await store.commit(assign("globex", "b"), NOBODY);
    assert.equal(second.version.version, 2);
    assert.deepEqual((await store.head()).orders, head.orders);
    const after = await store.changeOrders((orders) => {
      assert.deepEqual(orders.holds, [hold]);
      return orders;
    });
    assert.deepEqual(after.orders.holds, [hold]);
    assert.equal(after.version, 2);
    const seen: string[] = [];
    await Promise.all(
      ["a", "b", "c", "d"].map((name) =>
        store.changeOrders((orders) => ({
          ...orders,
          holds: [...orders.holds, holdOf(name, 60_000)],
        }))
      ),
    );
    for (const { id } of (await store.head()).orders.holds) seen.push(id);
    assert.deepEqual(seen.sort(), [
      "hold-a",
      "hold-acme",
      "hold-b",
      "hold-c",
      "hold-d",
    ]);
  });

  test("changeOrders() refuses what does not fit, and what its change throws", async (store) => {
    const many = { ...holdOf("x".repeat(200), 60_000), customers: Array(100) };
    many.customers.fill("x".repeat(200));
    await assert.rejects(
      store.changeOrders((orders) => ({ ...orders, holds: [many] })),
      RangeError,
    );
    await assert.rejects(
      store.changeOrders(() => {
        throw new Error("not so");
      }),
      /not so/,
    );
    assert.deepEqual((await store.head()).orders, { holds: [], cuts: [] });
  });

  test("commit() of a version that is to be confirmed keeps all others out until it is, or is reverted", async (store) => {
    await assert.rejects(
      store.commit(assign("acme", "b"), NOBODY, { confirmWithinMs: 1000 }),
      NothingBefore,
    );
    const first = await store.commit(assign("acme", "b"), NOBODY);
    const same = await store.commit(() => first.version.config, NOBODY, {
      confirmWithinMs: 1000,
    });
    assert.equal(same.changed, false);
    assert.equal((await store.head()).trial, null);
    const trial = await store.commit(assign("acme", "a"), NOBODY, {
      confirmWithinMs: 1000,
    });
    const { createdAt } = trial.version;
    assert.deepEqual((await store.head()).trial, {
      version: 2,
      before: 1,
      until: new Date(Date.parse(createdAt) + 1000).toISOString(),
      withinMs: 1000,
    });
    await assert.rejects(store.commit(assign("globex", "b"), NOBODY), OnTrial);
    await assert.rejects(
      store.takeover({ above: 0, epochs: [] }, NOBODY),
      OnTrial,
    );
    await assert.rejects(store.confirm(1), OnTrial);
    await assert.rejects(
      store.commit(() => first.version.config, NOBODY, {
        halts: { version: 1, outcome: "halted", reason: null },
      }),
      RolloutUnderWay,
    );
    await store.changeOrders((orders) => orders);
    assert.equal((await store.head()).trial?.version, 2);
    await assert.rejects(
      store.commit(() => first.version.config, NOBODY, { reverts: 1 }),
      OnTrial,
    );
    const back = await store.commit(() => first.version.config, NOBODY, {
      reverts: 2,
    });
    assert.equal(back.version.digest, first.version.digest);
    assert.equal((await store.head()).trial, null);
    await store.commit(assign("acme", "a"), NOBODY, { confirmWithinMs: 1000 });
    assert.equal((await store.confirm(4)).trial, null);
    await assert.rejects(store.confirm(4), OnTrial);
    await store.commit(assign("globex", "b"), NOBODY);
    assert.equal((await store.head()).version, 5);
  });

  test("commit() ends holds of those whom it sends elsewhere, but for those that last until they are released", async (store) => {
    await store.commit(assign("acme", "b"), NOBODY);
    const holds = [
      { ...holdOf("acme", 60_000), untilReleased: false },
      { ...holdOf("globex", 60_000), untilReleased: false },
      { ...holdOf("acme", 60_000), id: "fence" },
    ];
    await store.changeOrders((orders) => ({ ...orders, holds }));
    const ended = async () =>
      (await store.head()).orders.holds.map(({ endedBy }) => endedBy);
    await store.commit(assign("other", "b"), NOBODY);
    assert.deepEqual(await ended(), [null, null, null]);
    await store.commit(assign("acme", "a"), NOBODY);
    assert.deepEqual(await ended(), [3, null, null]);
    await store.commit((current) => ({
      ...current!.config,
      defaultPlacement: "b",
    }), NOBODY);
    assert.deepEqual(await ended(), [3, 4, null]);
  });

  test("commit() that takes a version back makes one also of the contents that there are", async (store) => {
    await store.commit(assign("acme", "b"), NOBODY);
    const trial = await store.commit(assign("acme", "a"), NOBODY, {
      confirmWithinMs: 1000,
    });
    const same = () => trial.version.config;
    const back = await store.commit(same, NOBODY, { reverts: 2 });
    assert.deepEqual([back.changed, back.version.version], [true, 3]);
    assert.equal((await store.head()).trial, null);
    const staged = await store.commit(assign("acme", "b"), NOBODY, {
      staging: staging("a"),
    });
    const halted = await store.commit(() => staged.version.config, NOBODY, {
      halts: { version: 4, outcome: "halted", reason: null },
    });
    assert.deepEqual([halted.changed, halted.version.version], [true, 5]);
    assert.equal((await store.head()).rollout, null);
    assert.equal((await store.rollout(4))?.takenBackBy, 5);
  });

  test(
    "commit() keeps what may return, however few versions are kept",
    async (store) => {
      await store.commit(assign("acme", "b"), NOBODY);
      const before = await store.commit(assign("acme", "a"), NOBODY);
      await store.commit(assign("acme", "b"), NOBODY, {
        confirmWithinMs: 1000,
      });
      // A database drops them beside what it is asked for.
      while ((await store.list({ limit: 10 })).length > 2);
      const old = await store.get(2);
      assert.equal(old?.digest, before.version.digest);
      await store.commit(() => old!.config, NOBODY, { reverts: 3 });
      while ((await store.list({ limit: 10 })).length > 1);
      assert.equal((await store.current())?.version, 4);
    },
    { keepVersions: 1 },
  );

  const staging = (...ids: string[]) => ({
    canaries: ids.map((id) => ({
      id,
      instance: "i-1",
      counted: { requests: 10, errors: 1 },
      before: null,
    })),
    holdMs: 1000,
    maxErrors: 0.01,
  });

  test(
    "commit() of a version for canaries keeps all others out until it is promoted, or is taken back",
    async (store, place) => {
      const first = staging("a", "b");
      await assert.rejects(
        store.commit(assign("acme", "b"), NOBODY, { staging: first }),
        NothingBefore,
      );
      const before = await store.commit(assign("acme", "b"), NOBODY);
      const same = await store.commit(() => before.version.config, NOBODY, {
        staging: first,
      });
      assert.equal(same.changed, false);
      assert.equal((await store.head()).rollout, null);
      const staged = await store.commit(assign("acme", "a"), {
        author: "ann",
        message: null,
      }, { staging: first });
      const { createdAt } = staged.version;
      const rollout = {
        ...first,
        version: 2,
        before: 1,
        startedAt: createdAt,
        until: new Date(Date.parse(createdAt) + 1000).toISOString(),
        author: "ann",
      };
      assert.deepEqual((await store.head()).rollout, rollout);
      assert.equal(await store.rollout(2), null);
      const other = await place.open();
      for (const each of [store, other]) {
        await assert.rejects(
          each.commit(assign("globex", "b"), NOBODY),
          RolloutUnderWay,
        );
      }
      await assert.rejects(
        store.takeover({ above: 0, epochs: [] }, NOBODY),
        RolloutUnderWay,
      );
      await assert.rejects(store.promote(1, null), RolloutUnderWay);
      await store.changeOrders((orders) => orders);
      assert.equal((await other.head()).rollout?.version, 2);

      assert.equal((await other.promote(2, "bob")).rollout, null);
      await assert.rejects(store.promote(2, "bob"), RolloutUnderWay);
      const promoted = await store.rollout(2);
      assert.deepEqual(promoted, {
        ...rollout,
        outcome: "promoted",
        endedAt: promoted?.endedAt,
        endedBy: "bob",
        reason: null,
        takenBackBy: null,
        ends: [],
      });

      await store.commit(assign("acme", "b"), NOBODY, {
        staging: staging("c"),
      });
      const halts = {
        version: 2,
        outcome: "halted",
        reason: "it broke",
      } as const;
      const back = () => staged.version.config;
      await assert.rejects(
        store.commit(back, NOBODY, { halts }),
        RolloutUnderWay,
      );
      const ends = [{
        id: "c",
        state: "lost",
        counted: { requests: 3, errors: 2 },
      }];
      const halted = await store.commit(back, NOBODY, {
        halts: { ...halts, version: 3, ends },
      });
      assert.equal(halted.version.digest, staged.version.digest);
      assert.equal((await other.head()).rollout, null);
      await assert.rejects(
        store.commit(back, NOBODY, { halts: { ...halts, version: 3 } }),
        RolloutUnderWay,
      );
      const ended = await other.rollout(3);
      assert.deepEqual(
        [ended?.outcome, ended?.reason, ended?.takenBackBy, ended?.endedBy],
        ["halted", "it broke", 4, null],
      );
      assert.deepEqual(ended?.ends, ends);
      const versions = async (options: { before?: number; limit: number }) =>
        (await other.rollouts(options)).map(({ version }) => version);
      assert.deepEqual(await versions({ limit: 10 }), [3, 2]);
      assert.deepEqual(await versions({ limit: 1 }), [3]);
      assert.deepEqual(await versions({ before: 3, limit: 10 }), [2]);
      await store.commit(assign("globex", "b"), NOBODY);
    },
  );

  test("commit() refuses more canaries than can be kept", async (store) => {
    await store.commit(assign("acme", "b"), NOBODY);
    const ids = Array.from({ length: 50 }, (_, n) => `${n}`.padEnd(128, "x"));
    await assert.rejects(
      store.commit(assign("acme", "a"), NOBODY, { staging: staging(...ids) }),
      TooManyCanaries,
    );
    assert.equal((await store.head()).version, 1);
  });

  test(
    "rollouts() forgets those of versions that are not kept, but for the newest",
    async (store) => {
      const over = async () =>
        (await store.rollouts({ limit: 10 })).map(({ version }) => version);
      await store.commit(assign("acme", "b"), NOBODY);
      await store.commit(assign("acme", "a"), NOBODY, {
        staging: staging("a"),
      });
      await store.promote(2, null);
      for (const placement of ["b", "a", "b"]) {
        await store.commit(assign("acme", placement), NOBODY);
      }
      // A database drops them beside what it is asked for.
      while ((await store.list({ limit: 10 })).length > 2);
      assert.deepEqual(await over(), [2]);
      const staged = await store.commit(assign("acme", "a"), NOBODY, {
        staging: staging("a"),
      });
      await store.promote(staged.version.version, null);
      await store.commit(assign("acme", "b"), NOBODY);
      while ((await over()).length > 1);
      assert.deepEqual(await over(), [6]);
      assert.equal(await store.rollout(2), null);
    },
    { keepVersions: 2 },
  );

  test(
    "rollouts() tells how one ended that was taken back, however few versions are kept",
    async (store) => {
      const before = await store.commit(assign("acme", "b"), NOBODY);
      await store.commit(assign("acme", "a"), NOBODY, {
        staging: staging("a"),
      });
      await store.commit(() => before.version.config, NOBODY, {
        halts: { version: 2, outcome: "aborted", reason: "it was slow" },
      });
      while ((await store.list({ limit: 10 })).length > 1);
      await store.commit(assign("acme", "a"), NOBODY);
      while ((await store.list({ limit: 10 })).length > 1);
      const [ended] = await store.rollouts({ limit: 10 });
      assert.equal(ended?.reason, "it was slow");
      assert.equal((await store.rollout(2))?.takenBackBy, 3);
    },
    { keepVersions: 1 },
  );

  test("setAssertions() keeps rules beside the versions, which tell by which they were made", async (store) => {
    await store.commit(assign("acme", "b"), NOBODY);
    const seen: (number | undefined)[] = [];
    const head = await store.setAssertions("[1]", (current) => {
      seen.push(current?.version);
    });
    assert.deepEqual(seen, [1]);
    assert.equal(head.version, 1);
    assert.equal(await store.rules(head.assertions!), "[1]");
    await assert.rejects(store.rules("other"), StoreDamaged);
    const heads: Head[] = [];
    const { version } = await store.commit((current, head) => {
      heads.push(head);
      return assign("acme", "a")(current);
    }, NOBODY);
    assert.equal(heads[0]?.assertions, head.assertions);
    assert.equal(version.assertions, head.assertions);
    await assert.rejects(
      store.setAssertions("[2]", () => {
        throw new Error("not so");
      }),
      /not so/,
    );
    assert.equal((await store.head()).assertions, head.assertions);
    await assert.rejects(
      store.setAssertions("x".repeat(60_001), () => {}),
      RangeError,
    );
    assert.equal((await store.setAssertions(null, () => {})).assertions, null);
    const third = await store.commit(assign("acme", "b"), NOBODY);
    assert.equal(third.version.assertions, undefined);
  });

  test("watch() tells of orders as of versions", async (store) => {
    await store.commit(assign("acme", "b"), NOBODY);
    const ended = new AbortController();
    const heads: Head[] = [];
    for await (const head of store.watch(ended.signal)) {
      heads.push(head);
      if (heads.length === 1) {
        await store.changeOrders((orders) => ({
          ...orders,
          cuts: [{ version: 1, afterMs: 5, until: holdOf("x", 60_000).until }],
        }));
      } else ended.abort();
    }
    assert.deepEqual(heads.map(({ version }) => version), [1, 1]);
    assert.equal(heads[1]!.orders.cuts[0]?.afterMs, 5);
  });

  test("commit() makes version after version", async (store) => {
    const { epoch } = await store.head();
    const first = await store.commit((current) => {
      assert.equal(current, null);
      return configOf({ acme: "b", "__proto__": "a" });
    }, { author: "ann", message: "grüße ✓" });
    assert.equal(first.changed, true);
    assert.equal(first.previous, null);
    assert.equal(first.version.version, 1);
    assert.equal(first.version.epoch, epoch);
    assert.equal(first.version.author, "ann");
    assert.equal(first.version.message, "grüße ✓");
    assert.equal(first.version.placements, 2);
    assert.equal(first.version.digest, configDigest(first.version.config));
    assert.ok(Math.abs(Date.parse(first.version.createdAt) - Date.now()) < 6e4);

    const second = await store.commit(assign("globex", "b"), NOBODY);
    assert.equal(second.version.version, 2);
    assert.equal(second.previous?.digest, first.version.digest);
    assert.equal(second.version.config.customers.get("globex"), "b");
    assert.equal(second.version.config.customers.get("acme"), "b");
    assert.equal(
      second.version.customers,
      second.version.config.customers.size,
    );

    assert.deepEqual(await store.head(), {
      version: 2,
      epoch,
      digest: second.version.digest,
      supersedes: [],
      orders: { holds: [], cuts: [] },
      trial: null,
      rollout: null,
      guardedSince: 0,
      assertions: null,
    });
    assert.equal((await store.current())?.digest, second.version.digest);
    const old = await store.get(1);
    assert.equal(old?.digest, first.version.digest);
    assert.equal(configDigest(old!.config), first.version.digest);
    assert.equal(old?.config.customers.get("globex"), undefined);
    assert.deepEqual(await store.digestOf(1), {
      epoch,
      digest: first.version.digest,
    });
  });

  test("commit() of the same config makes no version", async (store) => {
    await store.commit(() => configOf({ acme: "b" }), NOBODY);
    const again = await store.commit(() => configOf({ acme: "b" }), NOBODY);
    assert.equal(again.changed, false);
    assert.equal(again.version.version, 1);
    assert.equal(again.previous?.version, 1);
    assert.equal((await store.head()).version, 1);
  });

  test("commit() of an empty config makes a version", async (store) => {
    const { version, changed } = await store.commit(
      () => configOf({}, ["a"]),
      NOBODY,
    );
    assert.equal(changed, true);
    assert.equal(version.customers, 0);
    assert.equal((await store.get(1))?.config.customers.size, 0);
  });

  test("commit() of old contents makes a new version of them", async (store) => {
    const one = await store.commit(() => configOf({ acme: "a" }), NOBODY);
    await store.commit(() => configOf({ acme: "b" }), NOBODY);
    const three = await store.commit(() => configOf({ acme: "a" }), NOBODY);
    assert.equal(three.version.version, 3);
    assert.equal(three.version.digest, one.version.digest);
    assert.equal((await store.get(3))?.config.customers.get("acme"), "a");
  });

  test("assignments() follows customers through the versions", async (store) => {
    const edits = [
      configOf({ globex: "a" }),
      configOf({ acme: "a" }),
      configOf({ acme: "b" }),
      configOf({ acme: "b", globex: "b" }),
      configOf({}),
      configOf({ acme: "a" }),
    ];
    for (const config of edits) await store.commit(() => config, NOBODY);
    const found = await Array.fromAsync(
      store.assignments(["acme", "globex", "initech"]),
    );
    assert.deepEqual(
      found.map(({ version, placements }) => [version, ...placements]),
      [
        [6, "a", null, null],
        [5, null, null, null],
        [4, "b", "b", null],
        [3, "b", null, null],
        [2, "a", null, null],
        [1, null, "a", null],
      ],
    );
    assert.deepEqual(
      (await Array.fromAsync(store.assignments([])))[0]?.placements,
      [],
    );
  });

  test("commit() loses none of 50 concurrent edits", async (store) => {
    const edits = Array.from({ length: 50 }, (_, n) => n);
    const all = await Promise.all(
      edits.map((n) => store.commit(assign(`customer-${n}`, "b"), NOBODY)),
    );
    assert.deepEqual(
      all.map(({ version }) => version.version),
      edits.map((n) => n + 1),
    );
    const current = await store.current();
    assert.equal(current?.version, 50);
    assert.equal(current?.config.customers.size, 50);
    for (const n of edits) {
      const version = await store.get(n + 1);
      assert.equal(version?.config.customers.size, n + 1);
    }
  });

  test("commit() waits for edits that take their time, one after the other", async (store) => {
    const all = await Promise.all(
      ["a", "b", "c"].map((customer) =>
        store.commit(async (current) => {
          await new Promise((resolve) => setTimeout(resolve));
          return assign(customer, "b")(current);
        }, NOBODY)
      ),
    );
    assert.deepEqual(all.map(({ version }) => version.version), [1, 2, 3]);
    const current = await store.current();
    assert.equal(current?.config.customers.size, 3);
    await assert.rejects(
      store.commit(() => Promise.reject(new RangeError("no")), NOBODY),
      RangeError,
    );
  });

  test("commit() loses no edit of two stores", async (store, place) => {
    const stores = [store, await place.open()];
    const edits = Array.from({ length: 30 }, (_, n) => n);
    const all = await Promise.all(
      edits.map((n) =>
        stores[n % 2]!.commit(assign(`customer-${n}`, "b"), NOBODY)
      ),
    );
    const numbers = all.map(({ version }) => version.version);
    assert.deepEqual(
      numbers.sort((a, b) => a - b),
      edits.map((n) => n + 1),
    );
    for (const each of stores) {
      assert.equal((await each.current())?.config.customers.size, 30);
    }
    // Every version holds one customer more than the one before.
    for (const n of edits) {
      assert.equal((await store.get(n + 1))?.customers, n + 1);
    }
  });

  test("commit() throws what the edit throws", async (store) => {
    await store.commit(assign("acme", "a"), NOBODY);
    const error = new Error("not this way");
    await assert.rejects(
      store.commit(() => {
        throw error;
      }, NOBODY),
      (thrown) => thrown === error,
    );
    assert.equal((await store.head()).version, 1);
    assert.equal(
      (await store.commit(assign("acme", "b"), NOBODY)).version.version,
      2,
    );
  });

  test("commit() refuses a message it could not keep", async (store) => {
    const attribution = { author: "x", message: "m".repeat(12_000) };
    await assert.rejects(
      store.commit(assign("acme", "a"), attribution),
      RangeError,
    );
    assert.equal((await store.head()).version, 0);
  });

  test("list() pages, newest first", async (store) => {
    for (let n = 1; n <= 7; n++) {
      await store.commit(assign(`c${n}`, "a"), {
        author: `a${n}`,
        message: "",
      });
    }
    const first = await store.list({ limit: 3 });
    assert.deepEqual(first.map(({ version }) => version), [7, 6, 5]);
    assert.equal(first[0]?.author, "a7");
    assert.equal(first[0]?.customers, 7);
    assert.equal("config" in first[0]!, false);
    const second = await store.list({ before: 5, limit: 3 });
    assert.deepEqual(second.map(({ version }) => version), [4, 3, 2]);
    const last = await store.list({ before: 2, limit: 3 });
    assert.deepEqual(last.map(({ version }) => version), [1]);
    assert.deepEqual(await store.list({ before: 1, limit: 3 }), []);
    await assert.rejects(store.list({ limit: 0 }), RangeError);
  });

  test("keeps the newest versions, and all digests", async (store) => {
    const digests: string[] = [];
    for (let n = 1; n <= 8; n++) {
      const { version } = await store.commit(assign(`c${n}`, "a"), NOBODY);
      digests.push(version.digest);
    }
    // Versions are dropped in the background.
    while ((await store.list({ limit: 10 })).length > 3) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const kept = await store.list({ limit: 10 });
    assert.deepEqual(kept.map(({ version }) => version), [8, 7, 6]);
    assert.equal(await store.get(5), null);
    for (const version of [6, 7, 8]) {
      const { config } = (await store.get(version))!;
      assert.equal(config.customers.size, version);
      assert.equal(configDigest(config), digests[version - 1]);
    }
    for (let n = 1; n <= 8; n++) {
      assert.equal((await store.digestOf(n))?.digest, digests[n - 1]);
    }
  }, { keepVersions: 3 });

  test("takeover() begins a new epoch above all", async (store) => {
    const { epoch: first } = await store.head();
    await store.commit(assign("acme", "b"), NOBODY);
    const one = await store.takeover(
      { above: 41, epochs: ["foreign-1"] },
      { author: "op", message: "restored" },
    );
    assert.equal(one.changed, true);
    assert.equal(one.version.version, 42);
    assert.equal(one.previous?.version, 1);
    assert.equal(one.version.author, "op");
    assert.notEqual(one.version.epoch, first);
    assert.equal(one.version.digest, one.previous?.digest);
    assert.deepEqual((await store.head()).supersedes, [first, "foreign-1"]);

    const two = await store.takeover(
      { above: 3, epochs: ["foreign-2", first] },
      NOBODY,
    );
    assert.equal(two.version.version, 43);
    const head = await store.head();
    assert.deepEqual(head.supersedes, [
      first,
      "foreign-1",
      one.version.epoch,
      "foreign-2",
    ]);
    assert.equal(head.epoch, two.version.epoch);
    assert.equal((await store.digestOf(42))?.epoch, one.version.epoch);
    assert.equal((await store.digestOf(1))?.epoch, first);
    assert.equal(await store.digestOf(41), null);

    const next = await store.commit(assign("acme", "a"), NOBODY);
    assert.equal(next.version.version, 44);
    assert.equal(next.version.epoch, head.epoch);
    assert.deepEqual((await store.head()).supersedes, head.supersedes);
    const kept = await store.list({ limit: 10 });
    assert.deepEqual(kept.map(({ version }) => version), [44, 43, 42, 1]);
  });

  test(
    "takeover() checks the very version it commits anew",
    async (store, place) => {
      const other = await place.open();
      const refusal = new Error("not that one");
      const seen: (number | null)[] = [];
      await assert.rejects(
        store.takeover({ above: 0, epochs: [] }, NOBODY, (current) => {
          seen.push(current?.version ?? null);
          throw refusal;
        }),
        (thrown) => thrown === refusal,
      );
      assert.deepEqual(seen, [null]);

      await store.commit(assign("acme", "b"), NOBODY);
      // Each wants version 1 to be current, and only one of them can have it.
      const results = await Promise.allSettled(
        Array.from({ length: 20 }, (_, n) =>
          [store, other][n % 2]!.takeover(
            { above: 0, epochs: [] },
            NOBODY,
            (current) => {
              if (current?.version !== 1) throw refusal;
            },
          )),
      );
      const done = results.filter(({ status }) => status === "fulfilled");
      assert.equal(done.length, 1);
      for (const result of results) {
        if (result.status === "rejected") assert.equal(result.reason, refusal);
      }
      assert.equal((await store.head()).version, 2);
    },
  );

  test(
    "newest() answers a head and its version, whatever is committed meanwhile",
    async (store, place) => {
      const other = await place.open();
      let over = false;
      async function commitOn(): Promise<void> {
        for (let n = 0; n < 60; n++) {
          await other.commit(assign(`c${n}`, "a"), NOBODY);
        }
        over = true;
      }
      async function readOn(): Promise<void> {
        while (!over) {
          const { head, version } = await store.newest();
          assert.equal(version?.version ?? 0, head.version);
          assert.equal(version?.digest ?? null, head.digest);
        }
      }
      await Promise.all([commitOn(), readOn()]);
      assert.equal((await store.newest()).head.version, 60);
    },
  );

  test("takeover() refuses an empty store and what is no version or epoch", async (store) => {
    await assert.rejects(
      store.takeover({ above: 5, epochs: [] }, NOBODY),
      EmptyStore,
    );
    await store.commit(assign("acme", "b"), NOBODY);
    for (const above of [-1, 0.5, NaN, 2 ** 53]) {
      await assert.rejects(
        store.takeover({ above, epochs: [] }, NOBODY),
        RangeError,
      );
    }
    await assert.rejects(
      store.takeover({ above: 1, epochs: [""] }, NOBODY),
      RangeError,
    );
    assert.equal((await store.head()).version, 1);
  });

  test(
    "watch() tells the head now and after each change",
    async (store, place) => {
      const other = await place.open();
      const end = new AbortController();
      const heads = store.watch(end.signal)[Symbol.asyncIterator]();
      assert.equal((await next(heads)).version, 0);
      await store.commit(assign("acme", "b"), NOBODY);
      assert.equal((await next(heads)).version, 1);
      const { version } = await other.commit(assign("acme", "a"), NOBODY);
      const head = await next(heads);
      assert.equal(head.version, 2);
      assert.equal(head.digest, version.digest);
      // No version, no change.
      await other.commit(assign("acme", "a"), NOBODY);
      await other.takeover({ above: 9, epochs: [] }, NOBODY);
      assert.equal((await next(heads)).version, 10);
      const last = heads.next();
      end.abort();
      assert.equal((await last).done, true);
    },
  );

  test("watch() ends with its store", async (store) => {
    const heads = store.watch(new AbortController().signal)
      [Symbol.asyncIterator]();
    await next(heads);
    const last = heads.next();
    await store.close();
    assert.equal((await last).done, true);
  });

  test("watch() skips to the newest for a slow reader", async (store) => {
    const end = new AbortController();
    for await (const head of store.watch(end.signal)) {
      if (head.version === 0) {
        for (let n = 0; n < 5; n++) {
          await store.commit(assign(`c${n}`, "a"), NOBODY);
        }
      } else {
        assert.equal(head.version, 5);
        break;
      }
    }
    end.abort();
  });

  test("routers() answers what saveRouters() wrote", async (store, place) => {
    assert.deepEqual(await store.routers(), []);
    const records = Array.from(
      { length: 1200 },
      (_, n) => routerOf(`router-${String(n).padStart(4, "0")}`),
    );
    await store.saveRouters([]);
    await store.saveRouters(records);
    const changed = routerOf("router-0001", {
      status: "rejected",
      error: "x".repeat(9000),
    });
    await store.saveRouters([routerOf("router-0001"), changed]);
    const other = await place.open();
    const found = await other.routers();
    assert.equal(found.length, 1200);
    assert.deepEqual(found[0], records[0]);
    assert.equal(found[1]?.status, "rejected");
    assert.equal(found[1]?.error, `${"x".repeat(7999)}…`);
    const hold = {
      requests: Number.MAX_SAFE_INTEGER,
      streams: Number.MAX_SAFE_INTEGER,
      oldestMs: Number.MAX_SAFE_INTEGER,
      waiting: Number.MAX_SAFE_INTEGER,
    };
    const holds = Array.from(
      { length: 256 },
      (_, n) => ({ ...hold, id: `${n}`.padEnd(64, "x") }),
    );
    // As JSON each of these characters takes six bytes.
    const error = "\u0001".repeat(9000);
    await store.saveRouters([
      routerOf("router-0000", { error, holds: holds.slice(0, 16) }),
      routerOf("router-0001", { error, holds }),
      routerOf("router-0002", { version: 7 }),
    ]);
    const [long, longest, next] = await other.routers();
    assert.deepEqual(long?.holds, holds.slice(0, 16));
    for (const { error } of [long!, longest!]) {
      assert.ok(error!.length > 3000 && error!.endsWith("\u0001…"));
    }
    assert.deepEqual(longest?.holds, []);
    assert.equal(next?.version, 7);
    assert.equal(await store.deleteRouter("router-0001"), true);
    assert.equal(await store.deleteRouter("router-0001"), false);
    assert.equal((await store.routers()).length, 1199);
  });

  test("fails once it is closed", async (store) => {
    await store.commit(assign("acme", "b"), NOBODY);
    await store.close();
    await store.close();
    await assert.rejects(store.head(), StoreUnavailable);
    await assert.rejects(store.current(), StoreUnavailable);
    await assert.rejects(store.routers(), StoreUnavailable);
    await assert.rejects(
      store.commit(assign("acme", "a"), NOBODY),
      StoreUnavailable,
    );
  });

  Deno.test(`${name} commit() keeps any config as it is`, async () => {
    const place = await makePlace();
    try {
      const store = await place.open();
      await fc.assert(
        fc.asyncProperty(customersArbitrary(), async (customers) => {
          const config = {
            ...configOf({}),
            customers: CustomerMap.from(customers),
          };
          const { version } = await store.commit(() => config, NOBODY);
          assert.equal(version.digest, configDigest(config));
          const other = await place.open();
          for (const each of [store, other]) {
            const { config: read } = (await each.current())!;
            assert.equal(configDigest(read), configDigest(config));
            assert.deepEqual(
              [...read.customers.entries()],
              [...config.customers.entries()],
            );
          }
          await other.close();
        }),
        { numRuns: 30 },
      );
    } finally {
      await place.remove();
    }
  });
}

/** Any customers: names of visible ASCII, quotes and backslashes among them, on placements `a` and `b`. */
export function customersArbitrary(): fc.Arbitrary<[string, string][]> {
  const name = fc.string({
    unit: fc.integer({ min: 0x21, max: 0x7e })
      .map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 40,
  });
  return fc.uniqueArray(fc.tuple(name, fc.constantFrom("a", "b")), {
    selector: ([customer]) => customer,
    maxLength: 200,
  });
}

async function next(heads: AsyncIterator<Head>): Promise<Head> {
  const { value, done } = await heads.next();
  assert.notEqual(done, true);
  return value;
}
