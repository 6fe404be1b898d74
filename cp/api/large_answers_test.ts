import assert from "node:assert/strict";
import { FakeClock } from "../../shared/fake_clock.ts";
import { asciiJson, LargeAnswers } from "./large_answers.ts";
import { ProblemError } from "./problem.ts";

const TEXT = "x".repeat(1000);
const COUNT = 1000;

/** An answer of a million characters, and how many of its texts have been taken. */
function open(large: LargeAnswers): { answer: Response; taken: () => number } {
  let taken = 0;
  function* texts() {
    for (; taken < COUNT; taken++) yield TEXT;
  }
  const answer = large.answer(texts(), { bytes: COUNT * TEXT.length });
  return { answer, taken: () => taken };
}

Deno.test("LargeAnswers makes an answer as its reader takes it", async () => {
  const clock = new FakeClock();
  const large = new LargeAnswers(clock);
  const { answer, taken } = open(large);
  assert.equal(answer.headers.get("content-length"), "1000000");
  assert.equal(taken(), 0);
  const reader = answer.body!.getReader();
  let size = (await reader.read()).value!.length;
  assert.ok(taken() < 100);
  assert.equal(large.open, 1);
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
  }
  assert.equal(size, COUNT * TEXT.length);
  assert.equal(large.open, 0);
  assert.equal(clock.timers, 0);
});

Deno.test("LargeAnswers ends an answer that nobody takes, or that takes too long", async () => {
  const clock = new FakeClock();
  const large = new LargeAnswers(clock);
  const idle = open(large);
  clock.advance(59_999);
  assert.equal(large.open, 1);
  clock.advance(1);
  assert.equal(large.open, 0);
  assert.equal((await idle.answer.bytes()).length, 0);
  const reader = open(large).answer.body!.getReader();
  let reads = 0;
  while (!(await reader.read()).done) {
    reads++;
    clock.advance(59_999);
    if (reads > 100) break;
  }
  assert.equal(reads, 15 + 1);
  assert.equal(large.open, 0);
  assert.equal(clock.timers, 0);
});

Deno.test("LargeAnswers has a bound of answers on their way", async () => {
  const clock = new FakeClock();
  const large = new LargeAnswers(clock);
  const answers = Array.from({ length: 8 }, () => open(large).answer);
  assert.throws(
    () => open(large),
    (error) =>
      error instanceof ProblemError && error.status === 503 &&
      error.headers["retry-after"] === "1",
  );
  assert.equal(large.refused, 1);
  const small = large.answer(["{}", "\n"], { bytes: 3 });
  assert.equal(await small.text(), "{}\n");
  await answers[0]!.body!.cancel();
  await open(large).answer.body!.cancel();
  for (const answer of answers.slice(1)) await answer.body!.cancel();
  assert.equal(large.open, 0);
  assert.equal(clock.timers, 0);
});

Deno.test("asciiJson() writes all JSON in ASCII", () => {
  const value = { a: "Jürgen 𝒳 \u2028\n\"'", b: [null, 1.5] };
  const text = asciiJson(value);
  assert.match(text, /^[\x20-\x7e]*$/);
  assert.deepEqual(JSON.parse(text), value);
});
