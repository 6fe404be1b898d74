import { deepEqual } from "node:assert/strict";
import { RareWarning } from "./rare_warning.ts";

Deno.test("RareWarning tells at once, then once a minute what it has held back", () => {
  const told: number[] = [];
  const warning = new RareWarning((times) => told.push(times));
  warning.sweep(0);
  for (let now = 0; now < 60_000; now += 1000) warning.happened(now);
  deepEqual(told, [1]);
  warning.sweep(59_999);
  deepEqual(told, [1]);
  warning.sweep(60_000);
  warning.sweep(600_000);
  deepEqual(told, [1, 59]);
  warning.happened(600_000);
  warning.happened(600_001);
  deepEqual(told, [1, 59, 1]);
});
