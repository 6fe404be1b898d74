import assert from "node:assert/strict";
import fc from "fast-check";
import type { Drained, Draining } from "../../shared/protocol.ts";
import { answerOf } from "./rollout.ts";
import {
  type OpenSession,
  openSession,
  type Session,
  SESSION_RULES,
  type SessionEffect,
  type SessionEvent,
  statusOf,
  type Target,
} from "./session.ts";
import { step } from "./step.ts";

const NOTHING = {
  version: null,
  epoch: null,
  digest: null,
  durable: null,
  appliedAt: null,
};

function target(version: number, epoch = "e"): Target {
  return {
    version,
    epoch,
    digest: `sha256:${String(version).padStart(64, epoch === "e" ? "0" : "f")}`,
    committedAt: 0,
  };
}

/** A session and all its effects so far, driven by events without a time of their own. */
class Play {
  session: Session;
  now = 0;
  effects: SessionEffect[] = [];

  constructor(served: Partial<OpenSession["served"]> = {}) {
    this.session = openSession({ ...NOTHING, ...served }, {
      now: 0,
      rejected: null,
      rules: SESSION_RULES,
    });
  }

  get open(): OpenSession {
    return this.session.kind === "open" ? this.session : this.session.last;
  }

  /** Takes an event and answers the types of its effects. */
  on(event: Distribute<SessionEvent>): string[] {
    const [session, effects] = step(this.session, { ...event, now: this.now });
    this.session = session;
    this.effects = effects;
    return effects.map(({ type }) => type);
  }

  want(version: number, epoch = "e"): string[] {
    return this.on({
      type: "want",
      want: { kind: "push", target: target(version, epoch) },
    });
  }

  /** The waiting push goes out whole. */
  push(): void {
    this.on({ type: "begun", graceMs: 0 });
    this.on({ type: "sent" });
  }

  ack(
    version: number,
    options: {
      status?: "applied" | "rejected";
      epoch?: string;
      durable?: boolean;
    } = {},
  ): string[] {
    const { status = "applied", epoch = null, durable = null } = options;
    return this.on({
      type: "received",
      length: 50,
      parsed: {
        kind: "message",
        message: {
          type: "ack",
          version,
          status,
          epoch,
          durable,
          error: status === "rejected" ? "no" : null,
        },
      },
    });
  }

  pong(version: number | null, epoch: string | null): string[] {
    const message = { type: "pong" as const, version, epoch };
    return this.on({
      type: "received",
      length: 20,
      parsed: { kind: "message", message },
    });
  }

  tick(now: number, heldUpMs = 0): string[] {
    this.now = now;
    return this.on({ type: "tick", heldUpMs });
  }
}

type Distribute<E> = E extends unknown ? Omit<E, "now"> : never;

Deno.test("step() asks for a turn at once", () => {
  const play = new Play();
  assert.deepEqual(play.want(1), ["enqueue"]);
  assert.equal(play.open.push.kind, "waiting");
});

Deno.test("step() pings in place of pushing what is served already", () => {
  const play = new Play(target(3));
  assert.deepEqual(play.want(3), ["ping"]);
  assert.equal(statusOf(play.open).status, "current");
});

Deno.test("step() pushes where epoch, version or digest differ or are not told", () => {
  for (
    const served of [
      { ...target(3), digest: null },
      { ...target(3), digest: target(4).digest },
      { ...target(3), epoch: null },
      { ...target(3), version: 2 },
    ]
  ) {
    assert.deepEqual(new Play(served).want(3), ["enqueue"]);
  }
});

Deno.test("step() pushes nothing of an empty store", () => {
  const play = new Play();
  assert.deepEqual(play.on({ type: "want", want: { kind: "nothing" } }), []);
  assert.equal(statusOf(play.open).status, "current");
});

Deno.test("step() lets only the newest follow a push on its way", () => {
  const play = new Play();
  play.want(1);
  play.push();
  assert.deepEqual(play.want(2), []);
  assert.deepEqual(play.want(3), []);
  assert.deepEqual(play.ack(1), ["answered", "served", "enqueue"]);
  const { push } = play.open;
  assert.equal(push.kind === "waiting" && push.target.version, 3);
});

Deno.test("step() aims a waiting push at the newest version", () => {
  const play = new Play();
  play.want(1);
  assert.deepEqual(play.want(2), []);
  const { push } = play.open;
  assert.equal(push.kind === "waiting" && push.target.version, 2);
});

Deno.test("step() finishes a push that was answered early", () => {
  const play = new Play();
  play.want(1);
  play.on({ type: "begun", graceMs: 0 });
  play.want(2);
  assert.deepEqual(play.ack(1, { status: "rejected" }), ["answered"]);
  assert.equal(play.open.push.kind, "sending");
  assert.deepEqual(play.on({ type: "sent" }), ["enqueue"]);
});

Deno.test("step() takes a push for unanswered 30 s after its last byte", () => {
  const play = new Play();
  play.want(1);
  play.push();
  play.want(2);
  for (let now = 5_000; now < 30_000; now += 5_000) {
    play.tick(now);
    play.pong(null, null);
    assert.equal(play.open.push.kind, "awaiting");
  }
  const effects = play.tick(30_000);
  assert.ok(effects.includes("unanswered") && effects.includes("enqueue"));
});

Deno.test("step() does not push the unanswered version again, but counts its late ack", () => {
  const play = new Play();
  play.want(1);
  play.push();
  play.tick(11_000);
  play.pong(null, null);
  play.tick(22_000);
  play.pong(null, null);
  assert.deepEqual(play.tick(30_000), ["unanswered", "ping"]);
  assert.equal(statusOf(play.open).status, "unanswered");
  assert.deepEqual(play.ack(1), ["answered", "served"]);
  assert.equal(statusOf(play.open).status, "current");
});

Deno.test("step() does not push a rejected version again until asked", () => {
  const play = new Play();
  play.want(1);
  play.push();
  assert.deepEqual(play.ack(1, { status: "rejected" }), ["answered"]);
  assert.deepEqual(statusOf(play.open), { status: "rejected", error: "no" });
  assert.deepEqual(play.want(1), []);
  assert.deepEqual(play.on({ type: "resend" }), ["enqueue"]);
  play.push();
  play.ack(1);
  assert.equal(statusOf(play.open).status, "current");
  assert.equal(play.open.rejected, null);
});

Deno.test("step() pushes other contents of a rejected version: the store was set back", () => {
  const play = new Play();
  play.want(2);
  play.push();
  play.ack(2, { status: "rejected" });
  const { digest } = target(9);
  const other = { ...target(2), digest };
  const want = { kind: "push", target: other } as const;
  assert.deepEqual(play.on({ type: "want", want }), ["enqueue"]);
  const options = {
    awaited: { version: 2, epoch: "e" },
    epoch: "e",
    tells: false,
  };
  assert.equal(answerOf(play.open, options).kind, "pending");
  play.push();
  play.ack(2, { status: "rejected" });
  assert.deepEqual(answerOf(play.open, options), {
    kind: "rejected",
    error: "no",
  });
});

Deno.test("step() pushes a current version again when asked", () => {
  const play = new Play(target(1));
  play.want(1);
  assert.deepEqual(play.on({ type: "resend" }), ["enqueue"]);
  play.push();
  assert.deepEqual(play.ack(1), ["answered", "served"]);
  const answered = play.effects.find(({ type }) => type === "answered");
  assert.equal(answered?.type === "answered" && answered.ms, null);
});

Deno.test("step() counts an ack for what was not pushed and changes nothing", () => {
  const play = new Play(target(1));
  play.want(1);
  assert.deepEqual(play.ack(1), ["unsolicited"]);
  assert.deepEqual(play.ack(7), ["unsolicited"]);
  play.want(2);
  play.push();
  assert.deepEqual(play.ack(2, { epoch: "other" }), ["unsolicited"]);
  assert.equal(play.open.served.version, 1);
});

Deno.test("step() keeps whether the config is on the router's disk", () => {
  const play = new Play();
  play.want(1);
  play.push();
  play.ack(1, { durable: false });
  assert.equal(play.open.served.durable, false);
  assert.deepEqual(play.ack(1, { durable: true }), ["saved"]);
  assert.equal(play.open.served.durable, true);
});

Deno.test("step() calls a waiting push off when the router is to be left alone", () => {
  const play = new Play();
  play.want(1);
  const conflict = { kind: "conflict" as const, target: null, reason: "x" };
  assert.deepEqual(play.on({ type: "want", want: conflict }), ["dequeue"]);
  assert.equal(statusOf(play.open).status, "conflict");
  assert.deepEqual(play.on({ type: "resend" }), []);
});

Deno.test("step() learns from a pong what the router serves, and proves it by a push", () => {
  const play = new Play(target(1));
  play.want(2);
  play.push();
  play.ack(2);
  assert.deepEqual(play.pong(2, "e"), []);
  assert.deepEqual(play.pong(1, "e"), [], "no router goes back");
  assert.deepEqual(play.pong(3, "e"), ["served", "enqueue"]);
  assert.equal(statusOf(play.open).status, "behind");
});

Deno.test("step() pings every 5 s and drops after 12 s of silence", () => {
  const play = new Play();
  assert.deepEqual(play.tick(4_999), []);
  assert.deepEqual(play.tick(5_000), ["ping"]);
  assert.deepEqual(play.tick(10_000), ["ping"]);
  assert.deepEqual(play.tick(12_000), ["close"]);
  assert.equal(play.session.kind, "closed");
  assert.deepEqual(play.tick(99_000), []);
});

Deno.test("step() does not take it for silence that this process was held up", () => {
  const play = new Play();
  play.want(1);
  play.on({ type: "begun", graceMs: 0 });
  assert.deepEqual(play.tick(70_000, 69_000), ["ping"]);
  assert.deepEqual(play.tick(80_900), ["ping"]);
  assert.deepEqual(play.tick(81_000), ["close"]);
});

Deno.test("step() takes bytes of a push that leave for a sign of life", () => {
  const play = new Play();
  play.want(1);
  play.on({ type: "begun", graceMs: 0 });
  for (let now = 0; now < 60_000; now += 11_000) {
    play.now = now;
    play.on({ type: "moved" });
    assert.ok(!play.tick(now + 10_999).includes("close"));
  }
});

Deno.test("step() drops a router that talks on but takes nothing for a minute", () => {
  const play = new Play();
  play.want(1);
  play.on({ type: "begun", graceMs: 0 });
  for (let now = 0; now < 60_000; now += 5_000) {
    assert.ok(!play.tick(now).includes("close"));
    play.pong(null, null);
  }
  assert.deepEqual(play.tick(60_000), ["close"]);
});

Deno.test("step() bears longer silence while one large frame leaves", () => {
  const play = new Play();
  play.want(1);
  play.on({ type: "begun", graceMs: 60_000 });
  assert.ok(!play.tick(71_999).includes("close"));
  assert.ok(play.tick(72_000).includes("close"));
});

Deno.test("step() closes on a malformed message, on a flood, and counts unknown ones", () => {
  const play = new Play();
  const unknown = { kind: "unknown" as const, type: "hello" };
  assert.deepEqual(
    play.on({ type: "received", length: 10, parsed: unknown }),
    ["unknown"],
  );
  let messages = 1;
  while (play.session.kind === "open") {
    play.on({ type: "received", length: 10, parsed: unknown });
    messages++;
  }
  assert.equal(messages, SESSION_RULES.burst + 1);
  assert.deepEqual(play.effects, [
    { type: "close", reason: "flooded", detail: "too many messages" },
  ]);

  const other = new Play();
  const malformed = { kind: "malformed" as const, reason: "not JSON" };
  other.on({ type: "received", length: 1, parsed: malformed });
  assert.deepEqual(other.effects, [
    { type: "close", reason: "malformed", detail: "not JSON" },
  ]);
});

Deno.test("step() takes what a router tells of its old work for the version it is known to serve", () => {
  const play = new Play({ ...target(3), durable: null });
  const tell = (message: Drained | Draining) =>
    play.on({
      type: "received",
      length: 9,
      parsed: { kind: "message", message },
    });
  const drained = {
    type: "drained",
    epoch: "e",
    digest: null,
    durable: true,
  } as const;
  const draining = {
    ...drained,
    type: "draining",
    version: 3,
    requests: 2,
    streams: 1,
    oldest_ms: 70,
  } as const;
  assert.deepEqual(tell({ ...drained, version: 2 }), []);
  assert.equal(play.open.oldWork, null);
  assert.deepEqual(tell({ ...draining, durable: null }), ["fence"]);
  assert.deepEqual(play.open.oldWork, {
    version: 3,
    epoch: "e",
    requests: 2,
    streams: 1,
    oldestMs: 70,
  });
  assert.equal(play.open.served.durable, null);
  tell({ ...drained, version: 3 });
  assert.deepEqual(play.effects, [
    { type: "fence", drained: true, mattered: true },
  ]);
  assert.deepEqual(play.open.oldWork, {
    version: 3,
    epoch: "e",
    requests: 0,
    streams: 0,
    oldestMs: 0,
  });
  assert.equal(play.open.served.durable, true);
  // Told again, as after each reconnect, it is nothing new.
  tell({ ...drained, version: 3 });
  assert.deepEqual(play.effects, [
    { type: "fence", drained: true, mattered: false },
  ]);
  // One that it has not acked here it tells as by a pong.
  assert.deepEqual(tell({ ...drained, version: 4 }), ["served", "fence"]);
  assert.equal(play.open.served.digest, null);
  const { digest } = target(1, "other");
  assert.deepEqual(
    tell({ ...drained, version: 1, epoch: "other", digest }),
    ["served", "fence"],
  );
  assert.equal(play.open.served.epoch, "other");
  assert.equal(play.open.served.digest, digest);
});

/** What a random driver may do next. */
type Move =
  | { do: "commit" }
  | { do: "takeover" }
  | { do: "turn" }
  | { do: "sent" }
  | { do: "ack"; back: number; status: "applied" | "rejected" }
  | { do: "stray"; version: number }
  | { do: "pong" }
  | { do: "hold" }
  | { do: "resend" }
  | { do: "wait"; ms: number };

const moves: fc.Arbitrary<Move> = fc.oneof(
  fc.constant<Move>({ do: "commit" }),
  fc.constant<Move>({ do: "takeover" }),
  fc.constant<Move>({ do: "turn" }),
  fc.constant<Move>({ do: "sent" }),
  fc.record({
    do: fc.constant("ack" as const),
    back: fc.nat(2),
    status: fc.constantFrom("applied" as const, "rejected" as const),
  }),
  fc.record({ do: fc.constant("stray" as const), version: fc.nat(20) }),
  fc.constant<Move>({ do: "pong" }),
  fc.constant<Move>({ do: "hold" }),
  fc.constant<Move>({ do: "resend" }),
  fc.record({ do: fc.constant("wait" as const), ms: fc.nat(9_000) }),
);

Deno.test("step() keeps its promises under any order of events", () => {
  fc.assert(
    fc.property(fc.array(moves, { maxLength: 120 }), (sequence) => {
      const play = new Play();
      let version = 1;
      let epoch = "e";
      let queued = false;
      /** The config on its way, from its first byte. */
      let onItsWay = null as { target: Target; sentAt: number | null } | null;
      const begun: Target[] = [];
      const rejected = new Set<string>();
      const applied = new Map<string, number>();
      const name = (target: Target) => `${target.epoch}/${target.version}`;

      const take = () => {
        for (const effect of play.effects) {
          if (effect.type === "enqueue") {
            assert.ok(!queued, "asks for one turn at a time");
            queued = true;
          }
          if (effect.type === "dequeue") queued = false;
          if (effect.type === "answered") {
            const key = `${effect.target.epoch}/${effect.target.version}`;
            if (effect.status === "rejected") rejected.add(key);
            else {
              rejected.delete(key);
              const before = applied.get(effect.target.epoch) ?? 0;
              assert.ok(effect.target.version >= before, "never goes back");
              applied.set(effect.target.epoch, effect.target.version);
            }
          }
        }
        assert.equal(queued, play.open.push.kind === "waiting");
      };
      const want = () => {
        play.want(version, epoch);
        take();
      };

      want();
      for (const move of sequence) {
        switch (move.do) {
          case "commit":
            version++;
            want();
            break;
          case "takeover":
            version++;
            epoch = `e${version}`;
            want();
            break;
          case "hold":
            play.on({
              type: "want",
              want: {
                kind: "held",
                target: target(version, epoch),
                reason: "damaged",
              },
            });
            take();
            assert.ok(!queued, "a held router has no turn");
            break;
          case "turn": {
            if (!queued) break;
            const { push, want } = play.open;
            assert.ok(push.kind === "waiting" && want.kind === "push");
            assert.equal(onItsWay, null, "one config on its way at most");
            assert.equal(
              name(push.target),
              name(want.target),
              "the newest goes",
            );
            if (!push.resend) assert.ok(!rejected.has(name(push.target)));
            const before = begun.at(-1);
            if (before?.epoch === push.target.epoch) {
              assert.ok(push.target.version >= before.version);
            }
            queued = false;
            begun.push(push.target);
            onItsWay = { target: push.target, sentAt: null };
            play.on({ type: "begun", graceMs: 0 });
            take();
            break;
          }
          case "sent":
            if (onItsWay === null || onItsWay.sentAt !== null) break;
            onItsWay = play.open.push.kind === "sending" &&
                play.open.push.answered
              ? null
              : { ...onItsWay, sentAt: play.now };
            play.on({ type: "sent" });
            take();
            break;
          case "ack": {
            const acked = begun.at(-1 - move.back);
            if (acked === undefined) break;
            play.ack(acked.version, {
              status: move.status,
              epoch: acked.epoch,
            });
            if (
              onItsWay !== null && onItsWay.sentAt !== null &&
              play.open.push.kind !== "awaiting"
            ) onItsWay = null;
            take();
            break;
          }
          case "stray": {
            if (begun.some((target) => target.version === move.version)) break;
            const before = play.open.served;
            play.ack(move.version);
            assert.deepEqual(play.open.served, before);
            take();
            break;
          }
          case "pong":
            play.pong(null, null);
            take();
            break;
          case "resend":
            play.on({ type: "resend" });
            if (play.open.want.kind === "push") rejected.clear();
            take();
            break;
          case "wait":
            play.now += move.ms;
            play.pong(null, null);
            take();
            if (onItsWay?.sentAt == null && onItsWay !== null) {
              play.on({ type: "moved" });
            }
            play.on({ type: "tick", heldUpMs: 0 });
            if (
              onItsWay !== null && onItsWay.sentAt !== null &&
              play.now - onItsWay.sentAt >= 30_000
            ) onItsWay = null;
            take();
            break;
        }
        assert.equal(play.session.kind, "open");
      }

      // Whatever came before: once turns are given and acks come, the newest version is served, unless
      // it was refused.
      want();
      for (let turns = 0; turns < 4; turns++) {
        if (queued) {
          queued = false;
          play.on({ type: "begun", graceMs: 0 });
          take();
        }
        const { push } = play.open;
        if (push.kind === "sending") {
          play.on({ type: "sent" });
          take();
        }
        if (play.open.push.kind === "awaiting") {
          const { target } = play.open.push;
          for (let acks = 0; acks < 8; acks++) {
            if (play.open.push.kind !== "awaiting") break;
            play.ack(target.version, { epoch: target.epoch });
            take();
          }
        }
      }
      const { status } = statusOf(play.open);
      assert.ok(["current", "rejected", "unanswered"].includes(status), status);
      assert.equal(play.open.push.kind === "waiting", false);
    }),
    { numRuns: 500 },
  );
});
