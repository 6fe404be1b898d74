import {
  checkConfig,
  type Config,
  type ConfigResult,
  MAX_CUSTOMERS,
  parseConfig,
  Problems,
  unknownPlacement,
} from "../../shared/config.ts";
import type { CustomerMap } from "../../shared/customers.ts";
import { type JsonValue, pointer } from "../../shared/json.ts";
import { inTurns, Turns } from "../store/turns.ts";
import type { Copyable } from "./json_patch.ts";

/**
 * The customers of a config as a member of a JSON tree that may be changed like any other. It looks
 * like a map of all of them and keeps only what is changed, so a patch of three customers among a
 * million costs three.
 */
export class CustomerOverlay extends Map<string, JsonValue>
  implements Copyable {
  readonly base: CustomerMap;
  /** What was set; undefined was deleted. */
  readonly changes = new Map<string, JsonValue | undefined>();

  constructor(base: CustomerMap) {
    super();
    this.base = base;
  }

  /** Counted when asked for: to look up each of a million customers as it is set takes long. */
  override get size(): number {
    let size = this.base.size;
    for (const [customer, placement] of this.changes) {
      size += Number(placement !== undefined) -
        Number(this.#assigned(customer) !== undefined);
    }
    return size;
  }

  override get(customer: string): JsonValue | undefined {
    return this.changes.has(customer)
      ? this.changes.get(customer)
      : this.#assigned(customer);
  }

  override has(customer: string): boolean {
    return this.get(customer) !== undefined;
  }

  override set(customer: string, placement: JsonValue): this {
    this.changes.set(customer, placement);
    return this;
  }

  override delete(customer: string): boolean {
    if (!this.has(customer)) return false;
    this.changes.set(customer, undefined);
    return true;
  }

  /** Another map of the same customers, which may be changed on its own. */
  copy(clone: (value: JsonValue) => JsonValue): CustomerOverlay {
    const copy = new CustomerOverlay(this.base);
    for (const [customer, placement] of this.changes) {
      // One that was taken away takes memory in the copy as well, and so has to count.
      const cloned = clone(placement ?? null);
      copy.changes.set(customer, placement === undefined ? undefined : cloned);
    }
    return copy;
  }

  override clear(): void {
    for (const customer of [...this.keys()]) this.delete(customer);
  }

  override *entries(): MapIterator<[string, JsonValue]> {
    for (const [customer, placement] of this.base.entries()) {
      if (!this.changes.has(customer)) yield [customer, placement];
    }
    for (const [customer, placement] of this.changes) {
      if (placement !== undefined) yield [customer, placement];
    }
  }

  override *keys(): MapIterator<string> {
    for (const [customer] of this.entries()) yield customer;
  }

  override *values(): MapIterator<JsonValue> {
    for (const [, placement] of this.entries()) yield placement;
  }

  override [Symbol.iterator](): MapIterator<[string, JsonValue]> {
    return this.entries();
  }

  override forEach(
    visit: (
      value: JsonValue,
      key: string,
      map: Map<string, JsonValue>,
    ) => void,
  ): void {
    for (const [customer, placement] of this) visit(placement, customer, this);
  }

  /** A name that no config can hold is not looked up: what it hashes to is defined for names only. */
  #assigned(customer: string): string | undefined {
    return /^[\x21-\x7e]{1,256}$/.test(customer)
      ? this.base.get(customer)
      : undefined;
  }
}

/** A config as a JSON tree that the caller may change; null, before the first, is an empty object. */
export function configTree(config: Config | null): Map<string, JsonValue> {
  if (config === null) return new Map();
  return new Map<string, JsonValue>([
    ["default_placement", config.defaultPlacement],
    ["customer_to_placement", new CustomerOverlay(config.customers)],
    ["placement_to_endpoint", new Map(config.endpoints)],
  ]);
}

/**
 * Validates a tree made by {@linkcode configTree} and changed since: the same answer as `parseConfig`
 * gives for it, at the cost of what was changed; others have their turns meanwhile.
 */
export async function configOfTree(tree: JsonValue): Promise<ConfigResult> {
  const customers = tree instanceof Map
    ? tree.get("customer_to_placement")
    : undefined;
  if (!(tree instanceof Map && customers instanceof CustomerOverlay)) {
    return parseConfig(tree);
  }
  const set = new Map<string, JsonValue>();
  for (const [customer, placement] of customers.changes) {
    if (placement !== undefined) set.set(customer, placement);
  }
  const result = checkConfig(
    new Map(tree).set("customer_to_placement", set),
  );
  const problems = new Problems();
  if (!result.ok) {
    for (const { pointer, detail } of result.problems) {
      problems.add(pointer, detail);
    }
    problems.more += result.more;
  }
  if (
    customers.base.size + set.size > MAX_CUSTOMERS &&
    customers.size > MAX_CUSTOMERS
  ) {
    problems.add(
      "/customer_to_placement",
      `A config holds at most ${MAX_CUSTOMERS} customers, not ${customers.size}.`,
    );
  }
  await inTurns(customers.base.counting());
  await findStranded(customers, tree.get("placement_to_endpoint"), problems);
  if (!result.ok || problems.any) {
    return { ok: false, problems: problems.list, more: problems.more };
  }
  return {
    ok: true,
    config: Object.freeze({
      defaultPlacement: result.defaultPlacement,
      endpoints: result.endpoints,
      customers: await inTurns(customers.base.changing(assignments(customers))),
    }),
  };
}

/** The changes of customers that were checked; null takes an assignment away. */
function* assignments(
  { changes }: CustomerOverlay,
): Generator<[customer: string, placement: string | null]> {
  for (const [customer, placement] of changes) {
    yield [customer, placement === undefined ? null : String(placement)];
  }
}

/** Customers that were not changed themselves and whose placement is there no more. */
async function findStranded(
  customers: CustomerOverlay,
  endpoints: JsonValue | undefined,
  problems: Problems,
): Promise<void> {
  const placements: ReadonlyMap<string, JsonValue> = endpoints instanceof Map
    ? endpoints
    : new Map();
  const gone = new Set<string>();
  for (const placement of customers.base.counts.keys()) {
    if (!placements.has(placement)) gone.add(placement);
  }
  if (gone.size === 0) return;
  const turns = new Turns();
  for (const bucket of customers.base.buckets) {
    if (![...bucket.counts.keys()].some((name) => gone.has(name))) continue;
    for (const [customer, placement] of bucket.entries()) {
      if (gone.has(placement) && !customers.changes.has(customer)) {
        problems.add(
          pointer("/customer_to_placement", customer),
          unknownPlacement(customer, placement),
        );
      }
    }
    await turns.next();
  }
}
