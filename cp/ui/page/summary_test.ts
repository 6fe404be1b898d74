import assert from "node:assert/strict";
import { summaryText } from "./summary.ts";

const NOTHING = {
  customers_added: 0,
  customers_removed: 0,
  customers_moved: 0,
  placements_added: 0,
  placements_removed: 0,
  placements_changed: 0,
  default_changed: false,
};

Deno.test("summaryText() tells in words how much differs", () => {
  assert.equal(summaryText(NOTHING), "no difference");
  assert.equal(
    summaryText({
      ...NOTHING,
      customers_moved: 1,
      customers_added: 2000,
      placements_changed: 1,
      default_changed: true,
    }),
    "1 customer moved, 2,000 customers assigned, 1 placement with another endpoint, another default placement",
  );
});
