import assert from "node:assert/strict";
import fc from "fast-check";
import {
  closeFrame,
  FrameError,
  type Incoming,
  MessageReader,
  pongFrame,
  textFrame,
} from "./frames.ts";

const LIMITS = { text: 100_000, binary: 1000 };

/** A frame as a server sends it. */
function frame(
  opcode: number,
  payload: Uint8Array,
  { final = true, first = 0, second = 0 } = {},
): Uint8Array {
  const { length } = payload;
  const head = length < 126
    ? [length]
    : length < 65536
    ? [126, length >> 8, length & 255]
    : [127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 255, length & 255];
  head[0]! |= second;
  return Uint8Array.of(
    (final ? 0x80 : 0) | opcode | first,
    ...head,
    ...payload,
  );
}

function join(frames: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(frames.flatMap((frame) => [...frame]));
}

/** Reads bytes that come in pieces of these sizes, over and over. */
function readAll(
  bytes: Uint8Array,
  sizes: readonly number[] = [bytes.length],
): Incoming[] {
  const reader = new MessageReader(LIMITS);
  const messages: Incoming[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length]!;
    const chunk = bytes.slice(at, at + size);
    at += size;
    for (let from = 0; from < chunk.length;) {
      const next = reader.next(chunk, from);
      assert.ok(next.at > from || next.message !== null, "no progress");
      from = next.at;
      if (next.message !== null) messages.push(next.message);
    }
  }
  return messages;
}

const utf8 = new TextEncoder();

Deno.test("MessageReader reads what was sent, however it is cut", () => {
  const message = fc.oneof(
    fc.string({ unit: "grapheme", maxLength: 300 }).map((text) => ({
      sent: frame(1, utf8.encode(text)),
      read: { kind: "text", text, bytes: utf8.encode(text).length },
    })),
    fc.uint8Array({ maxLength: 1000 }).map((data) => ({
      sent: frame(2, data),
      read: { kind: "binary", data },
    })),
    fc.uint8Array({ maxLength: 125 }).map((data) => ({
      sent: frame(9, data),
      read: { kind: "ping", data },
    })),
    fc.array(fc.uint8Array({ maxLength: 100 }), { minLength: 2, maxLength: 5 })
      .map((parts) => ({
        // A control frame may stand between the fragments.
        sent: join(
          parts.map((part, i) =>
            frame(i === 0 ? 2 : 0, part, { final: i === parts.length - 1 })
          ),
        ),
        read: { kind: "binary", data: join(parts) },
      })),
  );
  fc.assert(fc.property(
    fc.array(message, { minLength: 1, maxLength: 6 }),
    fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 5 }),
    (messages, sizes) => {
      assert.deepEqual(
        readAll(join(messages.map(({ sent }) => sent)), sizes),
        messages.map(({ read }) => read),
      );
    },
  ));
});

Deno.test("MessageReader reads long messages and control frames between fragments", () => {
  const text = "x".repeat(70_000);
  assert.deepEqual(
    readAll(
      join([
        frame(1, utf8.encode(text.slice(0, 300)), { final: false }),
        frame(9, Uint8Array.of(7)),
        frame(0, utf8.encode(text.slice(300))),
        frame(10, new Uint8Array(0)),
      ]),
      [1400],
    ),
    [
      { kind: "ping", data: Uint8Array.of(7) },
      { kind: "text", text, bytes: 70_000 },
      { kind: "pong" },
    ],
  );
});

Deno.test("MessageReader reads the code and reason of a close", () => {
  assert.deepEqual(readAll(frame(8, new Uint8Array(0))), [
    { kind: "close", code: 1005, reason: "" },
  ]);
  assert.deepEqual(
    readAll(frame(8, join([Uint8Array.of(3, 244), utf8.encode("bye")]))),
    [
      { kind: "close", code: 1012, reason: "bye" },
    ],
  );
});

for (
  const { name, bytes, tooLarge = false } of [
    {
      name: "an extension bit",
      bytes: frame(1, utf8.encode("x"), { first: 0x40 }),
    },
    {
      name: "a masked frame",
      bytes: frame(1, utf8.encode("x"), { second: 0x80 }),
    },
    { name: "an unknown opcode", bytes: frame(3, new Uint8Array(0)) },
    { name: "an unknown control opcode", bytes: frame(11, new Uint8Array(0)) },
    {
      name: "a fragmented control frame",
      bytes: frame(9, new Uint8Array(0), { final: false }),
    },
    { name: "a long control frame", bytes: frame(9, new Uint8Array(126)) },
    { name: "a continuation of nothing", bytes: frame(0, new Uint8Array(1)) },
    {
      name: "a message inside another",
      bytes: join([
        frame(1, utf8.encode("x"), { final: false }),
        frame(1, utf8.encode("y")),
      ]),
    },
    { name: "text that is not UTF-8", bytes: frame(1, Uint8Array.of(0xff)) },
    { name: "half a close code", bytes: frame(8, Uint8Array.of(3)) },
    {
      name: "a binary message over its limit",
      bytes: frame(2, new Uint8Array(1001)),
      tooLarge: true,
    },
    {
      name: "a length of 2^60 bytes",
      bytes: Uint8Array.of(0x81, 127, 0x10, 0, 0, 0, 0, 0, 0, 0),
      tooLarge: true,
    },
    {
      name: "fragments over the limit",
      bytes: join([
        frame(2, new Uint8Array(600), { final: false }),
        frame(0, new Uint8Array(600)),
      ]),
      tooLarge: true,
    },
  ]
) {
  Deno.test(`MessageReader refuses ${name}`, () => {
    assert.throws(
      () => readAll(bytes),
      (error) => error instanceof FrameError && error.tooLarge === tooLarge,
    );
  });
}

/** Takes a client's frame apart. */
function unmask(bytes: Uint8Array): { opcode: number; payload: Uint8Array } {
  const short = bytes[1]! & 0x7f;
  assert.equal(bytes[1]! & 0x80, 0x80, "a client's frame is masked");
  const view = new DataView(bytes.buffer);
  const length = short === 126
    ? view.getUint16(2)
    : short === 127
    ? Number(view.getBigUint64(2))
    : short;
  const at = short === 126 ? 4 : short === 127 ? 10 : 2;
  const payload = bytes.slice(at + 4);
  assert.equal(payload.length, length);
  for (let i = 0; i < length; i++) payload[i]! ^= bytes[at + i % 4]!;
  return { opcode: bytes[0]! & 0x0f, payload };
}

Deno.test("textFrame() and pongFrame() make masked frames of any length", () => {
  for (const length of [0, 1, 125, 126, 65_535, 65_536]) {
    const { opcode, payload } = unmask(textFrame("y".repeat(length)));
    assert.equal(opcode, 1);
    assert.equal(new TextDecoder().decode(payload), "y".repeat(length));
  }
  assert.deepEqual(unmask(pongFrame(Uint8Array.of(1, 2))), {
    opcode: 10,
    payload: Uint8Array.of(1, 2),
  });
});

Deno.test("closeFrame() cuts a reason to what fits, between characters", () => {
  const { payload } = unmask(closeFrame(4400, "ä".repeat(200)));
  assert.equal(new DataView(payload.buffer).getUint16(0), 4400);
  assert.equal(
    new TextDecoder("utf-8", { fatal: true }).decode(payload.subarray(2)),
    "ä".repeat(61),
  );
  assert.equal(unmask(closeFrame(1005, "")).payload.length, 0);
});
