import type { RawSocket } from "../../router/testing.ts";

/** Messages as they came over a raw connection, each character a byte. */

/** A field line's name as it was written, and its value without the white space around it. */
export type Field = readonly [name: string, value: string];

/** A message, taken apart by its framing (RFC 9112 section 6) and by nothing else. */
export interface Message {
  /** The request line or status line. */
  readonly line: string;
  readonly fields: readonly Field[];
  /** The head as it came, with its empty line. */
  readonly head: string;
  /** The content, without the chunked coding. */
  readonly body: string;
  /** The body as it came, with the chunked coding. */
  readonly rawBody: string;
  readonly trailers: readonly Field[];
}

/** An answer, with the informational ones before it. */
export interface ReceivedAnswer extends Message {
  readonly status: number;
  readonly informational: readonly Message[];
}

/** All values of the field `name`, in their order. */
export function valuesOf(fields: readonly Field[], name: string): string[] {
  const lower = name.toLowerCase();
  return fields.filter(([other]) => other.toLowerCase() === lower)
    .map(([, value]) => value);
}

/** The fields of `lines`, each ended by CR LF. */
export function fieldsOf(lines: string): Field[] {
  return lines.split("\r\n").filter((line) => line !== "").map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
  });
}

/** Takes a request. Its framing must be one that is not in doubt. */
export async function takeRequest(socket: RawSocket): Promise<Message> {
  return await takeBody(socket, await socket.head(), "none");
}

/** Takes an answer to a request of `method`, with the informational ones before it. */
export async function takeAnswer(
  socket: RawSocket,
  method = "GET",
): Promise<ReceivedAnswer> {
  const informational: Message[] = [];
  for (;;) {
    const head = await socket.head();
    const status = Number(head.slice(9, 12));
    if (status < 200 && status !== 101) {
      informational.push(messageOf(head));
      continue;
    }
    const bodyless = status === 101 || status === 204 || status === 304 ||
      method === "HEAD";
    const message = bodyless
      ? messageOf(head)
      : await takeBody(socket, head, "close");
    return { ...message, status, informational };
  }
}

function messageOf(head: string, rest: Partial<Message> = {}): Message {
  const end = head.indexOf("\r\n");
  return {
    line: head.slice(0, end),
    fields: fieldsOf(head.slice(end + 2)),
    head,
    body: "",
    rawBody: "",
    trailers: [],
    ...rest,
  };
}

/** `unframed` says where the body of a message without framing fields ends. */
async function takeBody(
  socket: RawSocket,
  head: string,
  unframed: "none" | "close",
): Promise<Message> {
  const { fields } = messageOf(head);
  const codings = valuesOf(fields, "transfer-encoding");
  const lengths = valuesOf(fields, "content-length");
  if (codings.length + lengths.length > 1) {
    throw new Error(`The framing is in doubt: ${JSON.stringify(head)}`);
  }
  if (codings.length > 0) return await takeChunks(socket, head);
  const body = lengths.length > 0
    ? await socket.count(Number(lengths[0]))
    : unframed === "close"
    ? await socket.rest()
    : "";
  return messageOf(head, { body, rawBody: body });
}

async function takeChunks(socket: RawSocket, head: string): Promise<Message> {
  let body = "";
  let rawBody = "";
  for (;;) {
    const line = await socket.until("\r\n");
    const size = /^[0-9a-fA-F]+/.exec(line);
    if (size === null) {
      throw new Error(`This is no chunk size: ${JSON.stringify(line)}`);
    }
    const length = parseInt(size[0], 16);
    rawBody += line;
    if (length === 0) break;
    const chunk = await socket.count(length + 2);
    if (!chunk.endsWith("\r\n")) {
      throw new Error(`This chunk does not end: ${JSON.stringify(chunk)}`);
    }
    rawBody += chunk;
    body += chunk.slice(0, length);
  }
  let section = "";
  for (;;) {
    const line = await socket.until("\r\n");
    rawBody += line;
    if (line === "\r\n") break;
    section += line;
  }
  return messageOf(head, { body, rawBody, trailers: fieldsOf(section) });
}
