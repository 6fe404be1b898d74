import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { parseTrustedProxies } from "./forwarding.ts";
import {
  activeAt,
  AnsweringEndpoint,
  eventually,
  OK,
  RawEndpoint,
  request,
  TestRouter,
} from "./testing.ts";
import { connectEndpoint } from "./upstream/connect.ts";

function urlOf(endpoint: RawEndpoint, base = ""): string {
  return `http://127.0.0.1:${endpoint.port}${base}`;
}

/** Sends one request and takes everything until the connection ends. */
async function exchange(router: TestRouter, text: string): Promise<string> {
  await using client = await router.connect();
  await client.send(text);
  await client.finish();
  return await client.rest();
}

Deno.test("createApp() forwards a request and says where it went", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  await client.send(
    request(
      "GET /a/../b?x=%2e//y HTTP/1.1",
      "X-Odd:  a\xe9 \r\nX-Request-Id: r1\r\n",
    ),
  );
  equal(
    await client.message(),
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Routed-To: cell\r\nX-Route-Reason: assigned\r\nX-Config-Version: 7\r\n\r\nok",
  );
  equal(
    endpoint.requests[0],
    "GET /a/../b?x=%2e//y HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\nX-Odd:  a\xe9 \r\nX-Request-Id: r1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\nVia: 1.1 signalbox\r\n\r\n",
  );
  await client.send(
    "GET / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: other\r\n\r\n",
  );
  match(
    await client.message(),
    /X-Routed-To: default\r\nX-Route-Reason: default\r\n/,
  );
  match(endpoint.requests[1]!, /\r\nX-Request-Id: [0-9a-f-]{36}\r\n/);
  equal(endpoint.sockets.length, 2, "one connection for each placement");
  equal(router.log.length, 2);
  equal(router.log[0]!.placement, "cell");
  equal(router.traffic.of("cell").requests[1], 1);
});

Deno.test("createApp() answers what it cannot route, and forwards nothing of it", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint));
  const h = "Host: a.example\r\n";
  const k = "X-Routing-Key: acme\r\n";
  const cases: [string, number, boolean][] = [
    [`GET / HTTP/1.1\r\n${h}\r\n`, 400, false],
    [`GET / HTTP/1.1\r\n${h}X-Routing-Key: \r\n\r\n`, 400, false],
    [`GET / HTTP/1.1\r\n${h}${k}${k}\r\n`, 400, false],
    [`GET / HTTP/1.1\r\n${h}X-Routing-Key: a b\r\n\r\n`, 400, false],
    [`GET / HTTP/1.1\r\n${h}X-Routing-Key: \xe9\r\n\r\n`, 400, false],
    [`GET / HTTP/1.1\r\n${h}X-Routing-Key: ..\r\n\r\n`, 400, false],
    [`GET / HTTP/1.1\r\n${h}X_Routing_Key: acme\r\n\r\n`, 400, false],
    [
      `GET / HTTP/1.1\r\n${h}X-Routing-Key: ${"a".repeat(257)}\r\n\r\n`,
      400,
      false,
    ],
    [`GET / HTTP/1.1\r\n${k}\r\n`, 400, true],
    [`GET / HTTP/1.1\r\nHost:\r\n${k}\r\n`, 400, true],
    [`GET / HTTP/1.1\r\nHost: a/b\r\n${k}\r\n`, 400, true],
    [`GET / HTTP/1.1\r\nHost: u@b\r\n${k}\r\n`, 400, true],
    [`GET / HTTP/1.1\r\nHost: b:99999\r\n${k}\r\n`, 400, true],
    [`GET / HTTP/1.1\r\n${h}${h}${k}\r\n`, 400, true],
    [`GET http://b.example/ HTTP/1.1\r\n${h}${k}\r\n`, 400, true],
    [`GET ftp://a.example/ HTTP/1.1\r\n${h}${k}\r\n`, 400, true],
    [`GET /a#b HTTP/1.1\r\n${h}${k}\r\n`, 400, true],
    [`GET * HTTP/1.1\r\n${h}${k}\r\n`, 400, true],
    [`GET  / HTTP/1.1\r\n${h}${k}\r\n`, 400, true],
    [`G(T / HTTP/1.1\r\n${h}${k}\r\n`, 400, true],
    [`GET /\r\n${h}${k}\r\n`, 400, true],
    [`GET / HTTP/1.0\r\n${h}${k}\r\n`, 505, true],
    [`GET / HTTP/2.0\r\n${h}${k}\r\n`, 505, true],
    [`GET / HTTP/1.2\r\n${h}${k}\r\n`, 505, true],
    ["GET / HTTP/1.0\r\n\r\n", 505, true],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, true],
    ["POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nok", 505, true],
    [`GET /a b HTTP/1.0\r\n${h}${k}\r\n`, 400, true],
    [`G(T / HTTP/1.0\r\n${h}${k}\r\n`, 400, true],
    [`GET / HTTP/1.0\r\n${h}A : b\r\n\r\n`, 400, true],
    [`GET / HTTP/1.10\r\n${h}${k}\r\n`, 400, true],
    [`GET / HTTP/11\r\n${h}${k}\r\n`, 400, true],
    [`GET / HTTP/1.1 \r\n${h}${k}\r\n`, 400, true],
    [`GET / http/1.1\r\n${h}${k}\r\n`, 400, true],
    [`CONNECT a.example:443 HTTP/1.1\r\n${h}${k}\r\n`, 405, true],
    [`GET / HTTP/1.1\n${h}${k}\r\n`, 400, true],
    [`GET / HTTP/1.1\nHost: a\nX-Routing-Key: acme\n\n`, 400, true],
    [`GET / HTTP/1.1\r\n${h}${k}A: b\r\n c\r\n\r\n`, 400, true],
    [`GET / HTTP/1.1\r\n ${h}${k}\r\n`, 400, true],
    [`GET / HTTP/1.1\r\n${h}${k}A : b\r\n\r\n`, 400, true],
    [`GET / HTTP/1.1\r\n${h}${k}A: b\0\r\n\r\n`, 400, true],
    [`GET / HTTP/1.1\r\n${h}${k}A: b\rc\r\n\r\n`, 400, true],
    [`GET / HTTP/1.1\r\n${h}${k}nocolon\r\n\r\n`, 400, true],
    [
      `POST / HTTP/1.1\r\n${h}${k}Content-Length: 2\r\nContent-Length: 2\r\n\r\nok`,
      400,
      true,
    ],
    [`POST / HTTP/1.1\r\n${h}${k}Content-Length: +2\r\n\r\nok`, 400, true],
    [`POST / HTTP/1.1\r\n${h}${k}Content-Length: 2, 2\r\n\r\nok`, 400, true],
    [`POST / HTTP/1.1\r\n${h}${k}Content-Length:\r\n\r\n`, 400, true],
    [
      `POST / HTTP/1.1\r\n${h}${k}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
      true,
    ],
    [
      `POST / HTTP/1.1\r\n${h}${k}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`,
      400,
      true,
    ],
    [
      `POST / HTTP/1.1\r\n${h}${k}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
      true,
    ],
    [
      `POST / HTTP/1.1\r\n${h}${k}Transfer-Encoding: identity\r\n\r\n`,
      400,
      true,
    ],
    [
      `POST / HTTP/1.1\r\n${h}${k}Transfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n`,
      400,
      true,
    ],
    [
      `POST / HTTP/1.1\r\n${h}${k}Transfer-Encoding: chunked\r\n\r\n2 \r\nok\r\n0\r\n\r\n`,
      400,
      true,
    ],
    [
      `POST / HTTP/1.1\r\n${h}${k}Transfer-Encoding: chunked\r\n\r\n2\r\nokk\r\n0\r\n\r\n`,
      400,
      true,
    ],
    [
      `POST / HTTP/1.1\r\n${h}${k}Transfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n`,
      400,
      true,
    ],
    [`GET / HTTP/1.1\r\n${h}${k}${"A: b\r\n".repeat(199)}\r\n`, 431, true],
    [`GET / HTTP/1.1\r\n${h}${k}A: ${"b".repeat(66000)}\r\n\r\n`, 431, true],
    [`GET /${"b".repeat(17000)} HTTP/1.1\r\n${h}${k}\r\n`, 414, true],
    [`GET /${"b".repeat(17000)}`, 414, true],
    [`GET /${"b".repeat(100_000)}`, 414, true],
    [`GET /${"b".repeat(100_000)} HTTP/1.1\r\n${h}${k}\r\n`, 414, true],
    [
      `GET /${"b".repeat(16_000)} HTTP/1.1\r\n${h}${k}A: ${
        "b".repeat(66_000)
      }\r\n\r\n`,
      431,
      true,
    ],
  ];
  for (const [text, status, closed] of cases) {
    await using client = await router.connect();
    await client.send(text).catch(() => {});
    const answer = await client.message();
    const label = `${JSON.stringify(text.slice(0, 200))} → ${answer}`;
    match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), label);
    match(answer, /\r\nContent-Type: application\/problem\+json\r\n/, label);
    equal(/\r\nConnection: close\r\n/.test(answer), closed, label);
    if (closed) equal(await client.rest(), "", label);
    if (status === 405) match(answer, /\r\nAllow: /);
  }
  equal(endpoint.sockets.length, 0);
});

Deno.test("createApp() answers 503 with Retry-After while there is no config", async () => {
  await using router = new TestRouter(null);
  const answer = await exchange(router, request());
  match(answer, /^HTTP\/1\.1 503 [\s\S]*\r\nRetry-After: 1\r\n/);
  equal(router.log[0]!.error?.name, "Error");
});

Deno.test("createApp() reads routing keys from hosts", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint), {
    app: { routingKey: { kind: "host", suffix: ".example.com" } },
  });
  const statusOf = async (host: string) =>
    (await exchange(router, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`))
      .match(/ ([0-9]{3}) |Route-Reason: ([a-z]+)/g);
  deepEqual(await statusOf("ACME.Example.com:8443"), [
    " 200 ",
    "Route-Reason: assigned",
  ]);
  deepEqual(await statusOf("x.example.com"), [
    " 200 ",
    "Route-Reason: default",
  ]);
  for (
    const host of ["example.com", "a.b.example.com", ".example.com", "[::1]"]
  ) {
    deepEqual(await statusOf(host), [" 400 "], host);
  }
});

Deno.test("createApp() keeps targets below a base path", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint, "/base/"));
  const targets = [
    "/a/../b",
    "/",
    "/x?/../..",
    "//a//../b",
    "/a/%2e%2e/b",
    "/...",
  ];
  for (const target of targets) {
    match(
      await exchange(router, request(`GET ${target} HTTP/1.1`)),
      /^HTTP\/1\.1 200 /,
    );
    ok(endpoint.requests.at(-1)!.startsWith(`GET /base${target} HTTP/1.1\r\n`));
  }
  const climbing = [
    "/..",
    "/../x",
    "/a/../../x",
    "/%2e%2E/x",
    "/.%2e/x",
    "/a/..%2f..%2fx",
    "/..\\x",
    "/a\\..\\..\\x",
    "/%5c../..",
    "/..;a=b/x",
    "//../x",
  ];
  for (const target of climbing) {
    match(
      await exchange(router, request(`GET ${target} HTTP/1.1`)),
      /^HTTP\/1\.1 400 /,
      target,
    );
  }
  equal(endpoint.requests.length, targets.length);
  await exchange(router, request("OPTIONS * HTTP/1.1"));
  match(endpoint.requests.at(-1)!, /^OPTIONS \/base HTTP/);
});

Deno.test("createApp() forwards the absolute and the asterisk form", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint));
  await exchange(router, request("GET http://A.example/p?q HTTP/1.1"));
  await exchange(router, request("GET http://a.example?q HTTP/1.1"));
  await exchange(router, request("OPTIONS http://a.example HTTP/1.1"));
  await exchange(router, request("OPTIONS * HTTP/1.1"));
  deepEqual(endpoint.requests.map((text) => text.split("\r\n")[0]), [
    "GET /p?q HTTP/1.1",
    "GET /?q HTTP/1.1",
    "OPTIONS * HTTP/1.1",
    "OPTIONS * HTTP/1.1",
  ]);
});

Deno.test("createApp() strips what belongs to one hop, and what a client may not say", async () => {
  await using endpoint = new AnsweringEndpoint(
    "HTTP/1.1 200 OK\r\nConnection: x-hop, keep-alive\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nx-routed-to: liar\r\nX-ROUTE-REASON: liar\r\nX-Config-Version: 99\r\nX-Kept: 1\r\nContent-Length: 2\r\n\r\nok",
  );
  await using router = new TestRouter(urlOf(endpoint));
  const answer = await exchange(
    router,
    request(
      "GET / HTTP/1.1",
      "Connection: x-mine, host, authorization, cookie, x-routing-key, content-length, x-forwarded-for, via\r\n" +
        "Keep-Alive: 3\r\nProxy-Connection: a\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Mine: 1\r\n" +
        "Authorization: a\r\nCookie: c\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n" +
        "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n" +
        "X-Real_IP: 6.6.6.6\r\nVia: 1.1 evil\r\nX_routing-key: evil\r\nContent-Length: 0\r\nX-Last: 1\r\n",
    ),
  );
  equal(
    answer,
    "HTTP/1.1 200 OK\r\nX-Kept: 1\r\nContent-Length: 2\r\nX-Routed-To: cell\r\nX-Route-Reason: assigned\r\nX-Config-Version: 7\r\n\r\nok",
  );
  equal(
    endpoint.requests[0]!.replace(/X-Request-Id: .*\r\n/, ""),
    request(
      "GET / HTTP/1.1",
      "Authorization: a\r\nCookie: c\r\nContent-Length: 0\r\nX-Last: 1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a.example\r\nVia: 1.1 signalbox\r\n",
    ),
  );
});

Deno.test("createApp() believes trusted proxies, but never a second spelling of the key", async () => {
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint), {
    app: { trusted: parseTrustedProxies(["127.0.0.0/8"]) },
  });
  await exchange(
    router,
    request(
      "GET / HTTP/1.1",
      "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b.example\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\nX_Real_IP: 9\r\nX_Routing_Key: evil\r\nVia: 1.1 front\r\nX-Request-Id: i\r\n",
    ),
  );
  equal(
    endpoint.requests[0]!,
    request(
      "GET / HTTP/1.1",
      "X-Request-Id: i\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\nX_Real_IP: 9\r\nX-Forwarded-For: 1.1.1.1, 2.2.2.2, 127.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b.example\r\nVia: 1.1 front, 1.1 signalbox\r\n",
    ),
  );
});

Deno.test("createApp() answers 502 without the endpoint's address, and keeps the connection", async () => {
  const port = freePort();
  await using router = new TestRouter(`http://127.0.0.1:${port}`);
  await using client = await router.connect();
  for (let i = 0; i < 2; i++) {
    await client.send(
      request("POST / HTTP/1.1", "Content-Length: 2\r\n", "ok"),
    );
    const answer = await client.message();
    match(answer, /^HTTP\/1\.1 502 [\s\S]*X-Routed-To: cell\r\n/);
    doesNotMatch(answer, new RegExp(`${port}|127\\.0\\.0\\.1`));
  }
  equal(router.traffic.of("cell").errors.get("refused"), 2);
  const { answered, failed } = router.traffic;
  deepEqual({ answered, failed }, { answered: 2, failed: 2 });
  equal(router.log[0]!.kind, "refused");
  equal(router.log[0]!.waited, null);
  equal(router.log[0]!.error?.name, "UpstreamError");
});

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

Deno.test("createApp() answers 502 where an endpoint breaks HTTP", async () => {
  const answers = [
    "",
    "HTTP/1.1 200 OK\r\nContent-",
    "HTTP/1.1 200 OK\n\nok",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/2 200 OK\r\n\r\n",
    "ICY 200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    `HTTP/1.1 200 OK\r\nA: ${"b".repeat(70000)}\r\n\r\n`,
  ];
  for (const answer of answers) {
    await using endpoint = new RawEndpoint(async (socket) => {
      await socket.head();
      await socket.send(answer);
      await socket.finish();
      await socket.rest();
    });
    await using router = new TestRouter(urlOf(endpoint));
    const got = await exchange(router, request());
    match(got, /^HTTP\/1\.1 502 /, JSON.stringify(answer.slice(0, 100)));
    equal(router.traffic.of("cell").idle, 0);
  }
});

Deno.test("createApp() answers 504 where an endpoint does not begin", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(endpoint), {
    app: { timeouts: { response: 50, idle: 60_000, stream: 60_000 } },
  });
  match(await exchange(router, request()), /^HTTP\/1\.1 504 /);
  match(
    await exchange(
      router,
      request("POST / HTTP/1.1", "Content-Length: 2\r\n", "ok"),
    ),
    /^HTTP\/1\.1 504 /,
  );
  match(
    await exchangeOpen(
      router,
      request(
        "POST / HTTP/1.1",
        "Expect: 100-continue\r\nContent-Length: 2\r\n",
      ),
    ),
    /^HTTP\/1\.1 504 /,
  );
  equal(router.traffic.of("cell").errors.get("response_timeout"), 3);
  for (const { kind, waited } of router.log) {
    equal(kind, "response_timeout");
    ok(waited !== null && waited > 50);
  }
});

async function exchangeOpen(router: TestRouter, text: string): Promise<string> {
  await using client = await router.connect();
  await client.send(text);
  return await client.message();
}

Deno.test("createApp() streams a chunked body both ways with its trailers", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    const head = await socket.head();
    match(head, /\r\nTransfer-Encoding: chunked\r\n/);
    equal(await socket.until("hello\r\n"), "5;a=b\r\nhello\r\n");
    await socket.send(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\none\r\n",
    );
    equal(await socket.until("\r\n\r\n"), "0\r\nX-Sum: 1\r\n\r\n");
    await socket.send("0\r\nX-Sum: 2\r\nX-Routed-To: liar\r\n\r\n");
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  await client.send(
    request(
      "POST / HTTP/1.1",
      "Transfer-Encoding: Chunked\r\n",
      "5;a=b\r\nhel",
    ),
  );
  await client.send("lo\r\n");
  const head = await client.head();
  match(
    head,
    /\r\nTrailer: X-Sum\r\n[\s\S]*\r\nTransfer-Encoding: chunked\r\n/,
  );
  equal(await client.until("one\r\n"), "3\r\none\r\n");
  await client.send(
    "0\r\nX-Sum: 1\r\nContent-Length: 9\r\nX_Routing-Key: b\r\n\r\n",
  );
  equal(await client.until("\r\n\r\n"), "0\r\nX-Sum: 2\r\n\r\n");
  await eventually(() => router.traffic.of("cell").idle === 1, "it is kept");
});

Deno.test("createApp() passes large bodies both ways", async () => {
  const size = 3_000_000;
  await using endpoint = new RawEndpoint(async (socket) => {
    for (;;) {
      const message = await socket.message();
      const body = message.slice(message.indexOf("\r\n\r\n") + 4);
      await socket.send(
        `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
    }
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  const body = Array.from(
    { length: size / 10 },
    (_, i) => String(i).padStart(10),
  ).join("");
  for (let i = 0; i < 2; i++) {
    await client.send(
      request("PUT / HTTP/1.1", `Content-Length: ${size}\r\n`, body),
    );
    const answer = await client.message();
    ok(answer.endsWith(body));
  }
  equal(endpoint.sockets.length, 1);
});

Deno.test("createApp() gives an answer that ends with its connection as chunked", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.head();
    await socket.send("HTTP/1.0 200 Fine\r\n\r\nab");
    await socket.send("cd");
    await socket.finish();
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(endpoint));
  const answer = await exchange(router, request());
  match(
    answer,
    /^HTTP\/1\.1 200 Fine\r\n[\s\S]*Transfer-Encoding: chunked\r\n/,
  );
  const body = answer.slice(answer.indexOf("\r\n\r\n") + 4);
  ok(body.endsWith("0\r\n\r\n"), body);
  equal(body.replace(/[0-9a-f]+\r\n([a-z]*)\r\n/g, "$1"), "abcd");
});

Deno.test("createApp() gives no body where there is none", async () => {
  const answers = [
    "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: "a"\r\n\r\n',
    "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
  ];
  await using endpoint = new AnsweringEndpoint(() => answers.shift()!);
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  const heads: string[] = [];
  for (const method of ["GET", "GET", "HEAD", "HEAD"]) {
    await client.send(request(`${method} / HTTP/1.1`));
    heads.push(await client.head());
  }
  doesNotMatch(heads[0]!, /Content-Length/);
  match(heads[1]!, /Content-Length: 5\r\n/);
  match(heads[2]!, /^HTTP\/1\.1 200 \r\nContent-Length: 5\r\n/);
  doesNotMatch(heads[3]!, /Transfer-Encoding/);
  equal(endpoint.sockets.length, 1);
});

Deno.test("createApp() passes informational answers and 100-continue", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    match(await socket.head(), /\r\nExpect: 100-continue\r\n/);
    await socket.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    await socket.send("HTTP/1.1 100 Continue\r\n\r\n");
    equal(await socket.count(2), "ok");
    await socket.send(OK);
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  await client.send(
    request("POST / HTTP/1.1", "Content-Length: 2\r\nExpect: 100-continue\r\n"),
  );
  equal(await client.head(), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  equal(await client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
  await client.send("ok");
  const answer = await client.message();
  match(answer, /^HTTP\/1\.1 200 /);
  doesNotMatch(answer, /Connection/);
});

Deno.test("createApp() passes an early final answer and closes where a body may or may not follow", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.head();
    await socket.send("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(endpoint));
  const answer = await exchangeOpen(
    router,
    request("POST / HTTP/1.1", "Content-Length: 2\r\nExpect: 100-continue\r\n"),
  );
  match(answer, /^HTTP\/1\.1 417 No[\s\S]*Connection: close\r\n/);
});

Deno.test("createApp() keeps a client's connection after an early answer if the body ends soon", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.head();
    await socket.send(OK);
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  for (let i = 0; i < 2; i++) {
    await client.send(
      request("POST / HTTP/1.1", "Content-Length: 4\r\n", "ab"),
    );
    match(await client.message(), /^HTTP\/1\.1 200 /);
    await client.send("cd");
  }
  equal(
    endpoint.sockets.length,
    2,
    "an unfinished request ends its connection",
  );
});

Deno.test("createApp() never ends a cut answer as if it were whole", async () => {
  const beginnings = [
    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
  ];
  for (const beginning of beginnings) {
    await using endpoint = new RawEndpoint(async (socket) => {
      await socket.head();
      await socket.send(beginning);
    });
    await using router = new TestRouter(urlOf(endpoint));
    await using client = await router.connect();
    await client.send(request());
    const answer = await client.rest();
    match(answer, /^HTTP\/1\.1 200 /);
    doesNotMatch(answer, /\r\n0\r\n/);
    ok(answer.includes("ab"));
    equal(router.traffic.of("cell").errors.get("cut"), 1);
    // The client was told 200, and did not get what that promised.
    const { answered, failed } = router.traffic;
    deepEqual({ answered, failed }, { answered: 1, failed: 1 });
    equal(router.log[0]!.error?.name, "UpstreamError");
  }
});

Deno.test("createApp() cuts an answer that falls silent, but not an event stream", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    const type = (await socket.head()).includes("/events")
      ? "text/event-stream; charset=utf-8"
      : "text/plain";
    await socket.send(
      `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n`,
    );
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(endpoint), {
    app: { timeouts: { response: 60_000, idle: 40, stream: 60_000 } },
  });
  await using events = await router.connect();
  await events.send(request("GET /events HTTP/1.1"));
  await events.until("ab\r\n");
  await using plain = await router.connect();
  await plain.send(request());
  ok((await plain.rest()).endsWith("2\r\nab\r\n"));
  equal(router.traffic.of("cell").errors.get("stalled"), 1);
  const { placement, kind, waited, error } = router.log[0]!;
  equal(placement, "cell");
  equal(kind, "stalled");
  ok(waited !== null && waited > 40 && waited < 5000, String(waited));
  ok(error!.message.includes(urlOf(endpoint)), error!.message);
  equal(router.traffic.inFlight, 1);
});

Deno.test("createApp() does not reuse a connection with bytes too many", async () => {
  await using endpoint = new AnsweringEndpoint(`${OK}extra`);
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  for (let i = 0; i < 2; i++) {
    await client.send(request());
    ok((await client.message()).endsWith("\r\n\r\nok"));
  }
  equal(endpoint.sockets.length, 2);
});

Deno.test("createApp() repeats a bodyless GET on a fresh connection, a POST never", async () => {
  let posts = 0;
  await using endpoint = new RawEndpoint(async (socket) => {
    // Each connection serves one request and dies at the second.
    const first = await socket.message();
    if (first.startsWith("POST")) posts++;
    await socket.send(OK);
    const second = await socket.message();
    if (second.startsWith("POST")) posts++;
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  await client.send(request());
  match(await client.message(), /^HTTP\/1\.1 200 /);
  await client.send(request());
  match(await client.message(), /^HTTP\/1\.1 200 /);
  equal(endpoint.sockets.length, 2);
  await client.send(request("POST / HTTP/1.1", "Content-Length: 0\r\n"));
  match(await client.message(), /^HTTP\/1\.1 502 /);
  equal(posts, 1);
  equal(endpoint.sockets.length, 2);
});

Deno.test("createApp() does not repeat a GET whose answer has begun", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.message();
    await socket.send(OK);
    await socket.message();
    await socket.send("HTTP/1.1 103 Early Hints\r\n\r\n");
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  await client.send(request());
  await client.message();
  await client.send(request());
  match(await client.head(), /^HTTP\/1\.1 103 /);
  match(await client.message(), /^HTTP\/1\.1 502 /);
  equal(endpoint.sockets.length, 1);
});

Deno.test("createApp() finds an idle connection that has died before use", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.message();
    await socket.send(OK);
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  for (let i = 0; i < 3; i++) {
    await client.send(request("POST / HTTP/1.1", "Content-Length: 0\r\n"));
    match(await client.message(), /^HTTP\/1\.1 200 /);
    await eventually(() => router.traffic.of("cell").idle === 0, "it is found");
  }
  equal(router.upstream.connections.size, 0);
});

Deno.test("createApp() becomes a tunnel after a matching 101", async () => {
  await using endpoint = new RawEndpoint(async (socket) => {
    match(
      await socket.head(),
      /\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n$/,
    );
    await socket.send(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Accept: x\r\n\r\nhi",
    );
    equal(await socket.count(5), "early");
    await socket.send("pong");
    equal(await socket.rest(), "bye");
    await socket.send("late");
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  await client.send(
    request(
      "GET /ws HTTP/1.1",
      "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n",
      "early",
    ),
  );
  const head = await client.head();
  match(
    head,
    /^HTTP\/1\.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nX-Routed-To: cell\r\n/,
  );
  match(head, /\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n$/);
  equal(await client.count(6), "hipong");
  await client.send("bye");
  await client.finish();
  equal(await client.rest(), "late");
  await eventually(() => router.upstream.connections.size === 0, "both end");
  equal(router.traffic.of("cell").requests[0], 1);
});

Deno.test("createApp() aborts the endpoint's request when the client is gone", async () => {
  let ended: Promise<string> | null = null;
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.head();
    ended = socket.rest();
    await ended;
  });
  await using router = new TestRouter(urlOf(endpoint));
  const client = await router.connect();
  await client.send(request("POST / HTTP/1.1", "Content-Length: 4\r\n", "ab"));
  await eventually(() => ended !== null, "it arrives");
  // FIN inside a body: the client is gone.
  client.close();
  equal(await ended, "ab");
  await eventually(() => router.log.length === 1, "it is told");
  equal(router.log[0]!.status, 499);
  equal(router.log[0]!.error, null);
});

Deno.test("createApp() answers a client that has ended its side after the request", async () => {
  const go = Promise.withResolvers<void>();
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.message();
    await go.promise;
    await socket.send(OK);
    await socket.rest();
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  await client.send(request());
  await client.finish();
  await eventually(() => endpoint.sockets.length === 1, "it arrives");
  go.resolve();
  match(await client.rest(), /^HTTP\/1\.1 200 [\s\S]*ok$/);
});

Deno.test("createApp() answers 408 to a body that falls silent, and aborts its request", async () => {
  let got: Promise<string> | null = null;
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.head();
    got = socket.rest();
    await got;
  });
  await using router = new TestRouter(urlOf(endpoint), {
    listen: { idleTimeout: 40 },
  });
  await using client = await router.connect();
  await client.send(request("POST / HTTP/1.1", "Content-Length: 4\r\n", "ab"));
  match(await client.message(), /^HTTP\/1\.1 408 [\s\S]*Connection: close\r\n/);
  equal(await got, "ab");
});

Deno.test("createApp() answers 400 to a body that breaks late, and aborts its request", async () => {
  let got: Promise<string> | null = null;
  await using endpoint = new RawEndpoint(async (socket) => {
    await socket.head();
    got = socket.rest();
    await got;
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  await client.send(
    request("POST / HTTP/1.1", "Transfer-Encoding: chunked\r\n", "2\r\nab\r\n"),
  );
  await eventually(() => got !== null, "it arrives");
  await client.send("x\r\n");
  match(await client.rest(), /^HTTP\/1\.1 400 [\s\S]*Connection: close\r\n/);
  equal(await got, "2\r\nab\r\n");
});

Deno.test("createApp() answers pipelined requests in order", async () => {
  await using endpoint = new AnsweringEndpoint((text) => {
    const path = text.split(" ")[1]!;
    return `HTTP/1.1 200 OK\r\nContent-Length: ${path.length}\r\n\r\n${path}`;
  });
  await using router = new TestRouter(urlOf(endpoint));
  await using client = await router.connect();
  const paths = Array.from({ length: 40 }, (_, i) => `/${i}`);
  await client.send(
    paths.map((path) => request(`GET ${path} HTTP/1.1`)).join(""),
  );
  for (const path of paths) {
    ok((await client.message()).endsWith(`\r\n\r\n${path}`));
  }
});

Deno.test("createApp() lets a request end on the endpoint it began with", async () => {
  const go = Promise.withResolvers<void>();
  await using old = new RawEndpoint(async (socket) => {
    await socket.message();
    await go.promise;
    await socket.send(OK);
    await socket.rest();
  });
  await using next = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(old));
  await using client = await router.connect();
  await client.send(request());
  await eventually(() => old.sockets.length === 1, "it arrives");
  router.active = activeAt(urlOf(next), 8);
  router.upstream.retain(router.active.routes.packed.endpoints);
  go.resolve();
  match(await client.message(), /X-Config-Version: 7\r\n/);
  await eventually(() => router.upstream.connections.size === 0, "it is ended");
  await client.send(request());
  match(await client.message(), /X-Config-Version: 8\r\n/);
  equal(next.requests.length, 1);
});

Deno.test("createApp() counts a request whose placement goes away while it connects", async () => {
  const asked = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  await using endpoint = new AnsweringEndpoint();
  await using router = new TestRouter(urlOf(endpoint), {
    upstream: {
      connect: async (...args) => {
        asked.resolve();
        await go.promise;
        return await connectEndpoint(...args);
      },
    },
  });
  await using client = await router.connect();
  await client.send(request());
  await asked.promise;
  router.upstream.retain(new Map());
  router.traffic.retain(new Map());
  go.resolve();
  match(await client.message(), /^HTTP\/1\.1 200 /);
  await eventually(() => router.log.length === 1, "it is over");
  equal(router.traffic.of("cell").requests[1], 1);
  router.traffic.retain(new Map());
  equal(router.traffic.of("cell").requests[1], 0);
});

Deno.test("createApp() answers all methods, also where another route stands beside its own", async () => {
  await using endpoint = new AnsweringEndpoint((text) =>
    text.startsWith("HEAD") ? "HTTP/1.1 200 OK\r\n\r\n" : OK
  );
  await using router = new TestRouter(urlOf(endpoint));
  for (let i = 0; i < 2; i++) {
    for (const method of ["GET", "HEAD", "X-ODD"]) {
      match(
        await exchange(router, request(`${method} / HTTP/1.1`)),
        /^HTTP\/1\.1 200 /,
      );
    }
    if (i === 0) router.app.use(async (_c, next) => await next());
  }
  equal(endpoint.requests.length, 6);
});

Deno.test("createApp() notices a reset while it waits for the endpoint", async () => {
  for (const finishFirst of [false, true]) {
    let ended: Promise<string> | null = null;
    await using endpoint = new RawEndpoint(async (socket) => {
      await socket.message();
      await socket.send("HTTP/1.1 103 Early Hints\r\n\r\n");
      ended = socket.rest();
      await ended;
    });
    await using router = new TestRouter(urlOf(endpoint));
    const { port } = router.listener.address;
    const client = await Deno.connect({ hostname: "127.0.0.1", port });
    await client.write(new TextEncoder().encode(request()));
    if (finishFirst) await client.closeWrite();
    // Closing with bytes unread is how a reset is made.
    await client.read(new Uint8Array(4));
    client.close();
    await eventually(() => router.log.length === 1, "it is noticed");
    equal(await ended, "");
    equal(router.log[0]!.status, 499);
    equal(router.traffic.of("cell").errors.size, 0);
  }
});
