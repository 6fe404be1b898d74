import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { RawSocket } from "../../router/testing.ts";
import { conforms, endAfterwards } from "./cases.ts";
import { Cell } from "./cell.ts";
import { textOf } from "./front.ts";
import { type Message, takeAnswer, valuesOf } from "./messages.ts";
import { Subject } from "./subject.ts";

/** How bodies of requests are framed; those of answers are in `answer_framing_test.ts`. */

const cell = new Cell();
const subjects = await Subject.both({ placements: { cell: cell.url() } });
endAfterwards(cell, ...subjects);

const HEAD = "POST / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\n";
const CHUNKED = `${HEAD}Transfer-Encoding: chunked\r\n\r\n`;
const LONG = "0123456789".repeat(20_000);

/** Checks that a request's length is told once. */
function framedOnce({ head, fields }: Message): void {
  const lengths = valuesOf(fields, "content-length");
  const codings = valuesOf(fields, "transfer-encoding");
  equal(lengths.length + codings.length, 1, head);
  if (codings.length > 0) deepEqual(codings, ["chunked"]);
}

for (const front of subjects.flatMap((subject) => subject.fronts)) {
  conforms(
    `${front.name}: a body reaches the endpoint whole and framed once, whatever the method (RFC 9112 section 6)`,
    async () => {
      await using scene = cell.answer();
      for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
        for (const body of ["x", "a\0\r\n\r\nb\xff", LONG]) {
          equal((await front.exchange({ method, body })).status, 200);
          framedOnce(scene.last);
          ok(scene.last.body === body, `${method} of ${body.length} bytes`);
        }
      }
    },
  );

  conforms(
    `${front.name}: a request's trailers reach the endpoint, but for those that mislead there (RFC 9110 section 6.5.1)`,
    async () => {
      await using scene = cell.answer();
      const { status } = await front.exchange({
        method: "POST",
        body: "abc",
        trailers: [
          ["x-sum", "1"],
          ["host", "b.example"],
          ["content-length", "9"],
          ["content-type", "text/html"],
          ["authorization", "Bearer x"],
          ["cookie", "a=b"],
          ["x-routing-key", "globex"],
          ["x-forwarded-for", "6.6.6.6"],
          ["forwarded", "for=6.6.6.6"],
          ["x-request-id", "6"],
          ["x-last", "\xe9"],
        ],
      });
      equal(status, 200);
      framedOnce(scene.last);
      equal(scene.last.body, "abc");
      deepEqual(scene.last.trailers, [["x-sum", "1"], ["x-last", "\xe9"]]);
    },
  );
}

/** Chunked bodies and what they hold. */
const BODIES: readonly (readonly [coded: string, body: string])[] = [
  ["0\r\n\r\n", ""],
  ["3\r\nabc\r\n0\r\n\r\n", "abc"],
  ["A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789"],
  ["0000000003\r\nabc\r\n000\r\n\r\n", "abc"],
  ["3;a\r\nabc\r\n0;b=c\r\n\r\n", "abc"],
  ['3;a="x;\\"y,z";b=\xe9;c\r\nabc\r\n0\r\n\r\n', "abc"],
  ["2\r\n\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n", "\r\n0\r\n\r\n"],
  [`${"1\r\nx\r\n".repeat(3000)}0\r\n\r\n`, "x".repeat(3000)],
  [`30d40\r\n${LONG}\r\n0\r\n\r\n`, LONG],
];

for (const { front } of subjects) {
  conforms(
    `${front.name}: a chunked body stays one, with its extensions, however its bytes arrive (RFC 9112 section 7.1)`,
    async () => {
      await using scene = cell.answer();
      await using client = await front.connect();
      for (const [coded, body] of BODIES) {
        for (const parts of [[coded], coded.length < 100 ? [...coded] : []]) {
          if (parts.length === 0) continue;
          await client.send(CHUNKED);
          for (const part of parts) await client.send(part);
          equal((await takeAnswer(client)).status, 200);
          framedOnce(scene.last);
          ok(scene.last.body === body && scene.last.rawBody === coded, coded);
        }
      }
      equal(scene.sockets.length, 1);
    },
  );

  conforms(
    `${front.name}: a length goes on as it is, and a request without a body announces none (RFC 9112 section 6.2)`,
    async () => {
      await using scene = cell.answer();
      const framings = [
        ["Content-Length: 2\r\n", "ok", ["2"]],
        ["content-length:0002 \r\n", "ok", ["0002"]],
        ["Content-Length: 0\r\n", "", ["0"]],
        ["", "", []],
      ] as const;
      for (const method of ["GET", "HEAD", "POST", "DELETE"]) {
        for (const [fields, body, lengths] of framings) {
          await front.ask(
            `${HEAD.replace("POST", method)}${fields}\r\n${body}`,
          );
          equal(scene.last.body, body);
          deepEqual(valuesOf(scene.last.fields, "content-length"), lengths);
          deepEqual(valuesOf(scene.last.fields, "transfer-encoding"), []);
        }
      }
    },
  );

  conforms(
    `${front.name}: a framing in doubt is answered 400, and not forwarded (RFC 9112 section 6.3)`,
    async () => {
      await using scene = cell.answer();
      const chunks = "2\r\nok\r\n0\r\n\r\n";
      const framings = [
        "Content-Length: 2\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 2",
        "Content-Length: 2\r\nContent-Length: 2",
        "Content-Length: 2\r\nContent-Length: 12",
        "Content-Length: 2, 2",
        "Content-Length: 2,",
        "Content-Length:",
        "Content-Length: +2",
        "Content-Length: -2",
        "Content-Length: 0x2",
        "Content-Length: 2.0",
        "Content-Length: 2e0",
        "Content-Length: 2 2",
        "Content-Length: two",
        "Content-Length: 18446744073709551618",
        "Content-Length: 9999999999999999",
        "Content-Length : 2",
        "Content-Length: \xa02",
        "Content-Length: 2\x0b",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked;q=1",
        'Transfer-Encoding: "chunked"',
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding:",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: \xa0chunked",
        "Transfer-Encoding:\r\n chunked",
      ];
      for (const framing of framings) {
        match(
          await front.send(`${HEAD}${framing}\r\n\r\n${chunks}`),
          /^HTTP\/1\.1 400 [^]*\r\nConnection: close\r\n/,
          JSON.stringify(framing),
        );
      }
      equal(scene.sockets.length, 0);
    },
  );

  conforms(
    `${front.name}: chunks that are none are answered 400, and nothing of them is forwarded (RFC 9112 section 7.1)`,
    async () => {
      await using scene = cell.answer();
      const bodies = [
        "\r\n",
        "x\r\n",
        " 2\r\nok\r\n0\r\n\r\n",
        "2 \r\nok\r\n0\r\n\r\n",
        "+2\r\nok\r\n0\r\n\r\n",
        "-2\r\nok\r\n0\r\n\r\n",
        "0x2\r\nok\r\n0\r\n\r\n",
        "0_2\r\nok\r\n0\r\n\r\n",
        "2\nok\n0\n\n",
        "2\r\nok\n0\r\n\r\n",
        "2\r\nok\n\n0\r\n\r\n",
        "2\r\nok\r\r\n0\r\n\r\n",
        "2\r\nok\r\n0\r\n\n",
        "2\r\nok\r\n0\r\n\r\r",
        "2\r\nok0\r\n\r\n",
        "2\r\nokay\r\n0\r\n\r\n",
        "3\r\nok\r\n0\r\n\r\n",
        "2;a\nok\r\n0\r\n\r\n",
        "2;a\rb\r\nok\r\n0\r\n\r\n",
        "2;a\0\r\nok\r\n0\r\n\r\n",
        "10000000000000002\r\nok\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nok\r\n0\r\n\r\n",
        `2;${"a".repeat(5000)}\r\nok\r\n0\r\n\r\n`,
        "0\r\n A: b\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\nA: b\n\r\n\r\n",
        "0\r\nA: b\0\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        `0\r\nA: ${"b".repeat(20_000)}\r\n\r\n`,
      ];
      for (const body of bodies) {
        match(
          await front.send(CHUNKED + body),
          /^HTTP\/1\.1 400 [^]*\r\nConnection: close\r\n/,
          JSON.stringify(body.slice(0, 50)),
        );
        equal(scene.requests.length, 0, JSON.stringify(body.slice(0, 50)));
      }
    },
  );

  conforms(
    `${front.name}: a body that breaks late is answered 400, and its request ends unfinished (RFC 9112 section 8)`,
    async () => {
      let received = "";
      await using scene = cell.play(async (socket) => {
        received += await socket.until("3\r\nabc\r\n");
        received += await socket.rest();
      });
      await using client = await front.connect();
      await client.send(`${CHUNKED}3\r\nabc\r\n`);
      while (received === "") await new Promise((r) => setTimeout(r, 5));
      await client.send("zz\r\n0\r\n\r\nGET /next HTTP/1.1\r\n\r\n");
      match(await client.rest(), /^HTTP\/1\.1 400 (?![^]*\nHTTP)/);
      await scene[Symbol.asyncDispose]();
      ok(received.endsWith("\r\n\r\n3\r\nabc\r\n"), received);
    },
  );

  conforms(
    `${front.name}: pipelined requests are answered one by one and in order (RFC 9112 section 9.3.2)`,
    async () => {
      await using scene = cell.answer((request) => {
        const target = request.line.split(" ")[1]!;
        const body = `${target} ${request.body}`;
        return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      });
      const at = (method: string, path: string) =>
        HEAD.replace("POST /", `${method} /${path}`);
      const requests = [
        [`${at("GET", "0")}\r\n`, "/0 "],
        [`${at("POST", "1")}Content-Length: 2\r\n\r\nok`, "/1 ok"],
        [`${at("GET", "2")}\r\n`, "/2 "],
        [
          `${
            at("POST", "3")
          }Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n`,
          "/3 ok",
        ],
        [`\r\n${at("GET", "4")}\r\n`, "/4 "],
        [
          `${at("PUT", "5")}Content-Length: 200000\r\n\r\n${LONG}`,
          `/5 ${LONG}`,
        ],
        [`${at("GET", "6")}Connection: close\r\n\r\n`, "/6 "],
        [`${at("GET", "7")}\r\n`, ""],
      ] as const;
      await using client = await front.connect();
      await client.send(requests.map(([text]) => text).join(""));
      for (const [, body] of requests.slice(0, -1)) {
        ok((await takeAnswer(client)).body === body, body.slice(0, 20));
      }
      equal(await client.rest(), "");
      equal(scene.requests.length, 7);
      equal(scene.sockets.length, 1);
    },
  );

  conforms(
    `${front.name}: what follows a refused request on its connection is not read (RFC 9112 section 9.6)`,
    async () => {
      await using scene = cell.answer();
      const next = `${HEAD.replace("/", "/smuggled")}\r\n`;
      const refused = [
        `${HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
        `${HEAD}A : b\r\n\r\n`,
        `${CHUNKED}x\r\n`,
        "GET / HTTP/1.0\r\n\r\n",
      ];
      for (const text of refused) {
        match(
          await front.send(text + next.repeat(3)),
          /^HTTP\/1\.1 (400|505) (?![^]*\nHTTP)/,
        );
      }
      equal(scene.requests.length, 0);
    },
  );

  conforms(
    `${front.name}: an answer to a request that named no customer leaves its body unread, and the next in place`,
    async () => {
      await using scene = cell.answer();
      await using client = await front.connect();
      const keyless = HEAD.replace("X-Routing-Key: acme\r\n", "");
      await client.send(
        `${keyless}Content-Length: 2\r\n\r\nok${keyless}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
      );
      equal((await takeAnswer(client)).status, 400);
      equal((await takeAnswer(client)).status, 400);
      await roundTrip(client);
      equal(scene.requests.length, 1);
    },
  );
}

/** One request that must be answered with success. */
async function roundTrip(client: RawSocket): Promise<void> {
  await client.send(`${HEAD}\r\n`);
  const { status, body } = await takeAnswer(client);
  deepEqual([status, textOf(body)], [200, "ok"]);
}
