import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { connect as connectTls } from "node:tls";
import type { Endpoint } from "../../shared/endpoint.ts";
import type { Transport } from "../http1/transport.ts";
import { UpstreamError, type UpstreamErrorKind } from "./error.ts";
import { TlsTransport } from "../http1/tls_transport.ts";

/** How connections to endpoints are opened. */
export interface ConnectOptions {
  /** How long opening one may take, in milliseconds. */
  readonly timeout: number;
  /** Certificates trusted for https endpoints, in PEM; the system's roots if not given. */
  readonly caCerts?: readonly string[];
}

/**
 * Opens a connection to an endpoint.
 *
 * @throws {UpstreamError} if it cannot, or not in time.
 * @throws the reason of `signal`, if that is aborted.
 */
export async function connectEndpoint(
  endpoint: Endpoint,
  signal: AbortSignal,
  options: ConnectOptions,
): Promise<Transport> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), options.timeout);
  const either = AbortSignal.any([signal, deadline.signal]);
  try {
    return endpoint.tls
      ? await openTls(endpoint, either, options)
      : await openTcp(endpoint, either);
  } catch (cause) {
    signal.throwIfAborted();
    const kind = deadline.signal.aborted
      ? "connect_timeout"
      : failureKind(cause, endpoint.tls);
    throw new UpstreamError(
      `Cannot connect to ${endpoint.hostname}:${endpoint.port}: ${
        kind === "connect_timeout"
          ? `not connected after ${options.timeout} ms`
          : kind
      }`,
      {
        kind,
        source: errorCode(cause) === "EMFILE" ? "internal" : "upstream",
        retryable: kind === "refused",
        waited: kind === "connect_timeout" ? options.timeout : null,
        cause,
      },
    );
  } finally {
    clearTimeout(timer);
  }
}

async function openTcp(
  endpoint: Endpoint,
  signal: AbortSignal,
): Promise<Transport> {
  const conn = await Deno.connect({
    hostname: endpoint.hostname,
    port: endpoint.port,
    signal,
  });
  conn.setNoDelay(true);
  return conn;
}

function openTls(
  endpoint: Endpoint,
  signal: AbortSignal,
  options: ConnectOptions,
): Promise<Transport> {
  const { promise, resolve, reject } = Promise.withResolvers<Transport>();
  const { hostname, port } = endpoint;
  const socket = connectTls({
    host: hostname,
    port,
    ALPNProtocols: ["http/1.1"],
    // A name is needed for the certificate; an address may not be one (RFC 6066 section 3).
    ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
    ...(options.caCerts === undefined ? {} : { ca: [...options.caCerts] }),
  });
  const abort = () => {
    reject(signal.reason);
    socket.destroy();
  };
  const fail = (error: Error) => {
    reject(error);
    socket.destroy();
  };
  const close = () =>
    reject(new Error("The connection ended in its handshake"));
  socket.on("error", fail);
  socket.once("close", close);
  socket.once("secureConnect", () => {
    socket.off("error", fail);
    socket.off("close", close);
    socket.setNoDelay(true);
    resolve(new TlsTransport(socket));
  });
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  return promise.finally(() => signal.removeEventListener("abort", abort));
}

function failureKind(cause: unknown, tls: boolean): UpstreamErrorKind {
  if (cause instanceof Deno.errors.ConnectionRefused) return "refused";
  const code = errorCode(cause);
  if (code === "ECONNREFUSED") return "refused";
  const network = ["ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH", "EMFILE"];
  return tls && !network.includes(code) ? "tls" : "unreachable";
}

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : "";
}

/** The size of an endpoint connection's own buffer: most answers fit, and arrive in one read. */
const OWN_BUFFER_BYTES = 16 * 1024;

/** A read buffer for a connection to an endpoint. */
export function ownBuffer(): Buffer {
  return Buffer.allocUnsafeSlow(OWN_BUFFER_BYTES);
}
