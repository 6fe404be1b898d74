import assert from "node:assert/strict";
import { mutate, parts, soundOrNot } from "./mutate.ts";
import { Random } from "../harness/random.ts";
import { failureText, runTarget, shares } from "./run.ts";
import { type Target, target } from "./target.ts";

/** A parser of words that has one bug: it cannot read a `q` behind a `u`. */
const buggy = target<string>({
  name: "buggy",
  make: (random) =>
    soundOrNot(random, () => random.text("aqu", 1, 8), { bytes: true }),
  check(text) {
    if (/uq/.test(text)) throw new RangeError("It breaks");
    return /^[a-z]+$/.test(text) ? "accepted" : "refused";
  },
  show: (text) => text,
});

Deno.test("runTarget() finds a bug, and its seed and number find it alone", async () => {
  const { failures } = await runTarget(buggy, { seed: 5, count: 1000 });
  assert.equal(failures.length, 3, "it gives up after three");
  for (const failure of failures) {
    const { seed, number: from } = failure;
    const again = await runTarget(buggy, { seed, from, count: 1 });
    assert.deepEqual(again.failures, [failure]);
    assert.match(
      failureText(failure),
      /uq.*\n.*--seed=5 --target=buggy --only=/s,
    );
    assert.match(failure.error, /RangeError: It breaks .*run_test\.ts/);
  }
});

Deno.test("runTarget() counts what was accepted and refused", async () => {
  const sound = { ...buggy, open: () => ({ check: () => "refused" as const }) };
  const outcome = await runTarget(sound, { seed: 1, count: 50 });
  assert.deepEqual(
    [outcome.inputs, outcome.accepted, outcome.refused, outcome.failures],
    [50, 0, 50, []],
  );
});

Deno.test("runTarget() reports an input that is too slow each time, and no other", async () => {
  const maxMs = 200;
  const tries: number[] = [];
  let next = 0;
  const slow: Target = {
    name: "slow",
    weight: 1,
    make: () => next++,
    open: () => ({
      check(input) {
        tries.push(input as number);
        // The first input is held up once, the second each time.
        const held = input === 1 || tries.length === 1 ? 1.2 * maxMs : 0;
        const until = performance.now() + held;
        while (performance.now() < until);
        return "accepted";
      },
    }),
  };
  const options = { seed: 1, count: 2, maxMs };
  const { failures, accepted } = await runTarget(slow, options);
  assert.equal(accepted, 1);
  assert.deepEqual(failures.map(({ number }) => number), [1]);
  assert.match(failures[0]!.error, /takes [0-9]+ ms, also at a third try/);
  assert.equal(tries.filter((input) => input === 1).length, 3);
});

Deno.test("shares() gives each target its part", () => {
  const targets = [10, 30, 60].map((weight) => ({ ...buggy, weight }));
  assert.deepEqual(shares(targets, 1000).map(({ count }) => count), [
    100,
    300,
    600,
  ]);
});

Deno.test("Random repeats what it drew, and draws something else for each input", () => {
  const draw = (...of: ConstructorParameters<typeof Random>) =>
    Array.from({ length: 20 }, () => new Random(...of).below(2 ** 32)).join();
  assert.equal(draw(1, "a", 2), draw(1, "a", 2));
  const all = [
    draw(1, "a", 2),
    draw(1, "a", 3),
    draw(1, "b", 2),
    draw(2, "a", 2),
  ];
  assert.equal(new Set(all).size, all.length);
});

Deno.test("mutate() of bytes stays bytes, and changes nearly all texts", () => {
  let same = 0;
  for (let number = 0; number < 2000; number++) {
    const random = new Random(1, "mutate", number);
    const text = random.bytes(40);
    const changed = mutate(random, text, { bytes: true });
    if (changed === text) same++;
    assert.match(changed, /^[\0-\xff]*$/);
  }
  assert.ok(same < 400, `${same} of 2000 are the same`);
});

Deno.test("parts() cuts a text and loses nothing", () => {
  for (let number = 0; number < 200; number++) {
    const random = new Random(2, "parts", number);
    const text = random.bytes(60);
    const pieces = parts(random, text);
    assert.equal(pieces.join(""), text);
    assert.ok(!pieces.includes(""));
  }
});

Deno.test("Watchdog ends a process in which an input never ends, and names the input", async () => {
  const program = `
    import { Watchdog } from ${
    JSON.stringify(import.meta.resolve("./watchdog.ts"))
  };
    const watchdog = new Watchdog([{ name: "a" }, { name: "b" }], { seed: 7, patienceMs: 300 });
    watchdog.progress("b", 41);
    for (;;);
  `;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--no-check", program],
    stdout: "null",
    stderr: "piped",
  }).output();
  assert.ok(!success);
  assert.match(
    new TextDecoder().decode(stderr),
    /b, seed 7, input 41: it does not end\n.*--seed=7 --target=b --only=41/,
  );
});
