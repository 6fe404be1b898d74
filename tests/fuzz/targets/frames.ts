import { Buffer } from "node:buffer";
import {
  closeFrame,
  FrameError,
  type Incoming,
  MessageReader,
  pongFrame,
  textFrame,
} from "../../../router/link/frames.ts";
import { mutate, parts } from "../mutate.ts";
import type { Random } from "../../harness/random.ts";
import { ensure, ensureSame, target } from "../target.ts";

const LIMITS = { text: 2000, binary: 3000 };
const WORDS = ["", "{}", "é", "\u{1f600}", "a".repeat(125), "b".repeat(126)];

/** What a server sends, each character a byte, and what it means where it is sound. */
interface Stream {
  readonly bytes: string;
  readonly parts: readonly string[];
  /** Null where it was mutated. */
  readonly expected: readonly string[] | null;
  /** What a client sends. */
  readonly text: string;
  readonly code: number;
}

/** Frames of a server, cut at every place and at others, and those of a client, read back. */
export const frames = target<Stream>({
  name: "frames",
  weight: 40,
  make(random) {
    const expected: string[] = [];
    let bytes = "";
    for (let left = random.between(1, 4); left > 0; left--) {
      bytes += message(random, expected);
    }
    const sound = random.once(3);
    if (!sound) {
      bytes = random.once(20) ? random.bytes(60) : mutate(random, bytes, {
        bytes: true,
        tokens: ["\x81\0", "\0", "\x88"],
      });
    }
    return {
      bytes,
      parts: parts(random, bytes),
      expected: sound ? expected : null,
      text: random.list(4, () => random.pick(WORDS)).join(""),
      code: random.pick([1000, 1001, 1005, 3000, 4400, 4999]),
    };
  },
  check(stream) {
    const whole = read([stream.bytes]);
    ensureSame(read([...stream.bytes]), whole, "Byte by byte");
    ensureSame(read(stream.parts), whole, "In parts");
    if (stream.expected !== null) {
      ensureSame(whole, stream.expected, "What was sent");
    }
    checkClient(stream);
    return whole.at(-1)?.startsWith("error") ? "refused" : "accepted";
  },
});

/** The messages of a connection's bytes, and how they end. */
function read(pieces: readonly string[]): string[] {
  const reader = new MessageReader(LIMITS);
  const messages: string[] = [];
  try {
    for (const piece of pieces) {
      const chunk = Uint8Array.from(piece, (char) => char.charCodeAt(0));
      for (let at = 0; at < chunk.length;) {
        const next = reader.next(chunk, at);
        ensure(next.message !== null || next.at === chunk.length, "It stops");
        if (next.message !== null) messages.push(described(next.message));
        at = next.at;
      }
    }
  } catch (error) {
    ensure(error instanceof FrameError, `It throws ${error}`);
    messages.push(`error ${error.message}`);
  }
  return messages;
}

function described(message: Incoming): string {
  switch (message.kind) {
    case "text":
      ensure(message.bytes <= LIMITS.text, "A text over the limit");
      return `text ${message.text}`;
    case "binary":
      ensure(message.data.length <= LIMITS.binary, "A message over the limit");
      return `binary ${Buffer.from(message.data).toString("latin1")}`;
    case "ping":
      return `ping ${Buffer.from(message.data).toString("latin1")}`;
    case "pong":
      return "pong";
    case "close":
      return `close ${message.code} ${message.reason}`;
    default:
      return message satisfies never;
  }
}

/** The bytes of one message in some fragments, with control frames in between. */
function message(random: Random, expected: string[]): string {
  if (random.once(4)) return control(random, expected);
  const isText = random.once(2);
  const text = random.pick(WORDS) + random.pick(WORDS);
  const payload = isText
    ? Buffer.from(text, "utf-8").toString("latin1")
    : random.bytes(random.pick([0, 5, 200]));
  const pieces = random.once(2) ? [payload] : parts(random, payload);
  if (pieces.length === 0) pieces.push("");
  let bytes = "";
  for (const [index, piece] of pieces.entries()) {
    const final = index === pieces.length - 1;
    const opcode = index > 0 ? 0 : isText ? 1 : 2;
    bytes += frame(random, (final ? 0x80 : 0) | opcode, piece);
    if (!final && random.once(4)) bytes += control(random, expected);
  }
  expected.push(isText ? `text ${text}` : `binary ${payload}`);
  return bytes;
}

function control(random: Random, expected: string[]): string {
  const payload = random.bytes(random.pick([0, 10, 125]));
  switch (random.below(3)) {
    case 0:
      expected.push(`ping ${payload}`);
      return frame(random, 0x89, payload);
    case 1:
      expected.push("pong");
      return frame(random, 0x8a, payload);
    default:
      expected.push("close 1001 bye");
      return frame(random, 0x88, "\x03\xe9bye");
  }
}

/** A server's frame; lengths may be written longer than they need. */
function frame(random: Random, first: number, payload: string): string {
  const { length } = payload;
  const control = (first & 0x08) !== 0;
  const form = control || (length < 126 && !random.once(8))
    ? 1
    : length < 65536 && !random.once(8)
    ? 2
    : 8;
  const head = Buffer.alloc(form === 1 ? 2 : 2 + form);
  head[0] = first;
  head[1] = form === 1 ? length : form === 2 ? 126 : 127;
  if (form === 2) head.writeUInt16BE(length, 2);
  if (form === 8) head.writeBigUInt64BE(BigInt(length), 2);
  return head.toString("latin1") + payload;
}

/** Takes a client's frame apart as a server would: masked, final, of its shortest length. */
function unmasked(frame: Uint8Array): { opcode: number; payload: Buffer } {
  const bytes = Buffer.from(frame);
  ensure((bytes[0]! & 0xf0) === 0x80, "It is not final, or has extensions");
  ensure((bytes[1]! & 0x80) !== 0, "It is not masked");
  const short = bytes[1]! & 0x7f;
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
  const length = extended === 2
    ? bytes.readUInt16BE(2)
    : extended === 8
    ? Number(bytes.readBigUInt64BE(2))
    : short;
  ensure(extended === 0 || length >= (extended === 2 ? 126 : 65536), "Length");
  const mask = bytes.subarray(2 + extended, 6 + extended);
  const payload = bytes.subarray(6 + extended).map((byte, index) =>
    byte ^ mask[index % 4]!
  );
  ensureSame(payload.length, length, "Length of the payload");
  return { opcode: bytes[0]! & 0x0f, payload: Buffer.from(payload) };
}

function checkClient({ text, code }: Stream): void {
  const sent = unmasked(textFrame(text));
  ensureSame(sent.opcode, 1, "Opcode of a text");
  ensureSame(sent.payload.toString("utf-8"), text, "A text sent");
  const data = Buffer.from(text).subarray(0, 125);
  const pong = unmasked(pongFrame(data));
  ensureSame(
    pong.payload.toString("latin1"),
    data.toString("latin1"),
    "A pong",
  );
  const close = unmasked(closeFrame(code, text));
  ensure(close.payload.length <= 125, "A close frame is too long");
  if (code === 1005) return ensureSame(close.payload.length, 0, "No status");
  ensureSame(close.payload.readUInt16BE(0), code, "A close code");
  const reason = close.payload.subarray(2).toString("utf-8");
  ensure(
    text.startsWith(reason),
    "The reason of a close is cut in a character",
  );
}
