import { z } from "@hono/zod-openapi";
import { destinationOf } from "../../shared/config.ts";
import type { VersionStore } from "../store/store.ts";
import { customerName } from "./check.ts";
import { rolloutUnderWay } from "./config.ts";
import { emptyStore } from "./problem.ts";
import { answer, type Routes } from "./route.ts";
import { ROLLOUT_UNDER_WAY } from "./schemas.ts";

/** `/v1/explain`: where a request of a customer goes, and why. */
export function addExplainCalls(
  routes: Routes,
  { store }: { store: VersionStore },
): void {
  routes.add({
    method: "get",
    path: "/v1/explain",
    summary: "Where a customer's requests go under the committed config",
    query: z.strictObject({ customer: customerName() }),
    answers: {
      200: {
        description: "Where, and why.",
        schema: z.strictObject({
          customer: z.string(),
          placement: z.string(),
          endpoint: z.string(),
          reason: z.enum(["assigned", "default"]),
          version: z.int(),
          epoch: z.string(),
          rollout: ROLLOUT_UNDER_WAY,
        }).openapi("Explanation"),
      },
    },
    problems: [404, 503],
  }, async ({ query: { customer } }) => {
    const { head, version: current } = await store.newest();
    if (current === null) throw emptyStore("not-found");
    const { config, version, epoch } = current;
    return answer({
      customer,
      ...destinationOf(config, customer),
      version,
      epoch,
      rollout: rolloutUnderWay(head),
    });
  });
}
