import { deepEqual } from "node:assert/strict";
import { Traffic } from "./traffic.ts";

Deno.test("PlacementTraffic.request() counts by class of status and by duration", () => {
  const cell = new Traffic().of("cell");
  cell.request(101, 0.001);
  cell.request(200, 0.0011);
  cell.request(499, 31);
  cell.request(999, 0);
  deepEqual(cell.requests, [1, 1, 0, 1, 1]);
  const { counts } = cell.duration;
  deepEqual([counts[0], counts[1], counts.at(-1)], [2, 1, 1]);
});

Deno.test("Traffic.retain() forgets placements that are gone and unused", () => {
  const traffic = new Traffic();
  traffic.of("kept").request(200, 0);
  traffic.of("gone").request(200, 0);
  traffic.of("busy").active = 1;
  traffic.of("asked").inFlight = 1;
  traffic.retain(new Set(["kept"]));
  deepEqual([...traffic.placements()].map((each) => each.placement), [
    "",
    "kept",
    "busy",
    "asked",
  ]);
});
