import { z } from "@hono/zod-openapi";
import type { EventFeed } from "./event_feed.ts";
import type { Routes } from "./route.ts";

/** `/v1/events`: what happens, as it happens. */
export function addEventCalls(
  routes: Routes,
  { feed }: { feed: EventFeed },
): void {
  routes.add({
    method: "get",
    path: "/v1/events",
    summary: "Server-sent events",
    description:
      "`version`: a version was committed, the current one first; its id is the version, and with Last-Event-ID what came after that is told again. `rollout`: a staged rollout began, was promoted, halted or aborted. `router`: one connected, applied, rejected, has not answered, cannot take the config, is in conflict, is draining or drained of what its version would send elsewhere, or is gone.",
    query: z.strictObject({}),
    endless: true,
    headers: z.object({ "last-event-id": z.string().optional() }),
    answers: {
      200: {
        description: "An endless stream.",
        schema: z.string(),
        contentType: "text/event-stream",
      },
    },
    problems: [503],
  }, async ({ c }) => {
    const headers = { "content-type": "text/event-stream; charset=utf-8" };
    const last = c.req.raw.headers.get("last-event-id") ?? "";
    const stream = await feed.open(
      /^[0-9]{1,15}$/.test(last) ? Number(last) : null,
    );
    return new Response(stream, { headers });
  });
}
