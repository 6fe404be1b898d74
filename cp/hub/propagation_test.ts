import assert from "node:assert/strict";
import { Propagation } from "./propagation.ts";

function target(version: number) {
  return { version, epoch: "e", digest: "d", committedAt: version };
}

Deno.test("Propagation tells the median, the 99th percentile and the last of each version", () => {
  const propagation = new Propagation();
  for (let router = 200; router >= 1; router--) {
    propagation.answered(target(1), "applied", router);
  }
  propagation.answered(target(2), "rejected", 5);
  assert.deepEqual(propagation.newest(10), [
    {
      version: 2,
      epoch: "e",
      applied: 0,
      rejected: 1,
      p50_ms: null,
      p99_ms: null,
      last_ms: null,
    },
    {
      version: 1,
      epoch: "e",
      applied: 200,
      rejected: 0,
      p50_ms: 100,
      p99_ms: 198,
      last_ms: 200,
    },
  ]);
  assert.deepEqual(propagation.newest(1).map(({ version }) => version), [2]);
});

Deno.test("Propagation keeps a hundred versions, and no late answer pushes a newer one out", () => {
  const propagation = new Propagation();
  for (let version = 2; version <= 200; version++) {
    propagation.answered(target(version), "applied", 1);
  }
  propagation.answered(target(1), "applied", 1);
  const versions = propagation.newest(1000).map(({ version }) => version);
  assert.equal(versions.length, 100);
  assert.deepEqual([versions[0], versions.at(-1)], [200, 101]);
});
