import { readRequest, type StrictRequest } from "./smuggling_reader.ts";

/** What is wrong with bytes that were forwarded. */
export interface Complaint {
  /** The target of the request in question, if it has one. */
  readonly target: string;
  readonly what: string;
}

/** How the judge tells requests apart: none may be sent twice with the same. */
export function requestName(
  request: Pick<StrictRequest, "method" | "target">,
): string {
  return `${request.method} ${request.target}`;
}

/**
 * Judges what an endpoint received on each of its connections. `sent` holds every request that clients
 * sent, as a strict reader takes them, by {@linkcode requestName}; each may have been forwarded
 * once, with the same framing and content, and nothing else. One that was sent whole must be whole; one
 * that was not may have begun, and is then the last of its connection.
 */
export function judge(
  connections: readonly string[],
  sent: ReadonlyMap<string, StrictRequest>,
): { complaints: Complaint[]; forwarded: Set<string> } {
  const complaints: Complaint[] = [];
  const forwarded = new Set<string>();
  for (const text of connections) {
    for (let at = 0; at < text.length;) {
      const { request, next, malformed } = readRequest(text, at);
      const target = request?.target ?? "";
      const complain = (what: string) =>
        complaints.push({
          target,
          what: `${what}: ${JSON.stringify(text.slice(at, at + 600))}`,
        });
      if (malformed !== undefined) complain(malformed);
      if (text.startsWith("\r\n", at)) complain("an empty line before it");
      if (request !== undefined) {
        const name = requestName(request);
        if (forwarded.has(name)) complain("forwarded twice");
        forwarded.add(name);
        const original = sent.get(name);
        const what = original === undefined
          ? "no client sent this request"
          : differenceOf(request, original) ?? strayFraming(request);
        if (what !== null) complain(what);
      } else if (malformed === undefined) {
        complain("half a head");
      }
      if (malformed !== undefined || request?.complete !== true) break;
      at = next;
    }
  }
  return { complaints, forwarded };
}

/** In what a forwarded request differs from the one that was sent. */
function differenceOf(
  request: StrictRequest,
  original: StrictRequest,
): string | null {
  const { framing, body, complete } = request;
  if (framing !== original.framing) {
    return `framed by ${framing}, and sent by ${original.framing}`;
  }
  if (complete !== original.complete) {
    return complete ? "a whole one was made of a part" : "only a part of it";
  }
  if (complete ? body !== original.body : !original.body.startsWith(body)) {
    return `another body than ${JSON.stringify(original.body)}`;
  }
  const length = (fields: StrictRequest["fields"]) =>
    fields.filter(([name]) => name.toLowerCase() === "content-length")
      .map(([, value]) => Number(value)).join();
  if (
    framing === "length" && length(request.fields) !== length(original.fields)
  ) return "another length";
  return null;
}

/**
 * What else looks like framing: gateways of the CGI family read `_` as `-`, so a twin of a framing
 * field is one more, and a trailer of that name may be merged into the head (RFC 9110 section 6.5.1).
 */
function strayFraming(request: StrictRequest): string | null {
  const framing = (fields: StrictRequest["fields"]) =>
    fields.map(([name]) => plain(name)).filter((name) =>
      name === "content-length" || name === "transfer-encoding"
    ).length;
  if (framing(request.fields) !== (request.framing === "none" ? 0 : 1)) {
    return "not one framing field";
  }
  if (request.fields.some(([name]) => plain(name) === "connection")) {
    const options = request.fields.filter(([name]) =>
      plain(name) === "connection"
    ).map(([, value]) => value).join();
    if (/content.length|transfer.encoding/i.test(options)) {
      return "a framing field named in Connection";
    }
  }
  return framing(request.trailers) > 0 ? "framing in its trailers" : null;
}

function plain(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}
