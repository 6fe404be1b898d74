import { deepEqual, equal, match, ok } from "node:assert/strict";
import { smugglingInputs } from "./smuggling_inputs.ts";
import { judge, requestName } from "./smuggling_judge.ts";
import { readStream, type StrictRequest } from "./smuggling_reader.ts";

/** The judge of smuggling, judged: bytes that are known to be bad, and bytes that are known to be good. */

const HEAD = "Host: a.example\r\n";
const NEXT = `GET /next HTTP/1.1\r\n${HEAD}\r\n`;
const LENGTH = `POST /length HTTP/1.1\r\n${HEAD}Content-Length: 5\r\n\r\nhello`;
const CHUNKED =
  `POST /chunked HTTP/1.1\r\n${HEAD}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n`;
const CUT = `PUT /cut HTTP/1.1\r\n${HEAD}Content-Length: 5\r\n\r\nhel`;

/** What clients sent; each is told apart by its method and target. */
const SENT = new Map<string, StrictRequest>(
  [LENGTH + CHUNKED + NEXT, CUT].flatMap((text) => readStream(text).requests)
    .map((request) => [requestName(request), request]),
);

function complaints(...connections: string[]): string[] {
  return judge(connections, SENT).complaints.map(({ what }) => what);
}

Deno.test("judge() has no complaint of requests that were forwarded as they were sent", () => {
  equal(SENT.size, 4);
  for (
    const connections of [
      [],
      [LENGTH, CHUNKED, NEXT, CUT],
      [LENGTH + CHUNKED + NEXT + CUT],
      [NEXT, CHUNKED + LENGTH + CUT.slice(0, -3)],
      [LENGTH.replace("Host", "X-Content-Length: 9\r\nVia: x\r\nHost")],
      [CHUNKED.replace("chunked\r\n", "CHUNKED\r\n")],
      [
        CHUNKED.replace("3\r\n", "003;x=y\r\n").replace(
          "0\r\n\r\n",
          "0\r\nA: b\r\n\r\n",
        ),
      ],
      [CHUNKED.replace("3\r\nabc", "1\r\na\r\n2\r\nbc")],
      [LENGTH.replace(": 5", ":005")],
    ]
  ) deepEqual(complaints(...connections), [], connections.join("|"));
  deepEqual(
    [...judge([LENGTH + NEXT], SENT).forwarded],
    ["POST /length", "GET /next"],
  );
});

Deno.test("judge() objects to bytes that are known to be bad", () => {
  const cases: [bad: string | string[], complaint: RegExp][] = [
    // Another request than one that was sent, or one twice.
    ["GET /smuggled HTTP/1.1\r\nHost: a.example\r\n\r\n", /no client sent/],
    [LENGTH + NEXT.replace("/next", "/smuggled"), /no client sent/],
    [LENGTH.replace("POST", "GET"), /no client sent/],
    [NEXT + NEXT, /twice/],
    [[NEXT, NEXT], /twice/],
    // A body that differs from its framing, or from what was sent.
    [LENGTH + "x" + NEXT, /no client sent/],
    [LENGTH + "\0" + NEXT, /CR or NUL/],
    [LENGTH.replace(": 5", ": 4") + NEXT, /another body/],
    [LENGTH.replace(": 5", ": 6"), /only a part/],
    [LENGTH.slice(0, -1), /only a part/],
    [LENGTH.slice(0, -1) + NEXT, /another body/],
    [LENGTH.replace("Content-Length: 5", "X: y"), /framed by none/],
    [LENGTH.replace(/\r\n\r\n.*$/, "\r\n"), /half a head/],
    [CUT + "lo", /a whole one was made of a part/],
    [CUT.replace("hel", "GET"), /another body/],
    [CUT.replace(": 5", ": 6"), /another length/],
    [CHUNKED.replace("abc", "abd"), /another body/],
    [CHUNKED.slice(0, -2), /only a part/],
    [CHUNKED.replace("3\r\nabc\r\n", ""), /another body/],
    // Not exactly one framing field.
    [LENGTH.replace("Content", "Content-Length: 5\r\nContent"), /two framings/],
    [CHUNKED.replace("Host", "Content-Length: 5\r\nHost"), /two framings/],
    [
      LENGTH.replace("Host", "Transfer-Encoding: chunked\r\nHost"),
      /two framings/,
    ],
    [CHUNKED.replace("Host", "Transfer-Encoding: x\r\nHost"), /two framings/],
    [LENGTH.replace("Host", "Content_Length: 9\r\nHost"), /not one framing/],
    [
      NEXT.replace("Host", "transfer_encoding: chunked\r\nHost"),
      /not one framing/,
    ],
    [
      LENGTH.replace("Host", "Connection: content-length\r\nHost"),
      /Connection/,
    ],
    [CHUNKED.replace("chunked\r\n", "gzip, chunked\r\n"), /coding/],
    [LENGTH.replace(": 5", ": +5"), /length/],
    [LENGTH.replace(": 5", ": 5, 5"), /length/],
    [
      CHUNKED.replace("0\r\n\r\n", "0\r\nContent-Length: 9\r\n\r\n"),
      /trailers/,
    ],
    [
      CHUNKED.replace("0\r\n\r\n", "0\r\nTransfer_Encoding: x\r\n\r\n"),
      /trailers/,
    ],
    // What is not strictly HTTP/1.1.
    [LENGTH.replace("Host", "X: a\nHost"), /bare LF/],
    [LENGTH.replace("Host", "X: a\rHost"), /CR or NUL/],
    [LENGTH.replace("Host", "X: a\0\r\nHost"), /CR or NUL/],
    [LENGTH.replace("Content", "X: a\r\n Content"), /no field/],
    [LENGTH.replace("Length:", "Length :"), /no field/],
    [LENGTH.replace("Length:", "Length\x0b:"), /no field/],
    [LENGTH.replace("HTTP/1.1", "HTTP/1.0"), /no request line/],
    [LENGTH.replace("HTTP/1.1\r\n", "HTTP/1.1\n"), /bare LF/],
    [LENGTH.replace("Host", "Host: b.example\r\nHost"), /Host/],
    [`\r\n${LENGTH}`, /an empty line/],
    [CHUNKED.replace("3\r\n", "3\n"), /bare LF/],
    [CHUNKED.replace("3\r\n", "3;a\rb\r\n"), /CR or NUL/],
    [CHUNKED.replace("3\r\n", "0x3\r\n"), /no size/],
    [CHUNKED.replace("3\r\n", "3 \r\n"), /no size/],
    [CHUNKED.replace("abc\r\n", "abc"), /a chunk goes on/],
    [CHUNKED.replace("0\r\n\r\n", "0\r\nA: b\n\r\n"), /bare LF/],
  ];
  for (const [bad, complaint] of cases) {
    const connections = typeof bad === "string" ? [bad] : bad;
    match(complaints(...connections).join(), complaint, connections.join("|"));
  }
});

Deno.test("readStream() takes the requests that are sound, and stops where one is not", () => {
  const read = (text: string) => {
    const { requests, end } = readStream(text);
    return [...requests.map(({ target }) => target), end];
  };
  deepEqual(read(""), ["whole"]);
  deepEqual(read(LENGTH + CHUNKED + NEXT), [
    "/length",
    "/chunked",
    "/next",
    "whole",
  ]);
  deepEqual(read(NEXT.replace("/next", "http://A.example/next")), [
    "/next",
    "whole",
  ]);
  deepEqual(read(NEXT + CUT), ["/next", "/cut", "incomplete"]);
  deepEqual(read(NEXT.slice(0, -2)), ["incomplete"]);
  deepEqual(read(`${NEXT}x\r\n${NEXT}`), ["/next", "malformed"]);
  deepEqual(read(`\r\n\r\n${NEXT}`), ["malformed"]);
  deepEqual(
    read(NEXT.replace("Host", "Connection: x, Close\r\nHost") + LENGTH),
    ["/next", "closed"],
  );
});

Deno.test("smugglingInputs() makes thousands of different inputs, the same for the same seed", () => {
  const inputs = smugglingInputs(1);
  const texts = inputs.map(({ text }) => text);
  ok(inputs.length >= 3400, `${inputs.length}`);
  equal(
    new Set(texts.map((text) => text.replaceAll(/\/[0-9]{5} /g, ""))).size,
    inputs.length,
  );
  deepEqual(inputs, smugglingInputs(1));
  ok(texts.join() !== smugglingInputs(2).map(({ text }) => text).join());
  for (const { text, parts } of inputs) equal(parts.join(""), text);
  // Each hides a second request.
  ok(texts.every((text) => text.includes("GET /smuggled/")));
});
