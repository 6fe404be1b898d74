import { deepEqual, equal, match, ok } from "node:assert/strict";
import { conforms, endAfterwards } from "./cases.ts";
import { Cell } from "./cell.ts";
import { type Message, takeAnswer, takeRequest, valuesOf } from "./messages.ts";
import { Subject } from "./subject.ts";

/** Requests that follow each other without waiting for answers (RFC 9112 section 9.3.2). */

const cell = new Cell();
const subjects = await Subject.both({ placements: { cell: cell.url() } });
endAfterwards(cell, ...subjects);

/** A request for `target`, with more field lines and a body. */
function ask(target: string, method = "GET", lines = "", body = ""): string {
  return `${method} ${target} HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\n${lines}\r\n${body}`;
}

function targetOf({ line }: Message): string {
  return line.split(" ")[1]!;
}

/** Answers with the target and the body of the request. */
function echo(request: Message): string {
  const body = `${targetOf(request)} ${request.body}`;
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}

const PATHS = Array.from({ length: 50 }, (_, i) => `/${i}`);

for (const { front } of subjects) {
  conforms(
    `${front.name}: 50 requests in one write are answered in order (RFC 9112 section 9.3.2)`,
    async () => {
      await using scene = cell.answer(echo);
      await using client = await front.connect();
      await client.send(PATHS.map((path) => ask(path)).join(""));
      for (const path of PATHS) {
        const { status, body } = await takeAnswer(client);
        deepEqual([status, body], [200, `${path} `]);
      }
      deepEqual(scene.requests.map(targetOf), PATHS);
      await client.send(ask("/last"));
      equal((await takeAnswer(client)).body, "/last ", "it can go on");
    },
  );

  conforms(
    `${front.name}: 50 requests with bodies of every framing keep their order and their bodies (RFC 9112 section 9.3.2)`,
    async () => {
      await using scene = cell.answer(echo);
      await using client = await front.connect();
      const body = (i: number) =>
        i % 3 === 0 ? "" : ask("/smuggled").repeat(i % 7);
      await client.send(
        PATHS.map((path, i) => {
          const text = body(i);
          if (i % 3 === 0) return ask(path);
          if (i % 3 === 1) {
            return ask(
              path,
              "POST",
              `Content-Length: ${text.length}\r\n`,
              text,
            );
          }
          const chunk = text === ""
            ? ""
            : `${text.length.toString(16)};a=b\r\n${text}\r\n`;
          return ask(
            path,
            "PUT",
            "Transfer-Encoding: chunked\r\n",
            `${chunk}0\r\nX-Sum: 1\r\n\r\n`,
          );
        }).join(""),
      );
      for (const [i, path] of PATHS.entries()) {
        equal((await takeAnswer(client)).body, `${path} ${body(i)}`);
      }
      deepEqual(scene.requests.map(targetOf), PATHS);
    },
  );

  conforms(
    `${front.name}: requests cut anywhere are the same requests (RFC 9112 section 2.2)`,
    async () => {
      await using scene = cell.answer(echo);
      const text = `${ask("/0")}${
        ask("/1", "POST", "Content-Length: 3\r\n", "a\r\n")
      }\r\n${
        ask(
          "/2",
          "POST",
          "Transfer-Encoding: chunked\r\n",
          "1\r\nb\r\n0\r\n\r\n",
        )
      }${ask("/3")}`;
      await using client = await front.connect();
      for (const length of [1, 2, 3, 7, 64]) {
        for (let at = 0; at < text.length; at += length) {
          await client.send(text.slice(at, at + length));
        }
        for (const expected of ["/0 ", "/1 a\r\n", "/2 b", "/3 "]) {
          equal((await takeAnswer(client)).body, expected);
        }
      }
      equal(scene.requests.length, 20);
    },
  );

  conforms(
    `${front.name}: answers of every framing stay in order, those without a body too (RFC 9112 section 6.3)`,
    async () => {
      const answers: readonly (readonly [
        method: string,
        status: number,
        answer: string,
        body: string,
      ])[] = [
        ["GET", 200, "Content-Length: 2\r\n\r\nok", "ok"],
        ["HEAD", 200, "Content-Length: 2\r\n\r\n", ""],
        ["GET", 204, "\r\n", ""],
        ["GET", 304, "Content-Length: 2\r\n\r\n", ""],
        [
          "POST",
          200,
          "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n",
          "ok",
        ],
        ["HEAD", 200, "Transfer-Encoding: chunked\r\n\r\n", ""],
        ["GET", 200, "\r\nto the end", "to the end"],
        ["GET", 500, "Connection: close\r\nContent-Length: 2\r\n\r\nno", "no"],
        ["OPTIONS", 200, "Content-Length: 0\r\n\r\n", ""],
      ];
      await using _ = cell.play(async (socket) => {
        for (;;) {
          const target = targetOf(await takeRequest(socket));
          const [, status, rest] = answers[Number(target.slice(1))]!;
          await socket.send(
            `HTTP/1.1 ${status} x\r\nX-For: ${target}\r\n${rest}`,
          );
          if (!/^(Content-Length|Transfer)|^\r\n$/.test(rest)) {
            await socket.finish();
          }
        }
      });
      await using client = await front.connect();
      await client.send(
        answers.map(([method], i) => ask(`/${i}`, method)).join(""),
      );
      for (const [i, [method, status, , body]] of answers.entries()) {
        const answer = await takeAnswer(client, method);
        deepEqual(
          [answer.status, valuesOf(answer.fields, "x-for"), answer.body],
          [status, [`/${i}`], body],
        );
      }
    },
  );

  conforms(
    `${front.name}: what is answered without the endpoint, or fails there, keeps its place (RFC 9112 section 9.3.2)`,
    async () => {
      await using scene = cell.play(async (socket) => {
        for (;;) {
          const request = await takeRequest(socket);
          if (targetOf(request) === "/dies") return socket.close();
          if (targetOf(request) === "/garbage") {
            await socket.send("garbage\r\n\r\n");
          } else await socket.send(echo(request));
        }
      });
      await using client = await front.connect();
      const keyless = ask("/").replace("X-Routing-Key: acme\r\n", "");
      await client.send([
        ask("/0"),
        keyless,
        ask("/dies", "POST", "Content-Length: 2\r\n", "ok"),
        ask("/1"),
        keyless.replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nok"),
        ask("/garbage"),
        ask("/2", "POST", "Content-Length: 2\r\n", "ok"),
      ].join(""));
      const statuses = [];
      for (let i = 0; i < 7; i++) {
        const { status, body } = await takeAnswer(client);
        statuses.push(status === 200 ? body : status);
      }
      deepEqual(statuses, ["/0 ", 400, 502, "/1 ", 400, 502, "/2 ok"]);
      ok(scene.sockets.length >= 3);
    },
  );

  conforms(
    `${front.name}: a bad request is answered after the good ones before it, and the connection ends (RFC 9112 section 9.6)`,
    async () => {
      const bad: readonly (readonly [text: string, status: number])[] = [
        ["GET  / HTTP/1.1\r\nHost: a.example\r\n\r\n", 400],
        [
          ask("/bad", "POST", "Content-Length: 2\r\nContent-Length: 3\r\n"),
          400,
        ],
        [ask("/bad", "GET", "Host: b.example\r\n"), 400],
        [ask("/bad").replaceAll("\r\n", "\n"), 400],
        ["\n", 400],
        ["\0\0\0\0", 400],
        ["\x16\x03\x01\x00\x05\r\n\r\n", 400],
        ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
        ["GET /\r\n\r\n", 400],
        [ask("/bad").replace("1.1", "1.0"), 505],
        [ask(`/${"a".repeat(20_000)}`), 414],
        [ask("/bad", "GET", "A: b\r\n".repeat(300)), 431],
        ["CONNECT a.example:1 HTTP/1.1\r\nHost: a.example:1\r\n\r\n", 405],
        [
          ask("/bad", "POST", "Transfer-Encoding: chunked\r\n", "x\r\n"),
          400,
        ],
      ];
      for (const [text, status] of bad) {
        await using scene = cell.answer(echo);
        await using client = await front.connect();
        const good = [
          ask("/0"),
          ask("/1", "POST", "Content-Length: 2\r\n", "ok"),
          ask("/2"),
        ].join("");
        // What is refused early may not be read to its end.
        const sent = client.send(good + text + ask("/after").repeat(3))
          .catch(() => {});
        const bodies = [];
        for (let i = 0; i < 3; i++) {
          bodies.push((await takeAnswer(client)).body);
        }
        deepEqual(bodies, ["/0 ", "/1 ok", "/2 "]);
        const answer = await takeAnswer(client);
        equal(answer.status, status, JSON.stringify(text.slice(0, 60)));
        deepEqual(valuesOf(answer.fields, "connection"), ["close"]);
        equal(await client.rest(), "");
        await sent;
        deepEqual(scene.requests.map(targetOf), ["/0", "/1", "/2"]);
      }
    },
  );

  conforms(
    `${front.name}: an empty line before a request is passed over (RFC 9112 section 2.2)`,
    async () => {
      await using scene = cell.answer(echo);
      const parts = [
        [`\r\n${ask("/0")}`],
        ["\r\n", ask("/1")],
        ["\r", "\n", ask("/2")],
        ["\r", `\n${ask("/3")}`],
        [`${ask("/4", "POST", "Content-Length: 2\r\n", "ok")}\r\n`],
        [ask("/5")],
        [`\r\n${ask("/6")}\r\n${ask("/7")}\r\n`, ask("/8")],
      ];
      for (const fresh of [false, true]) {
        let client = await front.connect();
        const bodies = [];
        for (const part of parts) {
          for (const text of part) await client.send(text);
          const count = part.join("").split("HTTP/1.1").length - 1;
          for (let i = 0; i < count; i++) {
            bodies.push((await takeAnswer(client)).body);
          }
          if (!fresh) continue;
          client.close();
          client = await front.connect();
        }
        client.close();
        deepEqual(bodies, [
          "/0 ",
          "/1 ",
          "/2 ",
          "/3 ",
          "/4 ok",
          "/5 ",
          "/6 ",
          "/7 ",
          "/8 ",
        ]);
      }
      equal(scene.requests.length, 18);
      match(
        await front.send(`\r\n\r\n\r\n${ask("/")}`),
        /^HTTP\/1\.1 400 /,
        "a heap of them is no request",
      );
      equal(scene.requests.length, 18);
    },
  );

  conforms(
    `${front.name}: a FIN behind the last request lets all of them be answered (RFC 9112 section 9.6)`,
    async () => {
      for (const paths of [PATHS, PATHS.slice(0, 1), PATHS.slice(0, 2)]) {
        await using scene = cell.answer(echo);
        await using client = await front.connect();
        await client.send(paths.map((path) => ask(path)).join(""));
        await client.finish();
        for (const path of paths) {
          equal((await takeAnswer(client)).body, `${path} `);
        }
        equal(await client.rest(), "");
        deepEqual(scene.requests.map(targetOf), paths);
      }
    },
  );

  conforms(
    `${front.name}: nothing behind a request that ends its connection is forwarded (RFC 9112 section 9.6)`,
    async () => {
      await using scene = cell.answer(echo);
      const answers = await front.send(
        `${ask("/0")}${ask("/1", "GET", "Connection: close\r\n")}${
          ask("/2").repeat(20)
        }`,
      );
      equal(answers.split("HTTP/1.1 200 OK").length - 1, 2);
      ok(answers.endsWith("\r\n\r\n/1 "));
      deepEqual(scene.requests.map(targetOf), ["/0", "/1"]);
    },
  );

  conforms(
    `${front.name}: a late answer delays those behind it, and does not let them pass (RFC 9112 section 9.3.2)`,
    async () => {
      const gate = Promise.withResolvers<void>();
      const arrived = Promise.withResolvers<void>();
      await using _ = cell.play(async (socket) => {
        for (;;) {
          const request = await takeRequest(socket);
          if (targetOf(request) === "/slow") {
            arrived.resolve();
            await gate.promise;
          }
          await socket.send(echo(request));
        }
      });
      await using client = await front.connect();
      await client.send(ask("/slow") + ask("/fast"));
      await arrived.promise;
      // Another client is not kept waiting, and has had time for more than the second request.
      for (let i = 0; i < 5; i++) {
        equal((await front.ask(ask("/other"))).body, "/other ");
      }
      gate.resolve();
      equal((await takeAnswer(client)).body, "/slow ");
      equal((await takeAnswer(client)).body, "/fast ");
    },
  );
}
