import { isIP } from "node:net";
import { CONNECT_PATH } from "../../shared/protocol.ts";
import { isLoopback } from "../../shared/settings.ts";
import { cameThroughRouter } from "../../shared/via.ts";
import { bearerToken, sameToken, tokenDigest } from "../bearer.ts";
import { ProblemError } from "./problem.ts";

/** A token that opens the API. Only its SHA-256 is kept. */
export interface AdminToken {
  /** Who edits with it; null for the one token that has no name. */
  readonly name: string | null;
  readonly digest: Uint8Array;
}

/** A token as it is kept. */
export function adminToken(name: string | null, token: string): AdminToken {
  return { name, digest: tokenDigest(token) };
}

/**
 * Reads a file of named tokens: `name: token` or `name token` a line; empty lines and those that begin
 * with `#` are nothing. Problems name the line and never show a token.
 */
export function parseTokens(
  text: string,
): { readonly tokens: AdminToken[]; readonly problems: string[] } {
  const tokens: AdminToken[] = [];
  const problems: string[] = [];
  const names = new Set<string>();
  const seen = new Set<string>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(?:#.*)?$/.test(line)) continue;
    const match =
      /^\s*([A-Za-z0-9][A-Za-z0-9._@+-]{0,127})(?:\s*:\s*|\s+)([\x21-\x7e]+)\s*$/
        .exec(line);
    if (match === null) {
      problems.push(
        `Line ${
          index + 1
        } must be a name (1 to 128 of A-Z a-z 0-9 . _ @ + -), a colon or a space, and a token of visible ASCII.`,
      );
      continue;
    }
    const [, name, token] = match as unknown as [string, string, string];
    if (token.length < 8) {
      problems.push(
        `Line ${index + 1}: the token of ${name} is shorter than 8 characters.`,
      );
    }
    if (names.has(name)) {
      problems.push(`Line ${index + 1}: the name ${name} stands twice.`);
    }
    if (seen.has(token)) {
      problems.push(
        `Line ${
          index + 1
        }: the token of ${name} is another one's as well, so who edits could not be told.`,
      );
    }
    names.add(name);
    seen.add(token);
    tokens.push(adminToken(name, token));
  }
  if (tokens.length === 0 && problems.length === 0) {
    problems.push("There is no token in it.");
  }
  return { tokens, problems };
}

/** What decides who may call (SPEC section 5, *Who may*). */
export interface AccessRules {
  /** Without any, whoever reaches the listener may call. */
  readonly tokens: readonly AdminToken[];
  /** The address listened on, without a port. */
  readonly listenHostname: string;
  /** More names, as `name` or `name:port`, lower case. */
  readonly allowedHosts: readonly string[];
  /** Paths that need no token: probes, and the page's files. */
  readonly openPaths: ReadonlySet<string>;
}

/**
 * Refuses calls that may not be made.
 *
 * @returns the name of the token a call came with, if it has one.
 * @throws {ProblemError} `misdirected`, `forbidden` or `unauthorized`.
 */
export function checkAccess(
  request: Request,
  options: { path: string; rules: AccessRules },
): string | null {
  const { path, rules } = options;
  checkHost(request, rules);
  // Whoever has a token may come whichever way; being on this machine is no proof where a router forwards to it.
  if (
    (rules.tokens.length === 0 || path === CONNECT_PATH) &&
    cameThroughRouter(request.headers)
  ) {
    throw new ProblemError(
      "forbidden",
      "A router has forwarded this call, so it may be a customer's: a placement's endpoint leads to this control plane. That takes CP_ADMIN_TOKEN, and routers have to connect directly.",
    );
  }
  if (path === CONNECT_PATH) {
    if (request.headers.has("origin")) {
      throw new ProblemError(
        "forbidden",
        "Routers connect without an Origin; a page in a browser may not connect at all.",
      );
    }
    return null;
  }
  if (!["GET", "HEAD", "OPTIONS"].includes(request.method)) {
    checkSameOrigin(request);
  }
  if (rules.tokens.length === 0 || rules.openPaths.has(path)) return null;
  return checkToken(request, rules.tokens);
}

/**
 * A name that resolves to this machine in somebody's browser is no proof that its page is ours (DNS
 * rebinding), so only names that we know are served. The port proves nothing and may be a forwarded
 * one. Listening on all addresses, any address is a listen address, and cannot be rebound.
 */
function checkHost(request: Request, rules: AccessRules): void {
  const url = /^[a-z]+:\/\/([^/?#]*)/i.exec(request.url)?.[1] ?? "";
  const header = request.headers.get("host");
  if (header === null) {
    throw new ProblemError(
      "misdirected",
      "The request has no Host, so it cannot be told whom it is meant for.",
    );
  }
  for (const host of [header, url]) {
    if (!isKnownHost(host.toLowerCase(), rules)) {
      throw new ProblemError(
        "misdirected",
        `The Host ${
          JSON.stringify(host.slice(0, 256))
        } is not one of this control plane; it answers to its listen address, to loopback and to the names in CP_ALLOWED_HOSTS.`,
      );
    }
  }
}

function isKnownHost(host: string, rules: AccessRules): boolean {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::[0-9]{1,5})?$/.exec(
    host,
  );
  const name = match?.[1] ?? match?.[2];
  if (name === undefined) return false;
  const listen = rules.listenHostname.toLowerCase();
  const listensEverywhere = listen === "0.0.0.0" || listen === "::";
  return isLoopback(name) || name === listen ||
    (listensEverywhere && isIP(name) !== 0) ||
    rules.allowedHosts.some((allowed) =>
      allowed === name || allowed === `[${name}]` || allowed === host
    );
}

/** An edit that a page of another origin sends with the user's browser is not the user's. */
function checkSameOrigin(request: Request): void {
  const site = request.headers.get("sec-fetch-site");
  if (site === "cross-site" || site === "same-site") {
    throw new ProblemError(
      "forbidden",
      `Edits from pages of other origins are refused (Sec-Fetch-Site: ${site}).`,
    );
  }
  const origin = request.headers.get("origin");
  if (origin === null) return;
  const own = (request.headers.get("host") ?? "").toLowerCase();
  // The scheme is not compared: whoever ends TLS in front of us changes it.
  const host = /^https?:\/\/([^/]+)$/i.exec(origin)?.[1]?.toLowerCase();
  if (
    host === undefined || withoutDefaultPort(host) !== withoutDefaultPort(own)
  ) {
    throw new ProblemError(
      "forbidden",
      `Edits from pages of other origins are refused: the Origin is ${
        JSON.stringify(origin.slice(0, 256))
      } and the Host ${JSON.stringify(own)}.`,
    );
  }
}

function withoutDefaultPort(host: string): string {
  return host.replace(/:(?:80|443)$/, "");
}

function checkToken(
  request: Request,
  tokens: readonly AdminToken[],
): string | null {
  const header = request.headers.get("authorization");
  const given = bearerToken(request.headers);
  let found: AdminToken | null = null;
  if (given !== undefined) {
    const digest = tokenDigest(given);
    // All are compared, so that the time taken does not tell which one was near.
    for (const token of tokens) {
      if (sameToken(token.digest, digest)) found = token;
    }
  }
  if (found !== null) return found.name;
  throw new ProblemError(
    "unauthorized",
    header === null
      ? "This call needs a token: Authorization: Bearer …"
      : given === undefined
      ? "The Authorization must be of the form: Bearer …"
      : "The token is not one of this control plane.",
    {
      headers: {
        "www-authenticate": given === undefined
          ? 'Bearer realm="signalbox"'
          : 'Bearer realm="signalbox", error="invalid_token"',
      },
    },
  );
}
