import assert from "node:assert/strict";
import { count, counted, milliseconds, short, span } from "./text.ts";

Deno.test("span() is as coarse as one reads it", () => {
  const cases: [seconds: number, text: string][] = [
    [-3, "0 s"],
    [59.9, "59 s"],
    [60, "1 min"],
    [3599, "59 min"],
    [7200, "2 h"],
    [7500, "2 h 5 min"],
    [86_400, "1 day"],
    [300_000, "3 days"],
  ];
  for (const [seconds, text] of cases) assert.equal(span(seconds), text);
});

Deno.test("milliseconds() keeps two figures", () => {
  assert.deepEqual([7.04, 13.6, 999.2, 1234, 21_400].map(milliseconds), [
    "7 ms",
    "14 ms",
    "999 ms",
    "1.2 s",
    "21 s",
  ]);
});

Deno.test("counted() takes the noun's number", () => {
  assert.equal(counted(1, "router"), "1 router");
  assert.equal(counted(1000, "router"), "1,000 routers");
  assert.equal(count(1_000_000), "1,000,000");
  assert.equal(short(`sha256:${"ab".repeat(32)}`), "abababab");
});
