import {
  checkPart,
  type FieldSink,
  MAX_TRAILER_BYTES,
  NameInterest,
  ProtocolError,
  scanFields,
} from "./fields.ts";

/** The longest size line of a chunk, its extensions included, in bytes. */
const MAX_SIZE_LINE_BYTES = 1024;

const CR = 0x0d;
const LF = 0x0a;

/** Where in the coding the scanner is (RFC 9112 section 7.1). */
const enum At {
  Size,
  Extension,
  SizeLineFeed,
  Data,
  DataReturn,
  DataLineFeed,
  TrailerStart,
  EndLineFeed,
  Trailer,
  End,
}

/**
 * Checks a chunked body as it passes. Its bytes go on as they are, chunk by chunk; only a trailer
 * section is held back, to be filtered.
 */
export class ChunkScanner {
  #at: At = At.Size;
  #left = 0;
  #digits = 0;
  #lineBytes = 0;
  #trailer = "";
  #trailerFilter: FieldSink;
  /** What is to be sent after the bytes passed: the filtered trailer section and the last CR LF. */
  tail = "";

  constructor(trailerFilter: FieldSink) {
    this.#trailerFilter = trailerFilter;
  }

  /** The whole body was seen. */
  get done(): boolean {
    return this.#at === At.End;
  }

  /** Begins another body. */
  reset(): void {
    this.#at = At.Size;
    this.#left = this.#digits = this.#lineBytes = 0;
    this.#trailer = this.tail = "";
  }

  /** How many of the bytes last scanned can be sent on as they are. */
  passed = 0;

  /**
   * Checks `bytes[start..end)`, setting {@linkcode ChunkScanner.passed}.
   *
   * @returns where in `bytes` the body ends, or `end`.
   * @throws {ProtocolError} if the coding is broken; nothing of these bytes should be sent on.
   */
  scan(bytes: Uint8Array, start: number, end: number): number {
    let at = start;
    this.passed = 0;
    while (at < end && this.#at !== At.Trailer && this.#at !== At.End) {
      if (this.#at === At.Data) {
        const count = Math.min(this.#left, end - at);
        this.#left -= count;
        at += count;
        if (this.#left === 0) this.#at = At.DataReturn;
      } else if (
        this.#at === At.TrailerStart && bytes[at] !== CR
      ) {
        this.#at = At.Trailer;
      } else {
        this.#step(bytes[at++]!);
      }
    }
    this.passed = at - start;
    return this.#at === At.Trailer ? this.#takeTrailer(bytes, at, end) : at;
  }

  #step(byte: number): void {
    switch (this.#at) {
      case At.Size: {
        this.#countLineByte();
        const digit = hexDigit(byte);
        if (digit >= 0) {
          // 13 hex digits stay below 2 ** 53.
          if (++this.#digits > 13) {
            throw new ProtocolError(
              "Cannot take a chunk size of over 13 digits",
            );
          }
          this.#left = this.#left * 16 + digit;
        } else if (this.#digits > 0 && byte === CR) {
          this.#at = At.SizeLineFeed;
        } else if (this.#digits > 0 && byte === 0x3b) {
          this.#at = At.Extension;
        } else {
          throw new ProtocolError(
            "Cannot take a chunk whose size is not hex digits",
          );
        }
        return;
      }
      case At.Extension:
        this.#countLineByte();
        if (byte === CR) this.#at = At.SizeLineFeed;
        else if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) {
          throw new ProtocolError(
            "Cannot take a chunk extension with a control character",
          );
        }
        return;
      case At.SizeLineFeed:
        this.#expect(byte, LF, this.#left === 0 ? At.TrailerStart : At.Data);
        this.#digits = this.#lineBytes = 0;
        return;
      case At.DataReturn:
        return this.#expect(byte, CR, At.DataLineFeed);
      case At.DataLineFeed:
        return this.#expect(byte, LF, At.Size);
      case At.TrailerStart:
        return this.#expect(byte, CR, At.EndLineFeed);
      case At.EndLineFeed:
        return this.#expect(byte, LF, At.End);
      case At.Data:
      case At.Trailer:
      case At.End:
        return;
      default:
        this.#at satisfies never;
    }
  }

  #expect(byte: number, expected: number, next: At): void {
    if (byte !== expected) {
      throw new ProtocolError(
        "Cannot take a chunk that does not end in CR LF where its size says",
      );
    }
    this.#at = next;
  }

  #countLineByte(): void {
    if (++this.#lineBytes > MAX_SIZE_LINE_BYTES) {
      throw new ProtocolError(
        `Cannot take a chunk's size line of over ${MAX_SIZE_LINE_BYTES} bytes`,
      );
    }
  }

  #takeTrailer(bytes: Uint8Array, start: number, end: number): number {
    // The section's bytes are few, and seen once: searching from the last three is enough.
    const from = Math.max(0, this.#trailer.length - 3);
    const before = this.#trailer.length;
    let added = "";
    const limit = Math.min(end, start + MAX_TRAILER_BYTES + 4 - before);
    for (let at = start; at < limit; at++) {
      added += String.fromCharCode(bytes[at]!);
    }
    this.#trailer += added;
    const close = this.#trailer.indexOf("\r\n\r\n", from);
    if (close < 0) {
      checkPart(this.#trailer.slice(Math.max(0, before - 1)), before > 0);
      if (this.#trailer.length >= MAX_TRAILER_BYTES) {
        throw new ProtocolError(
          `Cannot take a trailer section of over ${MAX_TRAILER_BYTES} bytes`,
        );
      }
      return limit;
    }
    const lines = this.#trailer.slice(0, close + 2);
    this.tail = `${scanFields(lines, 0, this.#trailerFilter)}\r\n`;
    this.#at = At.End;
    return start + close + 4 - before;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Takes those fields out of a trailer section that may not stand in one, or would mislead. */
export class TrailerFilter implements FieldSink {
  readonly interest: NameInterest;
  #names: ReadonlySet<string>;

  /** `names` in lower case; a name that differs only by `_` for `-` is taken out as well. */
  constructor(names: Iterable<string>) {
    this.#names = new Set(names);
    this.interest = new NameInterest(this.#names);
  }

  /** Takes one field; see {@linkcode FieldSink}. */
  field(name: string): boolean {
    return this.#names.has(name.replaceAll("_", "-"));
  }
}

// RFC 9110 section 6.5.1: what frames, routes, authenticates or describes the content may not come after it.
const NEVER_TRAILING = [
  "connection",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "host",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
];

/** The filter for the trailers of requests; `keyField` is the routing key's, where it has one. */
export function requestTrailerFilter(keyField: string | null): TrailerFilter {
  return new TrailerFilter([
    ...NEVER_TRAILING,
    "authorization",
    "cookie",
    "expect",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
    ...(keyField === null ? [] : [keyField.toLowerCase()]),
  ]);
}

/** The filter for the trailers of answers. */
export const RESPONSE_TRAILER_FILTER: TrailerFilter = new TrailerFilter([
  ...NEVER_TRAILING,
  "set-cookie",
  "x-routed-to",
  "x-route-reason",
  "x-config-version",
]);
