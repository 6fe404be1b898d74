import { Buffer } from "node:buffer";
import { equal, notEqual, rejects } from "node:assert/strict";
import { BufferPool } from "./buffers.ts";
import { MemoryTransport, PeerTransport } from "./testing.ts";
import { Wire } from "./wire.ts";

Deno.test("Wire.send() writes heads of any length and every byte", async () => {
  for (
    const head of [
      "a",
      "\xe9",
      "a".repeat(16384),
      `${"a".repeat(16383)}\xe9`,
      "\xff".repeat(40000),
    ]
  ) {
    for (const body of ["", "b", "b".repeat(20000)]) {
      const transport = new MemoryTransport([], 1000);
      const wire = new Wire(transport, Buffer.alloc(64));
      await wire.send(head, body === "" ? null : Buffer.from(body), 1000);
      equal(transport.written, head + body);
      equal(wire.overdue(1), null);
      equal(wire.overdue(1e9), null);
    }
  }
});

Deno.test("Wire.grow() and shrink() keep the bytes that are there", async () => {
  const wire = new Wire(
    new MemoryTransport([Buffer.from("a".repeat(46)), Buffer.from("bc")]),
    Buffer.alloc(64),
  );
  await wire.fill();
  equal(wire.full, true);
  wire.grow(new BufferPool(256, 1));
  equal(wire.full, false);
  await wire.fill();
  wire.start += 46;
  wire.shrink();
  equal(wire.bytes.length, 64);
  equal(wire.bytes.toString("latin1", wire.start, wire.end), "bc");
});

Deno.test("Wire.fill() rejects where the connection is closed meanwhile", async () => {
  const wire = new Wire(
    new MemoryTransport([Buffer.from("a")]),
    Buffer.alloc(64),
  );
  const filled = wire.fill();
  wire.close();
  await rejects(filled, /closed/);
  equal(wire.available, 0);
});

Deno.test("Wire.close() is the same twice as once, and keeps a lent buffer from being lent again", () => {
  const pool = new BufferPool(256, 1);
  const transport = new MemoryTransport([]);
  const wire = new Wire(transport, Buffer.alloc(64));
  wire.grow(pool);
  const lent = wire.bytes;
  wire.close();
  wire.close();
  equal(transport.closed, true);
  notEqual(pool.take(), lent);
});

Deno.test("Wire.launch() sends all of a message that the platform takes in parts", async () => {
  const transport = new MemoryTransport([], 3);
  const wire = new Wire(transport, Buffer.alloc(64));
  equal(wire.lay("head", Buffer.from("body"), 1000), true);
  equal(wire.broken, true);
  wire.launch();
  equal(wire.overdue(1), null);
  equal(wire.overdue(1002), "write");
  await drained();
  equal(transport.written, "headbody");
  equal(wire.broken, false);
  equal(wire.overdue(1e9), null);
});

Deno.test("Wire.launch() leaves a wire broken whose peer is gone, and rejects nothing", async () => {
  for (const room of [0, 3]) {
    const transport = new PeerTransport(room);
    const wire = new Wire(transport, Buffer.alloc(64));
    wire.lay("head", null, 1000);
    wire.launch();
    await drained();
    equal(wire.broken, true);
    transport.close();
    await drained();
    equal(wire.broken, true);
  }
});

Deno.test("Wire.lay() takes what fits in one buffer, and nothing of what does not", () => {
  const wire = new Wire(new MemoryTransport([]), Buffer.alloc(64));
  equal(wire.lay("a".repeat(16384), Buffer.from("b"), 1000), false);
  equal(wire.broken, false);
  equal(wire.lay("\xe9".repeat(16383), Buffer.from("b"), 1000), true);
});

/** Lets everything that waits for nothing but its turn go on. */
async function drained(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await null;
}
