import type { z } from "zod";
import { isRouterId } from "../shared/protocol.ts";
import {
  duration,
  isLoopback,
  list,
  type ListenAddress,
  listenAddress,
  LOG_SETTINGS,
  oneOf,
  parsed,
  percent,
  readSettings,
  secret,
  type SettingProblem,
  type SettingsResult,
  size,
  text,
  whole,
} from "../shared/settings.ts";
import { parseTrustedProxies, type TrustedProxies } from "./forwarding.ts";
import { hasOwnMeaning } from "./http1/request_head.ts";
import type { RoutingKeySource } from "./routing_key.ts";

/** How a router runs (SPEC section 7); times are in milliseconds, sizes in bytes. */
export type RouterSettings = z.output<z.ZodObject<typeof SHAPE>>;

const KIBIBYTE = 1024;

const SHAPE = {
  ...LOG_SETTINGS,
  ROUTER_LISTEN: listenAddress().default({ hostname: "127.0.0.1", port: 8080 }),
  ROUTER_ADMIN_LISTEN: listenAddress().default({
    hostname: "127.0.0.1",
    port: 9080,
  }),
  ROUTER_ALLOWED_HOSTS: list(
    (part) => /^[a-z0-9._-]+$|^\[[0-9a-f:.]+\]$/i.test(part),
    "a host name or address without a port, an IPv6 address in brackets",
  ).default([]),
  ROUTER_ID: parsed(
    (value) => isRouterId(value) ? value : undefined,
    "1 to 128 of A-Z a-z 0-9 . _ : -",
  ).optional(),
  ROUTER_CP_URL: parsed(
    controlPlanes,
    "a comma list of ws: or wss: URLs without user info and fragment, or empty for no control plane",
  ).default(["ws://127.0.0.1:8081/v1/connect"]),
  ROUTER_CP_TIMEOUT: duration().default(12_000),
  ROUTER_CP_TOKEN: secret().optional(),
  ROUTER_MAX_CONFIG_BYTES: size().default(128 * KIBIBYTE * KIBIBYTE),
  ROUTER_GUARD_SHARE: percent().default(0.5),
  ROUTER_BOOTSTRAP: text().optional(),
  ROUTER_STATE_DIR: text().optional(),
  ROUTER_KEY: parsed(
    keySource,
    "header:<name of a header with no meaning of its own>, or host:{key}.<domain>",
  ).default({ kind: "header", name: "x-routing-key" }),
  ROUTER_CONNECT_TIMEOUT: duration().default(5000),
  ROUTER_RESPONSE_TIMEOUT: duration().default(30_000),
  ROUTER_IDLE_TIMEOUT: duration().default(60_000),
  ROUTER_STREAM_TIMEOUT: duration().default(3_600_000),
  ROUTER_HEADER_TIMEOUT: duration().default(10_000),
  ROUTER_KEEPALIVE_TIMEOUT: duration().default(75_000),
  ROUTER_MAX_CONNECTIONS: whole(1, 1_000_000).default(10_000),
  ROUTER_MAX_CONNECTIONS_PER_ADDRESS: whole(1, 1_000_000).optional(),
  ROUTER_DRAIN_TIMEOUT: duration().default(10_000),
  ROUTER_HOLD_TIMEOUT: duration().default(30_000),
  ROUTER_HOLD_REQUESTS: whole(1, 1_000_000).default(1000),
  ROUTER_TRUSTED_PROXIES: parsed(
    trustedProxies,
    "a comma list of addresses and CIDR blocks",
  ).default(parseTrustedProxies([])),
  ROUTER_TLS_CERT: text().optional(),
  ROUTER_TLS_KEY: text().optional(),
  ROUTER_H2_LISTEN: listenAddress().optional(),
  ROUTER_CA: text().optional(),
  ROUTER_THREADS: whole(1, 64).default(1),
  ROUTER_ACCESS_LOG: oneOf(["errors", "all", "off"]).default("errors"),
};

/** Header names that cannot name a customer, besides those with a meaning for the router itself. */
const NO_KEY_HEADERS = new Set([
  "proxy-authenticate",
  "proxy-authorization",
  "trailer",
]);

/** Reads the router's settings, or says all that is wrong with them. */
export function readRouterSettings(
  env: Readonly<Record<string, string>>,
): SettingsResult<RouterSettings> {
  return readSettings(SHAPE, {
    env,
    prefix: "ROUTER_",
    mayBeEmpty: ["ROUTER_CP_URL"],
    check: crossChecks,
  });
}

function crossChecks(settings: RouterSettings): SettingProblem[] {
  const problems: SettingProblem[] = [];
  for (
    const [name, other] of [
      ["ROUTER_ADMIN_LISTEN", "ROUTER_LISTEN"],
      ["ROUTER_H2_LISTEN", "ROUTER_LISTEN"],
      ["ROUTER_H2_LISTEN", "ROUTER_ADMIN_LISTEN"],
    ] as const
  ) {
    const address = settings[name];
    const taken = settings[other];
    if (address === undefined || !clash(address, taken)) continue;
    problems.push({
      name,
      detail:
        `${name} and ${other} must not share port ${taken.port} of one address.`,
    });
  }
  const { ROUTER_TLS_CERT: cert, ROUTER_TLS_KEY: key } = settings;
  if (
    settings.ROUTER_H2_LISTEN !== undefined && cert === undefined &&
    key === undefined
  ) {
    problems.push({
      name: "ROUTER_H2_LISTEN",
      detail:
        "ROUTER_H2_LISTEN needs ROUTER_TLS_CERT and ROUTER_TLS_KEY: HTTP/2 is spoken over TLS only.",
    });
  }
  if ((cert === undefined) !== (key === undefined)) {
    const name = cert === undefined ? "ROUTER_TLS_CERT" : "ROUTER_TLS_KEY";
    problems.push({
      name,
      detail:
        `${name} is missing: ROUTER_TLS_CERT and ROUTER_TLS_KEY must be set together, or neither.`,
    });
  }
  const perAddress = settings.ROUTER_MAX_CONNECTIONS_PER_ADDRESS;
  const all = settings.ROUTER_MAX_CONNECTIONS;
  if (perAddress !== undefined && perAddress > all) {
    problems.push({
      name: "ROUTER_MAX_CONNECTIONS_PER_ADDRESS",
      detail:
        `ROUTER_MAX_CONNECTIONS_PER_ADDRESS must be at most ROUTER_MAX_CONNECTIONS, ${all}; ${perAddress} is not.`,
    });
  }
  return problems;
}

/** What to tell at the start though nothing is wrong. */
export function settingsWarnings(settings: RouterSettings): string[] {
  const warnings: string[] = [];
  if (!isLoopback(settings.ROUTER_ADMIN_LISTEN.hostname)) {
    warnings.push(
      "ROUTER_ADMIN_LISTEN is not a loopback address: whoever reaches it sees the whole config",
    );
  }
  if (
    settings.ROUTER_CP_TOKEN !== undefined &&
    settings.ROUTER_CP_URL.some((url) =>
      url.startsWith("ws:") && !isLoopback(bareHost(url))
    )
  ) {
    warnings.push(
      "ROUTER_CP_TOKEN is sent unencrypted, over ws: to another machine",
    );
  }
  return warnings;
}

/** The id of a router that was given none: host name and data port, in characters an id may have. */
export function defaultRouterId(hostname: string, port: number): string {
  const name = hostname.replaceAll(/[^A-Za-z0-9._-]/g, "-").slice(0, 122);
  return `${name === "" ? "router" : name}:${port}`;
}

function controlPlanes(value: string): readonly string[] | undefined {
  if (value === "") return [];
  const urls = value.split(",").map((part) => part.trim());
  return urls.every(isControlPlane) ? urls : undefined;
}

function isControlPlane(part: string): boolean {
  // Only the text tells an empty fragment or user info from none.
  if (!/^wss?:\/\/[^/?#@]+(?:[/?][^#]*)?$/i.test(part) || !URL.canParse(part)) {
    return false;
  }
  return new URL(part).port !== "0";
}

function keySource(value: string): RoutingKeySource | undefined {
  const header = /^header:([!#$%&'*+.^_`|~0-9A-Za-z-]{1,128})$/.exec(value);
  if (header !== null) {
    const name = header[1]!.toLowerCase();
    return NO_KEY_HEADERS.has(name) || hasOwnMeaning(name)
      ? undefined
      : { kind: "header", name };
  }
  const host = /^host:\{key\}((?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)+)$/i
    .exec(value);
  return host === null
    ? undefined
    : { kind: "host", suffix: host[1]!.toLowerCase() };
}

function trustedProxies(value: string): TrustedProxies | undefined {
  try {
    return parseTrustedProxies(value.split(",").map((part) => part.trim()));
  } catch {
    return undefined;
  }
}

/** Whether two listeners cannot both have their address. */
function clash(one: ListenAddress, other: ListenAddress): boolean {
  return one.port !== 0 && one.port === other.port &&
    (one.hostname === other.hostname || isWildcard(one.hostname) ||
      isWildcard(other.hostname));
}

function isWildcard(hostname: string): boolean {
  return hostname === "0.0.0.0" || hostname === "::";
}

function bareHost(url: string): string {
  return new URL(url).hostname.replace(/^\[|\]$/g, "");
}
