import { equal, match, rejects } from "node:assert/strict";
import { Child } from "./child.ts";

type To = { readonly type: "greet" | "sleep" | "die" };
type From = { readonly type: "greeted" } | { readonly type: "dreamt" };

/** A thread that greets back, dreams aloud, and never answers when it is told to sleep. */
const SLEEPER = `data:text/javascript,${
  encodeURIComponent(`
    onmessage = ({ data }) => {
      if (data.type === "greet") {
        postMessage({ type: "dreamt" });
        postMessage({ type: "greeted" });
      }
      if (data.type === "die") throw new Error("it dies here");
    };
  `)
}`;

async function withChild(
  run: (
    child: Child<To, From>,
    lost: string[],
    told: string[],
  ) => Promise<void>,
): Promise<void> {
  const lost: string[] = [];
  const told: string[] = [];
  const child = new Child<To, From>({
    module: SLEEPER,
    name: "sleeper",
    lost: (error) => lost.push(error),
    told: ({ type }) => told.push(type),
  });
  try {
    await run(child, lost, told);
  } finally {
    child.end();
  }
}

Deno.test("Child.ask() resolves with the answer, and what was not asked for is told besides", () =>
  withChild(async (child, lost, told) => {
    const answer = await child.ask({ type: "greet" }, ["greeted"]);
    equal(answer.type, "greeted");
    equal(told.join(), "dreamt");
    equal(lost.length, 0);
  }));

Deno.test("Child is lost once when it does not answer, and answers nothing more", () =>
  withChild(async (child, lost) => {
    const asked = [20, 30].map((patience) =>
      rejects(
        child.ask({ type: "sleep" }, ["greeted"], { patience }),
        /has not answered sleep for 20 ms/,
      )
    );
    await Promise.all(asked);
    equal(child.over, true);
    equal(lost.length, 1);
    await rejects(child.ask({ type: "greet" }, ["greeted"]), /is lost/);
  }));

Deno.test("Child is lost when it dies", () =>
  withChild(async (child, lost) => {
    await rejects(child.ask({ type: "die" }, ["greeted"]), /it dies here/);
    equal(lost.length, 1);
    match(lost[0]!, /it dies here/);
  }));

Deno.test("Child.ask() does not count the time in which this process did not run", () =>
  withChild(async (child, lost) => {
    await child.ask({ type: "greet" }, ["greeted"]);
    const asked = child.ask({ type: "greet" }, ["greeted"], { patience: 100 });
    // As if the process had been stopped: the timer fires before the answer can be read.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1300);
    equal((await asked).type, "greeted");
    equal(lost.length, 0);
  }));
