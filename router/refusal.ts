import { Buffer } from "node:buffer";
import { STATUS_CODES } from "node:http";
import {
  PROBLEM_JSON,
  problemDocument,
  type ProblemKind,
} from "../shared/errors.ts";
import { HeldError } from "./holds.ts";
import { ProtocolError } from "./http1/fields.ts";
import type { Exchange } from "./listen/exchange.ts";
import { RequestError } from "./routing_key.ts";
import { UpstreamError } from "./upstream/error.ts";

/** An answer that the router gives itself. */
export interface Refusal {
  readonly kind: ProblemKind;
  readonly status: number;
  /** For the client: it never shows an endpoint's address. */
  readonly detail: string;
  /** More field lines, each ended by CR LF. */
  readonly fields?: string;
  /** The connection ends with the answer. */
  readonly closes: boolean;
}

/** How an error is answered. */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof RequestError) {
    const { kind, message: detail } = error;
    const status = kind === "loop-detected" ? 508 : 400;
    return { kind, status, detail, closes: false };
  }
  if (error instanceof ProtocolError) return protocolRefusal(error);
  if (error instanceof UpstreamError) return upstreamRefusal(error);
  if (error instanceof HeldError) {
    return {
      kind: "held",
      status: 503,
      detail: error.message,
      fields: "Retry-After: 1\r\n",
      closes: false,
    };
  }
  return {
    kind: "internal",
    status: 500,
    detail: "The router failed to handle the request",
    closes: true,
  };
}

function protocolRefusal(error: ProtocolError): Refusal {
  const { status, message: detail } = error;
  switch (status) {
    case 400:
    case 505:
      return { kind: "bad-request", status, detail, closes: true };
    case 405:
      return {
        kind: "method-not-allowed",
        status,
        detail,
        fields: "Allow: DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT\r\n",
        closes: true,
      };
    case 408:
      return { kind: "request-timeout", status, detail, closes: true };
    case 414:
      return { kind: "uri-too-long", status, detail, closes: true };
    case 431:
      return { kind: "head-too-large", status, detail, closes: true };
    default:
      return status satisfies never;
  }
}

function upstreamRefusal(error: UpstreamError): Refusal {
  const closes = false;
  switch (error.kind) {
    case "connect_timeout":
    case "response_timeout":
      return {
        kind: "gateway-timeout",
        status: 504,
        detail: error.kind === "connect_timeout"
          ? "The placement's endpoint could not be reached in time"
          : "The placement's endpoint did not begin its answer in time",
        closes,
      };
    case "refused":
    case "unreachable":
    case "tls":
      return {
        kind: "bad-gateway",
        status: 502,
        detail: "The placement's endpoint could not be reached",
        closes,
      };
    case "reset":
    case "malformed":
    case "cut":
    case "stalled":
      return {
        kind: "bad-gateway",
        status: 502,
        detail: "The placement's endpoint broke off, or its answer is not HTTP",
        closes,
      };
    default:
      return error.kind satisfies never;
  }
}

/** Answers a request with a problem document (RFC 9457). */
export async function refuse(
  exchange: Exchange,
  refusal: Refusal,
  fields = "",
): Promise<void> {
  if (refusal.closes) exchange.keepAlive = false;
  const text = refusalText(refusal, {
    fields,
    closes: exchange.endsConnection(),
  });
  const body = exchange.head?.method === "HEAD" && exchange.fault === null
    ? null
    : text.body;
  await exchange.answer(refusal.status, text.head, body);
}

/** The bytes of a refusal. */
export function refusalText(
  refusal: Refusal,
  options: { fields?: string; closes: boolean },
): { head: string; body: Uint8Array } {
  const { kind, status, detail } = refusal;
  const document = problemDocument(kind, { status, detail });
  const body = Buffer.from(`${JSON.stringify(document)}\n`, "utf8");
  const close = options.closes ? "Connection: close\r\n" : "";
  const head = `HTTP/1.1 ${status} ${
    STATUS_CODES[status] ?? ""
  }\r\nContent-Type: ${PROBLEM_JSON}\r\nContent-Length: ${body.length}\r\nCache-Control: no-store\r\nDate: ${
    new Date().toUTCString()
  }\r\n${refusal.fields ?? ""}${options.fields ?? ""}${close}\r\n`;
  return { head, body };
}
