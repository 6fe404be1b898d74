import type { Config } from "../../shared/config.ts";
import { type Bucket, CustomerMap } from "../../shared/customers.ts";
import { Turns } from "../store/turns.ts";

/** One difference between two configs. A placement's values are endpoints, a customer's placements. */
export interface Change {
  readonly of: "placement" | "customer";
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

  /** Counts the differences and shows each to `visit`, in no order; others have their turns meanwhile. */
  async summary(visit?: (change: Change) => void): Promise<DiffSummary> {
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
    for (const change of this.#placements()) {
      if (change.from === null) summary.placements_added++;
      else if (change.to === null) summary.placements_removed++;
      else summary.placements_changed++;
      visit?.(change);
    }
    const turns = new Turns();
    for (const [index, before] of this.#from.customers.buckets.entries()) {
      const after = this.#to.customers.buckets[index]!;
      await turns.next();
      if (before === after || before.fragment === after.fragment) continue;
      if (visit === undefined && (before.size === 0 || after.size === 0)) {
        summary.customers_added += after.size;
        summary.customers_removed += before.size;
        continue;
      }
      for (const change of customerChanges(before, after)) {
        if (change.from === null) summary.customers_added++;
        else if (change.to === null) summary.customers_removed++;
        else summary.customers_moved++;
        visit?.(change);
      }
    }
    return summary;
  }

  *#placements(): Generator<Change> {
    const before = this.#from.endpoints;
    const after = this.#to.endpoints;
    for (const [name, from] of before) {
      const to = after.get(name) ?? null;
      if (to !== from) yield { of: "placement", name, from, to };
    }
    for (const [name, to] of after) {
      if (!before.has(name)) yield { of: "placement", name, from: null, to };
    }
  }
}

/** The customers that differ between two buckets: both are sorted, so they are read side by side. */
function* customerChanges(before: Bucket, after: Bucket): Generator<Change> {
  const left = before.entries();
  const right = after.entries();
  let a = left.next();
  let b = right.next();
  while (!a.done || !b.done) {
    if (b.done || (!a.done && a.value[0] < b.value[0])) {
      const [name, from] = a.value!;
      yield { of: "customer", name, from, to: null };
      a = left.next();
    } else if (a.done || b.value[0] < a.value[0]) {
      const [name, to] = b.value;
      yield { of: "customer", name, from: null, to };
      b = right.next();
    } else {
      const [name, from] = a.value;
      const to = b.value[1];
      if (from !== to) yield { of: "customer", name, from, to };
      a = left.next();
      b = right.next();
    }
  }
}
