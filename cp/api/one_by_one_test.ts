import assert from "node:assert/strict";
import { OneByOne } from "./one_by_one.ts";
import { ProblemError } from "./problem.ts";

Deno.test("OneByOne runs tasks one after the other, and refuses what is too much", async () => {
  const queue = new OneByOne();
  const { promise, resolve } = Promise.withResolvers<void>();
  let running = 0;
  const tasks = Array.from({ length: 17 }, (_, i) =>
    queue.run(async () => {
      assert.equal(++running, 1);
      await promise;
      running--;
      if (i === 3) throw new TypeError("this one fails");
      return i;
    }));
  await assert.rejects(
    queue.run(() => Promise.resolve()),
    (error) => error instanceof ProblemError && error.status === 503,
  );
  assert.equal(queue.refused, 1);
  resolve();
  const results = await Promise.allSettled(tasks);
  assert.equal(
    results.filter(({ status }) => status === "fulfilled").length,
    16,
  );
  assert.equal(queue.size, 0);
  assert.equal(await queue.run(() => Promise.resolve(5)), 5);
});
