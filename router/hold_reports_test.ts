import { deepEqual, equal } from "node:assert/strict";
import { HoldReports } from "./hold_reports.ts";

Deno.test("HoldReports joins what every thread reports, and goes on without one that ended", () => {
  const reports = new HoldReports();
  const [one, two, three] = [{}, {}, {}];
  const report = { id: "h", requests: 1, streams: 2, oldestMs: 3, waiting: 4 };
  equal(reports.take(one, report, [one, two]), null);
  deepEqual(reports.take(two, { ...report, oldestMs: 9 }, [one, two]), {
    id: "h",
    requests: 2,
    streams: 4,
    oldestMs: 9,
    waiting: 8,
  });
  // One that came since has to report as well.
  equal(reports.take(one, report, [one, two, three]), null);
  deepEqual(reports.leave(two, [one, three]), []);
  deepEqual(reports.leave(three, [one]), []);
  equal(reports.take(one, report, [one])?.requests, 1);
  for (let other = 0; other < 300; other++) {
    reports.take(one, { ...report, id: `h${other}` }, [one]);
  }
  deepEqual(reports.leave(two, [one]), []);
});
