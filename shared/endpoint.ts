/** The longest endpoint a config may hold, in characters. */
export const MAX_ENDPOINT_LENGTH = 2048;

/** An endpoint taken apart, as a connection and a request line need it. */
export interface Endpoint {
  /** The URL as the config gives it. */
  readonly url: string;
  readonly tls: boolean;
  /** Host name or address to connect to; an IPv6 address stands without brackets. */
  readonly hostname: string;
  readonly port: number;
  /** What stands before every request target: empty, or `/base` without a slash at its end. */
  readonly basePath: string;
}

// scheme, host (a bracketed address or a name), port, path; by leaving out `@`, `?` and `#` it
// refuses user info, queries and fragments.
const ENDPOINT =
  /^(https?):\/\/(\[[0-9a-f:.]+\]|[a-z0-9._~-]+)(?::([0-9]{1,5}))?(\/[!$&-;=@-Z_a-z~%]*)?$/i;

/**
 * What is wrong with an endpoint, as the rest of a sentence that begins with its value; null if
 * nothing is. An endpoint is an absolute `http:` or `https:` URL with a host, an optional port and
 * base path, and no user info, query or fragment (SPEC section 3).
 */
export function endpointProblem(url: string): string | null {
  if (url.length > MAX_ENDPOINT_LENGTH) {
    return `is longer than ${MAX_ENDPOINT_LENGTH} characters`;
  }
  if (!/^https?:\/\//i.test(url)) {
    return "is not an absolute http: or https: URL";
  }
  if (!/^[\x21-\x7e]*$/.test(url)) {
    return "holds a space, a control character or one outside ASCII";
  }
  if (url.includes("?")) return "has a query, which an endpoint may not have";
  if (url.includes("#")) {
    return "has a fragment, which an endpoint may not have";
  }
  if (/^https?:\/\/[^/]*@/i.test(url)) {
    return "has user info, which an endpoint may not have";
  }
  const match = ENDPOINT.exec(url);
  if (match === null || !URL.canParse(url)) {
    return "is not a URL with a valid host, port and path";
  }
  if (match[3] !== undefined && Number(match[3]) === 0) return "names port 0";
  // The router refuses targets that climb above the base path, so the base itself must be plain.
  const path = match[4] ?? "";
  if (path.split("/").some((segment) => /^(\.|%2e){1,2}$/i.test(segment))) {
    return "has a `.` or `..` segment in its base path";
  }
  return null;
}

/**
 * Takes a valid endpoint apart.
 *
 * @throws {TypeError} if {@linkcode endpointProblem} has something to say about it.
 */
export function parseEndpoint(url: string): Endpoint {
  const problem = endpointProblem(url);
  if (problem !== null) {
    throw new TypeError(
      `Cannot use endpoint ${JSON.stringify(url)}: it ${problem}`,
    );
  }
  const [, scheme, host, port, path] = ENDPOINT.exec(url)!;
  const tls = scheme!.toLowerCase() === "https";
  return Object.freeze({
    url,
    tls,
    hostname: host!.startsWith("[") ? host!.slice(1, -1) : host!,
    port: port === undefined ? (tls ? 443 : 80) : Number(port),
    basePath: (path ?? "").replace(/\/$/, ""),
  });
}
