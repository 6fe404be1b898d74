/** A strict reader of answers (RFC 9112), by its own rules: it shares nothing with the router. */

/** An answer, as far as it was there. */
export interface ModelAnswer {
  readonly status: number;
  /** Names in lower case; each character a byte. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  readonly body: string;
  /** The last byte of its body was there. */
  readonly complete: boolean;
  /** Its end is that of its connection. */
  readonly untilClose: boolean;
}

/** What a connection's bytes say; `malformed` where they are no answers. */
export interface ModelReading {
  /** Final answers only; the last may be incomplete. */
  readonly answers: readonly ModelAnswer[];
  readonly informational: number;
  readonly malformed: string | null;
}

const HEAD_LINE = /^HTTP\/1\.([01]) ([1-9][0-9]{2})(?: [\t -~\x80-\xff]*)?$/;
const FIELD =
  /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[\t ]*([\t -~\x80-\xff]*?)[\t ]*$/;

/** Reads the answers to requests of these methods. */
export function readAnswers(
  text: string,
  methods: readonly string[],
): ModelReading {
  const answers: ModelAnswer[] = [];
  let informational = 0;
  let at = 0;
  const result = (malformed: string | null) => ({
    answers,
    informational,
    malformed,
  });
  while (at < text.length) {
    const end = text.indexOf("\r\n\r\n", at);
    if (end < 0) {
      return result(/(?:^|[^\r])\n/.test(text.slice(at)) ? "LF" : null);
    }
    const [line = "", ...lines] = text.slice(at, end).split("\r\n");
    const match = HEAD_LINE.exec(line);
    if (match === null) return result(`status line ${JSON.stringify(line)}`);
    const fields: (readonly [string, string])[] = [];
    for (const line of lines) {
      const field = FIELD.exec(line);
      if (field === null) return result(`field ${JSON.stringify(line)}`);
      fields.push([field[1]!.toLowerCase(), field[2]!]);
    }
    at = end + 4;
    const status = Number(match[2]);
    if (status < 200 && status !== 101) {
      informational++;
      continue;
    }
    const framing = framingOf(fields);
    if (framing === null) return result("framing");
    if (framing === "chunked" && match[1] === "0") return result("chunked 1.0");
    const method = methods[answers.length];
    if (method === undefined) return result("an answer to no request");
    const head = { status, fields };
    if (
      status === 204 || status === 304 || method === "HEAD"
    ) {
      answers.push({ ...head, body: "", complete: true, untilClose: false });
    } else if (framing === "chunked") {
      const read = readChunked(text, at);
      answers.push({
        ...head,
        body: read.body,
        complete: read.end !== null,
        untilClose: false,
      });
      if (read.end === null) return result(read.malformed ? "chunks" : null);
      at = read.end;
    } else if (typeof framing === "number") {
      const body = text.slice(at, at + framing);
      const complete = body.length === framing;
      answers.push({ ...head, body, complete, untilClose: false });
      if (!complete) return result(null);
      at += framing;
    } else {
      const body = text.slice(at);
      answers.push({ ...head, body, complete: true, untilClose: true });
      return result(null);
    }
  }
  return result(null);
}

/** A length, `chunked`, `close`; null if it is in doubt. */
function framingOf(
  fields: readonly (readonly [string, string])[],
): number | "chunked" | "close" | null {
  const values = (wanted: string) =>
    fields.filter(([name]) => name === wanted).map(([, value]) => value);
  const lengths = values("content-length");
  const codings = values("transfer-encoding");
  if (lengths.length + codings.length > 1) return null;
  if (codings.length === 1) {
    return codings[0]!.toLowerCase() === "chunked" ? "chunked" : null;
  }
  if (lengths.length === 0) return "close";
  return /^[0-9]{1,15}$/.test(lengths[0]!) ? Number(lengths[0]) : null;
}

/** A chunked body: what it holds, its trailers, and where it ends; null where it is cut. */
export interface ModelChunks {
  readonly body: string;
  readonly trailers: readonly (readonly [name: string, value: string])[];
  readonly end: number | null;
  readonly malformed: boolean;
}

/** Reads a chunked body by RFC 9112, section 7.1, line by line. */
export function readChunked(text: string, from: number): ModelChunks {
  let body = "";
  let at = from;
  const cut = () => ({ body, trailers: [], end: null, malformed: false });
  const broken = () => ({ body, trailers: [], end: null, malformed: true });
  for (;;) {
    const end = text.indexOf("\r\n", at);
    const line = text.slice(at, end < 0 ? undefined : end);
    if (end < 0) {
      return /^(?:[0-9a-f]{0,13}|[0-9a-f]{1,13};[\t -~\x80-\xff]*)\r?$/i.test(
          line,
        )
        ? cut()
        : broken();
    }
    const size = /^([0-9a-f]{1,13})(?:;[\t -~\x80-\xff]*)?$/i.exec(line);
    if (size === null || line.length > 1023) return broken();
    at = end + 2;
    const length = parseInt(size[1]!, 16);
    if (length === 0) break;
    body += text.slice(at, at + length);
    at += length;
    const after = text.slice(at, at + 2);
    if (!"\r\n".startsWith(after)) return broken();
    if (at + 2 > text.length) return cut();
    at += 2;
  }
  const trailers: (readonly [string, string])[] = [];
  for (;;) {
    const end = text.indexOf("\r\n", at);
    const line = text.slice(at, end < 0 ? undefined : end);
    if (end < 0) {
      // A line that is not over yet may hold what a field can hold.
      return /^[\t -~\x80-\xff]*\r?$/.test(line) ? cut() : broken();
    }
    at = end + 2;
    if (line === "") return { body, trailers, end: at, malformed: false };
    const field = FIELD.exec(line);
    if (field === null) return broken();
    trailers.push([field[1]!.toLowerCase(), field[2]!]);
  }
}
