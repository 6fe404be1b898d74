import { BlockList, isIP } from "node:net";
import type { RequestHead } from "./http1/request_head.ts";

/** The addresses whose word about earlier hops is taken. */
export interface TrustedProxies {
  /** Whether `address`, as {@linkcode plainAddress} writes it, is one of them. */
  has(address: string): boolean;
}

/**
 * Reads a list of addresses and CIDR blocks, IPv4 and IPv6.
 *
 * @throws {TypeError} naming the value that is neither.
 */
export function parseTrustedProxies(list: readonly string[]): TrustedProxies {
  if (list.length === 0) return { has: () => false };
  const blocks = new BlockList();
  for (const item of list) {
    const match = /^([^/]+)(?:\/([0-9]{1,3}))?$/.exec(item);
    const address = match === null ? "" : plainAddress(match[1]!);
    const family = isIP(address);
    const bits = family === 4 ? 32 : 128;
    const prefix = match?.[2] === undefined ? bits : Number(match[2]);
    if (family === 0 || prefix > bits) {
      throw new TypeError(
        `Cannot trust ${
          JSON.stringify(item)
        }: it is neither an address nor a CIDR block`,
      );
    }
    blocks.addSubnet(address, prefix, family === 4 ? "ipv4" : "ipv6");
  }
  return {
    has: (address) => {
      const family = isIP(address);
      return family !== 0 &&
        blocks.check(address, family === 4 ? "ipv4" : "ipv6");
    },
  };
}

/** An address in one form: IPv4 also where a socket shows it mapped into IPv6, no zone. */
export function plainAddress(address: string): string {
  const plain = address.replace(/%.*$/, "").toLowerCase();
  const mapped = /^::ffff:([0-9]+\.[0-9]+\.[0-9]+\.[0-9]+)$/.exec(plain);
  return mapped === null ? plain : mapped[1]!;
}

/** What the forwarding fields of a request say of the connection it came by. */
export interface Hop {
  /** The client's address. */
  readonly peer: string;
  /** Whether that is a trusted proxy. */
  readonly trusted: boolean;
  /** Whether the connection is encrypted. */
  readonly secure: boolean;
  /** The version of HTTP it speaks, as `Via` tells it (RFC 9110 section 7.6.3). */
  readonly received: string;
  /** This router's name in `Via`. */
  readonly via: string;
}

/**
 * The forwarding fields that go to the endpoint, as lines. What a trusted proxy said is kept and
 * added to; what anyone else said is replaced.
 */
export function forwardingFields(request: RequestHead, hop: Hop): string {
  const proto = hop.secure ? "https" : "http";
  if (!hop.trusted) {
    return `X-Forwarded-For: ${hop.peer}\r\nX-Forwarded-Proto: ${proto}\r\nX-Forwarded-Host: ${request.host}\r\nVia: ${hop.received} ${hop.via}\r\n`;
  }
  const before = request.forwardedFor === "" ? "" : `${request.forwardedFor}, `;
  const via = request.via === "" ? "" : `${request.via}, `;
  return `${request.otherForwarding}X-Forwarded-For: ${before}${hop.peer}\r\nX-Forwarded-Proto: ${
    request.forwardedProto || proto
  }\r\nX-Forwarded-Host: ${
    request.forwardedHost || request.host
  }\r\nVia: ${via}${hop.received} ${hop.via}\r\n`;
}
