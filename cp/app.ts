import { OpenAPIHono } from "@hono/zod-openapi";
import { errorLine } from "../shared/errors.ts";
import { logger } from "../shared/log.ts";
import type { Metrics } from "../shared/metrics.ts";
import { CONNECT_PATH } from "../shared/protocol.ts";
import { type AccessRules, checkAccess } from "./api/access.ts";
import type { LargeBodies } from "./api/bodies/large_bodies.ts";
import { BodyBudget } from "./api/body.ts";
import { addConfigCalls } from "./api/config.ts";
import { addCustomerCalls } from "./api/customers.ts";
import { addDocument } from "./api/document.ts";
import { Edits } from "./api/edit.ts";
import { authorOf } from "./api/edit_options.ts";
import type { EventFeed } from "./api/event_feed.ts";
import { addEventCalls } from "./api/events.ts";
import { addExplainCalls } from "./api/explain.ts";
import { addHoldCalls } from "./api/holds.ts";
import {
  addAssertionCalls,
  CommittedAssertions,
} from "./api/committed_assertions.ts";
import type { GuardLimits } from "./api/guard.ts";
import { addHealthCalls } from "./api/health.ts";
import { KeptVersions } from "./api/kept_versions.ts";
import { LargeAnswers } from "./api/large_answers.ts";
import { addMoveCalls } from "./api/moves.ts";
import { addPlacementCalls } from "./api/placements.ts";
import { ProblemError, toProblem } from "./api/problem.ts";
import { rawPath } from "./api/parameters.ts";
import {
  type ApiContext,
  type ApiEnv,
  notAllowed,
  Routes,
} from "./api/route.ts";
import { addRolloutCalls } from "./api/rollouts.ts";
import { addRouterCalls } from "./api/routers.ts";
import { API_HEADERS, pageHeaders } from "./api/security_headers.ts";
import { addTakeoverCalls } from "./api/takeover.ts";
import { addVersionCalls } from "./api/versions.ts";
import type { Fleet } from "./hub/fleet.ts";
import { ApiMetrics } from "./metrics.ts";
import type { VersionStore } from "./store/store.ts";
import type { Page } from "./ui/page_files.ts";

const log = logger("api");

/** What the control plane's HTTP side needs. */
export interface AppDeps {
  readonly store: VersionStore;
  readonly fleet: Fleet;
  /** Ends its streams when the control plane stops; whoever made it closes it. */
  readonly feed: EventFeed;
  /** Reads what is large; whoever made it ends it. */
  readonly bodies: LargeBodies;
  /** The app adds its own. */
  readonly metrics: Metrics;
  readonly access: Omit<AccessRules, "openPaths">;
  /** The largest config and the largest body, in bytes. */
  readonly maxConfigBytes: number;
  /** From where on an edit has to be confirmed. */
  readonly guard: GuardLimits;
  readonly page: Page;
  /** Takes a router's connection: answers with its upgrade, or says why not. */
  readonly connect: (
    request: Request,
    info: Deno.ServeHandlerInfo,
  ) => Response | Promise<Response>;
  /** Aborts when the control plane begins to stop. */
  readonly stopping: AbortSignal;
}

/** The control plane's HTTP API (SPEC section 5), its page, and the routers' way in. */
export function createApp(deps: AppDeps): OpenAPIHono<ApiEnv> {
  return createRoutes(deps).app;
}

/** The same, with its calls listed: what the document describes. */
export function createRoutes(deps: AppDeps): Routes {
  const { store, fleet, bodies, maxConfigBytes, stopping } = deps;
  // Nothing of the path is decoded before it is taken apart: an encoded slash is no slash.
  const app = new OpenAPIHono<ApiEnv>({
    getPath: (request) => rawPath(request.url),
  });
  const routes = new Routes(app, new BodyBudget(2 * maxConfigBytes));
  const large = new LargeAnswers();
  const kept = new KeptVersions(store);
  const apiMetrics = new ApiMetrics({ large, history: kept.queue });
  apiMetrics.register(deps.metrics);
  const assertions = new CommittedAssertions(store);
  const edits = new Edits(routes, {
    store,
    fleet,
    metrics: apiMetrics,
    kept,
    maxConfigBytes,
    guard: deps.guard,
    assertions,
    stopping,
  });
  const { files, contentSecurityPolicy } = deps.page;
  const openPaths = new Set(files.keys());
  const pageAnswers = pageHeaders(contentSecurityPolicy);
  const rules: AccessRules = { ...deps.access, openPaths };

  app.use(async (c, next) => {
    await next();
    // The answer to an upgrade is the runtime's own and must stay as it is.
    if (c.res.status === 101) return;
    const headers = files.has(c.req.path) && c.res.ok
      ? pageAnswers
      : API_HEADERS;
    for (const [name, value] of headers) c.res.headers.set(name, value);
    await tellLength(c);
  });
  app.use(async (c, next) => {
    const tokenName = checkAccess(c.req.raw, { path: c.req.path, rules });
    c.set("tokenName", tokenName);
    await next();
  });

  addConfigCalls(routes, { store, large, edits, bodies, maxConfigBytes });
  addPlacementCalls(routes, { store, edits });
  addCustomerCalls(routes, { store, kept, edits });
  addMoveCalls({ edits, bodies, maxConfigBytes });
  addVersionCalls(routes, { store, fleet, kept, large, edits });
  addAssertionCalls(routes, { store, assertions });
  addRolloutCalls(routes, { store, fleet });
  addHoldCalls(routes, { store, fleet, stopping });
  addRouterCalls(routes, { store, fleet, large });
  addExplainCalls(routes, { store });
  addTakeoverCalls({ store, fleet, edits });
  addEventCalls(routes, { feed: deps.feed });
  addHealthCalls(routes, {
    store,
    metrics: deps.metrics,
    apiMetrics,
    stopping,
  });
  addDocument(routes);
  for (const { path, probe } of routes.specs) if (probe) openPaths.add(path);
  app.get(CONNECT_PATH, (c) => deps.connect(c.req.raw, c.env));
  for (const [path, { body, type }] of files) {
    app.get(path, async () => {
      const text = typeof body === "string" ? body : await body();
      return new Response(text, { headers: { "content-type": type } });
    });
  }

  app.notFound((c) => {
    const methods = files.has(c.req.path) || c.req.path === CONNECT_PATH
      ? ["GET", "HEAD"]
      : routes.methods(c.req.path);
    if (methods.length === 0) {
      return new ProblemError(
        "not-found",
        `There is no call at ${
          JSON.stringify(c.req.path.slice(0, 256))
        }; GET /openapi.json lists all.`,
      ).response();
    }
    return notAllowed(c, methods).response();
  });
  app.onError((error, c) => {
    const problem = toProblem(error);
    if (problem.status >= 500) {
      const line = {
        method: c.req.method,
        path: c.req.path,
        author: authorOf(c),
        error: errorLine(error),
      };
      if (problem.kind === "unavailable") log.warn("a call failed", line);
      else log.error("a call failed", line);
    }
    return problem.response();
  });
  return routes;
}

/** An answer to HEAD has the length that the answer to GET has; the runtime would say 0 (RFC 9110, section 8.6). */
async function tellLength(c: ApiContext): Promise<void> {
  if (c.req.method !== "HEAD" || c.res.body === null) return;
  if (c.res.headers.has("content-length")) return await c.res.body.cancel();
  const { byteLength } = await c.res.clone().arrayBuffer();
  c.res.headers.set("content-length", String(byteLength));
}
