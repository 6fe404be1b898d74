import { PROBLEM_JSON, problemDocument } from "../../shared/errors.ts";
import { parseAnnouncement, SUBPROTOCOL } from "../../shared/protocol.ts";
import { bearerToken, sameToken, tokenDigest } from "../bearer.ts";
import type { Link, RouterSocket } from "./connection.ts";
import type { Hub } from "./hub.ts";
import type { RefusalKind } from "./refusals.ts";

/** The only version of the protocol there is (RFC 6455 section 4.1). */
const WEBSOCKET_VERSION = "13";

/** What a router's way in needs to know. */
export interface ConnectOptions {
  readonly hub: Hub;
  /** The remote address, to be shown. */
  readonly address: string;
  /** The token a router has to bring as a bearer; null where none is asked for. */
  readonly token: string | null;
}

/** What a request is answered in place of its upgrade. */
interface Refused {
  readonly kind: RefusalKind;
  readonly status: number;
  readonly detail: string;
  readonly problems?: readonly string[];
  readonly headers?: Record<string, string>;
}

/**
 * Answers `GET /v1/connect`: upgrades a router's request and hands its socket to the hub.
 *
 * What is wrong is answered before the upgrade, as a problem document: 403 for a request with an
 * `Origin` (a browser is no way in), 401 without the right token, 426 for a request that asks for no
 * WebSocket, or for another version of it, 400 with all that is wrong with the announcement, 503 when no more connections are taken.
 * A WebSocket client sees any of these as a failed handshake; it is never upgraded only to be closed
 * with 4401, because a peer without a token must not cost more than an answer. That code is for
 * control planes behind something that does the handshake for them.
 */
export function connectRouter(
  request: Request,
  options: ConnectOptions,
): Response {
  const answer = handshake(request, options);
  if (answer instanceof Response) return answer;
  const { hub, address } = options;
  hub.refused({ reason: answer.kind, detail: answer.detail, address });
  return problem(answer);
}

function handshake(
  request: Request,
  options: ConnectOptions,
): Response | Refused {
  const { hub, address, token } = options;
  const { headers } = request;
  if (headers.has("origin")) {
    return {
      kind: "forbidden",
      status: 403,
      detail:
        "Routers connect without an Origin; a browser's page may not connect.",
    };
  }
  if (token !== null && !bears(headers, token)) {
    return {
      kind: "unauthorized",
      status: 401,
      detail: "This control plane asks routers for a bearer token.",
      headers: { "www-authenticate": "Bearer" },
    };
  }
  if (headers.get("upgrade")?.toLowerCase() !== "websocket") {
    return {
      kind: "upgrade-required",
      status: 426,
      detail: "This path takes a WebSocket handshake (RFC 6455) only.",
      headers: { upgrade: "websocket", connection: "upgrade" },
    };
  }
  // RFC 6455 section 4.4; the runtime looks at no version.
  const version = headers.get("sec-websocket-version");
  if (version !== WEBSOCKET_VERSION) {
    return {
      kind: "upgrade-required",
      status: 426,
      detail: `The handshake asks for version ${
        JSON.stringify(version?.slice(0, 32) ?? null)
      } of the WebSocket protocol; only ${WEBSOCKET_VERSION} is spoken here.`,
      headers: {
        upgrade: "websocket",
        connection: "upgrade",
        "sec-websocket-version": WEBSOCKET_VERSION,
      },
    };
  }
  const query = new URLSearchParams(queryOf(request.url));
  const parsed = parseAnnouncement(query);
  if (!parsed.ok) {
    return {
      kind: "bad-request",
      status: 400,
      detail: `The announcement is invalid: ${parsed.problems.join("; ")}.`,
      problems: parsed.problems,
    };
  }
  const admission = hub.admit();
  if (typeof admission === "string") {
    return {
      kind: "too-many-connections",
      status: 503,
      detail: admission === "full"
        ? "This control plane has as many routers connected as it takes."
        : "This control plane is stopping.",
      headers: { "retry-after": "1" },
    };
  }
  const parts = offers(headers.get("sec-websocket-protocol"));
  let upgraded: Deno.WebSocketUpgrade;
  try {
    upgraded = Deno.upgradeWebSocket(request, {
      ...(parts ? { protocol: SUBPROTOCOL } : {}),
      // The runtime's own heartbeat misses stalled peers; the hub has one that does not.
      idleTimeout: 0,
    });
  } catch (error) {
    admission.cancel();
    return {
      kind: "bad-request",
      status: 400,
      detail: `The WebSocket handshake is invalid: ${
        error instanceof Error ? error.message : error
      }`,
    };
  }
  const { socket, response } = upgraded;
  socket.binaryType = "arraybuffer";
  let link: Link | null = null;
  let over = false;
  socket.onopen = () => {
    const caller = { announcement: parsed.announcement, address, parts };
    link = admission.connect(adapt(socket), caller);
  };
  socket.onmessage = ({ data }: MessageEvent<unknown>) => {
    if (typeof data === "string") link?.text(data);
    else link?.binary();
  };
  socket.onclose = () => {
    if (over) return;
    over = true;
    if (link === null) admission.cancel();
    else link.closed();
  };
  // A broken connection also fires close; without a handler the error would be unhandled.
  socket.onerror = (event) => event.preventDefault();
  return response;
}

/** The runtime's socket as the hub wants it: nothing throws. */
function adapt(socket: WebSocket): RouterSocket {
  return {
    send(data) {
      if (socket.readyState !== WebSocket.OPEN) return;
      // A part is a view of the whole, and `send` copies what it is given.
      if (typeof data === "string") socket.send(data);
      else socket.send(data as Uint8Array<ArrayBuffer>);
    },
    close(code, reason) {
      try {
        socket.close(code, reason);
      } catch {
        // It is closed already.
      }
    },
    get bufferedAmount() {
      return socket.bufferedAmount;
    },
  };
}

/** Whether the request brings this token. */
function bears(headers: Headers, token: string): boolean {
  const given = bearerToken(headers);
  return given !== undefined &&
    sameToken(tokenDigest(given), tokenDigest(token));
}

/** The query of a request; the runtime's URL is a raw concatenation, so it is cut, not parsed. */
function queryOf(url: string): string {
  const at = url.indexOf("?");
  return at === -1 ? "" : url.slice(at + 1).split("#", 1)[0]!;
}

function offers(protocols: string | null): boolean {
  return (protocols ?? "").split(",").some((one) => one.trim() === SUBPROTOCOL);
}

function problem(
  { kind, status, detail, problems, headers = {} }: Refused,
): Response {
  const body = problemDocument(kind, {
    status,
    detail,
    ...(problems === undefined ? {} : {
      errors: problems.map((detail) => ({
        pointer: detail.split(" ", 1)[0]!,
        detail,
      })),
    }),
  });
  return new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": PROBLEM_JSON, ...headers },
  });
}
