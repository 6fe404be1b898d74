import assert from "node:assert/strict";
import fc from "fast-check";
import {
  CLOSE,
  encode,
  MAX_ERROR_LENGTH,
  MAX_PART_BYTES,
  parseToRouter,
} from "../../shared/protocol.ts";
import {
  deadline,
  type Effect,
  initialState,
  lag,
  type LinkEvent,
  type LinkLimits,
  type LinkState,
} from "./state.ts";
import { step } from "./step.ts";
import { type PushHead, type Serving, verdict } from "./verdict.ts";

const LIMITS: LinkLimits = {
  targets: 2,
  handshakeMs: 5000,
  silenceMs: 12_000,
  closeMs: 1000,
  healthyMs: 10_000,
  maxConfigBytes: 1000,
};

/** Drives `step` by hand, at moments of the test's choosing. */
class Driver {
  state: LinkState;
  now = 0;
  random = 0.5;
  effects: Effect[] = [];

  constructor(serving: Serving | null = null) {
    this.state = initialState(serving);
  }

  do(event: LinkEvent, at = this.now): Effect[] {
    this.now = at;
    const [state, effects] = step(this.state, event, {
      now: at,
      random: this.random,
      limits: LIMITS,
    });
    this.state = state;
    this.effects.push(...effects);
    return effects;
  }

  timer(late = 0): Effect[] {
    return this.do(
      { type: "timer", late },
      deadline(this.state, LIMITS)! + late,
    );
  }

  text(message: object): Effect[] {
    const text = JSON.stringify(message);
    return this.do({
      type: "text",
      socket: this.socket,
      parsed: parseToRouter(text),
      bytes: text.length,
    });
  }

  part(size: number): Effect[] {
    return this.do({
      type: "part",
      socket: this.socket,
      data: new Uint8Array(size),
    });
  }

  get socket(): number {
    const { phase } = this.state;
    return "socket" in phase ? phase.socket : -1;
  }

  static open(serving: Serving | null = null): Driver {
    const driver = new Driver(serving);
    driver.do({ type: "start" });
    driver.do({ type: "opened", socket: driver.socket });
    driver.effects = [];
    return driver;
  }
}

const DIGEST = `sha256:${"a".repeat(64)}`;
const OTHER = `sha256:${"b".repeat(64)}`;

function serving(fields: Partial<Serving> = {}): Serving {
  return { version: 5, epoch: "e", digest: DIGEST, durable: true, ...fields };
}

function begin(fields: object = {}): object {
  return {
    type: "config_begin",
    version: 6,
    epoch: "e",
    digest: OTHER,
    encoding: "gzip",
    bytes: 10,
    ...fields,
  };
}

function update(fields: object = {}): object {
  return { type: "config_update", version: 6, config: {}, ...fields };
}

function kinds(effects: readonly Effect[]): string[] {
  return effects.filter(({ type }) => type !== "note").map(({ type }) => type);
}

function only<T extends Effect["type"]>(
  effects: readonly Effect[],
  type: T,
): Extract<Effect, { type: T }> {
  const found = effects.filter((
    effect,
  ): effect is Extract<Effect, { type: T }> => effect.type === type);
  assert.equal(found.length, 1, `one ${type} in ${JSON.stringify(effects)}`);
  return found[0]!;
}

const PUSH: PushHead = {
  version: 6,
  epoch: "e",
  digest: OTHER,
  supersedes: [],
};

for (
  const { name, served, push, expected } of [
    { name: "the first of all", served: null, push: {}, expected: "take" },
    { name: "a newer one", served: {}, push: {}, expected: "take" },
    {
      name: "the same",
      served: { version: 6, digest: OTHER },
      push: {},
      expected: "unchanged",
    },
    {
      name: "the same version with another digest",
      served: { version: 6 },
      push: {},
      expected: "reject",
    },
    {
      name: "an older one",
      served: { version: 7 },
      push: {},
      expected: "reject",
    },
    {
      name: "another epoch",
      served: {},
      push: { epoch: "f", version: 9 },
      expected: "reject",
    },
    {
      name: "another epoch that supersedes others only",
      served: {},
      push: { epoch: "f", supersedes: ["d"] },
      expected: "reject",
    },
    {
      name: "an epoch that supersedes the own, even at a lower version",
      served: {},
      push: { epoch: "f", version: 1, supersedes: ["d", "e"] },
      expected: "take",
    },
    {
      name: "an epoch where the router has none",
      served: { epoch: null, version: 9 },
      push: {},
      expected: "take",
    },
    {
      name: "an older one without epoch",
      served: {},
      push: { epoch: null, version: 4 },
      expected: "reject",
    },
    {
      name: "a newer one without epoch",
      served: {},
      push: { epoch: null },
      expected: "take",
    },
    {
      name: "the same version without epoch and digest",
      served: { version: 6 },
      push: { epoch: null, digest: null },
      expected: "compare",
    },
  ]
) {
  Deno.test(`verdict() says ${expected} to ${name}`, () => {
    const own = served === null ? null : serving(served);
    assert.equal(verdict(own, { ...PUSH, ...push }).kind, expected);
  });
}

Deno.test("step() connects at the start and announces what is served", () => {
  const driver = new Driver(serving());
  const connect = only(driver.do({ type: "start" }), "connect");
  assert.equal(connect.target, 0);
  assert.deepEqual(connect.serving, serving());
});

Deno.test("step() gives a handshake its time, then tries the next control plane", () => {
  const driver = new Driver();
  driver.do({ type: "start" });
  assert.deepEqual(kinds(driver.timer()), ["destroy"]);
  assert.equal(driver.now, LIMITS.handshakeMs);
  assert.equal(only(driver.timer(), "connect").target, 1);
  driver.timer();
  assert.equal(only(driver.timer(), "connect").target, 0);
});

Deno.test("step() waits with full jitter, doubling, at most 5 s", () => {
  const driver = new Driver();
  driver.random = 0.999;
  driver.do({ type: "start" });
  const waits: number[] = [];
  for (let i = 0; i < 7; i++) {
    driver.do({
      type: "closed",
      socket: driver.socket,
      code: 1006,
      reason: "",
    });
    const start = driver.now;
    driver.timer();
    waits.push(Math.round((driver.now - start) / 0.999));
  }
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 5000, 5000]);
});

Deno.test("step() resets the backoff after 10 s of being heard, not of being open", () => {
  for (
    const { heardAt, failures } of [
      { heardAt: 9999, failures: 5 },
      { heardAt: 10_000, failures: 1 },
    ]
  ) {
    const driver = Driver.open();
    driver.state = { ...driver.state, failures: 4 };
    driver.do({ type: "heard", socket: driver.socket }, heardAt);
    driver.do(
      { type: "closed", socket: driver.socket, code: 1006, reason: "" },
      11_000,
    );
    assert.equal(driver.state.failures, failures);
  }
  const silent = Driver.open();
  silent.state = { ...silent.state, failures: 4 };
  assert.equal(only(silent.timer(), "close").code, CLOSE.heartbeatMissed);
  silent.timer();
  assert.equal(silent.state.failures, 5);
});

Deno.test("step() drops a silent connection, and one that never answers the close", () => {
  const driver = Driver.open();
  driver.do({ type: "heard", socket: driver.socket }, 3000);
  assert.deepEqual(kinds(driver.do({ type: "timer", late: 0 }, 14_999)), []);
  assert.equal(only(driver.timer(), "close").code, CLOSE.heartbeatMissed);
  assert.equal(driver.now, 15_000);
  assert.deepEqual(kinds(driver.timer()), ["destroy"]);
  assert.equal(driver.now, 16_000);
  assert.equal(driver.state.phase.kind, "waiting");
});

Deno.test("step() takes a late timer for this process having been held up", () => {
  const driver = Driver.open();
  assert.deepEqual(kinds(driver.timer(60_000)), []);
  assert.equal(driver.state.phase.kind, "open");
  assert.deepEqual(kinds(driver.timer()), ["close"]);
});

Deno.test("step() answers a ping with what is served and learns its lag", () => {
  const driver = Driver.open(serving());
  const { message } = only(
    driver.text({ type: "ping", version: 7, epoch: "e" }),
    "send",
  );
  assert.equal(encode(message), '{"type":"pong","version":5,"epoch":"e"}');
  assert.deepEqual(lag(driver.state, 2000), { versions: 2, ms: 2000 });
  driver.do({ type: "counted", counted: { requests: 12, errors: 3 } });
  driver.now = 3000;
  const counted = only(
    driver.text({ type: "ping", version: 8, epoch: "e" }),
    "send",
  );
  assert.equal(
    encode(counted.message),
    '{"type":"pong","version":5,"epoch":"e","requests":12,"errors":3}',
  );
  assert.deepEqual(lag(driver.state, 4000), { versions: 3, ms: 4000 });
  driver.text({ type: "ping", version: 5, epoch: "e" });
  assert.deepEqual(lag(driver.state, 9000), { versions: 0, ms: 0 });
  driver.text({ type: "ping" });
  assert.equal(driver.state.head?.version, 5);
});

Deno.test("step() applies a draft push and acks it", () => {
  const driver = Driver.open();
  const apply = only(driver.text(update()), "apply");
  assert.equal(apply.push.version, 6);
  const effects = driver.do({
    type: "applied",
    outcome: { status: "applied", digest: OTHER, durable: true },
  });
  assert.equal(
    encode(only(effects, "send").message),
    '{"type":"ack","version":6,"status":"applied","durable":true}',
  );
  assert.deepEqual(driver.state.serving, {
    version: 6,
    epoch: null,
    digest: OTHER,
    durable: true,
  });
});

Deno.test("step() collects parts and applies them once they are whole", () => {
  const driver = Driver.open(serving());
  assert.deepEqual(kinds(driver.text(begin())), ["collect"]);
  assert.deepEqual(kinds(driver.part(4)), ["keep"]);
  assert.deepEqual(kinds(driver.text({ type: "ping" })), ["send"]);
  assert.deepEqual(kinds(driver.part(0)), ["keep"]);
  const last = driver.part(6);
  assert.equal(only(last, "keep").at, 4);
  assert.deepEqual(only(last, "apply").body, { kind: "collected" });
  const effects = driver.do({
    type: "applied",
    outcome: { status: "applied", digest: OTHER, durable: false },
  });
  assert.equal(
    encode(only(effects, "send").message),
    '{"type":"ack","version":6,"status":"applied","epoch":"e","durable":false}',
  );
});

Deno.test("step() answers a push that is served already, and one that is older, without applying", () => {
  for (
    const { fields, status } of [
      { fields: { version: 5, digest: DIGEST }, status: "applied" },
      { fields: { version: 5 }, status: "rejected" },
      { fields: { version: 4 }, status: "rejected" },
      { fields: { epoch: "f" }, status: "rejected" },
    ]
  ) {
    const driver = Driver.open(serving());
    driver.text(begin(fields));
    const effects = driver.part(10);
    assert.deepEqual(kinds(effects), ["keep", "forget", "send"]);
    const { message } = only(effects, "send");
    assert.ok(message.type === "ack" && message.status === status);
    assert.equal(message.error === null, status === "applied");
    assert.deepEqual(driver.state.serving, serving());
  }
});

Deno.test("step() lets the applier compare a draft push of the served version", () => {
  const driver = Driver.open(serving());
  const apply = only(driver.text(update({ version: 5 })), "apply");
  assert.equal(apply.sameAs, DIGEST);
  const effects = driver.do({
    type: "applied",
    outcome: { status: "unchanged", durable: true },
  });
  const { message } = only(effects, "send");
  assert.ok(message.type === "ack" && message.status === "applied");
  assert.deepEqual(driver.state.serving, serving());
});

Deno.test("step() keeps its epoch over a draft push, so that nothing older comes back", () => {
  const driver = Driver.open(serving());
  const apply = only(driver.text(update({ version: 9 })), "apply");
  assert.deepEqual([apply.push.version, apply.push.epoch], [9, "e"]);
  driver.do({
    type: "applied",
    outcome: { status: "applied", digest: OTHER, durable: true },
  });
  assert.deepEqual(
    driver.state.serving,
    serving({ version: 9, digest: OTHER }),
  );
  const effects = driver.text(update({ version: 6, epoch: "e" }));
  const { message } = only(effects, "send");
  assert.ok(message.type === "ack" && message.status === "rejected");
});

Deno.test("step() has a config saved that is pushed again and is not on the disk", () => {
  const driver = Driver.open(serving({ durable: false }));
  const again = update({ version: 5, epoch: "e", digest: DIGEST });
  assert.equal(only(driver.text(again), "apply").sameAs, DIGEST);
  const effects = driver.do({
    type: "applied",
    outcome: { status: "unchanged", durable: true },
  });
  const { message } = only(effects, "send");
  assert.ok(message.type === "ack" && message.durable === true);
  assert.deepEqual(driver.state.serving, serving());
  assert.deepEqual(kinds(driver.text(again)), ["send"]);
});

Deno.test("step() tells of a config that reached the disk late, and of no other", () => {
  const driver = Driver.open(serving({ durable: false }));
  const { durable: _, ...head } = serving();
  assert.deepEqual(
    driver.do({ type: "saved", head: { ...head, version: 4 } }),
    [],
  );
  const { message } = only(driver.do({ type: "saved", head }), "send");
  assert.ok(message.type === "ack" && message.durable === true);
  assert.deepEqual(driver.state.serving, serving());
  assert.deepEqual(driver.do({ type: "saved", head }), []);
});

Deno.test("step() tells how far what is served is drained, behind its ack and after each connect", () => {
  const report = {
    version: 6,
    epoch: "e",
    requests: 1,
    streams: 2,
    oldestMs: 9,
  };
  const over = { ...report, requests: 0, streams: 0, oldestMs: 0 };
  const driver = Driver.open(serving());
  const sent = (effects: readonly Effect[]) =>
    effects.filter((effect) => effect.type === "send").map(({ message }) =>
      message
    );
  driver.text(begin());
  driver.part(10);
  // The data path serves it, and it is not on the disk yet.
  assert.deepEqual(driver.do({ type: "fence", report }), []);
  const effects = driver.do({
    type: "applied",
    outcome: { status: "applied", digest: OTHER, durable: false },
  });
  const draining = {
    type: "draining",
    version: 6,
    epoch: "e",
    digest: OTHER,
    durable: false,
    requests: 1,
    streams: 2,
    oldest_ms: 9,
  };
  assert.deepEqual(sent(effects).map(({ type }) => type), ["ack", "draining"]);
  assert.deepEqual(sent(effects).at(-1), draining);
  const drained = {
    type: "drained",
    version: 6,
    epoch: "e",
    digest: OTHER,
    durable: false,
  };
  assert.deepEqual(sent(driver.do({ type: "fence", report: over })), [drained]);
  driver.do({ type: "closed", socket: driver.socket, code: 1006, reason: "" });
  driver.timer();
  assert.deepEqual(
    sent(driver.do({ type: "opened", socket: driver.socket })),
    [drained],
  );
  // What is old under another version is nobody's business yet.
  assert.deepEqual(
    driver.do({ type: "fence", report: { ...over, version: 7 } }),
    [],
  );
});

Deno.test("step() drops an unfinished config when a new one begins", () => {
  const driver = Driver.open();
  driver.text(begin());
  driver.part(4);
  assert.deepEqual(kinds(driver.text(begin({ version: 7, bytes: 3 }))), [
    "forget",
    "collect",
  ]);
  const last = driver.part(3);
  assert.equal(only(last, "keep").at, 0);
  assert.equal(only(last, "apply").push.version, 7);
});

Deno.test("step() rejects a config over the limit without keeping it or losing the connection", () => {
  const driver = Driver.open();
  assert.deepEqual(kinds(driver.text(begin({ bytes: 1001 }))), []);
  assert.deepEqual(kinds(driver.part(1000)), []);
  const { message } = only(driver.part(1), "send");
  assert.ok(message.type === "ack" && message.status === "rejected");
  assert.match(message.error!, /1001 bytes .* 1000/);
  assert.equal(driver.state.phase.kind, "open");
});

for (
  const { name, act, code } of [
    {
      name: "a part nobody announced",
      act: (driver: Driver) => driver.part(1),
      code: CLOSE.malformed,
    },
    {
      name: "more bytes than announced",
      act: (driver: Driver) => (driver.text(begin()), driver.part(11)),
      code: CLOSE.malformed,
    },
    {
      name: "a part that is too large",
      act: (driver: Driver) => {
        driver.text(begin({ bytes: 2 * MAX_PART_BYTES }));
        return driver.part(MAX_PART_BYTES + 1);
      },
      code: CLOSE.tooLarge,
    },
    {
      name: "a known type of the wrong shape",
      act: (driver: Driver) =>
        driver.text({ type: "config_begin", version: 6 }),
      code: CLOSE.malformed,
    },
    {
      name: "a frame over the limit",
      act: (driver: Driver) =>
        driver.do({
          type: "broken",
          socket: driver.socket,
          reason: "x",
          tooLarge: true,
        }),
      code: CLOSE.tooLarge,
    },
    {
      name: "a broken frame",
      act: (driver: Driver) =>
        driver.do({
          type: "broken",
          socket: driver.socket,
          reason: "x",
          tooLarge: false,
        }),
      code: CLOSE.malformed,
    },
  ]
) {
  Deno.test(`step() closes with ${code} on ${name}`, () => {
    const driver = Driver.open();
    assert.equal(only(act(driver), "close").code, code);
    assert.equal(driver.state.phase.kind, "closing");
  });
}

Deno.test("step() ignores and notes a message of an unknown type", () => {
  const driver = Driver.open();
  const effects = driver.text({ type: "of_tomorrow" });
  assert.deepEqual(effects, [{
    type: "note",
    note: { kind: "ignored", messageType: "of_tomorrow" },
  }]);
});

Deno.test("step() holds a push that comes while one is applied, reads no further, and takes it after", () => {
  const driver = Driver.open();
  driver.text(update());
  assert.deepEqual(kinds(driver.text(update({ version: 7 }))), ["pause"]);
  assert.equal(deadline(driver.state, LIMITS), null);
  const effects = driver.do({
    type: "applied",
    outcome: { status: "applied", digest: DIGEST, durable: true },
  }, 60_000);
  assert.deepEqual(kinds(effects), ["send", "resume", "apply"]);
  assert.equal(only(effects, "apply").push.version, 7);
  assert.equal(deadline(driver.state, LIMITS), 72_000);
});

Deno.test("step() keeps applying when the connection ends, and acks on no other", () => {
  const driver = Driver.open();
  driver.text(update());
  driver.do({ type: "closed", socket: driver.socket, code: 1006, reason: "" });
  driver.timer();
  driver.do({ type: "opened", socket: driver.socket });
  assert.deepEqual(
    kinds(driver.do({
      type: "applied",
      outcome: { status: "applied", digest: DIGEST, durable: true },
    })),
    [],
  );
  assert.equal(driver.state.serving?.version, 6);
});

Deno.test("step() cuts the error of an ack", () => {
  const driver = Driver.open();
  driver.text(update());
  const { message } = only(
    driver.do({
      type: "applied",
      outcome: { status: "rejected", error: "x".repeat(2 * MAX_ERROR_LENGTH) },
    }),
    "send",
  );
  assert.ok(message.type === "ack");
  assert.equal(message.error!.length, MAX_ERROR_LENGTH);
});

Deno.test("step() stops from every phase and stays stopped", () => {
  const waiting = new Driver();
  waiting.do({ type: "start" });
  waiting.do({
    type: "closed",
    socket: waiting.socket,
    code: 1006,
    reason: "",
  });
  const connecting = new Driver();
  connecting.do({ type: "start" });
  for (const driver of [new Driver(), waiting, connecting]) {
    driver.do({ type: "stop" });
    assert.equal(driver.state.phase.kind, "stopped");
  }
  const open = Driver.open();
  assert.equal(only(open.do({ type: "stop" }), "close").code, 1001);
  assert.deepEqual(kinds(open.timer()), ["destroy"]);
  assert.equal(open.state.phase.kind, "stopped");
  assert.deepEqual(open.do({ type: "start" }), []);
  assert.equal(deadline(open.state, LIMITS), null);
});

Deno.test("step() leaves nothing over after 100,000 failed attempts", () => {
  const driver = new Driver(serving());
  driver.do({ type: "start" });
  for (let i = 0; i < 100_000; i++) {
    driver.random = (i * 0.618) % 1;
    driver.do({
      type: "closed",
      socket: driver.socket,
      code: 1006,
      reason: "",
    });
    const waited = deadline(driver.state, LIMITS)! - driver.now;
    assert.ok(waited >= 0 && waited <= 5000);
    driver.timer();
    driver.effects = [];
  }
  const fresh = new Driver(serving());
  fresh.do({ type: "start" });
  assert.equal(
    JSON.stringify(driver.state).replaceAll(/[0-9.]+/g, "0"),
    JSON.stringify(fresh.state).replaceAll(/[0-9.]+/g, "0"),
  );
});

/** Anything that may happen, on this connection or an earlier one, in any order. */
const happening = fc.oneof(
  fc.record({ kind: fc.constant("time"), ms: fc.nat(20_000) }),
  fc.constant({ kind: "opened" }),
  fc.constant({ kind: "closed" }),
  fc.constant({ kind: "peer_closes" }),
  fc.constant({ kind: "stale" }),
  fc.record({
    kind: fc.constant("push"),
    version: fc.integer({ min: 1, max: 6 }),
    epoch: fc.constantFrom("e", "f", null),
    supersedes: fc.constantFrom([], ["e"], ["f"]),
  }),
  fc.record({
    kind: fc.constant("begin"),
    version: fc.integer({ min: 1, max: 6 }),
    epoch: fc.constantFrom("e", "f"),
    supersedes: fc.constantFrom([], ["e"], ["f"]),
    bytes: fc.constantFrom(1, 3, 2000),
  }),
  fc.record({ kind: fc.constant("part"), size: fc.nat(3) }),
  fc.record({ kind: fc.constant("ping"), version: fc.nat(8) }),
  fc.record({
    kind: fc.constant("applied"),
    ok: fc.boolean(),
  }),
);

type Happening = typeof happening extends fc.Arbitrary<infer T> ? T : never;

/** The digest of a version's contents, so that equal versions have equal digests. */
function digestFor(version: number, epoch: string | null): string {
  return `sha256:${String(version).repeat(32)}${epoch === "f" ? "f" : "e"}${
    "0".repeat(31)
  }`.slice(0, 71);
}

function perform(driver: Driver, happening: Happening): void {
  const { socket } = driver;
  switch (happening.kind) {
    case "time":
      driver.do({ type: "timer", late: 0 }, driver.now + happening.ms);
      return;
    case "opened":
      driver.do({ type: "opened", socket });
      return;
    case "closed":
      driver.do({ type: "closed", socket, code: 1006, reason: "" });
      return;
    case "peer_closes":
      driver.do({ type: "closing", socket, code: 1001, reason: "" });
      return;
    case "stale":
      driver.do({ type: "closed", socket: socket - 1, code: 1006, reason: "" });
      return;
    case "push": {
      const { version, epoch, supersedes } = happening;
      driver.text(
        update({ version, ...(epoch === null ? {} : { epoch }), supersedes }),
      );
      return;
    }
    case "begin": {
      const { version, epoch, supersedes, bytes } = happening;
      const digest = digestFor(version, epoch);
      driver.text(begin({ version, epoch, supersedes, bytes, digest }));
      return;
    }
    case "part":
      driver.part(happening.size);
      return;
    case "ping":
      driver.text({ type: "ping", version: happening.version });
      return;
    case "applied": {
      const { applying } = driver.state;
      if (applying === null) return;
      const { version, epoch } = applying.push;
      driver.do({
        type: "applied",
        outcome: happening.ok
          ? {
            status: "applied",
            digest: digestFor(version, epoch),
            durable: true,
          }
          : { status: "rejected", error: "no" },
      });
      return;
    }
    default:
      happening satisfies never;
  }
}

Deno.test("step() keeps its promises whatever happens in whatever order", () => {
  fc.assert(
    fc.property(fc.array(happening, { maxLength: 60 }), (happenings) => {
      const driver = new Driver();
      driver.do({ type: "start" });
      let alive = 0;
      let collected = false;
      let applying = 0;
      const check = (
        before: LinkState,
        effects: readonly Effect[],
        gone: boolean,
      ) => {
        if (gone) alive = 0;
        for (const effect of effects) {
          switch (effect.type) {
            case "connect":
              alive++;
              assert.equal(alive, 1, "two connections at once");
              break;
            case "destroy":
              alive--;
              break;
            case "collect":
              collected = true;
              break;
            case "keep":
              assert.ok(collected, "a part is kept nowhere");
              break;
            case "forget":
              collected = false;
              break;
            case "apply":
              applying++;
              assert.equal(applying, 1, "two configs applied at once");
              if (effect.body.kind === "collected") {
                assert.ok(collected, "parts are applied that are gone");
                collected = false;
              }
              break;
            case "send":
              assert.equal(before.phase.kind, "open", "sent on no connection");
              break;
          }
        }
        const { phase, serving } = driver.state;
        // Never older within an epoch.
        if (
          before.serving !== null && serving !== null &&
          before.serving.epoch === serving.epoch
        ) assert.ok(serving.version >= before.serving.version, "went back");
        // A link that lives always has something to wait for: its one timer, or the applier.
        assert.ok(
          phase.kind === "stopped" ||
            deadline(driver.state, LIMITS) !== null ||
            driver.state.applying !== null,
          `hangs in ${phase.kind}`,
        );
        const holding = phase.kind === "open" &&
          (phase.transfer?.kept === true ||
            phase.pending?.body.kind === "collected");
        assert.equal(
          collected,
          holding,
          "parts are held for nothing, or not held",
        );
      };
      check(initialState(null), driver.effects, false);
      for (const happening of happenings) {
        const before = driver.state;
        driver.effects = [];
        const hadSocket = "socket" in before.phase;
        if (happening.kind === "applied" && before.applying !== null) {
          applying--;
        }
        perform(driver, happening);
        check(before, driver.effects, hadSocket && happening.kind === "closed");
      }
    }),
    { numRuns: 2000 },
  );
});

Deno.test("step() changes nothing when a served push comes again", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 1, max: 20 }),
      (version, times) => {
        const digest = digestFor(version, "e");
        const driver = Driver.open(serving({ version, digest }));
        const before = driver.state.serving;
        for (let i = 0; i < times; i++) {
          driver.text(begin({ version, digest }));
          const effects = driver.part(10);
          const { message } = only(effects, "send");
          assert.ok(message.type === "ack" && message.status === "applied");
          assert.ok(!kinds(effects).includes("apply"));
        }
        assert.equal(driver.state.serving, before);
      },
    ),
  );
});
