import { Buffer } from "node:buffer";

/** What a head is written from: the parts of a `Request` of the runtime's server. */
export interface H2Head {
  readonly method: string;
  readonly url: string;
  readonly headers: Iterable<[string, string]> & {
    get(name: string): string | null;
  };
}

/** How the body of a request is announced. */
export type BodyFraming =
  /** By its Content-Length. */
  | "given"
  /** As chunks. */
  | "chunked"
  | "none"
  /** By a Content-Length, but the runtime has dropped it, as it does with that of a GET. */
  | "dropped";

/**
 * Writes a request that came over HTTP/2 as the head of one of HTTP/1.1, with its empty line; each
 * character is a byte. What is wrong with it is left in it, to be refused by who reads it as any other.
 *
 * @param missing what the runtime writes for an authority that was not given.
 */
export function requestText(
  head: H2Head,
  options: { framing: BodyFraming; missing: string },
): string {
  const { method, headers } = head;
  const { authority, target } = takeApart(head);
  let text = `${method} ${target} HTTP/1.1\r\n`;
  if (authority !== options.missing) text += `Host: ${authority}\r\n`;
  for (const [name, value] of headers) {
    // RFC 9113 section 8.3.1: it must be the authority; where it is not, two stand here, and are refused.
    if (name === "host" && value === authority) continue;
    text += `${name}: ${value}${
      name === "content-length" && options.framing === "dropped" &&
        value !== "0"
        ? ` of a ${method}, whose body is not read over HTTP/2`
        : ""
    }\r\n`;
  }
  return `${text}${
    options.framing === "chunked" ? "Transfer-Encoding: chunked\r\n" : ""
  }\r\n`;
}

/**
 * The authority and the target of a request. The runtime puts both together without looking at them,
 * so a field `Host: evil/admin` would move the path, if it was not taken for the authority as it stands.
 */
function takeApart(
  { method, url, headers }: H2Head,
): { authority: string; target: string } {
  const scheme = url.indexOf("://");
  const at = scheme + 3;
  const host = headers.get("host");
  let authority = host;
  if (authority === null || !url.startsWith(authority, at)) {
    // Of `:authority`, the runtime takes none with a slash or a question mark in it.
    authority = url.slice(at, endOfAuthority(url, at));
  }
  // Targets are read as UTF-8; here, a character is a byte again.
  const target = bytewise(url.slice(at + authority.length));
  if (method === "CONNECT") return { authority, target: authority };
  return url.startsWith("http://") || url.startsWith("https://")
    ? { authority, target }
    // Of no other scheme is anything served here: the whole is no target.
    : { authority, target: bytewise(url) };
}

function endOfAuthority(url: string, from: number): number {
  for (let at = from; at < url.length; at++) {
    const code = url.charCodeAt(at);
    if (code === 0x2f || code === 0x3f) return at;
  }
  return url.length;
}

function bytewise(text: string): string {
  // deno-lint-ignore no-control-regex
  return /^[\x00-\x7f]*$/.test(text)
    ? text
    : Buffer.from(text, "utf8").toString("latin1");
}
