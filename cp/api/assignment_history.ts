import type { VersionInfo, VersionStore } from "../store/store.ts";

/** A version that changed where a customer is assigned. */
export interface AssignmentChange extends VersionInfo {
  /** Where it was assigned before; null where it was not. */
  readonly from: string | null;
  readonly to: string | null;
}

/** Where a customer has been, as far as the versions that are kept tell. */
export interface AssignmentHistory {
  /** The newest first. */
  readonly changes: AssignmentChange[];
  /** The oldest version that was looked at: where the customer was before is not known. */
  readonly lookedBackTo: number | null;
}

/** Finds the newest `limit` changes of one customer's assignment. */
export async function assignmentHistory(
  store: VersionStore,
  customer: string,
  limit: number,
): Promise<AssignmentHistory> {
  const changes: AssignmentChange[] = [];
  let newer: { version: number; placement: string | null } | null = null;
  for await (const { version, placements } of store.assignments([customer])) {
    const [placement = null] = placements;
    if (newer !== null && newer.placement !== placement) {
      changes.push(await change(store, newer, placement));
    }
    newer = { version, placement };
    if (changes.length === limit) break;
  }
  // The first version of all was made of nothing.
  if (newer?.version === 1 && newer.placement !== null) {
    if (changes.length < limit) changes.push(await change(store, newer, null));
  }
  return { changes, lookedBackTo: newer?.version ?? null };
}

/**
 * The version since which each customer is where it is, in their order; null where that is longer ago than versions are
 * kept. `current` is where each is by the version that the caller has read.
 */
export async function assignedSince(
  store: VersionStore,
  customers: readonly string[],
  current: readonly string[],
): Promise<(number | null)[]> {
  const since = customers.map((): number | null => null);
  /** The oldest version so far that has a customer where it is now; undefined once another one was found. */
  const oldest = customers.map((): number | null | undefined => null);
  for await (const { version, placements } of store.assignments(customers)) {
    let open = 0;
    for (const [index, placement] of placements.entries()) {
      const before = oldest[index];
      if (before === undefined) continue;
      if (placement === current[index]) {
        oldest[index] = version;
        // The first version of all was made of nothing.
        if (version === 1) since[index] = 1;
        open++;
      } else if (before !== null) {
        since[index] = before;
        oldest[index] = undefined;
      } else open++;
    }
    if (open === 0) break;
  }
  return since;
}

async function change(
  store: VersionStore,
  { version, placement }: { version: number; placement: string | null },
  from: string | null,
): Promise<AssignmentChange> {
  const [info] = await store.list({ before: version + 1, limit: 1 });
  return { ...info!, version, from, to: placement };
}
