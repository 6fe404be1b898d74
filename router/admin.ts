import { type Context, Hono } from "hono";
import { customerProblem } from "../shared/config.ts";
import {
  PROBLEM_JSON,
  problemDocument,
  type ProblemKind,
} from "../shared/errors.ts";
import { show } from "../shared/json.ts";
import { logger } from "../shared/log.ts";
import type { Metrics } from "../shared/metrics.ts";
import { isLoopback } from "../shared/settings.ts";
import { cameThroughRouter } from "../shared/via.ts";
import { type ActiveConfig, activeConfig, holdConfig } from "./active.ts";
import type { StatusDocument } from "./status.ts";

const log = logger("admin");

export interface AdminOptions {
  /** The text of the metrics, and its media type. */
  readonly metrics: Metrics["text"];
  readonly status: () => Promise<StatusDocument>;
  /** Whether the router is stopping: then it is not ready. */
  readonly stopping: () => boolean;
  /** Hosts that are served besides loopback ones, without port, in lower case. */
  readonly allowedHosts: ReadonlySet<string>;
}

/**
 * The admin listener's app (SPEC section 6). It changes nothing, and answers only to hosts it knows:
 * a page in somebody's browser may reach it by a name that resolves to this machine, but not ask
 * under a name of ours. Nor does it answer what a router forwards: that is a customer's request.
 */
export function createAdminApp(options: AdminOptions): Hono {
  const app = new Hono();

  app.use(async (context, next) => {
    const host = context.req.header("host") ?? "";
    if (!isAllowedHost(host, options.allowedHosts)) {
      return problem(context, "misdirected", {
        status: 421,
        detail: `Host ${
          show(host)
        } is not served here; ask by a loopback address, or list it in ROUTER_ALLOWED_HOSTS.`,
      });
    }
    if (cameThroughRouter(context.req.raw.headers)) {
      return problem(context, "forbidden", {
        status: 403,
        detail:
          "A router has forwarded this request, so it may be a customer's: a placement's endpoint leads to this admin listener. It answers only who asks it directly.",
      });
    }
    const { method } = context.req;
    if (method !== "GET" && method !== "HEAD" && isPath(context.req.path)) {
      context.header("allow", "GET, HEAD");
      return problem(context, "method-not-allowed", {
        status: 405,
        detail: `${context.req.path} takes GET and HEAD, not ${method}.`,
      });
    }
    await next();
    context.header("cache-control", "no-store");
    context.header("x-content-type-options", "nosniff");
  });

  app.get("/healthz", (context) => context.json({ status: "ok" }));

  app.get("/readyz", (context) => {
    if (options.stopping()) {
      return problem(context, "unavailable", {
        status: 503,
        detail: "The router is stopping.",
      });
    }
    return activeConfig() === null
      ? noConfig(context)
      : context.json({ status: "ready" });
  });

  app.get("/metrics", async (context) => {
    const { body, contentType } = await options.metrics();
    return context.body(body, 200, { "content-type": contentType });
  });

  app.get(
    "/status",
    async (context) => context.json(await options.status()),
  );

  app.get("/explain", (context) => {
    const customers = context.req.queries("customer") ?? [];
    const [customer] = customers;
    if (customers.length !== 1 || customer === undefined) {
      return problem(context, "bad-request", {
        status: 400,
        detail:
          `The parameter customer must be given once, not ${customers.length} times.`,
      });
    }
    const wrong = customerProblem(customer);
    if (wrong !== null) {
      return problem(context, "bad-request", { status: 400, detail: wrong });
    }
    const active = activeConfig();
    if (active === null) return noConfig(context);
    const { placement, reason } = active.routes.find(customer);
    return context.json({
      customer,
      placement: placement.name,
      endpoint: placement.endpoint.url,
      reason,
      version: active.version,
      epoch: active.epoch,
    });
  });

  app.get("/config", (context) => {
    const active = activeConfig();
    if (active === null) return noConfig(context);
    const headers = {
      "content-type": "application/json",
      ...configHeaders(active),
    };
    // The text of a HEAD's answer would never be read, and so never be let go of.
    return context.req.method === "HEAD"
      ? context.body(null, 200, headers)
      : context.body(configStream(active), 200, headers);
  });

  app.notFound((context) =>
    problem(context, "not-found", {
      status: 404,
      detail: `There is nothing at ${context.req.path}; try ${
        PATHS.join(", ")
      }.`,
    })
  );

  app.onError((error, context) => {
    log.error("an admin request failed", { path: context.req.path, error });
    return problem(context, "internal", {
      status: 500,
      detail: "The request failed; the log says why.",
    });
  });

  return app;
}

const PATHS: readonly string[] = [
  "/healthz",
  "/readyz",
  "/metrics",
  "/status",
  "/explain",
  "/config",
];

function isPath(path: string): boolean {
  return PATHS.includes(path);
}

/** Whether a `Host` names this machine to itself, or is listed; the port is of no account. */
export function isAllowedHost(
  host: string,
  allowed: ReadonlySet<string>,
): boolean {
  const match = /^(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?$/i.exec(host);
  if (match === null) return false;
  const name = match[1]!.toLowerCase();
  return isLoopback(name.replace(/^\[|\]$/g, "")) || allowed.has(name);
}

function configHeaders(active: ActiveConfig): Record<string, string> {
  return {
    "x-config-version": String(active.version),
    "x-config-digest": active.digest,
    ...(active.epoch === null ? {} : { "x-config-epoch": active.epoch }),
  };
}

/** How much of a config is copied at a time, in bytes. */
const PIECE_BYTES = 64 * 1024;

/** The canonical text, copied as fast as it is read: what is sent must not change hands while it is served from. */
function configStream(active: ActiveConfig): ReadableStream<Uint8Array> {
  const { text } = active.routes.packed;
  const release = holdConfig(active);
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(text.slice(at, at += PIECE_BYTES));
      if (at < text.length) return;
      controller.close();
      release();
    },
    cancel: release,
  }, { highWaterMark: 0 });
}

function noConfig(context: Context): Response {
  return problem(context, "no-config", {
    status: 503,
    detail: "No config is served yet: none was saved, given or pushed.",
  });
}

function problem(
  context: Context,
  kind: ProblemKind,
  { status, detail }: {
    status: 400 | 403 | 404 | 405 | 421 | 500 | 503;
    detail: string;
  },
): Response {
  return context.body(
    JSON.stringify(problemDocument(kind, { status, detail })),
    status,
    { "content-type": PROBLEM_JSON },
  );
}
