import { deepEqual, equal, match, throws } from "node:assert/strict";
import {
  type CanaryChoice,
  type CanaryView,
  type Candidate,
  chooseCanaries,
  countedUnder,
  NoCanaries,
  troubleOf,
} from "./canaries.ts";
import { countedSince, type CountSample, withSample } from "./counts.ts";

function candidate(id: string, changes: Partial<Candidate> = {}): Candidate {
  return {
    id,
    instance: `i-${id}`,
    counted: { requests: 5, errors: 1 },
    before: null,
    current: true,
    counts: true,
    ...changes,
  };
}

/** Always the first. */
const FIRST = () => 0;

function idsOf(
  choice: CanaryChoice,
  candidates: readonly Candidate[],
  random = FIRST,
): string[] {
  return chooseCanaries(choice, candidates, random).map(({ id }) => id).sort();
}

Deno.test("chooseCanaries() takes those that serve what they should, and that count, first", () => {
  const all = [
    candidate("a", { counts: false }),
    candidate("b", { current: false }),
    candidate("c"),
    candidate("d"),
  ];
  deepEqual(idsOf({ kind: "count", count: 2 }, all), ["c", "d"]);
  deepEqual(idsOf({ kind: "count", count: 3 }, all), ["a", "c", "d"]);
  throws(
    () => idsOf({ kind: "count", count: 4 }, all),
    (error: Error) =>
      error instanceof NoCanaries &&
      /only 3 of the 4 connected routers/.test(error.message),
  );
  // A share is of all that are connected, and never of none.
  deepEqual(idsOf({ kind: "share", share: 0.5 }, all), ["c", "d"]);
  equal(idsOf({ kind: "share", share: 0.01 }, all).length, 1);
  deepEqual(idsOf({ kind: "ids", ids: ["b", "a", "b"] }, all), ["a", "b"]);
  throws(() => idsOf({ kind: "ids", ids: ["a", "z"] }, all), NoCanaries);
  throws(() => idsOf({ kind: "share", share: 1 }, []), NoCanaries);
});

Deno.test("chooseCanaries() chooses by chance, each at most once", () => {
  const all = Array.from({ length: 20 }, (_, n) => candidate(`r-${n}`));
  const seen = new Set<string>();
  for (let n = 0; n < 200; n++) {
    const chosen = idsOf({ kind: "count", count: 3 }, all, Math.random);
    equal(new Set(chosen).size, 3);
    for (const id of chosen) seen.add(id);
  }
  equal(seen.size, 20);
  const many = Array.from({ length: 60 }, (_, n) => candidate(`r-${n}`));
  throws(() => idsOf({ kind: "share", share: 1 }, many), /at most 50/);
});

const FINE: CanaryView = {
  id: "a",
  state: "applied",
  error: null,
  counted: { requests: 100, errors: 0 },
  before: { requests: 100, errors: 0 },
};

Deno.test("troubleOf() halts by a share of errors that rises, and not by one that there was", () => {
  const of = (changes: Partial<CanaryView>, maxErrors = 0.01) =>
    troubleOf({ ...FINE, ...changes }, { maxErrors });
  equal(of({}), null);
  equal(of({ counted: { requests: 100, errors: 1 } }), null);
  match(
    of({ counted: { requests: 100, errors: 2 } })!,
    /^On router "a" 2% of 100 requests failed, after 0% of 100 requests in the minute before; the share may rise by 1%\.$/,
  );
  equal(of({ counted: { requests: 19, errors: 19 } }), null);
  match(of({ counted: { requests: 20, errors: 1 } })!, /5% of 20/);
  equal(of({ counted: { requests: 20, errors: 1 } }, 0.05), null);
  const before = { requests: 1000, errors: 500 };
  equal(of({ before, counted: { requests: 100, errors: 51 } }), null);
  match(of({ before, counted: { requests: 100, errors: 52 } })!, /after 50%/);
  // So few that failed by chance excuse nothing.
  match(
    of({
      before: { requests: 1, errors: 1 },
      counted: { requests: 100, errors: 2 },
    })!,
    /2% of 100 requests failed, after 100% of 1 request in/,
  );
  // Where it is not known how it was, only a failure of most halts.
  equal(of({ before: null, counted: { requests: 100, errors: 50 } }), null);
  match(
    of({ before: null, counted: { requests: 100, errors: 51 } })!,
    /51% of 100 requests failed, and how it was in the minute before is not known/,
  );
  equal(of({ counted: null }), null);
});

Deno.test("troubleOf() halts by a canary that refuses, is another process, or is lost", () => {
  const of = (changes: Partial<CanaryView>) =>
    troubleOf({ ...FINE, ...changes }, { maxErrors: 1 });
  equal(
    of({ state: "rejected", error: "too large" }),
    'Router "a" rejected it: too large',
  );
  match(of({ state: "conflict" })!, /in conflict/);
  match(of({ state: "restarted" })!, /started anew/);
  match(of({ state: "lost" })!, /not connected any more/);
  equal(of({ state: "gone" }), null);
  equal(of({ state: "pending" }), null);
});

Deno.test("samples reach back a minute, and their number has a bound", () => {
  let samples: readonly CountSample[] = [];
  for (let at = 0; at <= 300_000; at += 1000) {
    samples = withSample(samples, { at, requests: at / 100, errors: 0 });
  }
  equal(samples.length, 61);
  equal(countedSince(samples, 240_000)!.requests, 600);
  equal(countedSince(samples, 290_500)!.requests, 100);
  for (let at = 300_010; at <= 310_000; at += 10) {
    samples = withSample(samples, { at, requests: at / 100, errors: 0 });
  }
  equal(samples.length, 120);
  equal(samples.at(-1)!.at, 310_000);
  // It was started anew, or its thread has lost its counts.
  samples = withSample(samples, { at: 310_100, requests: 1, errors: 0 });
  deepEqual(samples, [{ at: 310_100, requests: 1, errors: 0 }]);
  equal(countedSince([], 0), null);
});

Deno.test("countedUnder() counts from a moment on, and from the choice where a canary has come back since", () => {
  const sample = (at: number, requests: number) => ({
    at,
    requests,
    errors: 0,
  });
  const canary = candidate("a", { counted: { requests: 10, errors: 0 } });
  const under = (
    samples: readonly CountSample[],
    from: number,
    who = canary,
    openedAt = 0,
  ) => countedUnder(samples, who, { from, openedAt })?.requests ?? null;
  equal(under([], 0), null);
  // What it told before it had the version does not count.
  const all = [sample(900, 9), sample(1900, 19), sample(5000, 50)];
  equal(under(all, 1000), 31);
  equal(under(all, 6000), null);
  // It has come back since.
  equal(under([sample(5000, 50)], 1000, canary, 4000), 40);
  // It told nothing yet when it was chosen, or then: from the first that it told.
  const unknown = candidate("a", { counted: null });
  const late = [sample(5000, 50), sample(6000, 60)];
  equal(under(late, 1000, unknown, 4000), 10);
  equal(under([sample(1500, 15), sample(5000, 50)], 1000), 35);
});
