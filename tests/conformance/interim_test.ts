import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { RawSocket } from "../../router/testing.ts";
import { conforms, endAfterwards } from "./cases.ts";
import { Cell, OK, type Play } from "./cell.ts";
import { takeAnswer, takeRequest, valuesOf } from "./messages.ts";
import { Subject } from "./subject.ts";

/**
 * Informational answers (RFC 9110 section 15.2), `Expect` (section 10.1.1), and final answers that come
 * before the request is over. Over HTTP/2 the former end in the router; see `http2_test.ts`.
 */

const cell = new Cell();
const subjects = await Subject.both({ placements: { cell: cell.url() } });
endAfterwards(cell, ...subjects);

const GET = "GET / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\n\r\n";
const KEYLESS = GET.replace("X-Routing-Key: acme\r\n", "");
const POST = "POST / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\n";
const EXPECT = `${POST}Expect: 100-continue\r\n`;
const FRAMINGS = [
  ["Content-Length: 5\r\n\r\n", "hello"],
  ["Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"],
] as const;
const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const HINTS = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";

/** An answer that says no. */
function no(status: number, lines = ""): string {
  return `HTTP/1.1 ${status} No\r\n${lines}Content-Length: 2\r\n\r\nno`;
}

/** Plays the first connection of a scene, and answers whatever comes on others. */
function firstly(play: (socket: RawSocket) => Promise<void>): Play {
  return async (socket, index) => {
    if (index === 0) await play(socket);
    for (;;) {
      await takeRequest(socket);
      await socket.send(OK);
    }
  };
}

/** One request that must be answered with success, on a connection that must be open. */
async function goesOn(client: RawSocket): Promise<void> {
  await client.send(GET);
  const { status, body } = await takeAnswer(client);
  deepEqual([status, body], [200, "ok"]);
}

for (const { front } of subjects) {
  conforms(
    `${front.name}: informational answers pass, each with its fields and at once (RFC 9110 section 15.2)`,
    async () => {
      const heads = [
        CONTINUE,
        "HTTP/1.1 102 Processing\r\nX-Progress: 1%\r\n\r\n",
        "HTTP/1.1 102 Processing\r\nX-Progress: 2%\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload; as=style\r\nLink: </b.js>; rel=preload\r\nX-High: \xe9\r\n\r\n",
        HINTS,
        "HTTP/1.1 199 Nobody knows\r\n\r\n",
      ];
      let gate = Promise.withResolvers<void>();
      await using _ = cell.play(async (socket) => {
        for (;;) {
          await takeRequest(socket);
          for (const head of heads) {
            await socket.send(head);
            await gate.promise;
            gate = Promise.withResolvers();
          }
          await socket.send(OK);
        }
      });
      await using client = await front.connect();
      for (let i = 0; i < 2; i++) {
        await client.send(GET);
        for (const head of heads) {
          equal(await client.head(), head);
          gate.resolve();
        }
        const { status, body, fields, informational } = await takeAnswer(
          client,
        );
        deepEqual([status, body, informational], [200, "ok", []]);
        deepEqual(valuesOf(fields, "link"), [], "a hint's fields are its own");
      }
    },
  );

  conforms(
    `${front.name}: informational answers that come together, or byte by byte, are told apart (RFC 9112 section 9.2)`,
    async () => {
      const text = `${HINTS}${CONTINUE}${HINTS.replace("103", "102")}${OK}`;
      const statuses = ["103", "100", "102"];
      for (const size of [text.length, 1, 7]) {
        await using scene = cell.play(async (socket) => {
          for (;;) {
            await takeRequest(socket);
            for (let at = 0; at < text.length; at += size) {
              await socket.send(text.slice(at, at + size));
            }
          }
        });
        await using client = await front.connect();
        await client.send(GET + GET);
        for (let i = 0; i < 2; i++) {
          const { status, informational, body } = await takeAnswer(client);
          deepEqual([status, body], [200, "ok"]);
          deepEqual(
            informational.map(({ line }) => line.slice(9, 12)),
            statuses,
          );
        }
        equal(scene.sockets.length, 1);
      }
    },
  );

  conforms(
    `${front.name}: an informational answer has neither framing nor hop-by-hop fields (RFC 9110 sections 7.6.1 and 8.6)`,
    async () => {
      await using _ = cell.answer(
        `HTTP/1.1 103 Early Hints\r\nContent-Length: 9\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: a\r\nX-Routed-To: liar\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nTransfer-Encoding: chunked\r\nUpgrade: h2c\r\n\r\n${OK}`,
      );
      const { status, informational, fields, body } = await front.ask(GET);
      deepEqual([status, body], [200, "ok"]);
      deepEqual(informational.map(({ fields }) => fields), [
        [["Link", "</a>"]],
        [],
      ]);
      deepEqual(valuesOf(fields, "x-routed-to"), ["cell"]);
    },
  );

  conforms(
    `${front.name}: informational answers pass before the request's body was sent, and during it (RFC 9110 section 15.2)`,
    async () => {
      for (const [framing, body] of FRAMINGS) {
        await using scene = cell.play(async (socket) => {
          for (;;) {
            await socket.head();
            await socket.send(HINTS);
            await socket.count(body.length - 2);
            await socket.send(HINTS.replace("103", "102"));
            await socket.count(2);
            await socket.send(OK);
          }
        });
        await using client = await front.connect();
        for (let i = 0; i < 2; i++) {
          await client.send(POST + framing);
          match(await client.head(), /^HTTP\/1\.1 103 /);
          await client.send(body.slice(0, -2));
          match(await client.head(), /^HTTP\/1\.1 102 /);
          await client.send(body.slice(-2));
          deepEqual((await takeAnswer(client)).body, "ok");
        }
        equal(scene.sockets.length, 1);
      }
    },
  );

  conforms(
    `${front.name}: 32 informational answers pass; more are 502, and their connection is not used again`,
    async () => {
      const many = (count: number) => CONTINUE.repeat(count) + OK;
      for (
        const [count, status] of [[32, 200], [33, 502], [5000, 502]] as const
      ) {
        await using scene = cell.play(firstly(async (socket) => {
          await takeRequest(socket);
          await socket.send(many(count));
          if (status === 502) await socket.rest();
        }));
        await using client = await front.connect();
        await client.send(GET);
        const answer = await takeAnswer(client);
        equal(answer.status, status);
        equal(answer.informational.length, 32);
        if (status === 502) {
          deepEqual(valuesOf(answer.fields, "content-type"), [
            "application/problem+json",
          ]);
        }
        await goesOn(client);
        equal(scene.sockets.length, status === 200 ? 1 : 2);
      }
    },
  );

  conforms(
    `${front.name}: an informational answer that breaks HTTP is 502 (RFC 9112 section 4)`,
    async () => {
      const answers = [
        "HTTP/1.1 100 Continue\r\nA : b\r\n\r\n",
        "HTTP/1.1 100 Continue\nA: b\n\n",
        "HTTP/1.1 100 Continue\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 10 Continue\r\n\r\n",
        `HTTP/1.1 103 Early Hints\r\n${"A: b\r\n".repeat(201)}\r\n`,
        `HTTP/1.1 103 Early Hints\r\nA: ${"b".repeat(70_000)}\r\n\r\n`,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
      ];
      for (const answer of answers) {
        for (const before of ["", HINTS]) {
          await using scene = cell.play(firstly(async (socket) => {
            await takeRequest(socket);
            await socket.send(before + answer + OK);
            await socket.rest();
          }));
          const body = "Content-Length: 2\r\n\r\nok";
          const { status, informational } = await front.ask(POST + body);
          equal(status, 502, JSON.stringify(answer.slice(0, 80)));
          equal(informational.length, before === "" ? 0 : 1);
          equal((await front.ask(GET)).status, 200);
          equal(scene.sockets.length, 2);
        }
      }
    },
  );

  conforms(
    `${front.name}: an endpoint that ends after an informational answer is 502, and asked once (RFC 9112 section 9.3.1)`,
    async () => {
      await using scene = cell.play(async (socket) => {
        await takeRequest(socket);
        await socket.send(HINTS);
      });
      const { status, informational } = await front.ask(GET);
      equal(status, 502);
      equal(informational.length, 1);
      equal(scene.sockets.length, 1);
    },
  );

  conforms(
    `${front.name}: 100 Continue is the endpoint's to say, and the body follows (RFC 9110 section 10.1.1)`,
    async () => {
      for (const [framing, body] of FRAMINGS) {
        let said = false;
        await using scene = cell.play(async (socket) => {
          for (;;) {
            const head = await socket.head();
            match(head, /\r\nExpect: 100-continue\r\n/);
            // Another request goes through meanwhile: had the router spoken by itself, it had done so by now.
            equal((await front.ask(KEYLESS)).status, 400);
            said = true;
            await socket.send(CONTINUE);
            equal(await socket.count(body.length), body);
            await socket.send(OK);
          }
        });
        await using client = await front.connect();
        for (let i = 0; i < 2; i++) {
          said = false;
          await client.send(EXPECT + framing);
          equal(await client.head(), CONTINUE);
          ok(said);
          await client.send(body);
          const { body: received, informational } = await takeAnswer(client);
          deepEqual([received, informational], ["ok", []]);
        }
        equal(scene.sockets.length, 1);
      }
    },
  );

  conforms(
    `${front.name}: a final answer instead of 100 Continue ends both connections (RFC 9110 section 10.1.1)`,
    async () => {
      for (const [framing, body] of FRAMINGS) {
        for (const answer of [no(417), no(401), no(200), HINTS + no(413)]) {
          await using scene = cell.play(firstly(async (socket) => {
            await socket.head();
            await socket.send(answer);
            equal(await socket.rest(), "");
          }));
          await using client = await front.connect();
          await client.send(EXPECT + framing);
          const received = await takeAnswer(client);
          deepEqual(
            [received.status, received.body],
            [Number(/ ([^1]..) No/.exec(answer)![1]), "no"],
          );
          deepEqual(valuesOf(received.fields, "connection"), ["close"]);
          // Whether what comes now is the body or a request cannot be known.
          await client.send(body + GET).catch(() => {});
          equal(await client.rest(), "");
          equal((await front.ask(GET)).status, 200);
          equal(scene.sockets.length, 2);
        }
      }
    },
  );

  conforms(
    `${front.name}: after 100 Continue and an early final answer the body is passed over (RFC 9110 section 10.1.1)`,
    async () => {
      for (const [framing, body] of FRAMINGS) {
        await using scene = cell.play(firstly(async (socket) => {
          await socket.head();
          await socket.send(CONTINUE + no(403));
          await socket.rest();
        }));
        await using client = await front.connect();
        await client.send(EXPECT + framing);
        equal(await client.head(), CONTINUE);
        const { status } = await takeAnswer(client);
        equal(status, 403);
        await client.send(body);
        await goesOn(client);
        equal(scene.sockets.length, 2);
      }
    },
  );

  conforms(
    `${front.name}: a client need not wait for 100 Continue, and an endpoint need not say it (RFC 9110 section 10.1.1)`,
    async () => {
      for (const [framing, body] of FRAMINGS) {
        await using scene = cell.answer();
        await using client = await front.connect();
        for (const apart of [false, true]) {
          if (apart) {
            await client.send(EXPECT + framing);
            await client.send(body);
          } else await client.send(EXPECT + framing + body);
          const { status, informational } = await takeAnswer(client);
          deepEqual([status, informational], [200, []]);
          equal(scene.last.body, "hello");
          deepEqual(valuesOf(scene.last.fields, "expect"), ["100-continue"]);
        }
        await goesOn(client);
        equal(scene.sockets.length, 1);
      }
    },
  );

  conforms(
    `${front.name}: an expectation without a body, or of something else, is the endpoint's affair (RFC 9110 section 10.1.1)`,
    async () => {
      await using scene = cell.answer();
      await using client = await front.connect();
      const expectations = ["100-Continue", "200-ok", '100-continue;a="b"', ""];
      for (const expectation of expectations) {
        for (const rest of ["\r\n", "Content-Length: 0\r\n\r\n"]) {
          await client.send(`${POST}Expect: ${expectation}\r\n${rest}`);
          const { status, fields } = await takeAnswer(client);
          equal(status, 200);
          deepEqual(valuesOf(fields, "connection"), []);
          deepEqual(valuesOf(scene.last.fields, "expect"), [expectation]);
        }
      }
    },
  );

  conforms(
    `${front.name}: what the router refuses by itself leaves no client waiting for 100 Continue (RFC 9110 section 10.1.1)`,
    async () => {
      await using scene = cell.answer();
      for (const [framing] of FRAMINGS) {
        const answer = await front.send(
          EXPECT.replace("X-Routing-Key: acme\r\n", "") + framing,
        );
        match(answer, /^HTTP\/1\.1 400 [^]*\r\nConnection: close\r\n/);
      }
      equal(scene.sockets.length, 0);
    },
  );

  conforms(
    `${front.name}: a final answer passes while a large upload still runs (RFC 9112 section 9.3)`,
    async () => {
      const size = 64 * 1024 * 1024;
      const piece = "u".repeat(65_536);
      const framings = [
        [`Content-Length: ${size}\r\n\r\n`, piece],
        ["Transfer-Encoding: chunked\r\n\r\n", `10000\r\n${piece}\r\n`],
      ] as const;
      for (const [framing, part] of framings) {
        for (const closes of [false, true]) {
          await using scene = cell.play(firstly(async (socket) => {
            await socket.head();
            await socket.count(200_000);
            await socket.send(no(413, closes ? "Connection: close\r\n" : ""));
            if (closes) return socket.close();
            // It takes no more, as one that waits for its answer to be heard.
            await ended.promise;
            await socket.rest();
          }));
          const ended = Promise.withResolvers<void>();
          await using client = await front.connect();
          let sent = 0;
          const sending = (async () => {
            await client.send(POST + framing);
            for (; sent < size; sent += piece.length) {
              await client.send(part);
              // Writes that need not wait would keep all else from running.
              await new Promise((resolve) => setTimeout(resolve, 0));
            }
          })().catch(() => {});
          const { status, body } = await takeAnswer(client);
          deepEqual([status, body], [413, "no"]);
          equal(await client.rest(), "", "so much more is not read");
          client.close();
          await sending;
          ok(sent < size);
          ended.resolve();
          equal((await front.ask(GET)).status, 200);
          equal(scene.sockets.length, 2);
        }
      }
    },
  );

  conforms(
    `${front.name}: a client that finishes a small upload after its final answer keeps its connection (RFC 9112 section 9.3)`,
    async () => {
      for (const [framing, body] of FRAMINGS) {
        await using scene = cell.play(firstly(async (socket) => {
          await socket.head();
          await socket.send(no(403));
          await socket.rest();
        }));
        await using client = await front.connect();
        await client.send(POST + framing + body.slice(0, 3));
        const { status, fields } = await takeAnswer(client);
        equal(status, 403);
        deepEqual(valuesOf(fields, "connection"), []);
        await client.send(body.slice(3));
        await goesOn(client);
        equal(scene.sockets.length, 2, "half a request stands on the first");
      }
    },
  );

  conforms(
    `${front.name}: an answer that streams while the upload does is no less whole (RFC 9110 section 7.6)`,
    async () => {
      await using scene = cell.play(async (socket) => {
        await socket.head();
        await socket.send(
          "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        for (let i = 0; i < 50; i++) {
          const part = await socket.count(1000);
          await socket.send(`3e8\r\n${part}\r\n`);
        }
        await socket.send("0\r\n\r\n");
        await socket.rest();
      });
      await using client = await front.connect();
      await client.send(`${POST}Content-Length: 50000\r\n\r\n`);
      match(await client.head(), /^HTTP\/1\.1 200 /);
      for (let i = 0; i < 50; i++) {
        const part = String(i % 10).repeat(1000);
        await client.send(part);
        equal(await client.until("\r\n"), "3e8\r\n");
        equal(await client.count(1002), `${part}\r\n`);
      }
      equal(await client.until("\r\n\r\n"), "0\r\n\r\n");
      equal(scene.sockets.length, 1);
    },
  );
}
