import { z } from "@hono/zod-openapi";
import {
  type Config,
  customerProblem,
  type Problem,
  Problems,
} from "../../shared/config.ts";
import type { Bucket } from "../../shared/customers.ts";
import { pointer, show } from "../../shared/json.ts";
import { inTurns, Turns } from "../store/turns.ts";

const MAX_RULES = 100;

const NAME = /^[A-Za-z0-9._-]{1,128}$/;
const COUNT = `must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`;

/**
 * A name, or how it begins: `eu-*`. A `*` before the end is refused: whoever writes `*-eu` means more than the one name,
 * and nothing would be held to the rule. So a customer with a `*` in its name is matched only by how it begins.
 */
function pattern() {
  return z.string().regex(
    /^(?=.{1,256}$)[\x21-\x29\x2b-\x7e]*\*?$/,
    "must be 1 to 256 visible characters, with a * only at the end, where it stands for any",
  );
}

/** One rule: where alone customers may be, or how many a placement may have. */
export const RULE = z.strictObject({
  name: z.string().regex(NAME, "must be 1 to 128 of A-Z a-z 0-9 . _ -").openapi(
    {
      description: "What errors call it.",
      example: "eu-stays",
    },
  ),
  customers: pattern().optional().openapi({
    description: "Customers, by name or by how they begin.",
    example: "eu-*",
  }),
  placements: pattern().openapi({
    description:
      "With customers: where alone they may be. With max_customers: which placements it is about.",
    example: "eu-*",
  }),
  max_customers: z.int(COUNT).min(0, COUNT).optional().openapi({
    description: "How many customers each of these placements may have.",
  }),
}).superRefine(({ name, customers, max_customers }, context) => {
  if ((customers === undefined) !== (max_customers === undefined)) return;
  context.addIssue({
    code: "custom",
    message: `Assertion ${
      show(name)
    } must have customers or max_customers, and not both.`,
  });
});

/** Rules that every version has to satisfy. */
export const ASSERTIONS = z.strictObject({
  rules: z.array(RULE).max(
    MAX_RULES,
    `There may be at most ${MAX_RULES} rules.`,
  ),
}).superRefine(({ rules }, context) => {
  const names = new Set<string>();
  for (const [index, { name }] of rules.entries()) {
    if (names.has(name)) {
      context.addIssue({
        code: "custom",
        path: ["rules", index, "name"],
        message: `Assertion ${show(name)} stands twice.`,
      });
    }
    names.add(name);
  }
}).openapi("Assertions");

export type Rule = z.output<typeof RULE>;

type PlacementRule = Rule & { readonly customers: string };

/** What a bucket breaks, by its customers; it is the same as long as the bucket is. */
type Breaks = readonly (readonly [
  rule: PlacementRule,
  customer: string,
  placement: string,
])[];

/** Checks configs against rules, in turns; what of a config was checked before is not looked at again. */
export class Assertions {
  readonly rules: readonly Rule[];
  readonly #placed: readonly PlacementRule[];
  readonly #known = new WeakMap<Bucket, Breaks>();

  constructor(rules: readonly Rule[]) {
    this.rules = rules;
    this.#placed = rules.filter((rule): rule is PlacementRule =>
      rule.customers !== undefined
    );
  }

  /** What a config breaks: which rule, and which customers or placements. */
  async problems(
    config: Config,
  ): Promise<{ list: readonly Problem[]; more: number }> {
    const problems = new Problems();
    if (this.#placed.length > 0) {
      const turns = new Turns();
      for (const bucket of config.customers.buckets) {
        for (const each of this.#breaksOf(bucket)) addPlaced(problems, each);
        await turns.next();
      }
    }
    for (const rule of this.#placed) {
      // One that is named and not assigned is in the default.
      const { customers: name, placements } = rule;
      if (name.endsWith("*") || customerProblem(name) !== null) continue;
      const { defaultPlacement } = config;
      if (
        config.customers.get(name) === undefined &&
        !matches(placements, defaultPlacement)
      ) addPlaced(problems, [rule, name, defaultPlacement]);
    }
    await this.#checkCounts(config, problems);
    return { list: problems.list, more: problems.more };
  }

  #breaksOf(bucket: Bucket): Breaks {
    let breaks = this.#known.get(bucket);
    if (breaks === undefined) {
      const found: Breaks[number][] = [];
      for (const [customer, placement] of bucket.entries()) {
        for (const rule of this.#placed) {
          if (
            matches(rule.customers, customer) &&
            !matches(rule.placements, placement)
          ) found.push([rule, customer, placement]);
        }
      }
      breaks = found;
      this.#known.set(bucket, breaks);
    }
    return breaks;
  }

  async #checkCounts(config: Config, problems: Problems): Promise<void> {
    const counted = this.rules.filter(({ max_customers }) =>
      max_customers !== undefined
    );
    if (counted.length === 0) return;
    const counts = await inTurns(config.customers.counting());
    for (const { name, placements, max_customers: most } of counted) {
      for (const [placement, count] of counts) {
        if (count <= most! || !matches(placements, placement)) continue;
        problems.add(
          pointer("/placement_to_endpoint", placement),
          `Assertion ${show(name)}: placement ${
            show(placement)
          } may have at most ${most} customers, and would have ${count}.`,
        );
      }
    }
  }
}

function addPlaced(
  problems: Problems,
  [rule, customer, placement]: Breaks[number],
): void {
  problems.add(
    pointer("/customer_to_placement", customer),
    `Assertion ${show(rule.name)}: customer ${
      show(customer)
    } may only be in placements ${show(rule.placements)}, and would be in ${
      show(placement)
    }.`,
  );
}

/** Whether a name is the pattern's, or begins like it. */
function matches(pattern: string, name: string): boolean {
  return pattern.endsWith("*")
    ? name.startsWith(pattern.slice(0, -1))
    : name === pattern;
}
