import { equal, ok, rejects } from "node:assert/strict";
import fc from "fast-check";
import { Body, CutBodyError } from "./body.ts";
import { RESPONSE_TRAILER_FILTER } from "./chunked.ts";
import { ProtocolError } from "./fields.ts";
import type { Framing } from "./response_head.ts";
import { cutAt, latin1, wireOf } from "./testing.ts";
import type { Wire } from "./wire.ts";

async function readAll(
  wire: Wire,
  framing: Framing,
  length = 0,
): Promise<string> {
  const body = new Body(RESPONSE_TRAILER_FILTER);
  body.begin(framing, length);
  let text = "";
  while (!body.done) text += latin1(await body.next(wire));
  return text;
}

const chunk = fc.tuple(
  fc.string({
    minLength: 1,
    maxLength: 300,
    unit: fc.constantFrom("a", "\r", "\n", "\xff", "0"),
  }),
  fc.constantFrom("", ";a=b", ';a="b c"'),
);

Deno.test("Body.next() passes a chunked body on as it is, however its bytes arrive", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(chunk, { maxLength: 6 }),
      fc.constantFrom("", "X-A: 1\r\n", "X-A: 1\r\nx-b:2\r\n"),
      fc.array(fc.nat(), { maxLength: 12 }),
      async (chunks, trailer, places) => {
        const text =
          chunks.map(([data, extension]) =>
            `${data.length.toString(16)}${extension}\r\n${data}\r\n`
          ).join("") + `0\r\n${trailer}\r\n`;
        const wire = wireOf(cutAt(`${text}NEXT`, places), 64);
        equal(await readAll(wire, "chunked"), text);
        while (await wire.fill());
        equal(latin1(wire.bytes.subarray(wire.start, wire.end)), "NEXT");
      },
    ),
    { numRuns: 80 },
  );
});

Deno.test("Body.next() passes a body of known length on, and not a byte more", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ maxLength: 500 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      async (text, places) => {
        const wire = wireOf(cutAt(`${text}NEXT`, places), 64);
        equal(await readAll(wire, "length", text.length), text);
        while (await wire.fill());
        equal(latin1(wire.bytes.subarray(wire.start, wire.end)), "NEXT");
      },
    ),
    { numRuns: 40 },
  );
});

Deno.test("Body.next() makes chunks of a body that ends with its connection", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.string({ maxLength: 500 }),
      fc.array(fc.nat(), { maxLength: 8 }),
      async (text, places) => {
        const chunked = await readAll(wireOf(cutAt(text, places), 64), "close");
        // Reading them as chunks again, in one piece, is the proof.
        const data = chunked.replace(/([0-9a-f]+)\r\n/y, "");
        ok(data.length > 0);
        let rest = chunked;
        let got = "";
        for (;;) {
          const size = parseInt(rest, 16);
          const at = rest.indexOf("\r\n") + 2;
          got += rest.slice(at, at + size);
          equal(rest.slice(at + size, at + size + 2), "\r\n");
          rest = rest.slice(at + size + 2);
          if (size === 0) break;
        }
        equal(rest, "");
        equal(got, text);
      },
    ),
    { numRuns: 40 },
  );
});

Deno.test("Body.next() throws where a body is cut", async () => {
  for (
    const [framing, text] of [
      ["length", "ab"],
      ["chunked", "2\r\nab\r\n"],
      ["chunked", "2\r\nab\r\n0\r\n"],
      ["chunked", "0\r\nA: b\r\n"],
      ["chunked", ""],
    ] as const
  ) {
    await rejects(readAll(wireOf([text]), framing, 3), CutBodyError);
  }
});

Deno.test("Body.next() refuses a broken chunked coding", async () => {
  const broken = [
    "x\r\n",
    "\r\n",
    ";a\r\n",
    "1\na\r\n",
    "1\r\nab\r\n",
    "1\r\na\n",
    "0\r\n\n",
    "0\r\n \r\n\r\n",
    "0\r\nA : b\r\n\r\n",
    "0\r\nA\r\n\r\n",
    " 1\r\n",
    "1 \r\n",
    "0x1\r\n",
    "1;\x00\r\n",
    "1;\n\r\n",
    "12345678901234\r\n",
    `1;${"a".repeat(2000)}\r\n`,
    `0\r\nA: ${"b".repeat(20000)}\r\n\r\n`,
    "0\r\n\r\r\n",
  ];
  for (const text of broken) {
    for (const parts of [[text], [...text]]) {
      await rejects(
        readAll(wireOf(parts), "chunked"),
        ProtocolError,
        JSON.stringify(text.slice(0, 40)),
      );
    }
  }
});

Deno.test("Body.next() never throws anything but its own errors", async () => {
  const piece = fc.constantFrom(
    "0",
    "1",
    "a",
    ";",
    "\r\n",
    "\r",
    "\n",
    "A: b\r\n",
    "\xff",
    "0\r\n\r\n",
  );
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
      try {
        await readAll(wireOf(pieces), "chunked");
      } catch (error) {
        ok(
          error instanceof ProtocolError || error instanceof CutBodyError,
          String(error),
        );
      }
    }),
  );
});

Deno.test("Body.next() keeps fields out of trailers that mislead", async () => {
  equal(
    await readAll(
      wireOf([
        "0\r\nX-A: 1\r\nContent-Length: 1\r\nX_Routed-To: a\r\nSet-Cookie: a\r\nx-b: 2\r\n\r\n",
      ]),
      "chunked",
    ),
    "0\r\nX-A: 1\r\nx-b: 2\r\n\r\n",
  );
});
