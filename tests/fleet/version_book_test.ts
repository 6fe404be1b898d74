import { deepEqual, equal } from "node:assert/strict";
import { VersionBook } from "./version_book.ts";

Deno.test("VersionBook measures from the first router of any process, and leaves latecomers out", () => {
  const book = new VersionBook();
  book.take({
    version: 7,
    seenAt: 1020,
    applied: [[500, 1050], [1040, 9000]],
    rejected: 1,
  });
  book.take({
    version: 7,
    seenAt: 1000,
    applied: [[900, 1010]],
    rejected: 0,
  });
  const { propagation, ...rest } = book.figures(7)!;
  deepEqual(rest, {
    version: 7,
    seenAt: 1000,
    lastAt: 9000,
    applied: 3,
    rejected: 1,
  });
  equal(propagation.count, 2);
  deepEqual([propagation.percentile(0.5), propagation.percentile(1)], [10, 50]);
  equal(book.figures(8), null);
});

Deno.test("VersionBook keeps the sums of versions it no longer has one by one", () => {
  const book = new VersionBook();
  for (let version = 1; version <= 100; version++) {
    book.take({
      version,
      seenAt: 1000,
      applied: [[0, 1000 + version]],
      rejected: 0,
    });
  }
  equal(book.figures(1), null);
  equal(book.count, 100);
  const total = book.total();
  equal(total.count, 100);
  deepEqual([total.percentile(0.01), total.percentile(1)], [1, 100]);
});
