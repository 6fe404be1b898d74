import { ProtocolError } from "./fields.ts";

// A name, an IPv4 address or a bracketed IPv6 address, and an optional port (RFC 3986 section 3.2).
const HOST =
  /^(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9\-._~!$&'()*+,;=%]{1,255})(?::([0-9]{0,5}))?$/;

/**
 * Checks the value of a Host field and, for an absolute target, that it is the same authority.
 *
 * @throws {ProtocolError} if it is no host with an optional port, or differs from `authority`.
 */
export function checkHost(host: string, authority: string | null): void {
  const match = HOST.exec(host);
  if (match === null || Number(match[1] ?? 0) > 65535) {
    throw new ProtocolError(
      `Cannot take a Host that is not a host and an optional port: ${
        JSON.stringify(host.slice(0, 64))
      }`,
    );
  }
  if (authority !== null && authority.toLowerCase() !== host.toLowerCase()) {
    throw new ProtocolError(
      "Cannot take a target whose authority differs from Host",
    );
  }
}

/**
 * Takes apart a target that is not plainly a path (RFC 9112 section 3.2): the absolute form and, for
 * OPTIONS, the asterisk.
 *
 * @throws {ProtocolError} if it is neither.
 */
export function parseTarget(
  method: string,
  target: string,
): { target: string; authority: string | null } {
  if (target === "*" && method === "OPTIONS") {
    return { target, authority: null };
  }
  const match = /^https?:\/\/([^/?#]+)([\x21\x22\x24-\x7e\x80-\xff]*)$/i.exec(
    target,
  );
  if (match === null) {
    throw new ProtocolError(
      "Cannot take a target that is not a path, an http URL or, for OPTIONS, `*`",
    );
  }
  const path = match[2]!;
  if (path.startsWith("/")) return { target: path, authority: match[1]! };
  // RFC 9112 section 3.2.4: an OPTIONS of a whole server.
  if (path === "" && method === "OPTIONS") {
    return { target: "*", authority: match[1]! };
  }
  return { target: `/${path}`, authority: match[1]! };
}

/**
 * Whether a target would leave the base path it is put below, for a server that resolves `..`
 * segments. In doubt it would: a segment counts as a step down once, however its escapes are
 * read, while every `..` between slashes, backslashes or their escapes counts as a step up.
 */
export function climbsOut(target: string): boolean {
  if (!/(?:\.|%2e){2}/i.test(target)) return false;
  const query = target.indexOf("?");
  let depth = 0;
  for (
    const segment of (query < 0 ? target : target.slice(0, query)).split("/")
  ) {
    let up = 0;
    let down = 0;
    const parts = segment.replace(/%2e/gi, ".").split(/\\|%5c|%2f/i);
    for (const part of parts) {
      // Some servers take parameters off a segment before they resolve it.
      const name = part.split(/;|%3b/i, 1)[0];
      if (name === "..") up++;
      else if (name !== "" && name !== ".") down = 1;
    }
    depth += up > 0 ? -up : down;
    if (depth < 0) return true;
  }
  return false;
}
