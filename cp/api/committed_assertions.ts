import { z } from "@hono/zod-openapi";
import type { Config } from "../../shared/config.ts";
import { logger } from "../../shared/log.ts";
import type { Head, VersionStore } from "../store/store.ts";
import { ASSERTIONS, Assertions, type Rule } from "./assertions.ts";
import { ATTRIBUTION_HEADERS, readAttribution } from "./edit_options.ts";
import { invalid, ProblemError } from "./problem.ts";
import { answer, json, type Routes } from "./route.ts";

const log = logger("api");

/** The rules that the store says all versions have to satisfy. */
export class CommittedAssertions {
  readonly #store: VersionStore;
  /** Those that were looked at last, with what is known by them. */
  #known: { digest: string; assertions: Assertions } | null = null;

  constructor(store: VersionStore) {
    this.#store = store;
  }

  /** The rules that `head` names. */
  async of({ assertions: digest }: Head): Promise<Assertions> {
    if (digest === null) return NO_ASSERTIONS;
    if (this.#known?.digest !== digest) {
      const rules: Rule[] = JSON.parse(await this.#store.rules(digest));
      this.#known = { digest, assertions: new Assertions(rules) };
    }
    return this.#known.assertions;
  }

  /**
   * Sets them, once the committed version satisfies them; none at all if there are none. Answers the head that has them.
   *
   * @throws {ProblemError} `invalid` if it does not, `too-large` if they cannot be kept.
   */
  async set(rules: readonly Rule[]): Promise<Head> {
    const next = new Assertions(rules);
    try {
      return await this.#store.setAssertions(
        rules.length === 0 ? null : JSON.stringify(rules),
        async (current) => {
          if (current === null) return;
          await satisfied(next, current.config, "The committed version");
        },
      );
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause;
      throw new ProblemError("too-large", `${cause.message}.`, { cause });
    }
  }

  /**
   * Checks a config that is to be committed on top of `head`.
   *
   * @throws {ProblemError} `invalid`, with the rules and the customers.
   */
  async check(config: Config, head: Head): Promise<void> {
    await satisfied(await this.of(head), config, "The edit");
  }
}

const NO_ASSERTIONS = new Assertions([]);

async function satisfied(
  assertions: Assertions,
  config: Config,
  subject: string,
): Promise<void> {
  const { list, more } = await assertions.problems(config);
  if (list.length > 0) throw invalid(list, { more, subject });
}

/** `/v1/assertions`: rules that every version has to satisfy. */
export function addAssertionCalls(
  routes: Routes,
  { store, assertions }: {
    store: VersionStore;
    assertions: CommittedAssertions;
  },
): void {
  routes.add({
    method: "get",
    path: "/v1/assertions",
    summary: "The rules that every version has to satisfy",
    query: z.strictObject({}),
    answers: { 200: { description: "All of them.", schema: ASSERTIONS } },
    problems: [503],
  }, async () => {
    const { rules } = await assertions.of(await store.head());
    return answer({ rules });
  });

  routes.add({
    method: "put",
    path: "/v1/assertions",
    summary: "Replaces the rules that every version has to satisfy",
    description:
      "An edit that breaks one is 422 and names the rule and the customers. The committed version has to satisfy them as well. Customers that are not assigned are not looked at, unless a rule names one of them whole. Who sets them is logged.",
    query: z.strictObject({}),
    headers: ATTRIBUTION_HEADERS,
    body: json(ASSERTIONS),
    answers: { 200: { description: "They hold.", schema: ASSERTIONS } },
    problems: [503],
  }, async ({ body: { rules }, c }) => {
    const { author } = readAttribution(c);
    const { version } = await assertions.set(rules);
    log.info("the rules for every version were set by somebody", {
      version,
      rules: rules.length,
      author,
    });
    return answer({ rules });
  });
}
