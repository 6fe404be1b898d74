import assert from "node:assert/strict";
import type { Orders } from "../store/store.ts";
import type { Connection } from "./connection.ts";
import { FakeSocket, SettlingClock } from "./fakes.ts";
import { OrderSender } from "./orders.ts";
import { openSession, SESSION_RULES } from "./session.ts";

Deno.test("OrderSender tells each cut once, and remembers only those that there are", () => {
  const clock = new SettlingClock();
  const socket = new FakeSocket();
  const ordered = new Set<string>();
  const served = {
    version: 1,
    epoch: "e",
    digest: null,
    durable: null,
    appliedAt: null,
  };
  const rules = SESSION_RULES;
  const connection = {
    features: ["cut_streams"],
    ordered,
    socket,
    session: openSession(served, { now: 0, rejected: null, rules }),
  } as unknown as Connection;
  const sender = new OrderSender({
    clock,
    connections: new Set([connection]),
    refresh: () => Promise.resolve(true),
  });
  const cut = (n: number): Orders["cuts"][number] => ({
    version: 1,
    afterMs: n,
    until: new Date(clock.wall() + 60_000 + n).toISOString(),
  });
  for (let n = 0; n < 100; n++) {
    const cuts = [cut(n), cut(n + 1)];
    sender.changed({ holds: [], cuts });
    sender.changed({ holds: [], cuts });
    assert.equal(ordered.size, 2);
  }
  const told = socket.messages.map(({ after_ms }) => after_ms);
  assert.deepEqual(told, Array.from({ length: 101 }, (_, n) => n));
});
