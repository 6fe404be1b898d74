import { z } from "@hono/zod-openapi";
import { logger } from "../../shared/log.ts";
import type { Fleet } from "../hub/fleet.ts";
import { revert } from "../hub/reverter.ts";
import { OnTrial, type VersionStore } from "../store/store.ts";
import { ATTRIBUTION_HEADERS, readAttribution } from "./edit_options.ts";
import { rolloutUnderWay, versionAnswer, versionInfo } from "./config.ts";
import { ConfigDiff } from "./config_diff.ts";
import { diffPage } from "./diff_page.ts";
import type { Edits } from "./edit.ts";
import { configBefore, fenceClaim } from "./fence_claim.ts";
import type { KeptVersions } from "./kept_versions.ts";
import type { LargeAnswers } from "./large_answers.ts";
import { decodeCursor, encodeCursor, NEXT_CURSOR, PAGING } from "./paging.ts";
import { answer, NO_BODY, type Routes } from "./route.ts";
import { DIFF, VERSION, VERSION_INFO, VERSION_ROLLOUT } from "./schemas.ts";

const log = logger("api");

const PATH = "/v1/versions/{n}";

function versionNumber() {
  return z.string().regex(
    /^[1-9][0-9]{0,14}$/,
    "must be the number of a version, a whole number from 1",
  ).transform(Number).openapi({ type: "integer", minimum: 1 });
}

const CONFIRMED = z.strictObject({ version: z.int(), epoch: z.string() })
  .openapi("Confirmed");

const NUMBER = z.object({ n: versionNumber() });

/** `/v1/versions`: the history. */
export function addVersionCalls(
  routes: Routes,
  options: {
    store: VersionStore;
    fleet: Fleet;
    kept: KeptVersions;
    large: LargeAnswers;
    edits: Edits;
  },
): void {
  const { store, fleet, kept, large, edits } = options;

  routes.add({
    method: "get",
    path: "/v1/versions",
    summary: "The versions that are kept, newest first",
    query: z.strictObject({ limit: PAGING.limit, cursor: PAGING.cursor }),
    answers: {
      200: {
        description: "A page of them.",
        schema: z.strictObject({
          versions: z.array(VERSION_INFO),
          next_cursor: NEXT_CURSOR,
        }).openapi("VersionList"),
      },
    },
    problems: [503],
  }, async ({ query: { limit, cursor } }) => {
    const before = decodeCursor("versions", cursor);
    // One more than asked for tells whether there is a next page.
    const found = await store.list({
      limit: limit + 1,
      ...(before === null ? {} : { before: Number(before) }),
    });
    const shown = found.slice(0, limit);
    return answer({
      versions: shown.map(versionInfo),
      next_cursor: found.length > limit
        ? encodeCursor("versions", String(shown.at(-1)!.version))
        : null,
    });
  });

  routes.add({
    method: "get",
    path: PATH,
    summary: "One version, whole",
    params: NUMBER,
    query: z.strictObject({}),
    answers: { 200: { description: "It.", schema: VERSION } },
    problems: [404, 503],
  }, async ({ params: { n } }) => {
    const version = await kept.queue.run(() => kept.get(n));
    return versionAnswer(version, large);
  });

  routes.add(
    {
      method: "get",
      path: `${PATH}/diff`,
      summary: "What differs between two versions",
      description:
        "Counts of all differences, and a page of them: placements first, then customers, each sorted by name.",
      params: NUMBER,
      query: z.strictObject({
        from: z.string().regex(
          /^(?:0|[1-9][0-9]{0,14})$/,
          "must be the number of a version, or 0 for nothing at all",
        ).transform(Number).optional().openapi({
          type: "integer",
          minimum: 0,
          description: "The version before, if not said.",
        }),
        limit: PAGING.limit,
        cursor: PAGING.cursor,
      }),
      answers: { 200: { description: "The differences.", schema: DIFF } },
      problems: [404, 503],
    },
    ({ params: { n }, query: { from, limit, cursor } }) =>
      kept.queue.run(async () => {
        const to = await kept.get(n);
        const number = from ?? await kept.before(n);
        const before = number === 0 ? null : await kept.get(number);
        const diff = new ConfigDiff(before?.config ?? null, to.config);
        const { summary, page } = await diffPage(diff, { limit, cursor });
        return answer({ from: number, to: n, summary, ...page });
      }),
  );

  routes.add({
    method: "get",
    path: `${PATH}/rollout`,
    summary: "How far a version, or a newer one, has come",
    description:
      "Which routers serve it, and what still runs on them that it would send elsewhere.",
    params: NUMBER,
    query: z.strictObject({}),
    answers: {
      200: { description: "As of now.", schema: VERSION_ROLLOUT },
    },
    problems: [404, 503],
  }, async ({ params: { n } }) => {
    const recorded = await store.digestOf(n);
    if (recorded === null) throw await kept.missing(n);
    const version = { version: n, epoch: recorded.epoch };
    const rollout = rolloutUnderWay(fleet.standing?.head ?? await store.head());
    const reached = await fleet.rollout(version);
    return answer({
      ...version,
      ...await fenceClaim(store, reached, {
        version: n,
        config: async () => (await store.get(n))?.config,
        before: () => configBefore(store, n),
      }),
      staged: rollout?.id === n ? rollout : null,
    });
  });

  routes.add({
    method: "post",
    path: `${PATH}/confirm`,
    summary: "Keeps a version that waits to be confirmed",
    description: "Who does so is logged.",
    params: NUMBER,
    query: z.strictObject({}),
    headers: ATTRIBUTION_HEADERS,
    body: NO_BODY,
    answers: {
      200: { description: "It stays.", schema: CONFIRMED },
    },
    problems: [409, 503],
  }, async ({ params: { n }, c }) => {
    const { author } = readAttribution(c);
    const { version, epoch } = await ofWaiting(n, () => store.confirm(n));
    log.info("a version was confirmed by somebody: it stays", {
      version: n,
      author,
    });
    await fleet.refresh();
    return answer({ version, epoch });
  });

  routes.add({
    method: "post",
    path: `${PATH}/revert`,
    summary: "Takes a version that waits to be confirmed back, at once",
    params: NUMBER,
    query: z.strictObject({}),
    headers: ATTRIBUTION_HEADERS,
    body: NO_BODY,
    answers: {
      200: {
        description: "What was before it is committed again, as this version.",
        schema: CONFIRMED,
      },
    },
    problems: [409, 503],
  }, async ({ params: { n }, c }) => {
    const { author, message } = readAttribution(c);
    const { version } = await ofWaiting(n, async () => {
      const { trial } = await store.head();
      if (trial?.version !== n) {
        throw new OnTrial(`Version ${n} does not wait to be confirmed`, trial);
      }
      return await revert(store, trial, {
        author,
        message: message ?? `Took version ${n} back`,
      });
    });
    log.info("a version was taken back by somebody: what was before returns", {
      version: n,
      by: version.version,
      author,
    });
    await fleet.refresh();
    return answer({ version: version.version, epoch: version.epoch });
  });

  edits.add({
    method: "post",
    path: `${PATH}/restore`,
    summary: "Commits an old version's contents as a new version",
    params: NUMBER,
    body: NO_BODY,
    problems: [404],
  }, async ({ params: { n } }) => {
    const { config } = await kept.queue.run(() => kept.get(n));
    return { edit: () => config, message: `Restored version ${n}` };
  });

  /**
   * Does to a version what can be done while it waits to be confirmed.
   *
   * @throws {OnTrial} if it does not wait; says which version has taken it back, if one has.
   */
  async function ofWaiting<T>(n: number, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof OnTrial) || !await isUndone(store, n)) throw error;
      throw new OnTrial(
        `${error.message}; what was before version ${n} is committed again, as version ${
          n + 1
        }`,
        error.trial,
      );
    }
  }
}

/**
 * Whether the version after `n` has the contents of the one before it: while `n` waits to be confirmed nothing is
 * committed but what takes it back.
 */
async function isUndone(store: VersionStore, n: number): Promise<boolean> {
  const [before, after] = await Promise.all([
    store.digestOf(n - 1),
    store.digestOf(n + 1),
  ]);
  return after !== null && before?.digest === after.digest;
}
