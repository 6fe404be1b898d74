import { deepEqual, equal, match, ok } from "node:assert/strict";
import { TEST_CERT } from "../../router/upstream/testing.ts";
import { conforms, endAfterwards } from "./cases.ts";
import { Cell, OK } from "./cell.ts";
import { textOf } from "./front.ts";
import {
  type Field,
  type H2Stream,
  PROTOCOL_ERROR,
  StreamReset,
} from "./h2_client.ts";
import { ask, headOf } from "./h2_front.ts";
import { valuesOf } from "./messages.ts";
import { quiet } from "./process.ts";
import { Subject } from "./subject.ts";

/** What holds on HTTP/2 in its own way; the cases of the other files run on it as well. */

const cell = new Cell();
const subject = await Subject.start({
  placements: { cell: cell.url() },
  secure: true,
});
endAfterwards(cell, subject);
const front = subject.h2!;

/** The fields that reach the endpoint, but for those the router adds. */
function sent(fields: readonly Field[]): Field[] {
  const added = /^(x-forwarded-.*|via|x-request-id)$/i;
  return fields.filter(([name]) => !added.test(name));
}

/** A request's head with one field in place of that of the same name; null takes it out. */
function headWith(name: string, value: string | null): Field[] {
  return headOf({}).flatMap(([own, kept]): Field[] =>
    own !== name ? [[own, kept]] : value === null ? [] : [[own, value]]
  );
}

/** Sends a request's head alone on a connection of its own; answers the stream once it has ended. */
async function lone(fields: readonly Field[]): Promise<H2Stream> {
  await using client = await front.connect();
  const stream = await client.request(fields);
  await stream.end();
  return stream;
}

conforms(
  "HTTP/2: a request becomes one of HTTP/1.1, and says so (RFC 9113 section 8.3, RFC 9110 section 7.6.3)",
  async () => {
    await using scene = cell.answer();
    const { status, headers, body } = await front.exchange({
      target: "/a/../b?",
      headers: [["Host", "A.example:8443"], ["te", "trailers"]],
    });
    deepEqual([status, textOf(body)], [200, "ok"]);
    deepEqual(valuesOf(headers, "x-routed-to"), ["cell"]);
    equal(scene.last.line, "GET /a/../b? HTTP/1.1");
    const { fields } = scene.last;
    deepEqual(sent(fields), [
      ["Host", "A.example:8443"],
      ["x-routing-key", "acme"],
    ]);
    deepEqual(valuesOf(fields, "x-forwarded-proto"), ["https"]);
    deepEqual(valuesOf(fields, "x-forwarded-for"), ["127.0.0.1"]);
    deepEqual(valuesOf(fields, "x-forwarded-host"), ["A.example:8443"]);
    match(valuesOf(fields, "via").join(), /^2 signalbox-[0-9a-f]{8}$/);
  },
);

conforms(
  "HTTP/2: fields of one name are joined, cookies by semicolons; none is lost or changed (RFC 9113 section 8.2.3, RFC 9110 section 5.3)",
  async () => {
    await using scene = cell.answer();
    await front.exchange({
      headers: [
        ["x-b", "1"],
        ["cookie", "a=1"],
        ["x-a", '"x, y"'],
        ["x-b", "2, 3"],
        ["cookie", "b=2; c=3"],
        ["x-high", "\x80\xff"],
        ["x-empty", ""],
        ["x-b", "4"],
      ],
    });
    deepEqual(sent(scene.last.fields), [
      ["Host", "a.example"],
      ["cookie", "a=1; b=2; c=3"],
      ["x-a", '"x, y"'],
      ["x-b", "1, 2, 3, 4"],
      ["x-empty", ""],
      ["x-high", "\x80\xff"],
      ["x-routing-key", "acme"],
    ]);
  },
);

conforms(
  "HTTP/2: an answer's fields of one name stay apart and in order (RFC 9110 section 5.3)",
  async () => {
    const lines = "Set-Cookie: a=1, x\r\nX-A: 1\r\nset-cookie: b=2\r\n" +
      "WWW-Authenticate: Basic\r\nWWW-Authenticate: Digest\r\nSET-COOKIE: c\r\n";
    await using _ = cell.answer(OK.replace("\r\n", `\r\n${lines}`));
    const { headers } = await front.exchange({});
    deepEqual(valuesOf(headers, "set-cookie"), ["a=1, x", "b=2", "c"]);
    deepEqual(valuesOf(headers, "www-authenticate"), ["Basic", "Digest"]);
    deepEqual(valuesOf(headers, "x-a"), ["1"]);
  },
);

conforms(
  "HTTP/2: 120 fields pass, 12 KiB to the endpoint and 48 KiB from it; more is answered 431 (RFC 6585 section 5)",
  async () => {
    const many = Array.from(
      { length: 120 },
      (_, i): Field => [`x-field-${i}`, "y".repeat(10)],
    );
    await using scene = cell.answer(
      OK.replace("\r\n", `\r\nX-Large: ${"z".repeat(48 * 1024)}\r\n`),
    );
    for (const fields of [many, [["x-large", "z".repeat(12_000)]] as const]) {
      const { status, headers } = await front.exchange({ headers: fields });
      equal(status, 200);
      equal(valuesOf(headers, "x-large")[0]!.length, 48 * 1024);
      for (const [name, value] of fields) {
        deepEqual(valuesOf(scene.last.fields, name), [value]);
      }
    }
    for (
      const headers of [
        Array.from({ length: 201 }, (_, i): Field => [`x-${i}`, "y"]),
        [["x-large", "z".repeat(17_000)]] as const,
      ]
    ) equal((await front.exchange({ headers })).status, 431);
    equal(scene.requests.length, 2);
  },
);

conforms(
  "HTTP/2: a target goes on byte for byte, or its stream is reset (RFC 9113 section 8.3.1)",
  async () => {
    await using scene = cell.answer();
    const targets = [
      "/",
      "/?",
      "/a?b?c=/../d",
      "/a/../b",
      "/..",
      "/%2e%2E%2F%5c%00%zz%",
      "//a//b",
      "//evil.example/x",
      "/http://evil.example/x",
      "/@evil.example:80/",
      "/a\\..\\c",
      "/~|^{}[];=,$&()*+!\"':",
      "/\xc3\xa9\xf0\x9f\x9a\x82?\xc3\xa9",
    ];
    for (const target of targets) {
      const { status } = await front.exchange({ target });
      equal(status, 200, target);
      equal(scene.last.line, `GET ${target} HTTP/1.1`);
    }
    for (const char of "<>` \t\x00\x7f") {
      const stream = await lone(headWith(":path", `/a${char}b`));
      if (stream.failure === null) equal(stream.status, 400, char);
    }
    equal(scene.requests.length, targets.length);
  },
);

conforms(
  "HTTP/2: an authority that is missing or none is refused, and not forwarded (RFC 9113 section 8.3.1)",
  async () => {
    await using scene = cell.answer();
    const bare = headWith(":authority", null);
    const heads: Readonly<Record<string, readonly Field[]>> = {
      "no authority": bare,
      "Host: evil/admin": [...bare, ["host", "evil/admin"]],
      "Host: a b": [...bare, ["host", "a b"]],
      "an empty Host": [...bare, ["host", ""]],
      "two Hosts": [...bare, ["host", "a.example"], ["host", "a.example"]],
      "another Host": [...headOf({}), ["host", "b.example"]],
      "a longer Host": [...headOf({}), ["host", "a.example/"]],
      "a shorter Host": [...headOf({}), ["host", "a.ex"]],
      "two authorities": [[":authority", "b.example"], ...headOf({})],
    };
    for (
      const authority of [
        "",
        "a b",
        "evil/admin",
        "user@a.example",
        "a?b",
        "a#b",
        "a\\b",
        "a.example:65536",
        "a.example:b",
        "[::1",
        "\xe9.example",
      ]
    ) {
      (heads as Record<string, readonly Field[]>)[`authority ${authority}`] =
        headWith(":authority", authority);
    }
    for (const [what, head] of Object.entries(heads)) {
      const stream = await lone(head);
      if (stream.failure === null) equal(stream.status, 400, what);
    }
    equal(scene.sockets.length, 0);
    const { status } = await lone([...bare, ["host", "h.example"]]);
    equal(status, 200, "a Host alone is the authority");
    deepEqual(valuesOf(scene.last.fields, "host"), ["h.example"]);
  },
);

conforms(
  "HTTP/2: what no request of it may have resets the stream or ends the connection, and is not forwarded (RFC 9113 sections 8.2 and 8.3)",
  async () => {
    await using scene = cell.answer();
    const fields: readonly Field[] = [
      ["connection", "close"],
      ["keep-alive", "x"],
      ["proxy-connection", "x"],
      ["transfer-encoding", "chunked"],
      ["upgrade", "websocket"],
      ["te", "gzip"],
      ["Upper-Case", "x"],
      ["a b", "x"],
      ["", "x"],
      ["x", "a\r\nX-Routed: b"],
      ["x", "a\nb"],
      ["x", "a\x00b"],
      [":unknown", "x"],
      [":path", "/twice"],
      ["content-length", "5"],
      ["content-length", "-1"],
    ];
    for (const field of fields) {
      const { failure } = await lone([...headOf({}), field]);
      ok(failure !== null, field.join(": "));
      if (failure instanceof StreamReset) equal(failure.code, PROTOCOL_ERROR);
    }
    for (const name of [":method", ":scheme", ":path"]) {
      ok((await lone(headWith(name, null))).failure !== null, name);
    }
    equal(scene.sockets.length, 0);
  },
);

conforms(
  "HTTP/2: a request that is none for a router is refused, and not forwarded (RFC 9110 sections 4.2 and 9.3.6)",
  async () => {
    await using scene = cell.answer();
    const connect: Field[] = [[":method", "CONNECT"], [
      ":authority",
      "a.example:443",
    ]];
    equal((await lone(connect)).status, 405);
    equal((await lone(headWith(":scheme", "ftp"))).status, 400);
    equal((await lone(headWith(":path", "*"))).status, 400);
    equal((await lone(headWith("x-routing-key", null))).status, 400);
    const twice: Field[] = [...headOf({}), ["x-routing-key", "acme"]];
    equal((await lone(twice)).status, 400);
    const websocket: Field[] = [
      ...headOf({ method: "CONNECT" }),
      [":protocol", "websocket"],
    ];
    ok((await lone(websocket)).failure !== null);
    equal(scene.sockets.length, 0);
  },
);

conforms(
  "HTTP/2: the body of a request is framed once: by its length, in chunks, or not at all (RFC 9112 section 6)",
  async () => {
    await using scene = cell.answer();
    const framing = () =>
      scene.last.fields.filter(([name]) =>
        /^(content-length|transfer-encoding)$/i.test(name)
      );
    for (const method of ["POST", "DELETE", "OPTIONS", "GET"]) {
      await front.exchange({ method });
      deepEqual([framing(), scene.last.body], [[], ""], method);
    }
    await front.exchange({ method: "POST", body: "hello" });
    deepEqual(framing(), [["content-length", "5"]]);
    equal(scene.last.body, "hello");
    await front.exchange({ method: "POST", body: "" });
    deepEqual(framing(), [["content-length", "0"]]);
    const fields: readonly Field[] = [["x-sum", "1"]];
    await front.exchange({ method: "POST", body: "hello", trailers: fields });
    deepEqual(framing(), [["Transfer-Encoding", "chunked"]]);
    equal(scene.last.body, "hello");
    deepEqual(scene.last.trailers, [], "trailers end here");
    const large = "x".repeat(300_000);
    await front.exchange({ method: "PUT", body: large });
    equal(scene.last.body, large);
  },
);

conforms(
  "HTTP/2: a body that is not as long as announced is never whole for the endpoint (RFC 9113 section 8.1.1)",
  async () => {
    for (const length of ["2", "4"]) {
      let rest = "";
      await using _ = cell.play(async (socket) => {
        await socket.head();
        rest = await socket.rest();
      });
      await using client = await front.connect();
      const head: Field[] = [
        ...headOf({ method: "POST" }),
        ["content-length", length],
      ];
      const stream = await client.request(head, { end: false });
      await stream.write("abc", { end: true });
      ok(await stream.end() instanceof StreamReset);
      await quiet(subject.router);
      ok(rest.length < Number(length), rest);
    }
  },
);

conforms(
  "HTTP/2: the body of a GET, which the runtime drops, is refused where it is announced (RFC 9110 section 9.3.1)",
  async () => {
    await using scene = cell.answer();
    equal((await front.exchange({ body: "abc" })).status, 400);
    equal(scene.sockets.length, 0);
  },
);

conforms(
  "HTTP/2: HEAD, 204 and 304 have no body, and HEAD and 304 keep their length (RFC 9110 section 8.6)",
  async () => {
    const length = "Content-Length: 1234\r\n";
    for (
      const [method, status, lines, told] of [
        ["HEAD", 200, length, "1234"],
        ["GET", 304, length, "1234"],
        ["GET", 204, "", undefined],
        ["HEAD", 404, "Transfer-Encoding: chunked\r\n", undefined],
      ] as const
    ) {
      await using _ = cell.answer(`HTTP/1.1 ${status} X\r\n${lines}\r\n`);
      const answer = await front.exchange({ method });
      equal(answer.status, status);
      equal(answer.body.length, 0);
      equal(valuesOf(answer.headers, "content-length")[0], told);
    }
  },
);

conforms(
  "HTTP/2: every framing of an answer arrives whole, without what belongs to HTTP/1.1 (RFC 9113 section 8.2.2)",
  async () => {
    const body = "x".repeat(100_000);
    const chunks = `5;a=b\r\nxxxxx\r\n${(99_995).toString(16)}\r\n${
      body.slice(5)
    }\r\n0\r\nX-Sum: 1\r\n\r\n`;
    const framings = [
      `Content-Length: ${body.length}\r\n\r\n${body}`,
      `Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n${chunks}`,
      `Connection: close\r\n\r\n${body}`,
    ];
    for (const framed of framings) {
      await using _ = cell.play(async (socket) => {
        await socket.head();
        await socket.send(`HTTP/1.1 200 OK\r\nKeep-Alive: x\r\n${framed}`);
        if (framed.startsWith("Connection")) await socket.finish();
        await socket.rest();
      });
      const answer = await front.exchange({});
      equal(answer.body.length, body.length);
      equal(textOf(answer.body), body);
      const names = answer.headers.map(([name]) => name);
      for (const name of ["connection", "keep-alive", "transfer-encoding"]) {
        ok(!names.includes(name), name);
      }
      deepEqual(answer.trailers, []);
    }
  },
);

conforms(
  "HTTP/2: an encoded answer passes byte for byte, and no other is encoded (RFC 9110 section 8.4)",
  async () => {
    const html = "<p>".repeat(5000);
    for (
      const [lines, body] of [
        ["Content-Encoding: gzip\r\n", "\x1f\x8b\x08 not really"],
        ["", html],
      ] as const
    ) {
      await using _ = cell.answer(
        `HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n${lines}Content-Length: ${body.length}\r\n\r\n${body}`,
      );
      const answer = await front.exchange({
        headers: [["accept-encoding", "gzip, br"]],
      });
      equal(textOf(answer.body), body);
      equal(
        valuesOf(answer.headers, "content-encoding")[0],
        lines === "" ? undefined : "gzip",
      );
    }
  },
);

conforms(
  "HTTP/2: an informational answer ends here, and the final one follows (RFC 9110 section 15.2)",
  async () => {
    await using _ = cell.answer(
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${OK}`,
    );
    const answer = await front.exchange({
      method: "POST",
      headers: [["expect", "100-continue"]],
      body: "x",
    });
    deepEqual([answer.status, textOf(answer.body)], [200, "ok"]);
    deepEqual(answer.informational, []);
  },
);

const LENGTH = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n";
const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

conforms(
  "HTTP/2: an answer that breaks off resets the stream, and the connection goes on (RFC 9113 section 8.1)",
  async () => {
    await using client = await front.connect();
    for (
      const answer of [
        LENGTH,
        `${LENGTH}123`,
        CHUNKED,
        `${CHUNKED}3\r\nabc\r\n`,
        `${CHUNKED}3\r\nabc\r\n0\r\n`,
      ]
    ) {
      const first = Promise.withResolvers<void>();
      await using _ = cell.play(async (socket) => {
        await socket.head();
        await socket.send(answer);
        await first.promise;
      });
      const stream = await ask(client, {});
      // With its head there, nothing but a reset says that the answer is not whole.
      await stream.head();
      first.resolve();
      ok(await stream.end() instanceof StreamReset, JSON.stringify(answer));
      equal(stream.ended, false);
    }
    await using _ = cell.answer();
    equal(await (await ask(client, {})).body(), "ok");
  },
);

const PART = "x".repeat(65_536);
/** Moments at which a client may leave: what the endpoint does, and what it is sent. */
const MOMENTS: Readonly<
  Record<string, { answer: string; upload: boolean; download: boolean }>
> = {
  "before the answer": { answer: "", upload: false, download: false },
  "while it uploads": { answer: "", upload: true, download: false },
  "in an answer that is silent": {
    answer: `${CHUNKED}3\r\nabc\r\n`,
    upload: false,
    download: false,
  },
  "while it downloads": {
    answer: `HTTP/1.1 200 OK\r\nContent-Length: ${2 ** 40}\r\n\r\n`,
    upload: false,
    download: true,
  },
};

for (const [when, moment] of Object.entries(MOMENTS)) {
  for (const way of ["resets the stream", "closes the connection"]) {
    conforms(
      `HTTP/2: a client that ${way} ${when} ends the exchange with the endpoint (RFC 9113 section 5.4.2)`,
      async () => {
        const begun = Promise.withResolvers<void>();
        const gone = Promise.withResolvers<void>();
        await using _ = cell.play(async (socket) => {
          await socket.head();
          await socket.send(moment.answer);
          begun.resolve();
          try {
            while (moment.download) await socket.send(PART);
          } catch {
            // It has learned it.
          }
          await socket.rest();
          gone.resolve();
        });
        await using client = await front.connect();
        const stream = await client.request(
          headOf({ method: moment.upload ? "POST" : "GET" }),
          { end: !moment.upload },
        );
        if (moment.upload) await stream.write("abc");
        await begun.promise;
        if (moment.answer !== "") await stream.head();
        if (way === "resets the stream") await stream.reset();
        else client.close();
        await gone.promise;
        await quiet(subject.router);
      },
    );
  }
}

conforms(
  "HTTP/2: streams of one connection do not wait for each other (RFC 9113 section 5)",
  async () => {
    const go = Promise.withResolvers<void>();
    await using _ = cell.play(async (socket) => {
      for (;;) {
        const head = await socket.head();
        const [, number] = /^GET \/(\d+) /.exec(head)!;
        if (Number(number) % 2 === 0) await go.promise;
        const body = `${number} `.repeat(2000);
        await socket.send(
          `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
        );
      }
    });
    await using client = await front.connect();
    const streams: H2Stream[] = [];
    for (let i = 0; i < 60; i++) {
      streams.push(await ask(client, { target: `/${i}` }));
    }
    const whole = async (i: number) =>
      equal(await streams[i]!.body(), `${i} `.repeat(2000));
    for (let i = 1; i < 60; i += 2) await whole(i);
    go.resolve();
    for (let i = 0; i < 60; i += 2) await whole(i);
  },
);

conforms(
  "HTTP/2: whoever speaks HTTP/1 on its port is answered 505, and told where that is spoken (RFC 9110 section 15.6.6)",
  async () => {
    await using scene = cell.answer();
    for (const alpnProtocols of [["http/1.1"], []]) {
      const conn = await Deno.connectTls({
        hostname: "localhost",
        port: front.port,
        caCerts: [TEST_CERT],
        alpnProtocols,
      });
      await conn.write(
        new TextEncoder().encode(
          "GET / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\n\r\n",
        ),
      );
      const answer = await new Response(conn.readable).text();
      match(answer, /^HTTP\/1\.1 505 [^]*\r\nConnection: close\r\n/);
      ok(answer.includes(`HTTP/1.1 on port ${subject.front.port}`), answer);
    }
    equal(scene.sockets.length, 0);
  },
);
