import { Buffer } from "node:buffer";
import { deepEqual, equal } from "node:assert/strict";
import { AnswerReader } from "./h2_answer.ts";

const BODY = "0123456789".repeat(20);
const FIELDS = "Set-Cookie: a\r\nX:y\r\nset-cookie: b\r\n";

/** Reads an answer in pieces of `size` bytes, from a buffer that is used again and again. */
function read(text: string, size: number, method = "GET") {
  const reader = new AnswerReader(method);
  const buffer = Buffer.alloc(size);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < text.length; at += size) {
    const count = buffer.write(text.slice(at, at + size), "latin1");
    pieces.push(...reader.take(buffer.subarray(0, count)));
    buffer.fill("!");
  }
  return { reader, body: Buffer.concat(pieces).toString("latin1") };
}

Deno.test("AnswerReader takes every framing apart, however it is cut into pieces", () => {
  const framings = [
    `Content-Length: ${BODY.length}\r\n\r\n${BODY}`,
    `Transfer-Encoding: chunked\r\n\r\n5;a="1"\r\n${BODY.slice(0, 5)}\r\n${
      (BODY.length - 5).toString(16)
    }\r\n${BODY.slice(5)}\r\n0\r\nX-Sum: 1\r\nB: c\r\n\r\n`,
    `transfer-encoding: chunked\r\n\r\n${
      BODY.length.toString(16).toUpperCase()
    }\r\n${BODY}\r\n000\r\n\r\n`,
  ];
  for (const framed of framings) {
    const text =
      `HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 404 No\r\n${FIELDS}${framed}`;
    for (const size of [1, 2, 3, 7, 64, 4096]) {
      const { reader, body } = read(text, size);
      equal(body, BODY);
      equal(reader.done, true);
      equal(reader.head?.status, 404);
      deepEqual(
        reader.head.fields.slice(0, 3).map(([name, value]) => [
          name,
          value.trim(),
        ]),
        [["Set-Cookie", "a"], ["X", "y"], ["set-cookie", "b"]],
      );
    }
    for (let length = 60; length < text.length; length += 13) {
      equal(read(text.slice(0, length), 4096).reader.done, false);
    }
  }
});

Deno.test("AnswerReader knows what has no body", () => {
  for (
    const [method, status] of [["HEAD", 200], ["GET", 204], [
      "GET",
      304,
    ]] as const
  ) {
    for (const framing of ["Content-Length: 5", "Transfer-Encoding: chunked"]) {
      const { reader } = read(
        `HTTP/1.1 ${status} X\r\n${framing}\r\n\r\n`,
        4096,
        method,
      );
      equal(reader.done, true);
    }
  }
});

Deno.test("AnswerReader leaves out what belongs to a connection, and notes that it closes", () => {
  const { reader } = read(
    "HTTP/1.1 400 X\r\nConnection: close\r\nKeep-Alive: 1\r\nUpgrade: a\r\nContent-Length: 0\r\n\r\n",
    4096,
  );
  deepEqual(reader.head?.closes, true);
  deepEqual(reader.head?.fields.map(([name]) => name), ["Content-Length"]);
});
