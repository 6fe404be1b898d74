import { deepEqual, equal, match, ok } from "node:assert/strict";
import { conforms, endAfterwards } from "./cases.ts";
import { Cell } from "./cell.ts";
import { textOf } from "./front.ts";
import { type Field, valuesOf } from "./messages.ts";
import { Subject } from "./subject.ts";

const cell = new Cell();
const subjects = await Subject.both({ placements: { cell: cell.url() } });
endAfterwards(cell, ...subjects);
const fronts = subjects.flatMap((subject) => subject.fronts);

/** An answer's head with these fields, and a body of two bytes. */
function answerWith(fields: readonly Field[]): string {
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 200 OK\r\n${lines.join("")}Content-Length: 2\r\n\r\nok`;
}

/** The fields among `fields` whose names are those of `sent`, in lower case. */
function ofThose(fields: readonly Field[], sent: readonly Field[]): Field[] {
  const names = new Set(sent.map(([name]) => name.toLowerCase()));
  return lowerCase(fields).filter(([name]) => names.has(name));
}

function lowerCase(fields: readonly Field[]): Field[] {
  return fields.map(([name, value]) => [name.toLowerCase(), value]);
}

/** Field lines that nothing between the two ends may join, reorder or change. */
const KEPT: readonly Field[] = [
  ["Accept", "text/html, application/json;q=0.9"],
  ["X-Repeated", "1"],
  ["Cookie", "a=1; b=2"],
  ["X-Repeated", "2, 3"],
  ["X-Empty", ""],
  ["x-rePEATED", "1"],
  ["Authorization", "Basic dXNlcjpzZWNyZXQ="],
  ["Range", "bytes=0-3,5-"],
  ["If-None-Match", 'W/"a", "b"'],
  ["Date", "Sun, 06 Nov 1994 08:49:37 GMT"],
  ["X-Quoted", '"a, \\"b\\"; c"'],
  ["X-Inside", "a \t  b"],
  ["X!#$%&'*+-.^_`|~9", "token"],
  ["__proto__", "x"],
  ["Trailer", "X-Sum"],
  ["Cache-Control", "no-cache"],
  ["Max-Forwards", "9"],
];

const SET_COOKIES: readonly Field[] = [
  ["Set-Cookie", "a=1; Path=/, b"],
  ["X-Between", "1"],
  ["Set-Cookie", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"],
  ["set-cookie", "a=3"],
  ["WWW-Authenticate", 'Basic realm="x", Digest nonce=","'],
  ["WWW-Authenticate", "Negotiate"],
  ["Link", "</a>; rel=preload, </b>"],
  ["Server", "cell/1"],
  ["Via", "1.1 inner"],
  ["Age", "0"],
];

for (const front of fronts) {
  conforms(
    `${front.name}: fields are neither joined nor reordered nor changed on the way to the endpoint (RFC 9110 section 5.3)`,
    async () => {
      await using scene = cell.answer();
      await front.exchange({ headers: KEPT });
      deepEqual(ofThose(scene.last.fields, KEPT), lowerCase(KEPT));
    },
  );

  conforms(
    `${front.name}: several Set-Cookie and other repeated fields come back apart and in order (RFC 9110 section 5.3)`,
    async () => {
      await using _ = cell.answer(answerWith(SET_COOKIES));
      const { headers } = await front.exchange({});
      deepEqual(ofThose(headers, SET_COOKIES), lowerCase(SET_COOKIES));
    },
  );

  conforms(
    `${front.name}: bytes from 0x80 to 0xff in values pass both ways (RFC 9110 section 5.5)`,
    async () => {
      const high = Array.from(
        { length: 128 },
        (_, i) => String.fromCharCode(128 + i),
      );
      const fields: Field[] = [
        ["X-High", `a${high.join("")}z`],
        ["X-Utf8", "\xc3\xa9\xe2\x82\xac \xf0\x9f\x9a\x82"],
      ];
      await using scene = cell.answer(answerWith(fields));
      const { headers } = await front.exchange({ headers: fields });
      deepEqual(ofThose(scene.last.fields, fields), lowerCase(fields));
      deepEqual(ofThose(headers, fields), lowerCase(fields));
    },
  );

  conforms(
    `${front.name}: 120 fields and 48 KiB of fields pass both ways (RFC 9110 section 5.4)`,
    async () => {
      const many = Array.from(
        { length: 120 },
        (_, i) => [`X-Field-${i}`, String(i)] as const,
      );
      const large = Array.from(
        { length: 12 },
        (_, i) => [`X-Large-${i}`, String(i % 10).repeat(4096)] as const,
      );
      const one = [["X-One", "1".repeat(48 * 1024)]] as const;
      for (const fields of [many, large, one]) {
        await using scene = cell.answer(answerWith(fields));
        const { headers, body } = await front.exchange({
          headers: fields,
          body: "x",
        });
        deepEqual(ofThose(scene.last.fields, fields), lowerCase(fields));
        equal(scene.last.body, "x");
        deepEqual(ofThose(headers, fields), lowerCase(fields));
        equal(textOf(body), "ok");
      }
    },
  );

  conforms(
    `${front.name}: an answer's head over the limits is answered 502 (RFC 9110 section 5.4)`,
    async () => {
      const heads = [
        "A: b\r\n".repeat(201),
        `A: ${"b".repeat(64 * 1024)}\r\n`,
        `A: ${"b".repeat(4000)}\r\n`.repeat(17),
        `A: ${"b".repeat(1_000_000)}\r\n`,
      ];
      for (const lines of heads) {
        await using scene = cell.play(async (socket) => {
          await socket.head();
          await socket.send(`HTTP/1.1 200 OK\r\n${lines}\r\n`);
          await socket.rest();
        });
        const { status, headers } = await front.exchange({});
        equal(status, 502);
        deepEqual(valuesOf(headers, "content-type"), [
          "application/problem+json",
        ]);
        equal(scene.sockets.length, 1);
      }
    },
  );

  conforms(
    `${front.name}: the router's own fields replace an endpoint's of the same name`,
    async () => {
      const theirs: readonly Field[] = [
        ["X-Routed-To", "liar"],
        ["x-route-reason", "liar"],
        ["X-CONFIG-VERSION", "99"],
        ["X-Routed-To", "another"],
      ];
      await using _ = cell.answer(answerWith(theirs));
      const { headers } = await front.exchange({});
      deepEqual(ofThose(headers, theirs), [
        ["x-routed-to", "cell"],
        ["x-route-reason", "assigned"],
        ["x-config-version", "0"],
      ]);
    },
  );

  conforms(
    `${front.name}: an answer's hop-by-hop fields go no further (RFC 9110 section 7.6.1)`,
    async () => {
      const fields: readonly Field[] = [
        ["Connection", "keep-alive, X-Hop"],
        ["Keep-Alive", "timeout=5"],
        ["Proxy-Connection", "keep-alive"],
        ["TE", "trailers"],
        ["Upgrade", "h2c"],
        ["X-Hop", "1"],
        ["connection", "x-other"],
        ["X-Other", "1"],
        ["X-Kept", "1"],
      ];
      await using _ = cell.answer(answerWith(fields));
      const { headers } = await front.exchange({});
      deepEqual(ofThose(headers, fields), [["x-kept", "1"]]);
    },
  );
}

/** The fields that a request of these lines reaches the endpoint with, but for those the router adds. */
async function received(
  front: Subject["front"],
  lines: string,
  line = "GET / HTTP/1.1",
): Promise<Field[]> {
  await using scene = cell.answer();
  const { status } = await front.ask(
    `${line}\r\nHost: a.example\r\nX-Routing-Key: acme\r\n${lines}\r\n`,
  );
  equal(status, 200);
  const added = /^(x-forwarded-.*|via|x-request-id)$/i;
  return scene.last.fields.filter(([name]) => !added.test(name));
}

const ALWAYS: readonly Field[] = [
  ["Host", "a.example"],
  ["X-Routing-Key", "acme"],
];

for (const { front } of subjects) {
  conforms(
    `${front.name}: a request's hop-by-hop fields go no further (RFC 9110 section 7.6.1)`,
    async () => {
      deepEqual(
        await received(
          front,
          "Connection: keep-alive, TE\r\nKeep-Alive: 3\r\nPROXY-CONNECTION: close\r\nTE: trailers, deflate;q=0.5\r\nX: y\r\n",
        ),
        [...ALWAYS, ["X", "y"]],
      );
      deepEqual(await received(front, "TE: trailers\r\n"), ALWAYS);
      deepEqual(
        await received(
          front,
          "Connection: close, X-A\r\nx-a: 1\r\nX-B: 2\r\nConnection:\tx-b,,X-C ,\r\nX-A: 3\r\nX-C: 4\r\nX-D: 5\r\nX-Ab: 6\r\n",
        ),
        [...ALWAYS, ["X-D", "5"], ["X-Ab", "6"]],
      );
    },
  );

  conforms(
    `${front.name}: Connection cannot strip what the router or the endpoint relies on (RFC 9110 section 7.6.1)`,
    async () => {
      await using scene = cell.answer();
      const listed =
        "Host, Content-Length, Authorization, Cookie, X-Routing-Key, X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host, Via, X-Gone";
      const { status } = await front.ask(
        `POST / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\nAuthorization: a\r\nCookie: c\r\nX-Gone: 1\r\nConnection: ${listed}\r\nContent-Length: 2\r\n\r\nok`,
      );
      equal(status, 200);
      const { fields, body } = scene.last;
      equal(body, "ok");
      for (const name of listed.split(", ")) {
        const count = name === "X-Gone" ? 0 : 1;
        equal(valuesOf(fields, name).length, count, name);
      }
    },
  );

  conforms(
    `${front.name}: Connection cannot strip the length of an answer (RFC 9110 section 7.6.1)`,
    async () => {
      await using _ = cell.answer(
        "HTTP/1.1 200 OK\r\nConnection: content-length, transfer-encoding\r\nContent-Length: 2\r\n\r\nok",
      );
      const { fields, body } = await front.ask(
        "GET / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\n\r\n",
      );
      deepEqual(valuesOf(fields, "content-length"), ["2"]);
      equal(body, "ok");
    },
  );

  conforms(
    `${front.name}: no Upgrade but a WebSocket's is forwarded, h2c above all (RFC 9110 section 7.8)`,
    async () => {
      const upgrades = [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
        "Connection: Upgrade\r\nUpgrade: h2c\r\n",
        "Connection: upgrade\r\nUpgrade: h2c, websocket\r\n",
        "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n",
        "Connection: upgrade\r\nUpgrade: websocket/13\r\n",
        "Connection: upgrade\r\nUpgrade: TLS/1.2\r\n",
        "Connection: upgrade\r\nUpgrade: connect-udp\r\n",
        "Upgrade: h2c\r\n",
        "Upgrade: websocket\r\n",
        "Connection: keep-alive\r\nUpgrade: websocket\r\n",
        "Connection: upgrade\r\n",
      ];
      for (const lines of upgrades) {
        deepEqual(await received(front, lines), ALWAYS, JSON.stringify(lines));
      }
      for (const method of ["POST", "OPTIONS", "HEAD"]) {
        deepEqual(
          await received(
            front,
            "Connection: upgrade\r\nUpgrade: websocket\r\n",
            `${method} / HTTP/1.1`,
          ),
          ALWAYS,
        );
      }
    },
  );

  conforms(
    `${front.name}: an endpoint that switches protocols unasked is answered 502 (RFC 9110 section 15.2.2)`,
    async () => {
      const switched =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
      for (const upgrade of ["", "Connection: Upgrade\r\nUpgrade: h2c\r\n"]) {
        await using scene = cell.play(async (socket) => {
          await socket.head();
          await socket.send(`${switched}PRI * HTTP/2.0`);
          await socket.rest();
        });
        const { status, body } = await front.ask(
          `GET / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\n${upgrade}\r\n`,
        );
        equal(status, 502);
        ok(!body.includes("PRI"));
        equal(scene.sockets.length, 1);
      }
    },
  );

  conforms(
    `${front.name}: field lines that are not strictly HTTP/1.1 are answered 400, and not forwarded (RFC 9112 section 5)`,
    async () => {
      await using scene = cell.answer();
      const bad = [
        "A : b",
        "A\t: b",
        " A: b",
        "\tA: b",
        ": b",
        "A",
        "A: b\r\n c",
        "A: b\r\n\tc",
        "A: b\r\n \r\nB: c",
        "A: b\nB: c",
        "A: b\rB: c",
        "A: b\r\r",
        "A: b\x00c",
        "A: \x00",
        "A: b\x01",
        "A: b\x0bc",
        "A: b\x0c",
        "A: b\x1b",
        "A: b\x7f",
        "A\x00: b",
        "A(: b",
        "A/B: c",
        "A@b: c",
        "A[b]: c",
        '"A": b',
        "A\xe9: b",
        "A B: c",
      ];
      for (const lines of bad) {
        const answer = await front.send(
          `GET / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\n${lines}\r\n\r\n`,
        );
        match(
          answer,
          /^HTTP\/1\.1 400 [^]*\r\nConnection: close\r\n/,
          JSON.stringify(lines),
        );
        const first = await front.send(
          `GET / HTTP/1.1\r\n${lines}\r\nHost: a.example\r\nX-Routing-Key: acme\r\n\r\n`,
        );
        match(first, /^HTTP\/1\.1 400 /, JSON.stringify(lines));
      }
      equal(scene.sockets.length, 0);
    },
  );

  conforms(
    `${front.name}: white space around a value is no part of it (RFC 9110 section 5.5)`,
    async () => {
      deepEqual(
        await received(front, "A:b\r\nC:  \td \t\r\nE:\r\nF: \t \r\n"),
        [...ALWAYS, ["A", "b"], ["C", "d"], ["E", ""], ["F", ""]],
      );
      await using scene = cell.answer();
      const { fields } = await front.ask(
        "GET / HTTP/1.1\r\nHost:\t a.example \r\nX-Routing-Key:acme\t\r\n\r\n",
      );
      deepEqual(valuesOf(fields, "x-route-reason"), ["assigned"]);
      equal(scene.requests.length, 1);
    },
  );

  conforms(
    `${front.name}: 200 fields and a head of 64 KiB pass; over either it is answered 431 (RFC 6585 section 5)`,
    async () => {
      await using scene = cell.answer();
      const line = "GET / HTTP/1.1\r\n";
      const needed = "Host: a.example\r\nX-Routing-Key: acme\r\n";
      const fill = 64 * 1024 - line.length - needed.length -
        "A: \r\n\r\n".length;
      for (
        const lines of ["A: b\r\n".repeat(198), `A: ${"b".repeat(fill)}\r\n`]
      ) {
        const { status } = await front.ask(`${line}${needed}${lines}\r\n`);
        equal(status, 200);
      }
      equal(scene.requests.length, 2);
      const over = [
        "A: b\r\n".repeat(199),
        "A: b\r\n".repeat(5000),
        `A: ${"b".repeat(fill + 1)}\r\n`,
        `A: ${"b".repeat(200_000)}\r\n`,
        `${"a".repeat(70_000)}: b\r\n`,
        `A: ${"b".repeat(1_000)}\r\n`.repeat(100),
      ];
      for (const lines of over) {
        for (const end of ["\r\n", ""]) {
          if (end === "" && lines.length < 65_536) continue;
          const { status, fields } = await front.ask(
            `${line}${needed}${lines}${end}`,
          );
          equal(status, 431);
          deepEqual(valuesOf(fields, "connection"), ["close"]);
        }
      }
      equal(scene.requests.length, 2);
    },
  );
}
