import { z } from "@hono/zod-openapi";
import type { Fleet } from "../hub/fleet.ts";
import type {
  EndedRollout,
  StagedRollout,
  VersionStore,
} from "../store/store.ts";
import { ATTRIBUTION_HEADERS, readAttribution } from "./edit_options.ts";
import { decodeCursor, encodeCursor, NEXT_CURSOR, PAGING } from "./paging.ts";
import { ProblemError } from "./problem.ts";
import { answer, NO_BODY, type Routes } from "./route.ts";
import { CANARY_STATE, STAGED_ROLLOUT } from "./schemas.ts";

const PATH = "/v1/rollouts/{id}";
const ID = z.object({
  id: z.string().regex(
    /^[1-9][0-9]{0,14}$/,
    "must be the number of the version that was rolled out, a whole number from 1",
  ).transform(Number).openapi({ type: "integer", minimum: 1 }),
});

/** What the calls that end a rollout have in common. */
const ENDING = {
  params: ID,
  query: z.strictObject({}),
  headers: ATTRIBUTION_HEADERS,
  body: NO_BODY,
  answers: { 200: { description: "It is over.", schema: STAGED_ROLLOUT } },
  problems: [409, 503],
} as const;

const STATES = CANARY_STATE.options;

type Shown = z.input<typeof STAGED_ROLLOUT>;

/** `/v1/rollouts`: versions that some routers get first. */
export function addRolloutCalls(
  routes: Routes,
  { store, fleet }: { store: VersionStore; fleet: Fleet },
): void {
  routes.add({
    method: "get",
    path: "/v1/rollouts",
    summary: "Staged rollouts, newest first",
    description:
      "The one under way, and those that are over of versions that are kept.",
    query: z.strictObject({ limit: PAGING.limit, cursor: PAGING.cursor }),
    answers: {
      200: {
        description: "A page of them.",
        schema: z.strictObject({
          rollouts: z.array(STAGED_ROLLOUT),
          next_cursor: NEXT_CURSOR,
        }).openapi("StagedRolloutList"),
      },
    },
    problems: [503],
  }, async ({ query: { limit, cursor } }) => {
    const before = decodeCursor("rollouts", cursor);
    const { rollout } = await store.head();
    const running = before === null && rollout !== null
      ? [await runningView(rollout, fleet)]
      : [];
    // One more than asked for tells whether there is a next page.
    const ended = await store.rollouts({
      limit: limit + 1 - running.length,
      ...(before === null ? {} : { before: Number(before) }),
    });
    // It may have ended while this was read.
    const found = [
      ...running,
      ...ended.filter(({ version }) => version !== running[0]?.id).map(
        endedView,
      ),
    ];
    const shown = found.slice(0, limit);
    return answer({
      rollouts: shown,
      next_cursor: found.length > limit
        ? encodeCursor("rollouts", String(shown.at(-1)!.id))
        : null,
    });
  });

  routes.add({
    method: "get",
    path: PATH,
    summary: "One staged rollout",
    description:
      "While it is under way, with how its canaries do as far as this control plane knows.",
    params: ID,
    query: z.strictObject({}),
    answers: { 200: { description: "It.", schema: STAGED_ROLLOUT } },
    problems: [404, 503],
  }, async ({ params: { id } }) => answer(await one(id)));

  routes.add({
    method: "post",
    path: `${PATH}/promote`,
    summary: "Gives the version of a rollout to all routers at once",
    ...ENDING,
  }, async ({ params: { id }, c }) => {
    const { author } = readAttribution(c);
    await fleet.promote(await underWay(id), author);
    return answer(await one(id));
  });

  routes.add({
    method: "post",
    path: `${PATH}/abort`,
    summary: "Takes the version of a rollout back at once",
    description: "What was before it is committed again, as a new version.",
    ...ENDING,
  }, async ({ params: { id }, c }) => {
    const { author, message } = readAttribution(c);
    await fleet.abort(await underWay(id), { author, reason: message });
    return answer(await one(id));
  });

  /**
   * The rollout of a version that is under way.
   *
   * @throws {ProblemError} `conflict` if it is not.
   */
  async function underWay(id: number): Promise<StagedRollout> {
    const { rollout } = await store.head();
    if (rollout?.version === id) return rollout;
    const ended = await store.rollout(id);
    throw new ProblemError(
      "conflict",
      ended !== null
        ? `The rollout of version ${id} is over: it was ${ended.outcome}. POST /v1/versions/${ended.before}/restore commits what was before it again; nothing was changed.`
        : `Version ${id} is not being rolled out${
          rollout === null ? "" : `; version ${rollout.version} is`
        }. Nothing was changed.`,
    );
  }

  async function one(id: number): Promise<Shown> {
    const { rollout } = await store.head();
    if (rollout?.version === id) return await runningView(rollout, fleet);
    const ended = await store.rollout(id);
    if (ended !== null) return endedView(ended);
    throw new ProblemError(
      "not-found",
      `Version ${id} was not rolled out in stages, or is not kept any more; GET /v1/rollouts lists all.`,
    );
  }
}

/** A rollout that has begun or ended, without how its canaries do. */
export function rolloutEvent(
  rollout: StagedRollout | EndedRollout,
): Omit<Shown, "canaries"> & { canaries: string[] } {
  return {
    ..."outcome" in rollout ? ending(rollout) : beginning(rollout),
    canaries: rollout.canaries.map(({ id }) => id),
  };
}

async function runningView(
  rollout: StagedRollout,
  fleet: Fleet,
): Promise<Shown> {
  const canaries = await fleet.canaries(rollout);
  return { ...beginning(rollout), canaries };
}

function endedView(rollout: EndedRollout): Shown {
  return {
    ...ending(rollout),
    canaries: rollout.canaries.map(({ id, before }) => {
      const end = rollout.ends.find((each) => each.id === id);
      return {
        id,
        before,
        error: null,
        state: STATES.find((state) => state === end?.state) ?? null,
        counted: end?.counted ?? null,
      };
    }),
  };
}

function beginning(rollout: StagedRollout): Omit<Shown, "canaries"> {
  return {
    ...common(rollout),
    state: "under_way",
    ended_at: null,
    ended_by: null,
    reason: null,
    taken_back_by: null,
  };
}

function ending(rollout: EndedRollout): Omit<Shown, "canaries"> {
  return {
    ...common(rollout),
    state: rollout.outcome,
    ended_at: rollout.endedAt,
    ended_by: rollout.endedBy,
    reason: rollout.reason,
    taken_back_by: rollout.takenBackBy,
  };
}

function common(rollout: StagedRollout) {
  return {
    id: rollout.version,
    before: rollout.before,
    started_at: rollout.startedAt,
    until: rollout.until,
    author: rollout.author,
    max_errors: rollout.maxErrors,
  };
}
