import { z } from "@hono/zod-openapi";
import { answer, type Routes } from "./route.ts";

/** The version of the API's form, not of the program. */
const API_VERSION = "1.0.0";

/** `/openapi.json`: the API described, from the schemas that check its requests. */
export function addDocument(routes: Routes): void {
  routes.app.openAPIRegistry.registerComponent("securitySchemes", "bearer", {
    type: "http",
    scheme: "bearer",
    description: "Needed where the control plane has an admin token.",
  });
  let document: unknown;
  routes.add({
    method: "get",
    path: "/openapi.json",
    summary: "This document",
    answers: {
      200: {
        description: "An OpenAPI 3.1 document.",
        schema: z.record(z.string(), z.unknown()),
      },
    },
  }, () => {
    // Made when first asked for: all calls have been added by then.
    document ??= routes.app.getOpenAPI31Document({
      openapi: "3.1.0",
      info: {
        title: "Signalbox control plane",
        version: API_VERSION,
        description:
          "The routing config of a cell-based system: its edits, its history and the routers that serve it. Errors are RFC 9457 problem documents with a stable type.",
      },
      security: [{ bearer: [] }],
    });
    return answer(document);
  });
}
