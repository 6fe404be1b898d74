import { createHash, timingSafeEqual } from "node:crypto";

/** The bearer token of a request (RFC 6750 section 2.1); undefined if it brings none of that form. */
export function bearerToken(headers: Headers): string | undefined {
  const header = headers.get("authorization") ?? "";
  return /^bearer +([\x21-\x7e]+) *$/i.exec(header)?.[1];
}

/** A token as it is kept and compared: its SHA-256, 32 bytes. */
export function tokenDigest(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}

/** Whether two digests are of one token; takes the same time whatever differs. */
export function sameToken(a: Uint8Array, b: Uint8Array): boolean {
  return timingSafeEqual(a, b);
}
