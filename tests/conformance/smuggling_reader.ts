import type { Field } from "./messages.ts";

/**
 * A strict reader of requests (RFC 9112; what is in doubt there is malformed), written for the judging
 * of smuggling: it shares no code with the router. Each character is a byte.
 */

/** A request, as far as it was there. */
export interface StrictRequest {
  readonly method: string;
  /** In origin form, or `*`. */
  readonly target: string;
  readonly fields: readonly Field[];
  readonly framing: "none" | "length" | "chunked";
  /** The content, without the chunked coding. */
  readonly body: string;
  readonly trailers: readonly Field[];
  /** The last byte of its body was there. */
  readonly complete: boolean;
  /** Whether it asked for the end of its connection (RFC 9112 section 9.6). */
  readonly closes: boolean;
}

/** What stands at a place of a stream. */
export interface Step {
  /** Absent where not even a head could be read. */
  readonly request?: StrictRequest;
  /** Where the next request begins. */
  readonly next: number;
  /** Set where what comes is no request. */
  readonly malformed?: string;
}

/** What a whole stream of bytes says. */
export interface Reading {
  /** In their order; only the last may be incomplete. */
  readonly requests: readonly StrictRequest[];
  /**
   * How it goes on: at the end of a request, inside of one, with what is no request, or with
   * nothing that counts, since the last request closes the connection.
   */
  readonly end: "whole" | "incomplete" | "malformed" | "closed";
  /** What is malformed. */
  readonly why: string;
}

const TOKEN = "[!#$%&'*+\\-.^_`|~0-9A-Za-z]+";
const REQUEST_LINE = new RegExp(
  `^(${TOKEN}) ([\\x21\\x22\\x24-\\x7e\\x80-\\xff]+) HTTP/1\\.1$`,
);
const FIELD_LINE = new RegExp(`^(${TOKEN}):([\\t\\x20-\\x7e\\x80-\\xff]*)$`);
const HOST = /^(?:[A-Za-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{0,5})?$/i;
const CHUNK_LINE = /^([0-9A-Fa-f]{1,13})(?:;[\t\x20-\x7e\x80-\xff]*)?$/;

/** Thrown where the bytes end before the message does. */
class Incomplete extends Error {}

/** Thrown where the bytes are no message. */
class Malformed extends Error {}

/** Takes lines and counted bytes off a text. */
class Cursor {
  readonly text: string;
  at: number;

  constructor(text: string, at: number) {
    this.text = text;
    this.at = at;
  }

  /** The next line, which CR LF must end; nothing else may look like a line's end. */
  line(what: string): string {
    const feed = this.text.indexOf("\n", this.at);
    const line = this.text.slice(this.at, feed < 0 ? undefined : feed);
    const text = line.endsWith("\r") ? line.slice(0, -1) : line;
    if (/[\0\r]/.test(text)) throw new Malformed(`CR or NUL in ${what}`);
    if (feed < 0) throw new Incomplete(what);
    if (text.length === line.length) throw new Malformed(`bare LF in ${what}`);
    this.at = feed + 1;
    return text;
  }

  /** Field lines up to the empty one. */
  fields(what: string): Field[] {
    const fields: Field[] = [];
    for (let line; (line = this.line(what)) !== "";) {
      const match = FIELD_LINE.exec(line);
      if (match === null) {
        throw new Malformed(`no field: ${JSON.stringify(line)}`);
      }
      fields.push([match[1]!, match[2]!.replace(/^[ \t]+|[ \t]+$/g, "")]);
    }
    return fields;
  }
}

/** Reads the request that begins at `from`; one empty line may stand before it (RFC 9112 section 2.2). */
export function readRequest(text: string, from: number): Step {
  const cursor = new Cursor(
    text,
    text.startsWith("\r\n", from) ? from + 2 : from,
  );
  let head: Head;
  try {
    head = readHead(cursor);
  } catch (error) {
    return { next: cursor.at, ...faultOf(error) };
  }
  const body = { body: "", trailers: [] as Field[] };
  let complete = false;
  let fault = {};
  try {
    readBody(cursor, head, body);
    complete = true;
  } catch (error) {
    fault = faultOf(error);
  }
  return {
    request: { ...head, ...body, complete },
    next: cursor.at,
    ...fault,
  };
}

/** Reads all that a client sent on a connection. */
export function readStream(text: string): Reading {
  const requests: StrictRequest[] = [];
  for (let at = 0; at < text.length;) {
    const { request, next, malformed } = readRequest(text, at);
    if (request !== undefined) requests.push(request);
    if (malformed !== undefined) {
      return { requests, end: "malformed", why: malformed };
    }
    if (request?.complete !== true) {
      return { requests, end: "incomplete", why: "" };
    }
    if (request.closes) return { requests, end: "closed", why: "" };
    at = next;
  }
  return { requests, end: "whole", why: "" };
}

/** All values of the field `name`, which is in lower case. */
function valuesOf(fields: readonly Field[], name: string): string[] {
  return fields.filter(([other]) => other.toLowerCase() === name)
    .map(([, value]) => value);
}

function faultOf(error: unknown): { malformed?: string } {
  if (error instanceof Malformed) return { malformed: error.message };
  if (error instanceof Incomplete) return {};
  throw error;
}

type Head = Omit<StrictRequest, "body" | "trailers" | "complete"> & {
  readonly length: number;
};

function readHead(cursor: Cursor): Head {
  const line = cursor.line("a request line");
  const match = REQUEST_LINE.exec(line);
  if (match === null) {
    throw new Malformed(`no request line: ${JSON.stringify(line)}`);
  }
  const fields = cursor.fields("a head");
  const hosts = valuesOf(fields, "host");
  if (hosts.length !== 1 || !HOST.test(hosts[0]!)) {
    throw new Malformed(`Host: ${JSON.stringify(hosts)}`);
  }
  const method = match[1]!;
  const target = originForm(method, match[2]!, hosts[0]!);
  const connection = valuesOf(fields, "connection").join(",").toLowerCase();
  const closes = /(?:^|,)[ \t]*close[ \t]*(?:,|$)/.test(connection);
  return { method, target, fields, closes, ...framingOf(fields) };
}

function originForm(method: string, target: string, host: string): string {
  if (method === "CONNECT") throw new Malformed("CONNECT");
  if (target.startsWith("/") || (target === "*" && method === "OPTIONS")) {
    return target;
  }
  const match = /^https?:\/\/([^/?]+)(.*)$/i.exec(target);
  if (match === null || match[1]!.toLowerCase() !== host.toLowerCase()) {
    throw new Malformed(`target: ${JSON.stringify(target)}`);
  }
  return match[2]!.startsWith("/") ? match[2]! : `/${match[2]}`;
}

/** RFC 9112 section 6.3, and nothing that it leaves to a server to forgive. */
function framingOf(
  fields: readonly Field[],
): { framing: StrictRequest["framing"]; length: number } {
  const lengths = valuesOf(fields, "content-length");
  const codings = valuesOf(fields, "transfer-encoding");
  if (lengths.length + codings.length > 1) throw new Malformed("two framings");
  if (codings.length === 1) {
    if (codings[0]!.toLowerCase() !== "chunked") throw new Malformed("coding");
    return { framing: "chunked", length: 0 };
  }
  if (lengths.length === 0) return { framing: "none", length: 0 };
  if (!/^[0-9]{1,15}$/.test(lengths[0]!)) throw new Malformed("length");
  return { framing: "length", length: Number(lengths[0]) };
}

/** Reads a body into `into`, which holds what there was of it when this throws. */
function readBody(
  cursor: Cursor,
  head: Head,
  into: { body: string; trailers: Field[] },
): void {
  const { text } = cursor;
  const take = (length: number) => {
    const bytes = text.slice(cursor.at, cursor.at + length);
    into.body += bytes;
    cursor.at += bytes.length;
    if (bytes.length < length) throw new Incomplete("a body");
  };
  if (head.framing !== "chunked") return take(head.length);
  for (;;) {
    const line = cursor.line("a chunk's size line");
    const size = CHUNK_LINE.exec(line);
    if (size === null) throw new Malformed(`no size: ${JSON.stringify(line)}`);
    const length = parseInt(size[1]!, 16);
    if (length === 0) break;
    take(length);
    const end = text.slice(cursor.at, cursor.at + 2);
    if (!"\r\n".startsWith(end)) throw new Malformed("a chunk goes on");
    if (end.length < 2) throw new Incomplete("the end of a chunk");
    cursor.at += 2;
  }
  into.trailers = cursor.fields("a trailer section");
}
