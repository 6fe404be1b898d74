import { deepEqual, equal, throws } from "node:assert/strict";
import { ALL_STEADY, spread } from "./behaviour.ts";

Deno.test("spread() gives every kind its count, evenly over the fleet", () => {
  const all = spread(1000, { ...ALL_STEADY, stalled: 10, rejecters: 20 });
  equal(all.length, 1000);
  for (const half of [all.slice(0, 500), all.slice(500)]) {
    equal(half.filter((one) => one === "stalled").length, 5);
    equal(half.filter((one) => one === "rejecters").length, 10);
  }
  deepEqual(spread(2, { ...ALL_STEADY, silent: 2 }), ["silent", "silent"]);
});

Deno.test("spread() refuses more misbehaving routers than there are", () => {
  throws(
    () => spread(2, { ...ALL_STEADY, slow: 2, silent: 1 }),
    /Cannot spread 3 misbehaving routers over a fleet of 2/,
  );
});
