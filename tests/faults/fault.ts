import { equal, ok } from "node:assert/strict";
import { formatTable } from "../bench/table.ts";

/** What is counted while a fault is injected. Cases add to it as they go. */
export class Tally {
  /** Times the fault was injected. */
  injected = 0;
  /** Requests that customers sent meanwhile. */
  requests = 0;
  /** Requests among them that were not answered as they should be. */
  failed = 0;
  /** Versions that were acknowledged: by a 2xx to an edit, or by a router's ack, as the case says. */
  acknowledged = 0;
  /** Acknowledged versions, or what else the case promises, that were gone afterwards. */
  lost = 0;
  /** What else is worth telling, such as a duration or a memory figure; a sentence each. */
  readonly notes: string[] = [];
}

interface Row {
  readonly name: string;
  readonly tally: Tally;
  readonly passed: boolean;
}

const rows: Row[] = [];

/**
 * Registers a fault as a test. It fails if the fault was not injected, a request failed or something acknowledged was
 * lost; all that was counted is in the table at the end of the suite.
 */
export function fault(
  name: string,
  run: (tally: Tally) => Promise<void>,
): void {
  Deno.test(name, async () => {
    const tally = new Tally();
    let passed = false;
    try {
      await run(tally);
      ok(tally.injected > 0, "The fault was never injected");
      equal(tally.failed, 0, "requests failed");
      equal(tally.lost, 0, "something acknowledged was lost");
      passed = true;
    } finally {
      rows.push({ name, tally, passed });
    }
  });
}

Deno.test.afterAll(() => console.log(faultTable()));

/** Everything counted so far, in one table, with the notes below it. */
function faultTable(): string {
  const count = (value: number) => value.toLocaleString("en");
  const table = formatTable({
    title: "Faults injected, and what they cost",
    columns: [
      { name: "fault", align: "left" },
      { name: "injected", align: "right" },
      { name: "requests", align: "right" },
      { name: "failed", align: "right" },
      { name: "acknowledged", align: "right" },
      { name: "lost", align: "right" },
      { name: "", align: "left" },
    ],
    rows: rows.map(({ name, tally, passed }) => [
      name,
      count(tally.injected),
      count(tally.requests),
      count(tally.failed),
      count(tally.acknowledged),
      count(tally.lost),
      passed ? "held" : "BROKEN",
    ]),
  }, "text");
  const notes = rows.flatMap(({ name, tally }) =>
    tally.notes.map((note) => `${name}: ${note}`)
  );
  return [table, "", ...notes].join("\n");
}
