import { z } from "@hono/zod-openapi";
import type { Version, VersionStore } from "../store/store.ts";
import { versionAnswer, versionInfo } from "./config.ts";
import { ConfigDiff } from "./config_diff.ts";
import { diffPage } from "./diff_page.ts";
import type { Edits } from "./edit.ts";
import { decodeCursor, encodeCursor, NEXT_CURSOR, PAGING } from "./paging.ts";
import { ProblemError } from "./problem.ts";
import { answer, NO_BODY, type Routes } from "./route.ts";
import { DIFF, VERSION, VERSION_INFO } from "./schemas.ts";

const PATH = "/v1/versions/{n}";

function versionNumber() {
  return z.string().regex(
    /^[1-9][0-9]{0,14}$/,
    "must be the number of a version, a whole number from 1",
  ).transform(Number).openapi({ type: "integer", minimum: 1 });
}

const NUMBER = z.object({ n: versionNumber() });

/** `/v1/versions`: the history. */
export function addVersionCalls(
  routes: Routes,
  { store, edits }: { store: VersionStore; edits: Edits },
): void {
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
  }, async ({ params }) =>
    versionAnswer(await keptVersion(store, params.n), {
      etag: `"${params.n}"`,
    }));

  routes.add({
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
  }, async ({ params, query: { from, limit, cursor } }) => {
    const to = await keptVersion(store, params.n);
    const number = from ?? await versionBefore(store, params.n);
    const before = number === 0 ? null : await keptVersion(store, number);
    const diff = new ConfigDiff(before?.config ?? null, to.config);
    return answer({
      from: number,
      to: to.version,
      summary: diff.summary(),
      ...diffPage(diff, { limit, cursor }),
    });
  });

  edits.add({
    method: "post",
    path: `${PATH}/restore`,
    summary: "Commits an old version's contents as a new version",
    params: NUMBER,
    body: NO_BODY,
    problems: [404],
  }, async ({ params }) => {
    const { config, version } = await keptVersion(store, params.n);
    return { edit: () => config, message: `Restored version ${version}` };
  });
}

async function versionBefore(
  store: VersionStore,
  version: number,
): Promise<number> {
  const [before] = await store.list({ before: version, limit: 1 });
  return before?.version ?? 0;
}

async function keptVersion(
  store: VersionStore,
  number: number,
): Promise<Version> {
  const version = await store.get(number);
  if (version !== null) return version;
  const known = await store.digestOf(number);
  throw new ProblemError(
    "not-found",
    known === null
      ? `There is no version ${number}.`
      : `Version ${number} is no longer kept (its digest was ${known.digest}); CP_KEEP_VERSIONS says how many are.`,
  );
}
