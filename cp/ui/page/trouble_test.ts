import assert from "node:assert/strict";
import { routerView } from "../../app_fixture.ts";
import type { Router } from "../../api/answers.ts";
import { tally, worstFirst } from "./trouble.ts";

const ROUTERS = [
  routerView("b"),
  routerView("a"),
  routerView("c", { status: "behind" }),
  routerView("z", { status: "rejected" }),
] as Router[];

Deno.test("worstFirst() puts those that need somebody before the others", () => {
  assert.deepEqual(worstFirst(ROUTERS).map(({ id }) => id), [
    "z",
    "c",
    "a",
    "b",
  ]);
});

Deno.test("tally() counts routers by status", () => {
  assert.deepEqual([...tally(ROUTERS)], [
    ["current", 2],
    ["behind", 1],
    ["rejected", 1],
  ]);
});
