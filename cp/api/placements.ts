import { z } from "@hono/zod-openapi";
import type { Config } from "../../shared/config.ts";
import type { VersionStore } from "../store/store.ts";
import { inTurns } from "../store/turns.ts";
import { placementName } from "./check.ts";
import { MERGE_PATCH_TYPES } from "./config.ts";
import {
  configToEdit,
  removePlacement,
  setEndpoint,
  unknownPlacementName,
} from "./config_edit.ts";
import type { Edits } from "./edit.ts";
import { decodeCursor, encodeCursor, NEXT_CURSOR, PAGING } from "./paging.ts";
import { emptyStore } from "./problem.ts";
import { answer, json, NO_BODY, type Routes } from "./route.ts";
import { PLACEMENT, PLACEMENT_BODY } from "./schemas.ts";

const PATH = "/v1/placements/{name}";
const NAME = z.object({ name: placementName() });

/** `/v1/placements`: the placements, their endpoints and how many customers each has. */
export function addPlacementCalls(
  routes: Routes,
  { store, edits }: { store: VersionStore; edits: Edits },
): void {
  routes.add({
    method: "get",
    path: "/v1/placements",
    summary: "The placements, sorted by name, with their customer counts",
    query: z.strictObject({
      limit: PAGING.limit,
      cursor: PAGING.cursor,
    }),
    answers: {
      200: {
        description: "A page of them.",
        schema: z.strictObject({
          version: z.int(),
          default_placement: z.string().nullable(),
          placements: z.array(PLACEMENT),
          total: z.int(),
          next_cursor: NEXT_CURSOR,
        }).openapi("PlacementList"),
      },
    },
    problems: [503],
  }, async ({ query }) => {
    const current = await store.current();
    const after = decodeCursor("placements", query.cursor);
    const config = current?.config;
    if (config !== undefined) await inTurns(config.customers.counting());
    const names = [...config?.endpoints.keys() ?? []].sort()
      .filter((name) => after === null || name > after);
    const shown = names.slice(0, query.limit);
    return answer({
      version: current?.version ?? 0,
      default_placement: config?.defaultPlacement ?? null,
      placements: shown.map((name) => placementView(config!, name)),
      total: config?.endpoints.size ?? 0,
      next_cursor: names.length > shown.length
        ? encodeCursor("placements", shown.at(-1)!)
        : null,
    });
  });

  routes.add({
    method: "get",
    path: PATH,
    summary: "One placement",
    params: NAME,
    query: z.strictObject({}),
    answers: { 200: { description: "It.", schema: PLACEMENT } },
    problems: [404, 503],
  }, async ({ params }) => {
    const current = await store.current();
    if (current === null) throw emptyStore("not-found");
    if (!current.config.endpoints.has(params.name)) {
      throw unknownPlacementName(params.name);
    }
    await inTurns(current.config.customers.counting());
    return answer(placementView(current.config, params.name), {
      headers: { etag: `"${current.version}"` },
    });
  });

  edits.add({
    method: "put",
    path: PATH,
    summary: "Sets a placement's endpoint; a new placement is added",
    params: NAME,
    body: json(PLACEMENT_BODY),
    problems: [409],
  }, ({ params, body }) => (current) =>
    setEndpoint(configToEdit(current), {
      placement: params.name,
      endpoint: body.endpoint,
    }));

  edits.add({
    method: "patch",
    path: PATH,
    summary: "Changes the endpoint of a placement that is there",
    params: NAME,
    body: json(PLACEMENT_BODY, { types: MERGE_PATCH_TYPES }),
    problems: [404, 409],
  }, ({ params, body }) => (current) => {
    const config = configToEdit(current);
    if (!config.endpoints.has(params.name)) {
      throw unknownPlacementName(params.name);
    }
    return setEndpoint(config, {
      placement: params.name,
      endpoint: body.endpoint,
    });
  });

  edits.add(
    {
      method: "delete",
      path: PATH,
      summary: "Deletes a placement that nothing uses",
      params: NAME,
      body: NO_BODY,
      problems: [404, 409],
    },
    ({ params }) => async (current) => {
      const config = configToEdit(current);
      await inTurns(config.customers.counting());
      return removePlacement(config, params.name);
    },
  );
}

function placementView(config: Config, name: string) {
  return {
    placement: name,
    endpoint: config.endpoints.get(name)!,
    customers: config.customers.counts.get(name) ?? 0,
    default: config.defaultPlacement === name,
  };
}
