import assert from "node:assert/strict";
import type { Head } from "../store/store.ts";
import { holdsBlank, judge, type Recorded, type Verdict } from "./conflict.ts";
import type { Served } from "./session.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const HEAD: Head = {
  version: 9,
  epoch: "e2",
  digest: digest("9"),
  supersedes: ["e0", "e1"],
  orders: { holds: [], cuts: [] },
  trial: null,
  rollout: null,
  guardedSince: 0,
  assertions: null,
};
const RECORDED = new Map<number, Recorded | null>([
  [5, { epoch: "e1", digest: digest("5") }],
  [6, null],
  [8, { epoch: "e2", digest: digest("8") }],
]);

const CASES: [name: string, served: Partial<Served>, kind: Verdict["kind"]][] =
  [
    ["nothing", {}, "blank"],
    ["the head", { version: 9, epoch: "e2", digest: digest("9") }, "follows"],
    ["an older version", {
      version: 8,
      epoch: "e2",
      digest: digest("8"),
    }, "follows"],
    [
      "an older version without a digest",
      { version: 8, epoch: "e2" },
      "follows",
    ],
    ["a version without an epoch", { version: 8 }, "follows"],
    ["the head with another digest", {
      version: 9,
      epoch: "e2",
      digest: digest("a"),
    }, "conflict"],
    ["an older version with another digest", {
      version: 8,
      epoch: "e2",
      digest: digest("a"),
    }, "conflict"],
    ["another digest without an epoch", {
      version: 8,
      digest: digest("a"),
    }, "conflict"],
    ["a version above the head", { version: 10, epoch: "e2" }, "conflict"],
    ["a version above the head without an epoch", { version: 10 }, "conflict"],
    ["a foreign epoch", { version: 1, epoch: "x" }, "conflict"],
    ["a foreign epoch without a version", { epoch: "x" }, "conflict"],
    ["a superseded epoch", {
      version: 5,
      epoch: "e1",
      digest: digest("5"),
    }, "follows"],
    ["a superseded epoch with another digest", {
      version: 5,
      epoch: "e1",
      digest: digest("a"),
    }, "follows"],
    [
      "a superseded epoch above the head",
      { version: 99, epoch: "e0" },
      "follows",
    ],
    ["a version the epoch never had", {
      version: 5,
      epoch: "e2",
      digest: digest("5"),
    }, "conflict"],
    ["a version nobody had", {
      version: 6,
      epoch: "e2",
      digest: digest("6"),
    }, "conflict"],
    ["a void version without an epoch", {
      version: 5,
      digest: digest("a"),
    }, "follows"],
    ["a skipped version without an epoch", {
      version: 6,
      digest: digest("a"),
    }, "follows"],
    ["a version not looked up", {
      version: 7,
      epoch: "e2",
      digest: digest("7"),
    }, "lookup"],
  ];

for (const [name, served, kind] of CASES) {
  Deno.test(`judge() answers ${kind} for ${name}`, () => {
    const whole = {
      version: null,
      epoch: null,
      digest: null,
      ...served,
    };
    const verdict = judge(whole, HEAD, (version) => RECORDED.get(version));
    assert.equal(verdict.kind, kind, JSON.stringify(verdict));
  });
}

Deno.test("judge() finds any version in conflict with an empty store", () => {
  const empty = {
    version: 0,
    epoch: "e9",
    digest: null,
    supersedes: [],
    orders: { holds: [], cuts: [] },
    trial: null,
    rollout: null,
    guardedSince: 0,
    assertions: null,
  };
  const served = { version: 1, epoch: null, digest: null };
  assert.equal(judge(served, empty, () => undefined).kind, "conflict");
  const blank = { ...served, version: null };
  assert.equal(judge(blank, empty, () => undefined).kind, "blank");
});

Deno.test("judge() ends a conflict after the takeover the log names", () => {
  const after: Head = {
    version: 100,
    epoch: "e3",
    digest: digest("b"),
    supersedes: ["e0", "e1", "e2", "x"],
    orders: { holds: [], cuts: [] },
    trial: null,
    rollout: null,
    guardedSince: 0,
    assertions: null,
  };
  const recorded = new Map<number, Recorded | null>([
    ...RECORDED,
    [9, { epoch: "e2", digest: digest("9") }],
    [10, null],
  ]);
  for (const [name, served, kind] of CASES) {
    if (kind !== "conflict") continue;
    const whole = {
      version: null,
      epoch: null,
      digest: null,
      ...served,
    };
    const verdict = judge(whole, after, (version) => recorded.get(version));
    assert.notEqual(verdict.kind, "conflict", name);
  }
});

Deno.test("holdsBlank() holds while those in conflict outnumber followers", () => {
  assert.equal(holdsBlank({ conflict: 0, follows: 0 }), false);
  assert.equal(holdsBlank({ conflict: 1, follows: 1 }), false);
  assert.equal(holdsBlank({ conflict: 2, follows: 1 }), true);
});
