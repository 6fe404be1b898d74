/**
 * What routers call themselves in `Via` (RFC 9110 section 7.6.3): a name of the product, and one of the process, by which
 * a router tells a request that it has forwarded itself.
 */

const PRODUCT = "signalbox";

/** A name for one process. */
export function viaName(): string {
  return `${PRODUCT}-${crypto.randomUUID().slice(0, 8)}`;
}

/**
 * Whether a request was forwarded by a router. No client can take that from a request again, so it tells customers'
 * requests, which a placement's endpoint has led somewhere that is not for customers, from all others.
 */
export function cameThroughRouter(headers: Headers): boolean {
  return / signalbox-/.test(headers.get("via") ?? "");
}
