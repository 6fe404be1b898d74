/** The longest head of a message, in bytes. */
export const MAX_HEAD_BYTES = 64 * 1024;
/** The most fields of a head or a trailer section. */
export const MAX_FIELDS = 200;
/** The longest request line, in bytes. */
export const MAX_REQUEST_LINE_BYTES = 16 * 1024;
/** The longest trailer section, in bytes. */
export const MAX_TRAILER_BYTES = 16 * 1024;

/** A message that is not HTTP/1.1 as this program takes it. */
export class ProtocolError extends Error {
  override name = "ProtocolError";
  /** The status to answer with, where the message was a request. */
  readonly status: 400 | 405 | 408 | 414 | 431 | 505;

  constructor(
    message: string,
    status: 400 | 405 | 408 | 414 | 431 | 505 = 400,
  ) {
    super(message);
    this.status = status;
  }
}

// A token, a colon, and no control byte but the tab up to CR LF (RFC 9112 section 5, without
// obsolete folding). One native pass over the block costs 1 ns a byte.
const FIELD_LINES =
  /(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*/y;

// deno-lint-ignore no-control-regex
const NEVER_IN_LINES = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?:^|[^\r])\n|\r[^\n]/;

/**
 * Checks a part of a head or trailer section that has not ended yet for what neither can hold,
 * whatever follows: it must be refused at once, since lines ended by bare line feeds would never end.
 *
 * @param later the first byte was checked before, together with the one in front of it.
 * @throws {ProtocolError} if there is a control character or a bare line end.
 */
export function checkPart(text: string, later = false): void {
  if (
    NEVER_IN_LINES.test(later && text.startsWith("\n") ? text.slice(1) : text)
  ) {
    throw new ProtocolError(
      "Cannot take fields with a control character or a bare line end",
    );
  }
}

/** Told of the fields it is interested in. */
export interface FieldSink {
  readonly interest: NameInterest;
  /**
   * A field whose name is of interest: `name` in lower case, the value within
   * `text[from..to)` with its white space. Answers whether the field goes no further.
   */
  field(name: string, text: string, from: number, to: number): boolean;
}

/**
 * A quick test that leaves most field names alone: by length and first letter. It lets through all
 * names given, in any case and with `_` for `-`, and a few others.
 */
export class NameInterest {
  readonly letters: Uint32Array;

  constructor(names: Iterable<string>) {
    const all = [...names];
    this.letters = new Uint32Array(
      1 + Math.max(0, ...all.map((name) => name.length)),
    );
    for (const name of all) {
      this.letters[name.length]! |= 1 << (name.charCodeAt(0) & 31);
    }
  }
}

/**
 * Checks the field lines `text[from..]`, each ended by CR LF, and shows the interesting ones to
 * `sink`.
 *
 * @returns the lines that go further, as they stand and in their order.
 * @throws {ProtocolError} if the lines are not strictly HTTP/1.1, or more than {@linkcode MAX_FIELDS}.
 */
export function scanFields(
  text: string,
  from: number,
  sink: FieldSink,
): string {
  FIELD_LINES.lastIndex = from;
  FIELD_LINES.test(text);
  if (FIELD_LINES.lastIndex !== text.length) {
    throw fieldError(text, FIELD_LINES.lastIndex);
  }
  const letters = sink.interest.letters;
  let kept = "";
  let keep = from;
  let count = 0;
  for (let at = from; at < text.length;) {
    const colon = text.indexOf(":", at);
    const end = text.indexOf("\r\n", colon);
    if (++count > MAX_FIELDS) {
      throw new ProtocolError(
        `Cannot take more than ${MAX_FIELDS} fields`,
        431,
      );
    }
    const length = colon - at;
    if (
      length < letters.length &&
      (letters[length]! >>> (text.charCodeAt(at) & 31) & 1) === 1 &&
      sink.field(text.slice(at, colon).toLowerCase(), text, colon + 1, end)
    ) {
      if (at > keep) kept += text.slice(keep, at);
      keep = end + 2;
    }
    at = end + 2;
  }
  return keep === from ? text.slice(from) : kept + text.slice(keep);
}

/** Says what is wrong with the field line at `at`, without repeating its value. */
function fieldError(text: string, at: number): ProtocolError {
  const colon = text.indexOf(":", at);
  const end = text.indexOf("\r\n", at);
  const first = text.charCodeAt(at);
  if (first === 0x20 || first === 0x09) {
    return new ProtocolError("Cannot take a field line that is folded");
  }
  if (colon < 0 || (end >= 0 && colon > end)) {
    return new ProtocolError("Cannot take a field line without a colon");
  }
  const name = text.slice(at, Math.min(colon, at + 64));
  if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) {
    return new ProtocolError(
      `Cannot take a field name that is not a token: ${JSON.stringify(name)}`,
    );
  }
  return new ProtocolError(
    `Cannot take the field ${name}: its value holds a control character or a bare line end`,
  );
}

/** `text[from..to)` without the spaces and tabs around it. */
export function trimmed(text: string, from: number, to: number): string {
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** The members of a comma list, in lower case and without the empty ones. */
export function listMembers(value: string): string[] {
  return value.toLowerCase().split(",").map((member) =>
    trimmed(member, 0, member.length)
  ).filter((member) => member !== "");
}

/** Whether a comma list, as a field's value, has the member `name` (in lower case). */
export function hasMember(value: string, name: string): boolean {
  return value !== "" && listMembers(value).includes(name);
}

/**
 * A Content-Length as a number (RFC 9110 section 8.6).
 *
 * @throws {ProtocolError} if it is not 1 to 15 digits: no sign, no list, not empty.
 */
export function parseContentLength(value: string): number {
  let length = 0;
  for (let at = 0; at < value.length && at < 16; at++) {
    const digit = value.charCodeAt(at) - 0x30;
    length = digit >= 0 && digit <= 9 ? length * 10 + digit : NaN;
  }
  if (value === "" || value.length > 15 || Number.isNaN(length)) {
    throw new ProtocolError(
      `Cannot take a Content-Length that is not 1 to 15 digits: ${
        JSON.stringify(value.slice(0, 64))
      }`,
    );
  }
  return length;
}

/** The lines of `lines` whose lower-case names are not in `names`. */
export function withoutFields(
  lines: string,
  names: ReadonlySet<string>,
): string {
  let kept = "";
  for (let at = 0; at < lines.length;) {
    const next = lines.indexOf("\r\n", at) + 2;
    const name = lines.slice(at, lines.indexOf(":", at)).toLowerCase();
    if (!names.has(name)) kept += lines.slice(at, next);
    at = next;
  }
  return kept;
}
