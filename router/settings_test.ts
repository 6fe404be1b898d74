import assert from "node:assert/strict";
import { isRouterId } from "../shared/protocol.ts";
import {
  defaultRouterId,
  readRouterSettings,
  type RouterSettings,
  settingsWarnings,
} from "./settings.ts";

function read(env: Record<string, string>): RouterSettings {
  const result = readRouterSettings(env);
  assert.ok(result.ok, JSON.stringify(result));
  return result.settings;
}

Deno.test("readRouterSettings() has a working default for everything", () => {
  const { ROUTER_TRUSTED_PROXIES, ...rest } = read({});
  assert.equal(ROUTER_TRUSTED_PROXIES.has("127.0.0.1"), false);
  assert.deepEqual(rest, {
    ROUTER_LISTEN: { hostname: "127.0.0.1", port: 8080 },
    ROUTER_ADMIN_LISTEN: { hostname: "127.0.0.1", port: 9080 },
    ROUTER_ALLOWED_HOSTS: [],
    ROUTER_CP_URL: ["ws://127.0.0.1:8081/v1/connect"],
    ROUTER_CP_TIMEOUT: 12_000,
    ROUTER_MAX_CONFIG_BYTES: 134_217_728,
    ROUTER_GUARD_SHARE: 0.5,
    ROUTER_KEY: { kind: "header", name: "x-routing-key" },
    ROUTER_CONNECT_TIMEOUT: 5000,
    ROUTER_RESPONSE_TIMEOUT: 30_000,
    ROUTER_HOLD_REQUESTS: 1000,
    ROUTER_HOLD_TIMEOUT: 30_000,
    ROUTER_IDLE_TIMEOUT: 60_000,
    ROUTER_STREAM_TIMEOUT: 3_600_000,
    ROUTER_HEADER_TIMEOUT: 10_000,
    ROUTER_KEEPALIVE_TIMEOUT: 75_000,
    ROUTER_MAX_CONNECTIONS: 10_000,
    ROUTER_DRAIN_TIMEOUT: 10_000,
    ROUTER_THREADS: 1,
    ROUTER_ACCESS_LOG: "errors",
  });
});

Deno.test("readRouterSettings() reads control planes, keys and proxies", () => {
  assert.deepEqual(read({ ROUTER_CP_URL: "" }).ROUTER_CP_URL, []);
  assert.deepEqual(
    read({ ROUTER_CP_URL: "ws://a/v1/connect, wss://[::1]:9/x?y=z" })
      .ROUTER_CP_URL,
    ["ws://a/v1/connect", "wss://[::1]:9/x?y=z"],
  );
  assert.deepEqual(read({ ROUTER_KEY: "header:X-Tenant" }).ROUTER_KEY, {
    kind: "header",
    name: "x-tenant",
  });
  assert.deepEqual(read({ ROUTER_KEY: "host:{key}.Example.com" }).ROUTER_KEY, {
    kind: "host",
    suffix: ".example.com",
  });
  const proxies = read({ ROUTER_TRUSTED_PROXIES: "10.0.0.0/8, ::1" })
    .ROUTER_TRUSTED_PROXIES;
  assert.ok(proxies.has("10.1.2.3") && proxies.has("::1"));
});

for (
  const [name, values] of Object.entries({
    ROUTER_LISTEN: ["8080", "127.0.0.1", "127.0.0.1:65536", ""],
    ROUTER_ALLOWED_HOSTS: ["a:1", "a b", ","],
    ROUTER_ID: ["a b", "x".repeat(129), ""],
    ROUTER_CP_URL: [
      "http://a/",
      "a",
      "ws://a,",
      "ws://user:word@a/",
      "ws://a/#x",
      "ws://a:0/",
      "ws:///x",
    ],
    ROUTER_CP_TIMEOUT: ["12", "0s", "-1s", "25d"],
    ROUTER_CP_TOKEN: ["", "two words"],
    ROUTER_MAX_CONFIG_BYTES: ["0B", "1MB"],
    ROUTER_KEY: [
      "x-key",
      "header:",
      "header:a b",
      "header:Host",
      "header:content-length",
      "header:Via",
      "header:X-Request-Id",
      "header:x-forwarded-for",
      "header:x-forwarded-port",
      "header:X_Forwarded_For",
      "header:forwarded",
      "header:x-real-ip",
      "header:trailer",
      "host:example.com",
      "host:{key}",
      "host:{key}.",
      "host:{key}example.com",
      "host:{key}.a_b:80",
    ],
    ROUTER_MAX_CONNECTIONS: ["0", "many", "1000001"],
    ROUTER_CA: [""],
    ROUTER_TRUSTED_PROXIES: ["10.0.0.0/33", "example.com", ""],
    ROUTER_ACCESS_LOG: ["none"],
    LOG_LEVEL: ["loud"],
  })
) {
  Deno.test(`readRouterSettings() refuses a bad ${name}`, () => {
    for (const value of values) {
      const result = readRouterSettings({ [name]: value });
      assert.ok(!result.ok, `${name}=${value}`);
      assert.equal(result.problems.length, 1);
      assert.equal(result.problems[0]!.name, name);
    }
  });
}

Deno.test("readRouterSettings() tells all problems at once, and no token", () => {
  const result = readRouterSettings({
    ROUTER_KEY: "x",
    ROUTER_LISTEN: "x",
    ROUTER_CP_TOKEN: "pass word",
  });
  assert.ok(!result.ok);
  assert.deepEqual(result.problems.map(({ name }) => name).sort(), [
    "ROUTER_CP_TOKEN",
    "ROUTER_KEY",
    "ROUTER_LISTEN",
  ]);
  assert.ok(!JSON.stringify(result).includes("pass word"));
});

Deno.test("readRouterSettings() checks settings against each other", () => {
  const result = readRouterSettings({
    ROUTER_LISTEN: "0.0.0.0:9080",
    ROUTER_MAX_CONNECTIONS: "10",
    ROUTER_MAX_CONNECTIONS_PER_ADDRESS: "11",
  });
  assert.ok(!result.ok);
  assert.deepEqual(result.problems.map(({ name }) => name), [
    "ROUTER_ADMIN_LISTEN",
    "ROUTER_MAX_CONNECTIONS_PER_ADDRESS",
  ]);
  read({ ROUTER_LISTEN: "127.0.0.1:0", ROUTER_ADMIN_LISTEN: "127.0.0.1:0" });
});

Deno.test("readRouterSettings() takes HTTP/2 with TLS only, on an address of its own", () => {
  const tls = { ROUTER_TLS_CERT: "cert.pem", ROUTER_TLS_KEY: "key.pem" };
  const named = (env: Record<string, string>) => {
    const result = readRouterSettings(env);
    return result.ok ? [] : result.problems.map(({ name }) => name);
  };
  const address = "127.0.0.1:8443";
  assert.deepEqual(named({ ...tls, ROUTER_H2_LISTEN: address }), []);
  assert.deepEqual(named({ ...tls, ROUTER_H2_LISTEN: "127.0.0.1:0" }), []);
  assert.deepEqual(named({ ROUTER_H2_LISTEN: address }), ["ROUTER_H2_LISTEN"]);
  assert.deepEqual(
    named({ ROUTER_H2_LISTEN: address, ROUTER_TLS_CERT: "cert.pem" }),
    ["ROUTER_TLS_KEY"],
  );
  for (const taken of ["127.0.0.1:8080", "0.0.0.0:9080", "8443"]) {
    assert.deepEqual(named({ ...tls, ROUTER_H2_LISTEN: taken }), [
      "ROUTER_H2_LISTEN",
    ]);
  }
});

Deno.test("readRouterSettings() names the known name nearest to an unknown one", () => {
  const result = readRouterSettings({ ROUTER_LISTN: "x", CP_LISTEN: "y" });
  assert.ok(result.ok);
  assert.deepEqual(result.unknown, [
    { name: "ROUTER_LISTN", nearest: "ROUTER_LISTEN" },
  ]);
});

Deno.test("settingsWarnings() warns of an open admin listener and a token in the clear", () => {
  assert.deepEqual(settingsWarnings(read({ ROUTER_CP_TOKEN: "t" })), []);
  const open = read({
    ROUTER_ADMIN_LISTEN: ":9080",
    ROUTER_CP_TOKEN: "t",
    ROUTER_CP_URL: "wss://a/,ws://b/",
  });
  assert.equal(settingsWarnings(open).length, 2);
});

Deno.test("defaultRouterId() makes an id of any host name", () => {
  assert.equal(defaultRouterId("edge-1.example", 8080), "edge-1.example:8080");
  for (const hostname of ["", "kö ln", "x".repeat(300)]) {
    assert.ok(isRouterId(defaultRouterId(hostname, 65535)));
  }
});
