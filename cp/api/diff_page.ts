import type { Change, ConfigDiff, DiffSummary } from "./config_diff.ts";
import { decodeCursor, encodeCursor, Smallest } from "./paging.ts";

/** A placement that differs. */
interface PlacementChange {
  placement: string;
  from: string | null;
  to: string | null;
}

/** A customer that differs. */
interface CustomerChange {
  customer: string;
  from: string | null;
  to: string | null;
}

/** A page of the differences between two configs: placements first, then customers, each by name. */
export interface DiffPage {
  default_placement: { from: string | null; to: string | null };
  placements: {
    added: PlacementChange[];
    removed: PlacementChange[];
    changed: PlacementChange[];
  };
  customers: {
    added: CustomerChange[];
    removed: CustomerChange[];
    moved: CustomerChange[];
  };
  next_cursor: string | null;
}

/** How much differs in all, and the differences behind a cursor, at most `limit` of them. */
export async function diffPage(
  diff: ConfigDiff,
  { limit, cursor }: { limit: number; cursor: string | undefined },
): Promise<{ summary: DiffSummary; page: DiffPage }> {
  const after = decodeCursor("diff", cursor);
  const page = new Smallest<[key: string, change: Change]>(
    limit + 1,
    ([key]) => key,
  );
  const summary = await diff.summary((change) => {
    // "1" stands before placements and "2" before customers, so their keys sort as they are shown.
    const key = `${change.of === "placement" ? 1 : 2}${change.name}`;
    if (after === null || key > after) page.add([key, change]);
  });
  const found = page.sorted();
  const shown = found.slice(0, limit);
  const answer: DiffPage = {
    default_placement: diff.defaultPlacement,
    placements: { added: [], removed: [], changed: [] },
    customers: { added: [], removed: [], moved: [] },
    next_cursor: found.length > limit
      ? encodeCursor("diff", shown.at(-1)![0])
      : null,
  };
  const { placements, customers } = answer;
  for (const [, { of, name, from, to }] of shown) {
    if (of === "placement") {
      const list = from === null
        ? placements.added
        : to === null
        ? placements.removed
        : placements.changed;
      list.push({ placement: name, from, to });
    } else {
      const list = from === null
        ? customers.added
        : to === null
        ? customers.removed
        : customers.moved;
      list.push({ customer: name, from, to });
    }
  }
  return { summary, page: answer };
}
