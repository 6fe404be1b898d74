import { equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { LONG_HEAD_BUFFERS } from "./buffers.ts";
import { ProtocolError } from "./fields.ts";
import { takeHead } from "./head.ts";
import { cutAt, latin1, wireOf } from "./testing.ts";
import type { Wire } from "./wire.ts";

async function nextHead(wire: Wire): Promise<string | null> {
  let seen = 0;
  for (;;) {
    if (wire.available > 0) {
      const head = takeHead(wire, seen);
      if (head !== null) return head;
      seen = wire.available;
    }
    if (wire.full) wire.grow(LONG_HEAD_BUFFERS);
    if (!await wire.fill()) return null;
  }
}

Deno.test("takeHead() takes the same head however its bytes arrive", async () => {
  const line = fc.stringMatching(/^[\x20-\x7e\xa0-\xff]{1,40}$/);
  await fc.assert(
    fc.asyncProperty(
      fc.array(line, { minLength: 1, maxLength: 40 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      async (lines, places) => {
        const head = lines.map((each) => `${each}\r\n`).join("");
        const wire = wireOf(cutAt(`${head}\r\nrest`, places), 64);
        equal(await nextHead(wire), head);
        while (wire.available < 4 && await wire.fill());
        equal(latin1(wire.bytes.subarray(wire.start, wire.start + 4)), "rest");
      },
    ),
    { numRuns: 60 },
  );
});

Deno.test("takeHead() takes a head byte by byte", async () => {
  const head = `GET / HTTP/1.1\r\n${"A: b\r\n".repeat(100)}`;
  equal(await nextHead(wireOf([...`${head}\r\n`])), head);
});

Deno.test("takeHead() refuses at once what can never be a head", () => {
  for (
    const text of [
      "GET / HTTP/1.1\n",
      "\n",
      "a\rb",
      "a\0",
      "\x16\x03\x01",
      `${"a".repeat(1500)}\n`,
    ]
  ) {
    const wire = wireOf([], 4096);
    wire.bytes.write(text, wire.start, "latin1");
    wire.end += text.length;
    throws(() => takeHead(wire, 0), ProtocolError, JSON.stringify(text));
  }
});

Deno.test("takeHead() refuses a head over the limit", async () => {
  const wire = wireOf([`A: ${"b".repeat(70000)}`]);
  const error = await nextHead(wire).catch((thrown) => thrown);
  ok(error instanceof ProtocolError && error.status === 431);
});
