import { errorCode } from "../../shared/errors.ts";
import { Buffer } from "node:buffer";
import { isIP } from "node:net";
import {
  connect as connectTls,
  createSecureContext,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import type { Endpoint } from "../../shared/endpoint.ts";
import type { Transport } from "../http1/transport.ts";
import { UpstreamError, type UpstreamErrorKind } from "./error.ts";
import { TlsTransport } from "../http1/tls_transport.ts";

/** How connections to endpoints are opened. */
export interface ConnectOptions {
  /** How long opening one may take, in milliseconds. */
  readonly timeout: number;
  /** Certificates trusted for https endpoints besides the system's roots, in PEM. */
  readonly caCerts?: readonly string[];
}

/**
 * How the platform says that nobody trusted has issued a certificate; of one that is not valid now it
 * says the same.
 */
const UNTRUSTED: ReadonlySet<string> = new Set([
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
]);

/** Endpoints that the system's roots have verified where other certificates are trusted as well. */
const publicEndpoints = new WeakSet<Endpoint>();

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
      ? await openVerified(endpoint, either, options)
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
          : kind === "tls"
          ? `its certificate or handshake cannot be accepted${
            errorCode(cause) === "" ? "" : ` (${errorCode(cause)})`
          }`
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

/**
 * The runtime gives no program its system's roots, and trusts either those or the ones it is given. So
 * where both are to be trusted, the ones that verified an endpoint last are tried first, then the others.
 */
async function openVerified(
  endpoint: Endpoint,
  signal: AbortSignal,
  { caCerts }: ConnectOptions,
): Promise<Transport> {
  const own = caCerts ?? null;
  const isPublic = own === null || publicEndpoints.has(endpoint);
  const attempts = own === null ? [null] : isPublic ? [null, own] : [own, null];
  for (const roots of attempts) {
    try {
      const socket = await openTls(endpoint, signal, { roots });
      if (roots === null) publicEndpoints.add(endpoint);
      else publicEndpoints.delete(endpoint);
      return new TlsTransport(socket);
    } catch (error) {
      if (!UNTRUSTED.has(errorCode(error))) throw error;
    }
  }
  throw new Error(await whyUntrusted(endpoint, signal));
}

/** Says what is wrong with an endpoint's certificate. Nothing is sent on the connection that shows it. */
async function whyUntrusted(
  endpoint: Endpoint,
  signal: AbortSignal,
): Promise<string> {
  const socket = await openTls(endpoint, signal, { roots: null, look: true });
  const certificate = socket.getPeerX509Certificate();
  socket.destroy();
  if (certificate === undefined) return "it shows no certificate";
  const { validFrom, validTo } = certificate;
  const name = certificate.subject.replaceAll("\n", ", ");
  const now = Date.now();
  if (now > Date.parse(validTo)) {
    return `the certificate of ${name} has expired: it was valid until ${validTo}`;
  }
  if (now < Date.parse(validFrom)) {
    return `the certificate of ${name} is not valid before ${validFrom}`;
  }
  const issuer = certificate.issuer.replaceAll("\n", ", ");
  return `the issuer of the certificate of ${name} is not trusted: ${issuer}`;
}

/**
 * Opens an encrypted connection. `roots` are trusted, and no others; the system's if null. A `look`
 * verifies nothing.
 */
function openTls(
  endpoint: Endpoint,
  signal: AbortSignal,
  options: { roots: readonly string[] | null; look?: boolean },
): Promise<TLSSocket> {
  const { roots, look = false } = options;
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>();
  const { hostname, port } = endpoint;
  const socket = connectTls({
    host: hostname,
    port,
    ALPNProtocols: ["http/1.1"],
    // A name is needed for the certificate; an address may not be one (RFC 6066 section 3).
    ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
    ...(roots === null ? {} : { secureContext: trusting(roots) }),
    rejectUnauthorized: !look,
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
    resolve(socket);
  });
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  return promise.finally(() => signal.removeEventListener("abort", abort));
}

let trusted: { roots: readonly string[]; context: SecureContext } | null = null;

/** Roots made ready once: a router has one set of them. */
function trusting(roots: readonly string[]): SecureContext {
  if (trusted?.roots !== roots) {
    trusted = { roots, context: createSecureContext({ ca: [...roots] }) };
  }
  return trusted.context;
}

function failureKind(cause: unknown, tls: boolean): UpstreamErrorKind {
  if (cause instanceof Deno.errors.ConnectionRefused) return "refused";
  const code = errorCode(cause);
  if (code === "ECONNREFUSED") return "refused";
  const network = ["ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH", "EMFILE"];
  return tls && !network.includes(code) ? "tls" : "unreachable";
}

/** The size of an endpoint connection's own buffer: most answers fit, and arrive in one read. */
const OWN_BUFFER_BYTES = 16 * 1024;

/** A read buffer for a connection to an endpoint. */
export function ownBuffer(): Buffer {
  return Buffer.allocUnsafeSlow(OWN_BUFFER_BYTES);
}
