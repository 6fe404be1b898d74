import type { Config } from "../../shared/config.ts";
import { type Bucket, CustomerMap } from "../../shared/customers.ts";

/** One difference between two configs. A placement's values are endpoints, a customer's placements. */
export interface Change {
  readonly name: string;
  /** Null where it was added. */
  readonly from: string | null;
  /** Null where it was removed. */
  readonly to: string | null;
}

/** How much differs between two configs, as the API shows it. */
export interface DiffSummary {
  customers_added: number;
  customers_removed: number;
  customers_moved: number;
  placements_added: number;
  placements_removed: number;
  placements_changed: number;
  default_changed: boolean;
}

/** What stood before the first config. */
const NOTHING = {
  defaultPlacement: null,
  endpoints: new Map<string, string>(),
  customers: CustomerMap.EMPTY,
};

/** The differences from one config to another; null is what stood before the first. */
export class ConfigDiff {
  readonly #from: Config | typeof NOTHING;
  readonly #to: Config | typeof NOTHING;

  constructor(from: Config | null, to: Config | null) {
    this.#from = from ?? NOTHING;
    this.#to = to ?? NOTHING;
  }

  /** The default placement before and after. */
  get defaultPlacement(): { from: string | null; to: string | null } {
    return {
      from: this.#from.defaultPlacement,
      to: this.#to.defaultPlacement,
    };
  }

  summary(): DiffSummary {
    const { from, to } = this.defaultPlacement;
    const summary: DiffSummary = {
      customers_added: 0,
      customers_removed: 0,
      customers_moved: 0,
      placements_added: 0,
      placements_removed: 0,
      placements_changed: 0,
      default_changed: from !== to,
    };
    for (const { from, to } of this.customers()) {
      if (from === null) summary.customers_added++;
      else if (to === null) summary.customers_removed++;
      else summary.customers_moved++;
    }
    for (const { from, to } of this.placements()) {
      if (from === null) summary.placements_added++;
      else if (to === null) summary.placements_removed++;
      else summary.placements_changed++;
    }
    return summary;
  }

  /** The placements that differ, sorted by name. */
  placements(): Change[] {
    return changes(this.#from.endpoints, this.#to.endpoints)
      .sort((a, b) => a.name < b.name ? -1 : 1);
  }

  /** The customers that differ, bucket by bucket; buckets that are the same in both are not read. */
  *customers(): Generator<Change> {
    for (const [index, before] of this.#from.customers.buckets.entries()) {
      const after = this.#to.customers.buckets[index]!;
      if (before === after || before.fragment === after.fragment) continue;
      yield* bucketChanges(before, after);
    }
  }
}

function bucketChanges(before: Bucket, after: Bucket): Change[] {
  return changes(new Map(before.entries()), new Map(after.entries()));
}

function changes(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): Change[] {
  const found: Change[] = [];
  for (const [name, from] of before) {
    const to = after.get(name) ?? null;
    if (to !== from) found.push({ name, from, to });
  }
  for (const [name, to] of after) {
    if (!before.has(name)) found.push({ name, from: null, to });
  }
  return found;
}
