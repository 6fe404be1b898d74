import { deepEqual, equal, ok } from "node:assert/strict";
import { Propagation } from "./propagation.ts";

Deno.test("Propagation answers percentiles by the nearest rank", () => {
  const spans = new Propagation();
  ok(Number.isNaN(spans.percentile(0.5)));
  for (let ms = 100; ms >= 1; ms--) spans.add(ms);
  deepEqual(
    [0.001, 0.5, 0.99, 1].map((share) => spans.percentile(share)),
    [1, 50, 99, 100],
  );
});

Deno.test("Propagation counts what lies between two bounds, and adds up", () => {
  const spans = new Propagation();
  for (const ms of [-1, 0, 1, 2, 5, 2e9]) spans.add(ms);
  deepEqual(
    [spans.between(-1, 0), spans.between(0, 2), spans.between(5, Infinity)],
    [2, 2, 1],
  );
  const more = new Propagation();
  more.add(2);
  more.addAll(spans);
  equal(more.count, 7);
  equal(more.between(1, 2), 2);
});
