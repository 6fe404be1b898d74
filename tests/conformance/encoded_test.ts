import { deepEqual, equal, ok } from "node:assert/strict";
import { brotliCompressSync, gunzipSync, gzipSync } from "node:zlib";
import { conforms, endAfterwards } from "./cases.ts";
import { Cell } from "./cell.ts";
import { bytesOf, textOf } from "./front.ts";
import { type Field, takeAnswer, takeRequest, valuesOf } from "./messages.ts";
import { Subject } from "./subject.ts";

/** Content passes as it is: what is encoded stays so, what is not stays so, and a part stays a part. */

const cell = new Cell();
const subjects = await Subject.both({ placements: { cell: cell.url() } });
endAfterwards(cell, ...subjects);

const TEXT = "<p>All content is but bytes.</p>\r\n".repeat(3000);
const GZIPPED = textOf(gzipSync(TEXT));

/** Content as endpoints encode it; what the name of a coding promises does not matter to a proxy. */
const ENCODED: readonly (readonly [coding: string, content: string])[] = [
  ["gzip", GZIPPED],
  ["br", textOf(brotliCompressSync(TEXT))],
  // A frame of one raw block (RFC 8878 section 3.1).
  ["zstd", "\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00ok"],
  ["gzip, br", textOf(brotliCompressSync(gzipSync(TEXT)))],
  ["GZIP", GZIPPED.slice(0, 100)],
  ["x-gzip", "no gzip at all"],
  ["deflate", ""],
  ["identity", TEXT],
  ["aes128gcm", "\0\r\n\r\n\xff"],
];

/** Fields that are about the content, which nobody but its author may touch. */
function about(coding: string | null, content: string): Field[] {
  return [
    ["content-type", "text/html; charset=utf-8"],
    ...(coding === null ? [] : [["content-encoding", coding] as const]),
    ["etag", `"${coding ?? "plain"}-1"`],
    ["vary", "accept-encoding"],
    ["content-language", "en"],
    ["repr-digest", `sha-256=:${"A".repeat(43)}=:`],
    ["last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"],
    ["cache-control", "max-age=60"],
    ["accept-ranges", "bytes"],
    ["content-length", String(content.length)],
  ];
}

function linesOf(fields: readonly Field[]): string {
  return fields.map(([name, value]) => `${name}: ${value}\r\n`).join("");
}

/** The fields that the router, or the runtime's server, adds to an answer. */
const ADDED = /^(x-routed-to|x-route-reason|x-config-version|date)$/;

/** The fields of an answer that are not the router's own, by name: HTTP/2 may order them anew. */
function theirs(headers: readonly Field[]): Field[] {
  return headers.filter(([name]) => !ADDED.test(name))
    .toSorted(([a], [b]) => a < b ? -1 : a > b ? 1 : 0);
}

/** What clients say of the codings they take; null says nothing. */
const ACCEPTED = [
  null,
  "gzip, br;q=0.5, zstd",
  "*",
  "",
  "identity;q=0, *;q=0",
] as const;

function accepting(value: string | null): Field[] {
  return value === null ? [] : [["Accept-Encoding", value]];
}

for (const front of subjects.flatMap(({ fronts }) => fronts)) {
  conforms(
    `${front.name}: encoded content passes byte for byte with its fields, whatever the client takes (RFC 9110 section 8.4)`,
    async () => {
      for (const [i, [coding, content]] of ENCODED.entries()) {
        const fields = about(coding, content);
        await using scene = cell.answer(
          `HTTP/1.1 200 OK\r\n${linesOf(fields)}\r\n${content}`,
        );
        for (const value of [null, ACCEPTED[i % ACCEPTED.length]!]) {
          const { status, headers, body } = await front.exchange({
            headers: accepting(value),
          });
          equal(status, 200);
          deepEqual(theirs(headers), theirs(fields));
          ok(textOf(body) === content, `${coding} for ${value}`);
          deepEqual(
            valuesOf(scene.last.fields, "accept-encoding"),
            value === null ? [] : [value],
          );
        }
      }
    },
  );

  conforms(
    `${front.name}: content without a coding gets none, whatever the client takes (RFC 9110 section 7.7)`,
    async () => {
      const types = ["text/html; charset=utf-8", "application/json", "x/y"];
      for (const type of types) {
        const fields = about(null, TEXT).map(([name, value]): Field =>
          name === "content-type" ? [name, type] : [name, value]
        );
        await using _ = cell.answer(
          `HTTP/1.1 200 OK\r\n${linesOf(fields)}\r\n${TEXT}`,
        );
        for (const value of ACCEPTED) {
          const { headers, body } = await front.exchange({
            headers: accepting(value),
          });
          deepEqual(theirs(headers), theirs(fields));
          ok(textOf(body) === TEXT, `${type} for ${value}`);
        }
      }
    },
  );

  conforms(
    `${front.name}: encoded content without a length passes byte for byte (RFC 9112 section 7.1)`,
    async () => {
      for (const [coding, content] of ENCODED) {
        const fields = about(coding, content)
          .filter(([name]) => name !== "content-length");
        const chunks = content.replaceAll(
          /[^]{1,1000}/g,
          (part) => `${part.length.toString(16)}\r\n${part}\r\n`,
        );
        const head = `HTTP/1.1 200 OK\r\n${linesOf(fields)}`;
        for (const closes of [false, true]) {
          await using _ = cell.play(async (socket) => {
            await takeRequest(socket);
            await socket.send(
              closes
                ? `${head}\r\n${content}`
                : `${head}Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`,
            );
            if (closes) await socket.finish();
            await socket.rest();
          });
          const { headers, body } = await front.exchange({
            headers: accepting("gzip, br"),
          });
          // The runtime's server tells over HTTP/2 the length of what came to it whole.
          const framing = front.name === "HTTP/2"
            ? ["content-length"]
            : ["transfer-encoding"];
          deepEqual(
            theirs(headers).filter(([name]) => !framing.includes(name)),
            theirs(fields),
          );
          for (const length of valuesOf(headers, "content-length")) {
            equal(length, String(content.length));
          }
          ok(textOf(body) === content, coding);
        }
      }
    },
  );

  conforms(
    `${front.name}: HEAD and 304 tell of encoded content as GET does, and send none (RFC 9110 sections 9.3.2 and 15.4.5)`,
    async () => {
      const fields = about("gzip", GZIPPED);
      for (
        const [method, line] of [
          ["HEAD", "HTTP/1.1 200 OK"],
          ["GET", "HTTP/1.1 304 Not Modified"],
        ] as const
      ) {
        await using scene = cell.answer(`${line}\r\n${linesOf(fields)}\r\n`);
        for (const value of [null, "gzip"]) {
          const { headers, body } = await front.exchange({
            method,
            headers: [...accepting(value), [
              "If-None-Match",
              '"gzip-1", W/"b"',
            ]],
          });
          deepEqual(theirs(headers), theirs(fields));
          equal(body.length, 0);
          deepEqual(valuesOf(scene.last.fields, "if-none-match"), [
            '"gzip-1", W/"b"',
          ]);
        }
      }
    },
  );

  conforms(
    `${front.name}: a part of content passes as one, single or multiple, and so does a range that cannot be had (RFC 9110 section 14)`,
    async () => {
      const multiple =
        "--b\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--b\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--b--\r\n";
      const answers: readonly (readonly [
        asked: Field[],
        status: number,
        fields: Field[],
        content: string,
      ])[] = [
        [
          [["Range", "bytes=2-5"], ["If-Range", '"a"']],
          206,
          [["content-range", "bytes 2-5/10"], ["etag", '"a"']],
          "2345",
        ],
        [
          [["Range", "bytes=100-199"]],
          206,
          [
            ["content-encoding", "gzip"],
            ["content-range", `bytes 100-199/${GZIPPED.length}`],
          ],
          GZIPPED.slice(100, 200),
        ],
        [
          [["Range", "bytes=0-1,8-"]],
          206,
          [["content-type", "multipart/byteranges; boundary=b"]],
          multiple,
        ],
        [
          [["Range", "bytes=-0, 99-"]],
          416,
          [["content-range", "bytes */10"]],
          "",
        ],
        // Whether a range is obeyed is the endpoint's affair, as is a unit nobody knows.
        [[["Range", "lines=1-2"]], 200, [["accept-ranges", "lines"]], "a\nb"],
      ];
      for (const [asked, status, fields, content] of answers) {
        const sent: Field[] = [
          ...fields,
          ["content-length", String(content.length)],
        ];
        await using scene = cell.answer(
          `HTTP/1.1 ${status} x\r\n${linesOf(sent)}\r\n${content}`,
        );
        const answer = await front.exchange({
          headers: [...accepting("gzip"), ...asked],
        });
        equal(answer.status, status);
        deepEqual(
          theirs(answer.headers).filter(([name]) =>
            name !== "content-type" || fields.some(([own]) => own === name)
          ),
          theirs(sent),
        );
        equal(textOf(answer.body), content);
        for (const [name, value] of asked) {
          deepEqual(valuesOf(scene.last.fields, name), [value]);
        }
      }
    },
  );

  conforms(
    `${front.name}: encoded content of a request reaches the endpoint byte for byte (RFC 9110 section 8.4)`,
    async () => {
      await using scene = cell.answer();
      for (const [coding, content] of ENCODED) {
        for (const trailers of [[], [["x-sum", "1"]]] as const) {
          const { status } = await front.exchange({
            method: "PUT",
            headers: [
              ["Content-Encoding", coding],
              ["Content-Type", "text/html"],
              ["Content-Digest", "sha-256=:A:"],
              ["Content-Range", "bytes 0-9/*"],
            ],
            body: bytesOf(content),
            trailers,
          });
          equal(status, 200);
          const { fields, body } = scene.last;
          ok(body === content, coding);
          deepEqual(valuesOf(fields, "content-encoding"), [coding]);
          deepEqual(valuesOf(fields, "content-type"), ["text/html"]);
          deepEqual(valuesOf(fields, "content-digest"), ["sha-256=:A:"]);
          deepEqual(valuesOf(fields, "content-range"), ["bytes 0-9/*"]);
          deepEqual(
            valuesOf(fields, "content-length"),
            trailers.length > 0 ? [] : [String(content.length)],
          );
        }
      }
    },
  );
}

for (const { front } of subjects) {
  conforms(
    `${front.name}: content that comes in pieces, cut anywhere, arrives as it was encoded (RFC 9110 section 8.4)`,
    async () => {
      const head = `HTTP/1.1 200 OK\r\n${linesOf(about("gzip", GZIPPED))}\r\n`;
      await using _ = cell.play(async (socket) => {
        for (;;) {
          await takeRequest(socket);
          for (const part of (head + GZIPPED).match(/[^]{1,37}/g)!) {
            await socket.send(part);
          }
        }
      });
      await using client = await front.connect();
      for (let i = 0; i < 3; i++) {
        await client.send(
          "GET / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\nAccept-Encoding: br\r\nAccept-Encoding: zstd\r\n\r\n",
        );
        const { body } = await takeAnswer(client);
        ok(body === GZIPPED);
        equal(gunzipSync(bytesOf(body)).toString(), TEXT);
      }
    },
  );
}
