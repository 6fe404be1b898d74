import assert from "node:assert/strict";
import { CONFIG, TestApp } from "../app_fixture.ts";
import { adminToken, checkAccess, parseTokens } from "./access.ts";
import { ProblemError } from "./problem.ts";

const RULES = {
  tokens: [],
  listenHostname: "10.0.0.5",
  allowedHosts: ["cp.example.com", "odd.example.com:8443", "[2001:db8::9]"],
  openPaths: new Set(["/healthz"]),
};

function statusOf(
  url: string,
  options: {
    method?: string;
    headers?: Record<string, string>;
    rules?: Partial<typeof RULES>;
    path?: string;
  } = {},
): number {
  const { method = "GET", headers = {}, rules = {}, path = "/v1/config" } =
    options;
  try {
    const { host } = new URL(url);
    const request = new Request(url, { method, headers: { host, ...headers } });
    checkAccess(request, {
      path,
      rules: { ...RULES, ...rules },
    });
    return 200;
  } catch (error) {
    assert.ok(error instanceof ProblemError);
    return error.status;
  }
}

Deno.test("checkAccess() serves the hosts it knows, and no other", () => {
  for (
    const [host, status] of [
      ["10.0.0.5:8081", 200],
      ["10.0.0.5", 200],
      ["10.0.0.6:8081", 421],
      ["localhost:1234", 200],
      ["LOCALHOST", 200],
      ["127.0.0.1:8081", 200],
      ["[::1]:8081", 200],
      ["cp.example.com", 200],
      ["CP.example.com:443", 200],
      ["odd.example.com:8443", 200],
      ["odd.example.com", 421],
      ["[2001:db8::9]:8081", 200],
      ["[2001:db8::8]:8081", 421],
      ["evil.example", 421],
      ["localhost.evil.example", 421],
      ["127.0.0.1.evil.example", 421],
      ["evil.example:8081", 421],
    ] as const
  ) {
    assert.equal(statusOf(`http://${host}/v1/config`), status, host);
    assert.equal(
      statusOf("http://localhost/v1/config", { headers: { host } }),
      status,
      `${host} as a header`,
    );
  }
  for (const host of ["localhost/admin", "", "localhost:x", "a@localhost"]) {
    assert.equal(
      statusOf("http://localhost/v1/config", { headers: { host } }),
      421,
      host,
    );
  }
});

Deno.test("checkAccess() refuses a request without a Host", () => {
  assert.throws(
    () =>
      checkAccess(new Request("http://localhost/v1/config"), {
        path: "/v1/config",
        rules: RULES,
      }),
    (error) => error instanceof ProblemError && error.status === 421,
  );
});

Deno.test("checkAccess() takes any address where it listens on all, but no name", () => {
  const rules = { listenHostname: "0.0.0.0" };
  assert.equal(statusOf("http://192.0.2.7:8081/", { rules }), 200);
  assert.equal(statusOf("http://[2001:db8::1]:8081/", { rules }), 200);
  assert.equal(statusOf("http://evil.example/", { rules }), 421);
});

Deno.test("checkAccess() refuses edits from pages of other origins", () => {
  const url = "http://localhost:8081/v1/takeover";
  for (
    const [headers, status] of [
      [{}, 200],
      [{ origin: "http://localhost:8081" }, 200],
      [{ origin: "https://localhost:8081" }, 200],
      [{ origin: "http://localhost:3000" }, 403],
      [{ origin: "http://evil.example" }, 403],
      [{ origin: "null" }, 403],
      [{ "sec-fetch-site": "same-origin" }, 200],
      [{ "sec-fetch-site": "none" }, 200],
      [{ "sec-fetch-site": "cross-site" }, 403],
      [{ "sec-fetch-site": "same-site" }, 403],
    ] as const
  ) {
    for (const method of ["POST", "PUT", "PATCH", "DELETE"]) {
      assert.equal(
        statusOf(url, { method, headers: { ...headers } }),
        status,
        `${method} ${JSON.stringify(headers)}`,
      );
    }
    assert.equal(statusOf(url, { headers: { ...headers } }), 200);
  }
});

Deno.test("checkAccess() never lets an Origin connect, and asks routers for no admin token", () => {
  const url = "http://localhost:8081/v1/connect";
  const path = "/v1/connect";
  const rules = { tokens: [adminToken(null, "secret-token")] as never[] };
  assert.equal(statusOf(url, { path, rules }), 200);
  assert.equal(
    statusOf(url, {
      path,
      rules,
      headers: { origin: "http://localhost:8081" },
    }),
    403,
  );
});

Deno.test("checkAccess() takes nothing from a router's customers without a token", () => {
  const url = "http://localhost:8081/v1/config";
  const secret = adminToken(null, "secret-token");
  for (const via of ["1.1 signalbox-0a1b2c3d", "1.0 a, 2 signalbox-0a1b2c3d"]) {
    const headers = { via };
    assert.equal(statusOf(url, { headers }), 403);
    const path = "/v1/connect";
    assert.equal(statusOf(url, { headers, path }), 403);
    const rules = { tokens: [secret] as never[] };
    assert.equal(statusOf(url, { headers, path, rules }), 403);
    assert.equal(statusOf(url, { headers, rules }), 401);
    assert.equal(
      statusOf(url, {
        headers: { ...headers, authorization: "Bearer secret-token" },
        rules,
      }),
      200,
    );
  }
  assert.equal(statusOf(url, { headers: { via: "1.1 nginx" } }), 200);
});

Deno.test("checkAccess() asks for a token", () => {
  const rules = {
    tokens: [adminToken("ann", "ann-secret"), adminToken("bob", "bob-secret")],
    listenHostname: "127.0.0.1",
    allowedHosts: [],
    openPaths: new Set(["/healthz"]),
  };
  const call = (authorization?: string, path = "/v1/config") =>
    checkAccess(
      new Request("http://localhost/", {
        headers: {
          host: "localhost",
          ...(authorization === undefined ? {} : { authorization }),
        },
      }),
      { path, rules },
    );
  assert.equal(call("Bearer bob-secret"), "bob");
  assert.equal(call("bearer  ann-secret"), "ann");
  assert.equal(call(undefined, "/healthz"), null);
  for (
    const authorization of [
      undefined,
      "Bearer",
      "Bearer wrong",
      "Bearer ann-secre",
      "Bearer ann-secret2",
      "Basic ann-secret",
      "ann-secret",
    ]
  ) {
    assert.throws(
      () => call(authorization),
      (error: unknown) =>
        error instanceof ProblemError && error.status === 401 &&
        error.headers["www-authenticate"]?.startsWith("Bearer") === true &&
        !JSON.stringify(error.message).includes("secre"),
    );
  }
});

Deno.test("the app asks for a token everywhere but where it need not", async () => {
  await using app = new TestApp({
    access: { tokens: [adminToken(null, "secret-token")] },
  });
  for (const path of ["/", "/healthz", "/readyz", "/v1/connect"]) {
    const answer = await app.fetch(path);
    assert.equal(answer.status, 200, path);
    await answer.body?.cancel();
  }
  const all = new Set(
    app.routes.specs.map(({ method, path }) =>
      `${method.toUpperCase()} ${path.replaceAll(/\{.*?\}/g, "1")}`
    ),
  );
  for (const call of ["GET /healthz", "GET /readyz"]) all.delete(call);
  for (const call of [...all, "GET /nowhere", "OPTIONS /v1/config"]) {
    const [method, path] = call.split(" ") as [string, string];
    const answer = await app.call(method, path);
    assert.equal(answer.status, 401, call);
    assert.match(answer.headers.get("www-authenticate") ?? "", /^Bearer/);
  }
  const authorization = "Bearer secret-token";
  const put = await app.call("PUT", "/v1/config", {
    body: CONFIG,
    headers: { authorization, "x-signalbox-author": "me" },
  });
  assert.equal(put.status, 200);
});

Deno.test("the name of a token is the author, and no other", async () => {
  await using app = new TestApp({
    access: { tokens: [adminToken("ann", "ann-secret")] },
  });
  const headers = { authorization: "Bearer ann-secret" };
  const foreign = await app.call("PUT", "/v1/config", {
    body: CONFIG,
    headers: { ...headers, "x-signalbox-author": "bob" },
  });
  assert.equal(foreign.status, 403);
  await app.call("PUT", "/v1/config", { body: CONFIG, headers });
  const { body } = await app.call("GET", "/v1/config", { headers });
  assert.equal(body.author, "ann");
});

Deno.test("every answer has the security headers, and none allows another origin", async () => {
  await using app = new TestApp();
  for (
    const [method, path] of [
      ["GET", "/"],
      ["GET", "/healthz"],
      ["GET", "/v1/config"],
      ["GET", "/nowhere"],
      ["PUT", "/v1/config"],
      ["OPTIONS", "/v1/config"],
    ] as const
  ) {
    const answer = await app.fetch(path, {
      method,
      headers: { origin: "http://evil.example" },
    });
    await answer.body?.cancel();
    const { headers } = answer;
    assert.match(
      headers.get("content-security-policy") ?? "",
      /^default-src 'none'.*frame-ancestors 'none'/,
    );
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("referrer-policy"), "no-referrer");
    assert.equal(headers.get("cache-control"), "no-store");
    assert.equal(headers.get("cross-origin-resource-policy"), "same-origin");
    assert.equal(headers.get("x-frame-options"), "DENY");
    assert.equal(headers.get("access-control-allow-origin"), null);
  }
});

Deno.test("parseTokens() reads named tokens", () => {
  const { tokens, problems } = parseTokens(
    "# people\nann: ann-secret\r\n\n  bob bob:secret:x  \n",
  );
  assert.deepEqual(problems, []);
  assert.deepEqual(tokens, [
    adminToken("ann", "ann-secret"),
    adminToken("bob", "bob:secret:x"),
  ]);
});

Deno.test("parseTokens() lists all problems and shows no token", () => {
  const { problems } = parseTokens(
    "ann: long-enough\nann: other-enough\nbob: long-enough\ncy: short\nonly-one\n",
  );
  assert.equal(problems.length, 4);
  for (const problem of problems) {
    assert.doesNotMatch(problem, /long-enough|short$|only-one/);
  }
  assert.equal(parseTokens("# none\n").problems.length, 1);
});
