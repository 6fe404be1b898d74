import { z } from "@hono/zod-openapi";
import { errorLine } from "../../shared/errors.ts";
import type { Metrics } from "../../shared/metrics.ts";
import type { ApiMetrics } from "../metrics.ts";
import type { VersionStore } from "../store/store.ts";
import { busy, toProblem } from "./problem.ts";
import { answer, type Routes } from "./route.ts";

const STATUS = z.strictObject({ status: z.string() }).openapi("Health");

/** `/healthz`, `/readyz`, `/metrics`. */
export function addHealthCalls(
  routes: Routes,
  options: {
    store: VersionStore;
    metrics: Metrics;
    apiMetrics: ApiMetrics;
    stopping: AbortSignal;
  },
): void {
  const { store, metrics, apiMetrics, stopping } = options;

  routes.add({
    method: "get",
    path: "/healthz",
    summary: "Whether the process is up",
    probe: true,
    answers: { 200: { description: "It is.", schema: STATUS } },
  }, () => answer({ status: "ok" }));

  routes.add({
    method: "get",
    path: "/readyz",
    summary: "Whether the store can be read and nothing is stopping",
    probe: true,
    answers: { 200: { description: "Ready.", schema: STATUS } },
    problems: [503],
  }, async () => {
    if (stopping.aborted) throw busy("The control plane is stopping.");
    try {
      await store.current();
    } catch (error) {
      const problem = toProblem(error);
      throw problem.kind === "internal"
        ? busy(`The store cannot be read: ${errorLine(error)}.`)
        : problem;
    }
    return answer({ status: "ready" });
  });

  routes.add({
    method: "get",
    path: "/metrics",
    summary: "Counts and gauges as Prometheus text",
    answers: {
      200: {
        description: "Prometheus text, version 0.0.4.",
        schema: z.string(),
        contentType: "text/plain",
      },
    },
  }, async () => {
    await apiMetrics.read(store);
    const { body, contentType } = await metrics.text();
    return new Response(body, { headers: { "content-type": contentType } });
  });
}
