import { deepEqual, equal, ok, throws } from "node:assert/strict";
import fc from "fast-check";
import { ProtocolError } from "./fields.ts";
import { RequestHead, RequestRules } from "./request_head.ts";

const RULES = new RequestRules("X-Key");

function read(text: string): RequestHead {
  const head = new RequestHead(RULES);
  head.read(text);
  return head;
}

Deno.test("RequestHead.read() keeps fields byte for byte and in order", () => {
  const head = read(
    "GET /a?b HTTP/1.1\r\nhOST:\t a \r\nX-A:1\r\nConnection: close\r\nX-B:\t\xff \r\nx-key: k\r\n",
  );
  equal(head.method, "GET");
  equal(head.target, "/a?b");
  equal(head.host, "a");
  equal(head.key, "k");
  equal(head.close, true);
  equal(head.fields, "hOST:\t a \r\nX-A:1\r\nX-B:\t\xff \r\nx-key: k\r\n");
});

Deno.test("RequestHead.read() takes the trace context out where requests are traced, and several for none", () => {
  const traced = new RequestHead(new RequestRules("X-Key", { traced: true }));
  const start = "GET / HTTP/1.1\r\nHost: a\r\n";
  traced.read(`${start}TraceParent: t \r\nTracestate: s\r\n`);
  equal(traced.traceparent, "t");
  equal(traced.fields, "Host: a\r\nTracestate: s\r\n");
  traced.read(`${start}traceparent: t\r\ntraceparent: t\r\n`);
  equal(traced.traceparent, null);
  equal(traced.fields, "Host: a\r\n");
  traced.read(start);
  equal(traced.traceparent, null);
  const untraced = read(`${start}traceparent: t\r\n`);
  equal(untraced.traceparent, null);
  equal(untraced.fields, "Host: a\r\ntraceparent: t\r\n");
});

Deno.test("RequestHead.read() lets one X-Request-Id go on at most", () => {
  for (
    const [fields, id, kept] of [
      ["X-Request-Id: a\r\nX-Request-Id: b\r\n", "a", "X-Request-Id: a\r\n"],
      ["X-Request-Id: \r\nx-request-id: b\r\n", "b", "x-request-id: b\r\n"],
      ["X-Request-Id: a\r\nX-Request-Id:\r\n", "a", "X-Request-Id: a\r\n"],
      ["X-Request-Id:\r\nX_Request_Id: b\r\n", "", ""],
    ] as const
  ) {
    const head = read(`GET / HTTP/1.1\r\nHost: a\r\n${fields}`);
    equal(head.requestId, id);
    equal(head.fields, `Host: a\r\n${kept}`);
  }
});

Deno.test("RequestHead.read() drops twins of the fields that frame a message", () => {
  const head = read(
    "POST / HTTP/1.1\r\nHost: a\r\nContent_Length: 3\r\nTRANSFER_Encoding: chunked\r\nKeep_Alive: 1\r\nProxy_Connection: a\r\nContent-Length: 2\r\nContent_Type: a\r\n",
  );
  equal(
    head.fields,
    "Host: a\r\nContent-Length: 2\r\nContent_Type: a\r\n",
  );
  equal(head.contentLength, 2);
  equal(head.chunked, false);
});

Deno.test("RequestHead.read() forgets the request before", () => {
  const head = new RequestHead(RULES);
  head.read(
    "GET / HTTP/1.1\r\nHost: a\r\nX-Key: k\r\nX-Request-Id: i\r\nConnection: close, upgrade\r\nUpgrade: websocket\r\nExpect: 100-continue\r\nVia: v\r\nX-Forwarded-For: f\r\nForwarded: f\r\nContent-Length: 0\r\n",
  );
  equal(head.websocket, true);
  head.read("PUT / HTTP/1.1\r\nHost: a\r\n");
  const fresh = read("PUT / HTTP/1.1\r\nHost: a\r\n");
  deepEqual(head, fresh);
});

Deno.test("RequestHead.read() sees a WebSocket only where it is one", () => {
  const asks = (line: string, fields: string) =>
    read(`${line}\r\nHost: a\r\n${fields}`).websocket;
  ok(
    asks("GET / HTTP/1.1", "Connection: a, UPGRADE\r\nUpgrade: WebSocket\r\n"),
  );
  for (
    const [line, fields] of [
      ["POST / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket\r\n"],
      ["GET / HTTP/1.1", "Upgrade: websocket\r\n"],
      ["GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n"],
      ["GET / HTTP/1.1", "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n"],
      [
        "GET / HTTP/1.1",
        "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n",
      ],
      [
        "GET / HTTP/1.1",
        "Connection: upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n",
      ],
    ] as const
  ) equal(asks(line, fields), false, fields);
});

Deno.test("RequestRules() refuses a routing key field with a meaning of its own", () => {
  for (const name of ["host", "Connection", "via", "", "a b"]) {
    throws(() => new RequestRules(name), TypeError);
  }
});

Deno.test("RequestHead.read() never throws anything but a ProtocolError", () => {
  const piece = fc.oneof(
    fc.constantFrom(
      "GET ",
      "/ ",
      "HTTP/1.1",
      "\r\n",
      "\n",
      "\r",
      ":",
      " ",
      "\t",
      "Host: a\r\n",
      "Content-Length: 1\r\n",
      "Transfer-Encoding: chunked\r\n",
      "Connection: x, close\r\n",
      "X_Key: 1\r\n",
      "x-key: 1\r\n",
      "Forwarded",
      "http://a/",
      "\0",
      "\xff",
      "__proto__: 1\r\n",
    ),
    fc.string({ maxLength: 8 }),
  );
  fc.assert(fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
    try {
      read(`${pieces.join("")}\r\n`);
    } catch (error) {
      ok(error instanceof ProtocolError, String(error));
    }
  }));
});

Deno.test("RequestHead.read() reads what a plain reading of the rules reads", () => {
  const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,12}$/);
  const value = fc.stringMatching(/^[\x21-\x7e]{0,10}$/);
  const special =
    /^(?:host|te|via|expect|upgrade|connection|keep-alive|content-length|transfer-encoding|proxy-connection|forwarded|x[-_].*)$/i;
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, value), { maxLength: 20 }),
      (fields) => {
        const plain = fields.filter(([field]) => !special.test(field));
        const lines = plain.map(([field, text]) => `${field}: ${text}\r\n`)
          .join("");
        equal(
          read(`GET / HTTP/1.1\r\nHost: a\r\nTE: x\r\n${lines}`).fields,
          `Host: a\r\n${lines}`,
        );
      },
    ),
  );
});

Deno.test("RequestHead.read() takes long hostile heads in linear time", () => {
  const started = performance.now();
  for (const filler of ["a:", ":", "a", " ", "\t", "a: b\r\n ", "\r\n", "a,"]) {
    const text = `GET / HTTP/1.1\r\nHost: a\r\nConnection: ${
      filler.repeat(60000 / filler.length)
    }\x01\r\n`;
    throws(() => read(text), ProtocolError);
  }
  ok(performance.now() - started < 2000);
});
