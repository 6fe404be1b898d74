/** Long outages of the control plane, as a router's link feels them. */
import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { LINK_BACKOFF } from "../../shared/backoff.ts";
import { FakeClock } from "../../shared/fake_clock.ts";
import { parseToRouter } from "../../shared/protocol.ts";
import { Link, type LinkOptions } from "./link.ts";
import type { Connect, LinkSocket, SocketHandlers } from "./socket.ts";
import {
  deadline,
  DEFAULT_LIMITS,
  type Effect,
  initialState,
  type LinkEvent,
  type LinkLimits,
  type Phase,
} from "./state.ts";
import { step } from "./step.ts";

const HOUR_MS = 3_600_000;
const SILENCE_MS = 12_000;
const MAX_CONFIG_BYTES = 1024 * 1024;
const PART = new Uint8Array(3000);
const ATTEMPTS = 100_000;

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

/** Bytes that are reachable, inside the heap and beside it. */
async function reachableBytes(): Promise<number> {
  // What a WeakRef was asked for is kept until the turn is over.
  await new Promise((resolve) => setTimeout(resolve, 0));
  collectGarbage();
  const { heapUsed, external } = Deno.memoryUsage();
  return heapUsed + external;
}

/** Numbers from 0 up to 1 that are the same in every run (mulberry32). */
function numbers(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** What a push begins with; `fields` replace what it says. */
function begin(fields: object = {}): object {
  return {
    type: "config_begin",
    version: 7,
    epoch: "e1",
    encoding: "gzip",
    digest: `sha256:${"0".repeat(64)}`,
    bytes: 65_536,
    ...fields,
  };
}

/** A connection as the link has it in its hands; a test decides what becomes of it. */
class Connection implements LinkSocket {
  readonly sent: { type: string; [field: string]: unknown }[] = [];
  /** Whether it answers a close as it should. */
  answersClose = false;
  readonly #handlers: SocketHandlers;
  readonly #onGone: () => void;
  #gone = false;

  constructor(handlers: SocketHandlers, onGone: () => void) {
    this.#handlers = handlers;
    this.#onGone = onGone;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(code: number): void {
    if (this.answersClose) queueMicrotask(() => this.end(code, "bye"));
  }
  destroy(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#onGone();
  }
  pause(): void {}
  resume(): void {}

  open(): void {
    this.#handlers.open("signalbox.v1");
  }
  text(message: object): void {
    const text = JSON.stringify(message);
    this.#handlers.text(text, text.length);
  }
  part(data: Uint8Array): void {
    this.#handlers.binary(data);
  }
  closing(code: number): void {
    this.#handlers.closing(code, "");
  }
  end(code: number, reason: string): void {
    if (this.#gone) return;
    this.destroy();
    this.#handlers.closed(code, reason);
  }
}

/** What a control plane that is gone does to an attempt. */
type Fault = (connection: Connection) => void;

const FAULTS: readonly Fault[] = [
  // Refused at once.
  (connection) => connection.end(1006, "connection refused"),
  // A handshake that never ends.
  () => {},
  // Open and then silent, with or without an answer to the close.
  (connection) => connection.open(),
  (connection) => {
    connection.answersClose = true;
    connection.open();
  },
  // Closed after a push began.
  (connection) => {
    connection.open();
    connection.text(begin());
    connection.part(PART);
    connection.end(1006, "the connection ended");
  },
  // Silent after a push began.
  (connection) => {
    connection.open();
    connection.text(begin());
    connection.part(PART);
  },
  // Closed while a push is being applied, which outlives the connection.
  (connection) => {
    connection.open();
    connection.text({ type: "config_update", version: 7, config: {} });
    connection.text({ type: "config_update", version: 8, config: {} });
    connection.end(1006, "the connection ended");
  },
  // Accepted and closed at once, by a peer that lets go and by one that does not.
  (connection) => {
    connection.open();
    connection.closing(1012);
    connection.end(1012, "");
  },
  (connection) => {
    connection.open();
    connection.closing(1012);
  },
  // An error status.
  (connection) => connection.end(1006, "the answer is HTTP status 503"),
];

/** A link whose control plane is gone, on a clock that stands still, and a count of all it holds. */
class Outage {
  readonly clock = new FakeClock();
  readonly link: Link;
  readonly random: () => number;
  attempts = 0;
  /** Connections that are not gone. */
  alive = 0;
  /** Promises given to the link that are not settled. */
  applying = 0;
  back = false;
  connection: Connection | null = null;
  /** How often each tenth of the longest wait was waited, once waits may be as long as that. */
  readonly waits = new Array<number>(10).fill(0);
  /** One in a hundred of the connections there were. */
  readonly sampled: WeakRef<Connection>[] = [];
  /** A wait that was longer than its span, told here because what the link calls must not throw. */
  tooLong: string | null = null;
  #lost = { failures: 0, at: 0 };

  constructor(seed: number, options: Partial<LinkOptions> = {}) {
    this.random = numbers(seed);
    this.link = new Link({
      urls: ["ws://127.0.0.1:1/", "ws://127.0.0.1:2/"],
      id: "r",
      instance: "i",
      silenceMs: SILENCE_MS,
      maxConfigBytes: MAX_CONFIG_BYTES,
      serving: null,
      apply: () => this.#apply(),
      connect: (_url, _options, handlers) => this.#connect(handlers),
      clock: this.clock,
      random: this.random,
      ...options,
    });
  }

  /** Lets the next timer fire; an attempt that follows from it meets the fault. */
  async turn(fault: Fault): Promise<void> {
    const before = this.attempts;
    assert.ok(this.clock.next(), "nothing will ever happen again");
    if (this.attempts > before) fault(this.connection!);
    // What waits for its turn only: the answer to a close, the outcome of a push.
    for (let i = 0; i < 4; i++) await Promise.resolve();
    this.#see();
    assert.ok(this.alive <= 1, "two connections at once");
    assert.equal(this.clock.timers, 1 + this.applying);
  }

  /** The control plane is there again: the link comes within its longest wait, and takes a push. */
  async recovers(): Promise<void> {
    while (this.alive > 0) await this.turn(() => {});
    this.back = true;
    const since = this.clock.now();
    const before = this.attempts;
    while (this.attempts === before) assert.ok(this.clock.next());
    assert.ok(this.clock.now() - since <= LINK_BACKOFF.capMs);
    const connection = this.connection!;
    connection.open();
    connection.text(begin({ version: 9, bytes: PART.length }));
    connection.part(PART);
    // One that is being applied still, and then this one.
    for (let i = 0; i < 2; i++) {
      this.clock.advance(2000);
      for (let i = 0; i < 4; i++) await Promise.resolve();
    }
    assert.deepEqual(connection.sent, [{
      type: "ack",
      version: 9,
      epoch: "e1",
      status: "applied",
      durable: true,
    }]);
    const { connected, version, lag } = this.link.status();
    assert.deepEqual({ connected, version, lag }, {
      connected: true,
      version: 9,
      lag: 0,
    });
  }

  async ends(): Promise<void> {
    await Promise.all([this.link.stop(), this.clock.advance(1000)]);
    const { timers } = this.clock;
    const { alive, applying } = this;
    assert.deepEqual({ timers, alive, applying }, {
      timers: 0,
      alive: 0,
      applying: 0,
    });
  }

  #connect(handlers: SocketHandlers): LinkSocket {
    this.#see();
    if (this.attempts > 0) this.#waited(this.clock.now() - this.#lost.at);
    this.alive++;
    this.connection = new Connection(handlers, () => this.alive--);
    if (this.attempts++ % 100 === 0) {
      this.sampled.push(new WeakRef(this.connection));
    }
    return this.connection;
  }

  #see(): void {
    const { failures } = this.link.counters;
    if (failures > this.#lost.failures) {
      this.#lost = { failures, at: this.clock.now() };
    }
  }

  #waited(ms: number): void {
    const { baseMs, capMs } = LINK_BACKOFF;
    const span = Math.min(capMs, baseMs * 2 ** (this.#lost.failures - 1));
    if (ms < 0 || ms > span) this.tooLong = `${ms} ms of at most ${span} ms`;
    if (span === capMs) this.waits[Math.floor(10 * ms / capMs)]!++;
  }

  async #apply(): ReturnType<LinkOptions["apply"]> {
    this.applying++;
    await new Promise<void>((resolve) => this.clock.after(1500, resolve));
    this.applying--;
    return this.back
      ? { status: "applied", digest: "d", durable: true }
      : { status: "rejected", error: "no" };
  }
}

for (
  const { name, over, fault } of [
    {
      name: "100,000 attempts, each met in another way",
      over: ({ attempts }: Outage) => attempts / ATTEMPTS,
      fault: ({ random }: Outage) =>
        FAULTS[Math.floor(random() * FAULTS.length)]!,
    },
    {
      name: "72 hours without a control plane, each hour in another way",
      over: ({ clock }: Outage) => clock.now() / (72 * HOUR_MS),
      fault: ({ clock }: Outage) =>
        FAULTS[Math.floor(clock.now() / HOUR_MS) % FAULTS.length]!,
    },
  ]
) {
  Deno.test(`Link holds nothing more after ${name}, and recovers`, async () => {
    const outage = new Outage(1);
    const turns = async (share: number) => {
      while (over(outage) < share) await outage.turn(fault(outage));
      return reachableBytes();
    };
    outage.link.start();
    const early = await turns(0.2);
    const since = outage.attempts;
    const late = await turns(1);
    // One pointer left over by each attempt would be more.
    assert.ok(
      late - early < 8 * (outage.attempts - since),
      `${late - early} bytes more after ${outage.attempts - since} attempts`,
    );
    const kept = outage.sampled.filter((one) => one.deref() !== undefined);
    assert.ok(kept.length <= 1, `${kept.length} connections are kept`);
    assert.equal(outage.tooLong, null);
    const waits = outage.waits.reduce((a, b) => a + b);
    for (const count of outage.waits) {
      assert.ok(
        count > 0.08 * waits && count < 0.12 * waits,
        `waits are not spread: ${outage.waits}`,
      );
    }
    await outage.recovers();
    await outage.ends();
  });
}

Deno.test("Link tries as often as its backoff says in a day of refusals", async () => {
  const outage = new Outage(2);
  outage.link.start();
  outage.connection!.end(1006, "connection refused");
  while (outage.clock.now() < 24 * HOUR_MS) await outage.turn(FAULTS[0]!);
  assert.equal(outage.tooLong, null);
  const expected = 24 * HOUR_MS / (LINK_BACKOFF.capMs / 2);
  assert.ok(Math.abs(outage.attempts / expected - 1) < 0.02);
  await outage.recovers();
  await outage.ends();
});

Deno.test("Link waits for a control plane again after this machine slept for 72 hours", async () => {
  const outage = new Outage(3);
  outage.link.start();
  for (const fault of FAULTS) {
    await outage.turn(fault);
    outage.clock.suspend(72 * HOUR_MS);
    await outage.turn(fault);
  }
  await outage.recovers();
  await outage.ends();
});

Deno.test("Links that lost their control plane at one moment do not come back at one moment", async () => {
  const clock = new FakeClock();
  const arrivals = new Array<number>(10).fill(0);
  const minute = clock.now() + 60_000;
  const open = new Set<Connection>();
  const connect: Connect = (_url, _options, handlers) => {
    const connection = new Connection(handlers, () => open.delete(connection));
    open.add(connection);
    connection.answersClose = true;
    const late = clock.now() - minute;
    queueMicrotask(() => {
      if (late < 0) return connection.end(1006, "connection refused");
      arrivals[Math.floor(10 * late / LINK_BACKOFF.capMs)]!++;
      connection.open();
    });
    return connection;
  };
  const fleet = Array.from({ length: 300 }, (_, seed) => {
    const { link } = new Outage(seed, { connect, clock });
    link.start();
    return link;
  });
  while (!fleet.every((link) => link.status().connected)) {
    await Promise.resolve();
    assert.ok(clock.next());
    await Promise.resolve();
    assert.ok(clock.now() <= minute + LINK_BACKOFF.capMs);
  }
  assert.equal(open.size, fleet.length);
  // What is left of waits is shorter than waits: nearly a fifth comes in the first tenth.
  assert.ok(arrivals.every((count) => count <= 0.3 * fleet.length));
  await Promise.all(fleet.map((link) => link.stop()));
  assert.deepEqual({ timers: clock.timers, open: open.size }, {
    timers: 0,
    open: 0,
  });
});

Deno.test("step() keeps a state of one size, and no part of a push between attempts", () => {
  const limits: LinkLimits = {
    ...DEFAULT_LIMITS,
    targets: 2,
    silenceMs: SILENCE_MS,
    maxConfigBytes: MAX_CONFIG_BYTES,
  };
  const random = numbers(4);
  let state = initialState(null);
  let now = 0;
  let alive = 0;
  let collected = false;
  let largest: Partial<Record<Phase["kind"], number>> | null = {};
  const take = (effect: Effect) => {
    if (effect.type === "connect") alive++;
    if (effect.type === "destroy") alive--;
    if (effect.type === "collect") collected = true;
    if (effect.type === "forget") collected = false;
    assert.notEqual(effect.type, "apply");
  };
  const happen = (event: LinkEvent) => {
    const [next, effects] = step(state, event, {
      now,
      random: random(),
      limits,
    });
    state = next;
    effects.forEach(take);
    if (state.phase.kind === "waiting") assert.equal(collected, false);
    if (largest === null) return;
    // The digits of a number are no growth.
    const { length } = JSON.stringify(
      state,
      (_, value) => typeof value === "number" ? 0 : value,
    );
    const { kind } = state.phase;
    largest[kind] = Math.max(largest[kind] ?? 0, length);
  };
  const attempt = () => {
    const { phase } = state;
    assert.ok(phase.kind === "connecting" && alive === 1);
    const { socket } = phase;
    const chance = random();
    if (chance > 0.2) happen({ type: "opened", socket });
    if (chance > 0.4) {
      const text = JSON.stringify(begin());
      const parsed = parseToRouter(text);
      happen({ type: "text", socket, parsed, bytes: text.length });
      happen({ type: "part", socket, data: PART });
    }
    if (random() < 0.5) {
      alive--;
      happen({ type: "closed", socket, code: 1006, reason: "gone" });
    }
    do {
      now = deadline(state, limits)!;
      happen({ type: "timer", late: 0 });
    } while (state.phase.kind !== "connecting");
  };
  happen({ type: "start" });
  for (let i = 0; i < 1000; i++) attempt();
  const first = largest;
  largest = null;
  for (let i = 2000; i < ATTEMPTS; i++) attempt();
  largest = {};
  for (let i = 0; i < 1000; i++) attempt();
  assert.deepEqual(largest, first);
});
