import { deepEqual, equal, match, ok } from "node:assert/strict";
import { conforms, endAfterwards } from "./cases.ts";
import { Cell, OK, type Play } from "./cell.ts";
import { textOf } from "./front.ts";
import { takeAnswer, takeRequest, valuesOf } from "./messages.ts";
import { Subject } from "./subject.ts";

/** How bodies of answers are framed, and what becomes of an endpoint that frames them badly. */

const cell = new Cell();
const subjects = await Subject.both({ placements: { cell: cell.url() } });
endAfterwards(cell, ...subjects);

const GET = "GET / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\n\r\n";
const LONG = "0123456789".repeat(20_000);

/** Answers the first request of a test with `text`; each request after it properly. */
function once(text: string, { ends = false } = {}): Play {
  return async (socket, index) => {
    for (let first = index === 0;; first = false) {
      await takeRequest(socket);
      await socket.send(first ? text : OK);
      if (first && ends) await socket.finish();
    }
  };
}

for (const front of subjects.flatMap((subject) => subject.fronts)) {
  conforms(
    `${front.name}: an answer arrives whole, however it is framed (RFC 9112 section 6.3)`,
    async () => {
      const framed = (text: string) => `HTTP/1.1 200 OK\r\n${text}`;
      const answers: [answer: string, body: string, ends: boolean][] = [
        [framed("Content-Length: 2\r\n\r\nok"), "ok", false],
        [framed("Content-Length: 0\r\n\r\n"), "", false],
        [framed(`Content-Length: 200000\r\n\r\n${LONG}`), LONG, false],
        [
          framed("Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
          "ok",
          false,
        ],
        [framed("transfer-encoding:\tCHUNKED\r\n\r\n0\r\n\r\n"), "", false],
        [
          framed(
            'Transfer-Encoding: chunked\r\n\r\n00A;a="b\\"";c\r\n0123456789\r\n000;d\r\n\r\n',
          ),
          "0123456789",
          false,
        ],
        [
          framed(
            `Transfer-Encoding: chunked\r\n\r\n30d40\r\n${LONG}\r\n0\r\n\r\n`,
          ),
          LONG,
          false,
        ],
        [framed("\r\nok"), "ok", true],
        [framed("\r\n"), "", true],
        [framed(`\r\n${LONG}`), LONG, true],
        [framed(`Connection: close\r\n\r\n${LONG}`), LONG, true],
        [`HTTP/1.0 200 OK\r\n\r\n${LONG}`, LONG, true],
        ["HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", true],
      ];
      for (const [answer, body, ends] of answers) {
        await using scene = cell.play(once(answer, { ends }));
        const received = await front.exchange({});
        equal(received.status, 200);
        ok(textOf(received.body) === body, answer.slice(0, 100));
        equal(scene.sockets.length, 1);
      }
    },
  );

  conforms(
    `${front.name}: HEAD, 204, 205 and 304 are answered without a body (RFC 9110 sections 8.6, 9.3.2, 15.3.5 and 15.4.5)`,
    async () => {
      const answers = [
        ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ["5"]],
        ["HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", []],
        ["HEAD", "HTTP/1.1 200 OK\r\n\r\n", []],
        ["HEAD", "HTTP/1.1 404 No\r\nContent-Length: 7\r\n\r\n", ["7"]],
        ["GET", "HTTP/1.1 204 No Content\r\n\r\n", []],
        ["GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", []],
        ["GET", 'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n', []],
        ["GET", "HTTP/1.1 304 No\r\nContent-Length: 5\r\n\r\n", ["5"]],
        ["GET", "HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", ["0"]],
        ["POST", "HTTP/1.1 204 No Content\r\n\r\n", []],
      ] as const;
      for (const [method, answer, lengths] of answers) {
        await using scene = cell.answer(answer);
        for (let i = 0; i < 2; i++) {
          const { status, headers, body } = await front.exchange({ method });
          equal(status, Number(answer.slice(9, 12)), answer);
          equal(body.length, 0, answer);
          deepEqual(valuesOf(headers, "content-length"), lengths, answer);
          deepEqual(valuesOf(headers, "transfer-encoding"), [], answer);
        }
        equal(scene.sockets.length, 1, "its connection is kept");
      }
    },
  );

  conforms(
    `${front.name}: any final status passes (RFC 9110 section 15)`,
    async () => {
      for (const status of [200, 299, 300, 399, 402, 418, 499, 500, 511, 599]) {
        await using _ = cell.answer(
          `HTTP/1.1 ${status} x\r\nContent-Length: 2\r\n\r\nok`,
        );
        const answer = await front.exchange({});
        deepEqual([answer.status, textOf(answer.body)], [status, "ok"]);
      }
    },
  );

  conforms(
    `${front.name}: an answer that breaks HTTP is 502, and its connection is not used again (RFC 9112 sections 4 to 7)`,
    async () => {
      const line = "HTTP/1.1 200 OK\r\n";
      const answers = [
        "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1  200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/0.9 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "ICY 200 OK\r\nContent-Length: 2\r\n\r\nok",
        " HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "<html>hello</html>\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\x16\x03\x01\x00\x05\x01",
        `${line}Content-Length: 2\nA: b\r\n\r\nok`,
        `${line}A: b\rC: d\r\nContent-Length: 2\r\n\r\nok`,
        `${line}A: b\r\n c\r\nContent-Length: 2\r\n\r\nok`,
        `${line} A: b\r\nContent-Length: 2\r\n\r\nok`,
        `${line}A : b\r\nContent-Length: 2\r\n\r\nok`,
        `${line}A: b\0\r\nContent-Length: 2\r\n\r\nok`,
        `${line}A\r\nContent-Length: 2\r\n\r\nok`,
        `${line}Content-Length : 2\r\n\r\nok`,
        `${line}Content-Length: 2\r\nContent-Length: 3\r\n\r\nok.`,
        `${line}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`,
        `${line}Content-Length: 2, 3\r\n\r\nok.`,
        `${line}Content-Length: -2\r\n\r\nok`,
        `${line}Content-Length: +2\r\n\r\nok`,
        `${line}Content-Length: 0x2\r\n\r\nok`,
        `${line}Content-Length:\r\n\r\nok`,
        `${line}Content-Length: 99999999999999999999\r\n\r\nok`,
        `${line}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
        `${line}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
        `${line}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n`,
        `${line}Transfer-Encoding: gzip\r\n\r\nok`,
        `${line}Transfer-Encoding: identity\r\n\r\nok`,
        `${line}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
        `${line}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
        `${line}Transfer-Encoding\r\n: chunked\r\n\r\n0\r\n\r\n`,
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        `${line}Transfer-Encoding: chunked\r\n\r\nx\r\n`,
        `${line}Transfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n`,
        `${line}Transfer-Encoding: chunked\r\n\r\n0x2\r\nok\r\n0\r\n\r\n`,
        `${line}Transfer-Encoding: chunked\r\n\r\n2\nok\n0\n\n`,
        `${line}Transfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n`,
        `${line}Transfer-Encoding: chunked\r\n\r\n0\r\nA : b\r\n\r\n`,
      ];
      for (const answer of answers) {
        // Some cannot be told from a beginning; their end is what shows that nothing good follows.
        await using scene = cell.play(once(answer, { ends: true }));
        const label = JSON.stringify(answer);
        const { status, headers, body } = await front.exchange({});
        equal(status, 502, label);
        deepEqual(valuesOf(headers, "x-routed-to"), ["cell"], label);
        equal(JSON.parse(textOf(body)).status, 502);
        equal((await front.exchange({})).status, 200);
        equal(scene.sockets.length, 2, label);
      }
    },
  );

  conforms(
    `${front.name}: an endpoint that sends more than it announced loses its connection, and nobody else gets it (RFC 9112 section 9.3)`,
    async () => {
      const evil = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
      const answers = [
        ["GET", `${OK}x`, "ok"],
        ["GET", `${OK}${evil}`, "ok"],
        ["GET", `${OK}\r\n`, "ok"],
        [
          "GET",
          `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n${evil}`,
          "ok",
        ],
        ["HEAD", `${OK}${evil}`, ""],
        ["GET", `HTTP/1.1 204 No Content\r\n\r\n${evil}`, ""],
        ["GET", `HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\n${evil}`, ""],
        [
          "GET",
          `HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
          "",
        ],
      ] as const;
      for (const [method, answer, body] of answers) {
        await using scene = cell.play(once(answer));
        equal(textOf((await front.exchange({ method })).body), body, answer);
        for (let i = 0; i < 2; i++) {
          equal(textOf((await front.exchange({})).body), "ok", answer);
        }
        equal(scene.sockets.length, 2, answer);
        equal(await scene.sockets[0]!.rest(), "");
      }
    },
  );

  conforms(
    `${front.name}: an endpoint that speaks while nothing was asked loses its connection (RFC 9112 section 9.3)`,
    async () => {
      await using scene = cell.play(once(OK));
      await front.exchange({});
      const [first] = scene.sockets;
      await first!.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
      equal(await first!.rest(), "", "the router ends it");
      equal(textOf((await front.exchange({})).body), "ok");
      equal(scene.sockets.length, 2);
    },
  );

  conforms(
    `${front.name}: an endpoint's Connection: close is obeyed, and keep-alive of HTTP/1.0 (RFC 9112 section 9.3)`,
    async () => {
      const kept: [answer: string, connections: number][] = [
        [OK, 1],
        [OK.replace("\r\n", "\r\nConnection: keep-alive\r\n"), 1],
        [OK.replace("\r\n", "\r\nConnection: close\r\n"), 2],
        [OK.replace("\r\n", "\r\nConnection: x, CLOSE\r\n"), 2],
        [OK.replace("\r\n", "\r\nConnection: x\r\nConnection: close\r\n"), 2],
        [OK.replace("1.1", "1.0"), 2],
        [
          OK.replace("1.1", "1.0").replace("\r\n", "\r\nConnection: close\r\n"),
          2,
        ],
      ];
      for (const [answer, connections] of kept) {
        await using scene = cell.play(once(answer));
        for (let i = 0; i < 2; i++) {
          const { status, headers, body } = await front.exchange({});
          deepEqual([status, textOf(body)], [200, "ok"], answer);
          deepEqual(valuesOf(headers, "connection"), []);
        }
        equal(scene.sockets.length, connections, answer);
      }
    },
  );

  conforms(
    `${front.name}: an answer's trailers pass, but for those that mislead (RFC 9110 section 6.5.1)`,
    async () => {
      await using _ = cell.answer(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum, Server-Timing\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\nSet-Cookie: a=b\r\nContent-Type: text/html\r\nX-Routed-To: liar\r\nConnection: close\r\nServer-Timing: \xe9\r\nX-Sum: 2\r\n\r\n",
      );
      const { headers, body, trailers } = await front.exchange({});
      deepEqual(valuesOf(headers, "trailer"), ["X-Sum, Server-Timing"]);
      equal(textOf(body), "ok");
      deepEqual(trailers, [
        ["x-sum", "1"],
        ["server-timing", "\xe9"],
        ["x-sum", "2"],
      ]);
    },
  );
}

for (const { front } of subjects) {
  conforms(
    `${front.name}: an answer that ends with its connection goes on as chunks, and the client's stays (RFC 9112 section 7.1)`,
    async () => {
      for (const version of ["HTTP/1.0", "HTTP/1.1"]) {
        await using scene = cell.play(async (socket) => {
          await socket.head();
          await socket.send(`${version} 200 OK\r\nConnection: close\r\n\r\n`);
          for (const part of ["a", "bc", LONG]) await socket.send(part);
          await socket.finish();
          await socket.rest();
        });
        await using client = await front.connect();
        for (let i = 0; i < 2; i++) {
          await client.send(GET);
          const { line, fields, body } = await takeAnswer(client);
          equal(line, "HTTP/1.1 200 OK");
          deepEqual(valuesOf(fields, "transfer-encoding"), ["chunked"]);
          ok(body === `abc${LONG}`);
        }
        equal(scene.sockets.length, 2);
      }
    },
  );

  conforms(
    `${front.name}: a chunked answer's chunks, extensions and all, pass as they are (RFC 9112 section 7.1.1)`,
    async () => {
      const chunks = '003;a="b";c\r\nabc\r\n1\r\n\0\r\n0;d\r\nX-Sum: 1\r\n\r\n';
      await using _ = cell.answer(
        `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}`,
      );
      const { fields, rawBody } = await front.ask(GET);
      deepEqual(valuesOf(fields, "transfer-encoding"), ["chunked"]);
      deepEqual(valuesOf(fields, "content-length"), []);
      equal(rawBody, chunks);
    },
  );

  conforms(
    `${front.name}: a reason phrase passes, or its absence does (RFC 9112 section 4)`,
    async () => {
      const lines = [
        ["HTTP/1.1 200 Fine, thanks\tso", "HTTP/1.1 200 Fine, thanks\tso"],
        ["HTTP/1.1 404 \xe9\xff", "HTTP/1.1 404 \xe9\xff"],
        ["HTTP/1.1 200 ", "HTTP/1.1 200 "],
        ["HTTP/1.1 200", "HTTP/1.1 200 "],
        ["HTTP/1.0 299 Old", "HTTP/1.1 299 Old"],
      ] as const;
      for (const [sent, received] of lines) {
        await using _ = cell.answer(`${sent}\r\nContent-Length: 2\r\n\r\nok`);
        equal((await front.ask(GET)).line, received);
      }
    },
  );

  conforms(
    `${front.name}: an answer that breaks after it has begun ends the client's connection, unfinished (RFC 9112 section 8)`,
    async () => {
      const rests = [
        "x\r\n",
        "-1\r\n",
        "2\r\nokay\r\n",
        "2\nok",
        "fffffffffffffffff\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\n\n",
      ];
      for (const rest of rests) {
        const gate = Promise.withResolvers<void>();
        await using scene = cell.play(async (socket) => {
          await takeRequest(socket);
          await socket.send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
          );
          await gate.promise;
          await socket.send(rest);
          equal(await socket.rest(), "");
        });
        await using client = await front.connect();
        await client.send(GET + GET);
        match(await client.until("abc\r\n"), /^HTTP\/1\.1 200 /);
        gate.resolve();
        equal(await client.rest(), "", JSON.stringify(rest));
        equal(scene.sockets.length, 1);
      }
    },
  );
}
