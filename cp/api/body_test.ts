import assert from "node:assert/strict";
import { BodyBudget, joinParts, readParts } from "./body.ts";
import { ProblemError } from "./problem.ts";

function sent(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Request {
  return new Request("http://localhost/", { method: "PUT", body: stream });
}

function status(expected: number) {
  return (error: unknown) =>
    error instanceof ProblemError && error.status === expected;
}

Deno.test("readParts() takes what comes, up to its bound", async () => {
  const parts = () =>
    ReadableStream.from([new Uint8Array(3), new Uint8Array(4)]);
  const lease = new BodyBudget(100);
  const body = await readParts(sent(parts()), { maxBytes: 7, lease });
  assert.equal(body.size, 7);
  assert.equal(joinParts(body.parts).length, 7);
  assert.equal(lease.used, 7);
  await assert.rejects(
    readParts(sent(parts()), { maxBytes: 6, lease }),
    status(413),
  );
});

Deno.test("readParts() gives up a body that stops coming", async () => {
  let cancelled = false;
  const silent = new ReadableStream<Uint8Array<ArrayBuffer>>({
    cancel() {
      cancelled = true;
    },
  });
  await assert.rejects(
    readParts(sent(silent), {
      maxBytes: 10,
      lease: new BodyBudget(100),
      idleMs: 1,
    }),
    status(408),
  );
  assert.equal(cancelled, true);
});

Deno.test("readParts() gives up a body that trickles in for too long", async () => {
  let timer: ReturnType<typeof setInterval> | undefined;
  const trickle = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      timer = setInterval(() => controller.enqueue(new Uint8Array(1)), 1);
    },
    cancel: () => clearInterval(timer),
  });
  await assert.rejects(
    readParts(sent(trickle), {
      maxBytes: 10_000,
      lease: new BodyBudget(10_000),
      totalMs: 50,
    }),
    status(408),
  );
});

Deno.test("readParts() lets others have their turn while a body is there faster than it is taken", async () => {
  let turned = false;
  setTimeout(() => turned = true);
  const fast = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (turned) controller.close();
      else controller.enqueue(new Uint8Array(1));
    },
  });
  const { size } = await readParts(sent(fast), {
    maxBytes: 200_000,
    lease: new BodyBudget(200_000),
  });
  assert.ok(size < 200_000);
});

Deno.test("readParts() tells a body that breaks off from one of ours", async () => {
  const broken = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      controller.error(new Error("connection reset"));
    },
  });
  await assert.rejects(
    readParts(sent(broken), { maxBytes: 10, lease: new BodyBudget(100) }),
    status(400),
  );
});

Deno.test("BodyBudget refuses what is too much at a time", () => {
  const budget = new BodyBudget(10);
  budget.take(6);
  assert.throws(() => budget.take(5), status(503));
  budget.give(6);
  budget.take(10);
  assert.equal(budget.used, 10);
});
