import type { Span } from "@opentelemetry/api";
import { Hono } from "hono";
import type { ActiveConfig } from "./active.ts";
import type { Fence, RunningRequest } from "./fence.ts";
import { forwardingFields, type TrustedProxies } from "./forwarding.ts";
import { HeldError, type Holds } from "./holds.ts";
import { ProtocolError } from "./http1/fields.ts";
import { type RequestHead, RequestRules } from "./http1/request_head.ts";
import { climbsOut } from "./http1/target.ts";
import { TURN } from "./http1/wire.ts";
import { Exchange } from "./listen/exchange.ts";
import type { RequestTracing } from "./request_tracing.ts";
import { type Refusal, refusalOf, refuse } from "./refusal.ts";
import type { Route } from "./routes.ts";
import {
  RequestError,
  routingKeyReader,
  type RoutingKeySource,
} from "./routing_key.ts";
import { relay, type RelayTimeouts } from "./relay.ts";
import type { PlacementTraffic, Traffic } from "./traffic.ts";
import { call } from "./upstream/call.ts";
import { UpstreamError, type UpstreamErrorKind } from "./upstream/error.ts";
import type { Upstream, UpstreamConnection } from "./upstream/upstream.ts";

/** How long parts of a request may take, in milliseconds. */
export interface Timeouts extends RelayTimeouts {
  /** From the last byte of a request to the first of its answer. */
  readonly response: number;
}

/** One request, as the access log tells of it. */
export interface AccessRecord {
  /** The status answered; 499 where the client was gone before an answer. */
  readonly status: number;
  /** Empty where the request could not be read. */
  readonly method: string;
  /** The path without its query, which may hold secrets. */
  readonly path: string;
  /** Null where none was chosen. */
  readonly placement: string | null;
  readonly reason: Route["reason"] | null;
  /** The config's version that the request was routed by. */
  readonly version: number | null;
  readonly milliseconds: number;
  readonly client: string;
  readonly requestId: string;
  /** What went wrong here or on the way to the placement. */
  readonly error: Error | null;
  /** What of the way to the placement failed; null where that was not the matter. */
  readonly kind: UpstreamErrorKind | null;
  /** How long the endpoint was waited for in vain, in milliseconds. */
  readonly waited: number | null;
}

/** What {@linkcode createApp} needs. */
export interface AppDeps {
  readonly active: () => ActiveConfig | null;
  readonly upstream: Upstream;
  readonly traffic: Traffic;
  /** Knows what runs. */
  readonly fence: Fence;
  /** Whose requests are to wait. */
  readonly holds: Holds;
  readonly routingKey: RoutingKeySource;
  readonly trusted: TrustedProxies;
  /** This router's name in `Via` fields (RFC 9110 section 7.6.3). */
  readonly via: string;
  readonly timeouts: Timeouts;
  /** Null where requests are not traced. */
  readonly tracing: RequestTracing | null;
  /** Which requests are told of; `errors` are those that failed here or on the way to a placement. */
  readonly accessLogLevel: "errors" | "all" | "off";
  readonly accessLog: (record: AccessRecord) => void;
}

/** A request comes to the app as an exchange, and is answered on it. */
export interface AppEnv {
  Bindings: Exchange;
}

/** What a handler must return; nobody looks at it, since the answer is the exchange's. */
const ANSWERED = new Response(null);

/** Told to who comes before there is a config, which should be soon. */
const NO_CONFIG: Refusal = {
  kind: "no-config",
  status: 503,
  detail: "This router has not received a config yet",
  fields: "Retry-After: 1\r\n",
  closes: false,
};

/**
 * The life of a request: check it, read its routing key, read the config once, choose the placement,
 * forward, and stream the answer back.
 *
 * Requests come as exchanges in the environment: `app.fetch(view, exchange)`, then wait for
 * `exchange.done`.
 *
 * @throws {TypeError} if the routing key's source cannot be used.
 */
export function createApp(deps: AppDeps): Hono<AppEnv> {
  const forwarder = new Forwarder(deps);
  const app = new Hono<AppEnv>({ getPath: () => "/" });
  app.all("*", (c) => {
    c.env.done = forwarder.forward(c.env);
    return ANSWERED;
  });
  // While this is the only route there is nothing to choose, and going past the dispatch saves 1.2 of
  // 23 µs a request (bench:proxy, 1 KiB). With another route or middleware it is taken.
  const dispatch = app.fetch;
  app.fetch = (view, exchange, context) => {
    if (app.routes.length !== 1 || !(exchange instanceof Exchange)) {
      return dispatch(view, exchange, context);
    }
    exchange.done = forwarder.forward(exchange);
    return ANSWERED;
  };
  return app;
}

/** What is known of a request while it lives. */
class Life implements RunningRequest {
  readonly exchange: Exchange;
  traffic: PlacementTraffic;
  customer = "";
  route: Route | null = null;
  place = -1;
  old = false;
  version: number | null = null;
  requestId = "";
  span: Span | null = null;
  error: Error | null = null;
  endedAt = 0;

  constructor(exchange: Exchange, traffic: PlacementTraffic) {
    this.exchange = exchange;
    this.traffic = traffic;
  }

  /** The fields that say where an answer came from. */
  get fields(): string {
    return this.route === null ? "" : this.route.fields;
  }
}

class Forwarder {
  #deps: AppDeps;
  #rules: RequestRules;
  #readKey: (head: RequestHead) => string;

  constructor(deps: AppDeps) {
    this.#deps = deps;
    const { routingKey } = deps;
    this.#rules = new RequestRules(
      routingKey.kind === "header" ? routingKey.name : null,
      { traced: deps.tracing !== null },
    );
    this.#readKey = routingKeyReader(routingKey);
  }

  /**
   * Answers one request; never rejects. What most requests go through is in this one function: each one
   * more to wait for would cost them 0.2 µs (bench:proxy, 1 KiB).
   */
  async forward(exchange: Exchange): Promise<void> {
    const { traffic, timeouts } = this.#deps;
    const { client } = exchange;
    traffic.inFlight++;
    const life = new Life(exchange, traffic.unrouted);
    try {
      const answering = this.#call(exchange, life);
      if (answering === null) {
        life.error = new Error(NO_CONFIG.detail);
        await refuse(exchange, NO_CONFIG);
      } else {
        const connection = await answering;
        try {
          const rest = relay(exchange, connection, {
            fields: life.fields,
            timeouts,
          });
          if (rest === null) {
            await TURN;
            await client.sent(await client.sending());
          } else {
            await rest;
          }
        } finally {
          exchange.cancel = null;
          life.endedAt = performance.now();
          release(connection, exchange, life.endedAt);
        }
      }
    } catch (error) {
      await fail(exchange, life, error);
    }
    if (life.endedAt === 0) life.endedAt = performance.now();
    if (!exchange.bodySent) await exchange.settle();
    traffic.inFlight--;
    this.#finish(exchange, life);
  }

  /** Sends a request on its way, and answers what waits for the answer's head; null where there is no config. */
  #call(exchange: Exchange, life: Life): Promise<UpstreamConnection> | null {
    const { via, holds } = this.#deps;
    const head = exchange.read(this.#rules);
    if (head.via !== "" && head.via.includes(via)) {
      throw new RequestError(
        "Cannot forward a request that this router has forwarded already: the placement's endpoint leads back here",
        "loop-detected",
      );
    }
    const key = this.#readKey(head);
    return holds.has(key)
      ? this.#callLater(exchange, life, { head, key })
      : this.#route(exchange, life, { head, key });
  }

  /** The same for a customer that is held: the one case in which a request waits for its placement. */
  async #callLater(
    exchange: Exchange,
    life: Life,
    request: { head: RequestHead; key: string },
  ): Promise<UpstreamConnection> {
    await this.#deps.holds.wait(request.key, exchange);
    const calling = this.#route(exchange, life, request);
    if (calling === null) throw new HeldError(NO_CONFIG.detail);
    return await calling;
  }

  /** Chooses where a request goes, and sends it there; null where there is no config. */
  #route(
    exchange: Exchange,
    life: Life,
    { head, key }: { head: RequestHead; key: string },
  ): Promise<UpstreamConnection> | null {
    const { active, upstream, timeouts, fence } = this.#deps;
    const config = active();
    if (config === null) return null;
    const route = config.routes.find(key);
    const { basePath } = route.placement.endpoint;
    if (basePath !== "" && climbsOut(head.target)) {
      throw new RequestError(
        "Cannot forward a target that climbs above where it begins",
        "bad-request",
      );
    }
    const cell = upstream.cell(route.placement);
    life.customer = key;
    life.route = route;
    life.version = config.version;
    fence.add(life);
    life.traffic = cell.traffic;
    life.traffic.inFlight++;
    const text = this.#requestText(exchange, head, { basePath, life });
    const begin = () => call(cell, exchange, { head, text, timeouts });
    return head.hasBody && exchange.gatherable
      ? exchange.gather().then(begin)
      : begin();
  }

  /** The head that goes to the endpoint. */
  #requestText(
    exchange: Exchange,
    head: RequestHead,
    options: { basePath: string; life: Life },
  ): string {
    const { trusted, via, tracing } = this.#deps;
    const { basePath, life } = options;
    const target = head.target === "*" && basePath !== ""
      ? basePath
      : basePath + head.target;
    let id = "";
    if (head.requestId === "") {
      life.requestId = crypto.randomUUID();
      id = `X-Request-Id: ${life.requestId}\r\n`;
    } else {
      life.requestId = head.requestId;
    }
    exchange.trusted ??= trusted.has(exchange.peer);
    // What an untrusted client says of others counts for nothing, and its connection's requests mostly name one host.
    if (exchange.trusted || head.host !== exchange.forwardedHost) {
      const { peer, secure, received } = exchange;
      const hop = { peer, secure, received, via, trusted: exchange.trusted };
      exchange.forwarding = forwardingFields(head, hop);
      exchange.forwardedHost = head.host;
    }
    let trace = "";
    if (tracing !== null) {
      life.span = tracing.begin(head, {
        placement: life.route!.placement.name,
        version: life.version!,
      });
      trace = tracing.field(life.span);
    }
    const framing = head.chunked ? "Transfer-Encoding: chunked\r\n" : "";
    const upgrade = head.websocket
      ? "Connection: Upgrade\r\nUpgrade: websocket\r\n"
      : "";
    return `${head.method} ${target} HTTP/1.1\r\n${head.fields}${exchange.forwarding}${id}${trace}${framing}${upgrade}\r\n`;
  }

  /** Counts a request that is over, and tells of it. */
  #finish(exchange: Exchange, life: Life): void {
    // 499 is what the field calls a client that did not wait for its answer.
    const status = exchange.status === 0 ? 499 : exchange.status;
    const milliseconds = life.endedAt - exchange.startedAt;
    life.traffic.request(status, milliseconds / 1000);
    if (life.route !== null) {
      life.traffic.inFlight--;
      this.#deps.fence.remove(life);
    }
    const { active, traffic, accessLogLevel, accessLog, tracing } = this.#deps;
    // One that was sent nowhere, or began under another config, says nothing of the one that is served.
    if (life.version !== null && life.version === active()?.version) {
      traffic.answered++;
      if (status >= 500 || life.error instanceof UpstreamError) {
        traffic.failed++;
      }
    }
    if (life.span !== null) tracing!.end(life.span, status, life.error);
    if (
      accessLogLevel === "off" ||
      (accessLogLevel === "errors" && life.error === null)
    ) return;
    const head = exchange.fault === null ? exchange.head : null;
    const failure = life.error instanceof UpstreamError ? life.error : null;
    accessLog({
      status,
      method: head?.method ?? "",
      path: head?.target.split("?", 1)[0] ?? "",
      placement: life.route?.placement.name ?? null,
      reason: life.route?.reason ?? null,
      version: life.version,
      milliseconds,
      client: exchange.peer,
      requestId: life.requestId,
      error: life.error,
      kind: failure?.kind ?? null,
      waited: failure?.waited ?? null,
    });
  }
}

/** Gives a connection back whose answer was relayed, or ends it. */
function release(
  connection: UpstreamConnection,
  exchange: Exchange,
  now: number,
): void {
  // An endpoint may answer before it has taken the whole request; the next one would go in between.
  if (
    connection.head.reusable && connection.body.done &&
    exchange.bodySent && exchange.aborted === null
  ) connection.cell.release(connection, now);
  else connection.close();
}

/** Ends a request that could not be answered as it should; never rejects. */
async function fail(
  exchange: Exchange,
  life: Life,
  thrown: unknown,
): Promise<void> {
  const error = blame(exchange, thrown);
  if (error instanceof UpstreamError) life.traffic.error(error.kind);
  // An answer that has begun ends where it stands, never as if it were whole.
  if (error === null || exchange.status !== 0) {
    if (error !== null) life.error = error;
    exchange.cut();
    return;
  }
  const refusal = refusalOf(error);
  if (refusal.status >= 500 && refusal.status !== 505) life.error = error;
  try {
    await refuse(exchange, refusal, life.fields);
  } catch {
    exchange.cut();
  }
}

/** What a failure is answered with: its cause may be the client's doing. Null if nobody waits for an answer. */
function blame(exchange: Exchange, thrown: unknown): Error | null {
  if (exchange.client.broken) return null;
  switch (exchange.aborted) {
    case null:
      return thrown instanceof Error ? thrown : new Error(String(thrown));
    case "timeout":
      return new ProtocolError(
        "Cannot wait longer for the request's body",
        408,
      );
    case "malformed":
      return exchange.abortCause;
    case "gone":
    case "stopping":
    case "moved":
      return null;
    default:
      return exchange.aborted satisfies never;
  }
}
