import { createHash } from "node:crypto";
import { configDigest } from "../../shared/canonical.ts";
import type { Config } from "../../shared/config.ts";
import { show } from "../../shared/json.ts";
import type { Version } from "../store/store.ts";
import { inTurns, makeDigests } from "../store/turns.ts";
import { ConfigDiff, type DiffSummary } from "./config_diff.ts";
import { diffPage } from "./diff_page.ts";
import { ProblemError } from "./problem.ts";

/** How many differences an error shows; the counts are of all. */
const SHOWN = 100;
/** How many placements an error names. */
const NAMED = 5;

/** From where on an edit has to be confirmed. */
export interface GuardLimits {
  /** More than this share of all customers moved or dropped to the default, from 0 to 1. */
  readonly share: number;
  /** And more than so many. */
  readonly min: number;
}

/** How much an edit changes, and what it has to be confirmed for. */
export interface Guarded {
  /** What to repeat it with; null where it need not be confirmed. */
  readonly confirm: string | null;
  /** Customers that it moves or drops to the default, and how many there are before it. */
  readonly touched: number;
  readonly customers: number;
  readonly summary: DiffSummary;
  /** Placements that nobody is sent to any more although they were, and not because their customers were moved. */
  readonly unreached: readonly string[];
}

/** How much an edit changes, and whether it has to be confirmed for that; null where it changes nothing, or all is new. */
export async function guarded(
  before: Version | null,
  after: Config,
  limits: GuardLimits,
): Promise<Guarded | null> {
  await makeDigests(after.customers);
  const digest = configDigest(after);
  if (before === null || before.digest === digest) return null;
  const dropped = new Set<string>();
  const summary: DiffSummary = await new ConfigDiff(before.config, after)
    .summary(({ of, from, to }) => {
      if (of === "customer" && to === null) dropped.add(from!);
    });
  const touched = summary.customers_moved + summary.customers_removed;
  const customers = before.config.customers.size;
  const wide = touched > limits.min && touched > limits.share * customers;
  const unreached = await unreachedIn(before.config, after, dropped);
  if (limits.share >= 1 || (!wide && unreached.length === 0)) {
    return { confirm: null, summary, touched, customers, unreached };
  }
  return {
    summary,
    confirm: createHash("sha256").update(`${before.digest} ${digest}`)
      .digest("hex").slice(0, 16),
    touched,
    customers,
    unreached,
  };
}

/** Placements that lost their last customer to the default, or were the default and have no customer. */
async function unreachedIn(
  before: Config,
  after: Config,
  dropped: ReadonlySet<string>,
): Promise<string[]> {
  const lost = new Set(dropped);
  if (before.defaultPlacement !== after.defaultPlacement) {
    lost.add(before.defaultPlacement);
  }
  if (lost.size === 0) return [];
  const counts = await inTurns(after.customers.counting());
  return [...lost].filter((placement) =>
    placement !== after.defaultPlacement && !counts.has(placement)
  ).sort();
}

/** What an edit is answered with that has to be confirmed. */
export async function guardProblem(
  before: Version | null,
  config: Config,
  found: Guarded,
): Promise<ProblemError> {
  const { summary, page } = await diffPage(
    new ConfigDiff(before?.config ?? null, config),
    { limit: SHOWN, cursor: undefined },
  );
  return new ProblemError(
    "guarded",
    `${
      why(found)
    } Nothing was changed; if that is what you want, repeat it with confirm=${found.confirm}.`,
    { body: { confirm: found.confirm, summary, diff: page } },
  );
}

function why({ touched, customers, unreached }: Guarded): string {
  const parts: string[] = [];
  if (unreached.length > 0) {
    const names = unreached.slice(0, NAMED).map((name) => show(name));
    const more = unreached.length > NAMED
      ? ` and ${unreached.length - NAMED} more`
      : "";
    parts.push(
      `nobody would be sent to ${
        unreached.length === 1 ? "placement" : "placements"
      } ${names.join(", ")}${more} any more`,
    );
  }
  if (touched > 0) {
    parts.push(
      `${touched} of ${customers} customers would be moved or dropped to the default`,
    );
  }
  const text = parts.join(", and ");
  return `${text[0]!.toUpperCase()}${text.slice(1)}.`;
}
