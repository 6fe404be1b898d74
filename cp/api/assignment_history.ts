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
  for await (const { version, placement } of store.assignments(customer)) {
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

async function change(
  store: VersionStore,
  { version, placement }: { version: number; placement: string | null },
  from: string | null,
): Promise<AssignmentChange> {
  const [info] = await store.list({ before: version + 1, limit: 1 });
  return { ...info!, version, from, to: placement };
}
