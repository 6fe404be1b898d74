import { deepEqual, ok } from "node:assert/strict";
import fc from "fast-check";
import { backoffMs } from "./backoff.ts";

Deno.test("backoffMs() doubles its span from 250 ms up to 5 s", () => {
  const spans = [0, 1, 2, 3, 4, 5, 6, 100_000].map((attempt) =>
    backoffMs(attempt, 1)
  );
  deepEqual(spans, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
});

Deno.test("backoffMs() is anywhere in its span", () => {
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(fc.property(fc.nat(), random, (attempt, random) => {
    const wait = backoffMs(attempt, random);
    ok(wait >= 0 && wait < 5000);
  }));
});
