import { deepEqual, equal, ok } from "node:assert/strict";
import {
  authority,
  duration,
  flag,
  isLoopback,
  list,
  listenAddress,
  oneOf,
  readSettings,
  secret,
  size,
  text,
  whole,
} from "./settings.ts";

const SHAPE = {
  T_LISTEN: listenAddress().default({ hostname: "127.0.0.1", port: 1 }),
  T_WAIT: duration().default(5000),
  T_SIZE: size().default(1024),
  T_COUNT: whole(1, 10).default(3),
  T_FLAG: flag().default(false),
  T_WORD: oneOf(["a", "b"]).default("a"),
  T_LIST: list((part) => /^[a-z]+$/.test(part), "a word").default([]),
  T_TOKEN: secret().optional(),
  T_URL: text().default("x"),
};

function read(env: Record<string, string>) {
  return readSettings(SHAPE, { env, prefix: "T_" });
}

Deno.test("readSettings() has defaults for what is not set", () => {
  const result = read({ OTHER: "1" });
  ok(result.ok);
  deepEqual(result.settings, {
    T_LISTEN: { hostname: "127.0.0.1", port: 1 },
    T_WAIT: 5000,
    T_SIZE: 1024,
    T_COUNT: 3,
    T_FLAG: false,
    T_WORD: "a",
    T_LIST: [],
    T_URL: "x",
  });
  deepEqual(result.unknown, []);
});

Deno.test("readSettings() reads each kind of value", () => {
  const result = read({
    T_LISTEN: "[::1]:0",
    T_WAIT: "1.5s",
    T_SIZE: "2MiB",
    T_COUNT: "10",
    T_FLAG: "true",
    T_WORD: "b",
    T_LIST: "x, y",
    T_TOKEN: "s3cret",
  });
  ok(result.ok);
  deepEqual(result.settings.T_LISTEN, { hostname: "::1", port: 0 });
  deepEqual(
    [result.settings.T_WAIT, result.settings.T_SIZE, result.settings.T_COUNT],
    [1500, 2 * 2 ** 20, 10],
  );
  deepEqual(result.settings.T_LIST, ["x", "y"]);
  equal(result.settings.T_TOKEN, "s3cret");
});

Deno.test("readSettings() reports every bad value with its name and rule, and no secret", () => {
  const result = read({
    T_LISTEN: "nowhere",
    T_WAIT: "5",
    T_SIZE: "1MB",
    T_COUNT: "11",
    T_FLAG: "yes",
    T_WORD: "c",
    T_LIST: "x,,y",
    T_TOKEN: "has space",
    T_URL: "",
  });
  ok(!result.ok);
  deepEqual(
    result.problems.map(({ name }) => name).sort(),
    Object.keys(SHAPE).sort(),
  );
  const detail = Object.fromEntries(
    result.problems.map(({ name, detail }) => [name, detail]),
  );
  equal(
    detail.T_COUNT,
    'T_COUNT must be a whole number from 1 to 10; "11" is not.',
  );
  equal(
    detail.T_TOKEN,
    "T_TOKEN must be visible ASCII characters without spaces; its value is not.",
  );
  equal(detail.T_URL, "T_URL is set but empty; give it a value or unset it.");
});

Deno.test("readSettings() lets a value be empty only where that means something", () => {
  const options = { env: { T_LIST: "" }, prefix: "T_" };
  equal(readSettings(SHAPE, options).ok, false);
  const result = readSettings(SHAPE, { ...options, mayBeEmpty: ["T_LIST"] });
  ok(result.ok);
  deepEqual(result.settings.T_LIST, []);
});

Deno.test("readSettings() checks settings against each other also where one is wrong", () => {
  const options = {
    env: { T_WAIT: "5", T_COUNT: "7", T_FLAG: "true" },
    prefix: "T_",
    check: ({ T_COUNT, T_WAIT }: { T_COUNT: number; T_WAIT: number }) => [
      { name: "T_COUNT", detail: `${T_COUNT} is too many for ${T_WAIT} ms` },
      { name: "T_WAIT", detail: "told already" },
    ],
  };
  const result = readSettings(SHAPE, options);
  ok(!result.ok);
  deepEqual(result.problems.map(({ name }) => name), ["T_WAIT", "T_COUNT"]);
  equal(result.problems[1]!.detail, "7 is too many for 5000 ms");
  deepEqual([result.sound.T_WAIT, result.sound.T_FLAG], [5000, true]);
});

Deno.test("readSettings() names the nearest known name for an unknown one", () => {
  const result = read({ T_LISTN: "x", T_SERVICE_HOST: "y", OTHER: "z" });
  ok(result.ok);
  deepEqual(result.unknown.map(({ name }) => name), [
    "T_LISTN",
    "T_SERVICE_HOST",
  ]);
  equal(result.unknown[0]!.nearest, "T_LISTEN");
});

Deno.test("duration() and size() have bounds", () => {
  for (
    const bad of ["0s", "-1s", "1", "s", "1 s", "25d", "1000h", "Infinitys"]
  ) {
    equal(duration().safeParse(bad).success, false, bad);
  }
  for (const bad of ["0B", "1", "1kb", "1.5MiB", "-1B", "99999999999GiB"]) {
    equal(size().safeParse(bad).success, false, bad);
  }
});

Deno.test("listenAddress() takes names, addresses and all of them", () => {
  deepEqual(listenAddress().parse(":80"), { hostname: "0.0.0.0", port: 80 });
  deepEqual(listenAddress().parse("localhost:80"), {
    hostname: "localhost",
    port: 80,
  });
  for (
    const bad of ["80", "h:70000", "[x]:1", "::1:80", "h:", "[127.0.0.1]:1"]
  ) {
    equal(listenAddress().safeParse(bad).success, false, bad);
  }
  equal(authority({ hostname: "::1", port: 80 }), "[::1]:80");
});

Deno.test("isLoopback() knows this machine's own addresses", () => {
  for (const own of ["localhost", "127.0.0.1", "127.8.9.1", "::1"]) {
    equal(isLoopback(own), true);
  }
  for (const other of ["0.0.0.0", "::", "10.0.0.1", "127.example"]) {
    equal(isLoopback(other), false);
  }
});
