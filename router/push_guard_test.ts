import { equal, match } from "node:assert/strict";
import fc from "fast-check";
import { parseConfigText } from "../shared/config.ts";
import type { NextConfig } from "./active.ts";
import { packConfig, type PackedConfig } from "./config/packed_config.ts";
import type { PushHead } from "./link/verdict.ts";
import { countLost, guardProblem } from "./push_guard.ts";

function packed(customers: readonly string[]): PackedConfig {
  const result = parseConfigText(JSON.stringify({
    default_placement: "a",
    customer_to_placement: Object.fromEntries(
      customers.map((customer) => [customer, "a"]),
    ),
    placement_to_endpoint: { a: "http://127.0.0.1:1" },
  }));
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return packConfig(result.config);
}

function numbered(count: number): PackedConfig {
  return packed(Array.from({ length: count }, (_, i) => `customer-${i}`));
}

function served(count: number): NextConfig {
  const source = "control_plane";
  return { version: 7, epoch: "e", source, packed: numbered(count) };
}

const PUSH: PushHead = {
  version: 9,
  epoch: "e",
  digest: null,
  supersedes: [],
};

const names = fc.uniqueArray(fc.stringMatching(/^[\x21-\x7e]{1,4}$/), {
  maxLength: 50,
}).map((names) =>
  names.filter((name) => !["__proto__", ".", ".."].includes(name))
);

Deno.test("countLost() counts the customers that are not there any more", () => {
  fc.assert(
    fc.property(names, names, (before, after) => {
      equal(
        countLost(packed(before), packed(after)),
        before.filter((name) => !after.includes(name)).length,
      );
    }),
  );
});

Deno.test("guardProblem() is of more than the share of the customers, and more than ten", () => {
  for (
    const [before, after, share, refused] of [
      [100, 50, 0.5, false],
      [100, 49, 0.5, true],
      [100, 0, 1, false],
      [100, 89, 0, true],
      [100, 90, 0, false],
      [10, 0, 0.5, false],
      [11, 0, 0.5, true],
      [100, 1000, 0.5, false],
    ] as const
  ) {
    const problem = guardProblem(PUSH, numbered(after), {
      served: served(before),
      share,
    });
    equal(problem !== null, refused, `${before} to ${after} at ${share}`);
  }
});

Deno.test("guardProblem() says how many, and what it missed", () => {
  match(
    guardProblem(PUSH, numbered(1), { served: served(40), share: 0.125 })!,
    /^Version 9 would lose 39 of the 40 customers .* ROUTER_GUARD_SHARE \(12\.5%\), .* since version 7 passed/,
  );
});

Deno.test("guardProblem() takes the control plane's word where it covers every step", () => {
  for (
    const [guardedSince, refused] of [[0, false], [7, false], [
      8,
      true,
    ]] as const
  ) {
    const push = { ...PUSH, guardedSince };
    const around = { served: served(40), share: 0.5 };
    equal(guardProblem(push, numbered(0), around) !== null, refused);
  }
});

Deno.test("guardProblem() has nothing against what replaces nothing", () => {
  equal(guardProblem(PUSH, numbered(0), { served: null, share: 0 }), null);
});
