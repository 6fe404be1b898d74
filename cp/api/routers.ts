import { z } from "@hono/zod-openapi";
import { show } from "../../shared/json.ts";
import { isRouterId } from "../../shared/protocol.ts";
import type { Fleet, RouterView } from "../hub/fleet.ts";
import type { VersionStore } from "../store/store.ts";
import { asciiJson, type LargeAnswers } from "./large_answers.ts";
import { rolloutUnderWay } from "./config.ts";
import { PAGING } from "./paging.ts";
import { ProblemError } from "./problem.ts";
import { answer, NO_BODY, type Routes } from "./route.ts";
import { PROPAGATION, ROLLOUT_UNDER_WAY, ROUTER } from "./schemas.ts";

const PATH = "/v1/routers/{id}";
const ID = z.object({
  id: z.string().refine(
    isRouterId,
    "must be 1 to 128 of A-Z a-z 0-9 . _ : -",
  ).openapi({ pattern: "^[A-Za-z0-9._:-]{1,128}$" }),
});

/** `/v1/routers`: the fleet. */
export function addRouterCalls(
  routes: Routes,
  { store, fleet, large }: {
    store: VersionStore;
    fleet: Fleet;
    large: LargeAnswers;
  },
): void {
  routes.add({
    method: "get",
    path: "/v1/routers",
    summary: "All routers, connected or gone, sorted by id",
    query: z.strictObject({}),
    answers: {
      200: {
        description: "The fleet, and the version it should be serving.",
        schema: z.strictObject({
          version: z.int(),
          epoch: z.string(),
          confirm_by: z.string().nullable().openapi({
            format: "date-time",
            description:
              "Until when that version has to be confirmed, or what was before returns; null where it needs not be.",
          }),
          rollout: ROLLOUT_UNDER_WAY,
          routers: z.array(ROUTER),
        }).openapi("RouterList"),
      },
    },
    problems: [503],
  }, async () => {
    const routers = await fleet.routers();
    // What the statuses were judged by.
    const head = fleet.standing?.head ?? await store.head();
    const text = `${
      asciiJson({
        version: head.version,
        epoch: head.epoch,
        confirm_by: head.trial?.until ?? null,
        rollout: rolloutUnderWay(head),
        routers,
      })
    }\n`;
    return large.answer([text], { bytes: text.length });
  });

  routes.add({
    method: "get",
    path: "/v1/propagation",
    summary: "How fast the newest versions reached the routers",
    description:
      "Counts the routers that were connected to this control plane when a version was committed, since this control plane was started.",
    query: z.strictObject({ limit: PAGING.limit }),
    answers: {
      200: {
        description: "The newest version first, of at most 100.",
        schema: z.strictObject({ versions: z.array(PROPAGATION) })
          .openapi("PropagationList"),
      },
    },
  }, ({ query: { limit } }) => answer({ versions: fleet.propagation(limit) }));

  routes.add({
    method: "get",
    path: PATH,
    summary: "One router",
    description:
      "Where several live routers have the id, it is the one connected last, and others has the rest.",
    params: ID,
    query: z.strictObject({}),
    answers: {
      200: {
        description: "It.",
        schema: z.strictObject({ ...ROUTER.shape, others: z.array(ROUTER) })
          .openapi("RouterWithOthers"),
      },
    },
    problems: [404, 503],
  }, async ({ params: { id } }) => {
    const [first, ...others] = (await fleet.router(id)).toSorted(newestFirst);
    if (first === undefined) throw unknownRouter(id);
    return answer({ ...first, others });
  });

  routes.add({
    method: "delete",
    path: PATH,
    summary: "Forgets a router that is gone",
    params: ID,
    query: z.strictObject({}),
    body: NO_BODY,
    answers: { 204: { description: "It is off the roster." } },
    problems: [404, 409],
  }, async ({ params: { id } }) => {
    const result = await fleet.forget(id);
    switch (result) {
      case "forgotten":
        return new Response(null, { status: 204 });
      case "connected":
        throw new ProblemError(
          "conflict",
          `Router ${
            show(id)
          } is connected; only one that is gone can be forgotten.`,
        );
      case "unknown":
        throw unknownRouter(id);
      default:
        return result satisfies never;
    }
  });

  routes.add({
    method: "post",
    path: `${PATH}/resend`,
    summary: "Pushes the committed config again, also where it was rejected",
    params: ID,
    query: z.strictObject({}),
    body: NO_BODY,
    answers: {
      200: {
        description: "It is being pushed.",
        schema: z.strictObject({
          id: z.string(),
          connections: z.int().openapi({
            description: "To how many connections of this id.",
          }),
        }).openapi("Resend"),
      },
    },
    problems: [404, 409],
  }, async ({ params: { id } }) => {
    const connections = fleet.resend(id);
    if (connections > 0) return answer({ id, connections });
    const known = await fleet.router(id);
    if (known.length === 0) throw unknownRouter(id);
    throw new ProblemError("conflict", whyNotPushed(id, known));
  });
}

/** Why a router that is known is not pushed to from here. */
function whyNotPushed(id: string, known: readonly RouterView[]): string {
  const router = known.find(({ connected }) => connected);
  if (router === undefined) {
    return `Router ${
      show(id)
    } is not connected; it is pushed to when it comes back.`;
  }
  if (router.status === "conflict") {
    return `Router ${
      show(id)
    } belongs to another history and is not pushed to; POST /v1/takeover makes this store the truth.`;
  }
  return router.error === null
    ? `Nothing is pushed to router ${
      show(id)
    } from here: it is connected to another control plane (${router.control_plane}), or nothing has been committed.`
    : `Router ${show(id)} is not pushed to: ${router.error}`;
}

function newestFirst(a: RouterView, b: RouterView): number {
  if (a.connected !== b.connected) return a.connected ? -1 : 1;
  return a.connected_since < b.connected_since ? 1 : -1;
}

function unknownRouter(id: string): ProblemError {
  return new ProblemError("not-found", `There is no router ${show(id)}.`);
}
