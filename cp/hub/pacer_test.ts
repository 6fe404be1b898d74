import assert from "node:assert/strict";
import { FakeSocket, SettlingClock } from "./fakes.ts";
import { Pacer, PACER_LIMITS, type Transfer } from "./pacer.ts";

/** A transfer of so many bytes that keeps what happens to it. */
class Push implements Transfer {
  readonly outlet = new FakeSocket();
  readonly happened: string[] = [];
  readonly #bytes: number;

  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  begin() {
    this.happened.push("begin");
    return { text: "begin", body: new Uint8Array(this.#bytes) };
  }

  moved() {
    this.happened.push("moved");
  }

  sent() {
    this.happened.push("sent");
  }

  evict() {
    this.happened.push("evict");
  }

  /** How many parts it has sent. */
  get parts(): number {
    return this.outlet.sent.length - 1;
  }
}

const PART = PACER_LIMITS.partBytes;
/** Each part in one frame, so that frames count parts. */
const LIMITS = { ...PACER_LIMITS, frameBytes: PART };

Deno.test("Pacer sends the next part when the last has left", async () => {
  const clock = new SettlingClock();
  const pacer = new Pacer(clock, LIMITS);
  const push = new Push(2 * PART + 1);
  push.outlet.stalled = true;
  pacer.enqueue(push);
  await clock.advance(20);
  assert.equal(push.parts, 1);
  assert.equal(pacer.bytesInFlight, PART + 5);
  push.outlet.bufferedAmount = 0;
  await clock.advance(20);
  assert.equal(push.parts, 2);
  push.outlet.flow();
  await clock.advance(20);
  assert.deepEqual(push.outlet.body.length, 2 * PART + 1);
  assert.equal(push.happened.at(-1), "sent");
  assert.equal(pacer.bytesInFlight, 0);
  assert.equal(pacer.bytesTotal, 2 * PART + 6);
});

for (const connections of [PACER_LIMITS.many, PACER_LIMITS.many + 1]) {
  Deno.test(`Pacer sends a part as small frames, with ${connections} connections`, async () => {
    const clock = new SettlingClock();
    const pacer = new Pacer(clock, PACER_LIMITS, () => connections);
    const push = new Push(PART + 10);
    push.outlet.stalled = true;
    pacer.enqueue(push);
    await clock.advance(5);
    const { many, frameBytes, frameBytesOfMany } = PACER_LIMITS;
    const size = connections > many ? frameBytesOfMany : frameBytes;
    const frames = push.outlet.sent.slice(1);
    assert.equal(frames.length, PART / size);
    assert.ok(frames.every((frame) => frame.length === size));
    push.outlet.flow();
    await clock.advance(20);
    assert.equal(push.outlet.body.length, PART + 10);
  });
}

Deno.test("Pacer sets no timer while nothing is on its way", async () => {
  const clock = new SettlingClock();
  const pacer = new Pacer(clock, LIMITS);
  assert.equal(clock.timers, 0);
  pacer.enqueue(new Push(10));
  await clock.advance(10);
  assert.equal(clock.timers, 0);
  const push = new Push(10);
  push.outlet.stalled = true;
  pacer.enqueue(push);
  await clock.advance(10);
  assert.equal(clock.timers, 1);
  pacer.remove(push);
  await clock.advance(0);
  assert.equal(clock.timers, 0);
});

Deno.test("Pacer shows what a dropped push left in its socket until that has closed", async () => {
  const clock = new SettlingClock();
  const pacer = new Pacer(clock, { ...LIMITS, maxBytes: PART });
  const push = new Push(PART);
  push.outlet.stalled = true;
  pacer.enqueue(push);
  await clock.advance(10);
  pacer.remove(push);
  assert.equal(pacer.bytesInFlight, PART + 5);
  // Others go on.
  const other = new Push(10);
  pacer.enqueue(other);
  await clock.advance(10);
  assert.equal(other.happened.at(-1), "sent");
  pacer.release(push);
  assert.equal(pacer.bytesInFlight, 0);
});

Deno.test("Pacer gives the place of a push that stands still to another", async () => {
  const clock = new SettlingClock();
  const pacer = new Pacer(clock, { ...LIMITS, maxActive: 1 });
  const slow = new Push(2 * PART);
  slow.outlet.stalled = true;
  const other = new Push(10);
  pacer.enqueue(slow);
  pacer.enqueue(other);
  await clock.advance(490);
  assert.deepEqual(other.happened, []);
  await clock.advance(60);
  assert.equal(other.happened.at(-1), "sent");
  assert.deepEqual(pacer.counts, { waiting: 0, active: 0, stalled: 1 });
  slow.outlet.flow();
  await clock.advance(100);
  assert.equal(slow.happened.at(-1), "sent");
  assert.equal(slow.outlet.body.length, 2 * PART);
});

Deno.test("Pacer bounds pushes at a time and bytes in flight", async () => {
  const clock = new SettlingClock();
  const pacer = new Pacer(clock, {
    ...LIMITS,
    maxActive: 3,
    maxActiveBytes: 2 * PART + 100,
  });
  const pushes = Array.from({ length: 5 }, () => new Push(2 * PART));
  for (const push of pushes) {
    push.outlet.stalled = true;
    pacer.enqueue(push);
  }
  await clock.advance(5);
  assert.equal(pacer.counts.active, 2);
  for (const push of pushes) push.outlet.flow();
  await clock.advance(50);
  assert.ok(pushes.every((push) => push.happened.at(-1) === "sent"));
});

Deno.test("Pacer asks the stillest to leave when others need its memory", async () => {
  const clock = new SettlingClock();
  const pacer = new Pacer(clock, {
    ...LIMITS,
    maxActive: 1,
    maxBytes: 2 * PART,
    evictMs: 3_000,
  });
  const still = new Push(2 * PART);
  still.outlet.stalled = true;
  const other = new Push(10);
  pacer.enqueue(still);
  pacer.enqueue(other);
  await clock.advance(2_900);
  assert.deepEqual(other.happened, []);
  assert.ok(!still.happened.includes("evict"));
  await clock.advance(200);
  assert.ok(still.happened.includes("evict"));
  pacer.remove(still);
  await clock.advance(10);
  assert.equal(other.happened.at(-1), "sent");
});
