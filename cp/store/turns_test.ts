import assert from "node:assert/strict";
import { inTurns } from "./turns.ts";

/** Far more steps than one turn has time for. */
const MANY = 1_000_000_000;

Deno.test("inTurns() lets others have their turn, and answers what the work does", async () => {
  let turned = false;
  setTimeout(() => turned = true);
  function* work() {
    for (let step = 0; step < MANY; step++) {
      if (turned) return "done";
      yield undefined;
    }
    return "nobody else had a turn";
  }
  assert.equal(await inTurns(work()), "done");
});

Deno.test("inTurns() throws what the work throws", async () => {
  function* work() {
    yield undefined;
    throw new RangeError("no");
  }
  await assert.rejects(inTurns(work()), RangeError);
});
