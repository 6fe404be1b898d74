/**
 * The cases of the suite that cannot hold on HTTP/2, as the runtime's server speaks it, and why. What
 * holds in their place is tested in `http2_test.ts`; the README lists the same.
 */
export const H2_DIFFERENCES: ReadonlyMap<string, string> = new Map([
  [
    "fields are neither joined nor reordered nor changed on the way to the endpoint (RFC 9110 section 5.3)",
    "the runtime gives the fields of a request sorted by name, and those of one name joined by a comma",
  ],
  [
    "several Set-Cookie and other repeated fields come back apart and in order (RFC 9110 section 5.3)",
    "the runtime sends fields of one name next to each other; they stay apart, and in their order",
  ],
  [
    "120 fields and 48 KiB of fields pass both ways (RFC 9110 section 5.4)",
    "the runtime takes heads of up to 16 KiB, and answers 431 to larger ones",
  ],
  [
    "a target goes on byte for byte (RFC 9110 section 7.7, RFC 3986 section 6)",
    "the runtime resets the stream of a target with one of < > ` in it, and ends a connection for bytes that are not UTF-8",
  ],
  [
    "a request's trailers reach the endpoint, but for those that mislead there (RFC 9110 section 6.5.1)",
    "the runtime gives no trailers of a request",
  ],
  [
    "an answer's trailers pass, but for those that mislead (RFC 9110 section 6.5.1)",
    "the runtime sends no trailers of an answer",
  ],
]);

/** Why the case `name` cannot hold; null if it can. A case begins with the name of the way in that it is for. */
export function differenceOf(name: string): string | null {
  const prefix = "HTTP/2: ";
  return name.startsWith(prefix)
    ? H2_DIFFERENCES.get(name.slice(prefix.length)) ?? null
    : null;
}
