import { ProtocolError } from "../../../router/http1/fields.ts";
import { LONG_HEAD_BUFFERS } from "../../../router/http1/buffers.ts";
import { takeHead } from "../../../router/http1/head.ts";
import {
  RequestHead,
  RequestRules,
} from "../../../router/http1/request_head.ts";
import { ResponseHead } from "../../../router/http1/response_head.ts";
import { climbsOut } from "../../../router/http1/target.ts";
import { wireOf } from "../../../router/http1/testing.ts";
import { RequestError, routingKeyReader } from "../../../router/routing_key.ts";
import {
  readRequest,
  type StrictRequest,
} from "../../conformance/smuggling_reader.ts";
import { answerBytes, HTTP_TOKENS, requestBytes } from "../inputs/http.ts";
import { readAnswers } from "../models/answer_model.ts";
import { mutate, parts, soundOrNot } from "../mutate.ts";
import type { Random } from "../../harness/random.ts";
import { ensure, ensureSame, target, type Verdict } from "../target.ts";

const HOW = { bytes: true, tokens: HTTP_TOKENS };
const RULES = new RequestRules("x-routing-key");
const SUFFIX = ".cells.example";
const readHeaderKey = routingKeyReader({
  kind: "header",
  name: "x-routing-key",
});
const readHostKey = routingKeyReader({ kind: "host", suffix: SUFFIX });

interface Cut {
  readonly bytes: string;
  readonly parts: readonly string[];
}

function cut(random: Random, bytes: string): Cut {
  return { bytes, parts: parts(random, bytes) };
}

/** Takes a head off a connection on which these pieces come; null if it is not complete. */
async function headOf(pieces: readonly string[]): Promise<string | null> {
  const wire = wireOf([...pieces]);
  for (let seen = 0;;) {
    if (wire.available > seen) {
      const head = takeHead(wire, seen);
      if (head !== null) return head;
      seen = wire.available;
    }
    if (wire.full) wire.grow(LONG_HEAD_BUFFERS);
    if (!await wire.fill()) return null;
  }
}

/** What reading came to: JSON of it, or that it was refused. */
async function outcome(read: () => Promise<unknown>): Promise<string> {
  try {
    return JSON.stringify(await read());
  } catch (error) {
    ensure(error instanceof ProtocolError, `It throws ${error}`);
    ensure(
      error.message !== "" && error.status >= 400,
      "Refused for no reason",
    );
    return "refused";
  }
}

/** Heads of requests: whole, byte by byte and in parts they are the same, and what another strict reader sees. */
export const requestHeads = target<Cut>({
  name: "request-heads",
  weight: 80,
  make: (random) =>
    cut(random, soundOrNot(random, () => requestBytes(random), HOW)),
  async check({ bytes, parts }): Promise<Verdict> {
    const read = (pieces: readonly string[]) =>
      outcome(async () => {
        const text = await headOf(pieces);
        return text === null ? null : requestView(text);
      });
    const whole = await read([bytes]);
    ensureSame(await read(parts), whole, "In parts");
    ensureSame(await read([...bytes]), whole, "Byte by byte");
    if (whole === "refused" || whole === "null") return "refused";
    const head = new RequestHead(RULES);
    head.read((await headOf([bytes]))!);
    checkRequest(head, bytes);
    checkForwarded(head);
    return "accepted";
  },
  show: ({ bytes }) => bytes,
});

function requestView(text: string) {
  const head = new RequestHead(RULES);
  head.read(text);
  const { method, target, fields, host, key, keys } = head;
  const { contentLength, chunked, close, websocket, expectsContinue } = head;
  const { forwardedFor, via, otherForwarding, requestId } = head;
  return {
    ...{ method, target, fields, host, key, keys, contentLength, chunked },
    ...{ close, websocket, expectsContinue, forwardedFor, via, requestId },
    otherForwarding,
  };
}

/** What the other reader sees. It takes fewer hosts; what else it does not take, the router must not either. */
function checkRequest(head: RequestHead, bytes: string): void {
  const { request, malformed } = readRequest(bytes, 0);
  if (request === undefined) {
    ensure(
      malformed?.startsWith("Host") === true || isOptionsOf(head, bytes),
      `It takes what is malformed: ${malformed}`,
    );
    return;
  }
  ensureSame(head.method, request.method, "The method");
  if (!isOptionsOf(head, bytes)) {
    ensureSame(head.target, request.target, "The target");
  }
  const framing = head.chunked
    ? "chunked"
    : head.contentLength >= 0
    ? "length"
    : "none";
  ensureSame(framing, request.framing, "The framing");
  ensureSame(head.close, request.closes, "Whether it closes");
  checkKeys(head, request);
  checkClimb(head.target);
}

/** The one form that the other reader takes for a path: an OPTIONS of a whole server, by its URL. */
function isOptionsOf(head: RequestHead, bytes: string): boolean {
  return head.method === "OPTIONS" && /^\S+ http/i.test(bytes);
}

/** What goes to the endpoint of the fields is no less strict, and names nothing that was taken out. */
function checkForwarded(head: RequestHead): void {
  const framing = head.chunked ? "Transfer-Encoding: chunked\r\n" : "";
  const text =
    `${head.method} ${head.target} HTTP/1.1\r\n${head.fields}${framing}\r\n`;
  const again = new RequestHead(RULES);
  again.read(text.slice(0, -2));
  ensureSame(again.chunked, head.chunked, "The framing, forwarded");
  ensureSame(again.contentLength, head.contentLength, "The length, forwarded");
  ensureSame(again.host, head.host, "The host, forwarded");
  ensureSame(again.keys, head.keys, "The routing keys, forwarded");
  ensureSame(again.fields, head.fields, "The fields, forwarded");
  ensure(!again.close && !again.websocket, "A hop-by-hop field goes on");
  const names = head.fields.split("\r\n").map((line) =>
    line.slice(0, line.indexOf(":")).toLowerCase().replaceAll("_", "-")
  );
  for (const name of NEVER_FORWARDED) {
    ensure(!names.includes(name), `${name} goes on`);
  }
}

const NEVER_FORWARDED = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  "forwarded",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-real-ip",
];

/** Routing keys by header and by host, from the fields as they were sent. */
function checkKeys(head: RequestHead, { fields }: StrictRequest): void {
  const of = (wanted: string) =>
    fields.filter(([name]) => name.toLowerCase() === wanted)
      .map(([, value]) => value);
  const keys = of("x-routing-key");
  const sound = keys.length === 1 && keys[0] !== "." && keys[0] !== ".." &&
    /^[!-~]{1,256}$/.test(keys[0]!);
  ensureSame(keyOf(head, readHeaderKey), sound ? keys[0] : null, "The key");
  const [host = ""] = of("host");
  const name = host.toLowerCase().replace(/:[0-9]*$/, "");
  const dot = name.indexOf(".");
  const label = name.slice(0, dot);
  const hosted = dot > 0 && name.slice(dot) === SUFFIX && label.length <= 63;
  ensureSame(keyOf(head, readHostKey), hosted ? label : null, "The host's key");
}

function keyOf(
  head: RequestHead,
  read: (head: RequestHead) => string,
): string | null {
  try {
    return read(head);
  } catch (error) {
    ensure(error instanceof RequestError, `It throws ${error}`);
    return null;
  }
}

/** A target that is not said to climb stays below its base, however a server resolves it. */
function checkClimb(target: string): void {
  if (target === "*" || climbsOut(target)) return;
  const [path = ""] = target.split("?", 1);
  const plain = path.replace(/%2e/gi, ".");
  const slashes = plain.replace(/%2f|%5c|\\/gi, "/");
  for (
    const form of [
      path,
      plain,
      slashes,
      slashes.replace(/(?:;|%3b)[^/]*/gi, ""),
    ]
  ) {
    const resolved = new URL(`http://h/one/two${form.replaceAll("#", "%23")}`);
    ensure(
      `${resolved.pathname}/`.startsWith("/one/two/"),
      `${target} climbs to ${resolved.pathname}`,
    );
  }
}

/** Heads of answers. */
export const responseHeads = target<Cut & { readonly method: string }>({
  name: "response-heads",
  weight: 50,
  make: (random) => ({
    ...cut(random, soundOrNot(random, () => answerBytes(random), HOW)),
    method: random.pick(["GET", "HEAD"]),
  }),
  async check({ bytes, parts, method }): Promise<Verdict> {
    const read = (pieces: readonly string[]) =>
      outcome(async () => {
        const text = await headOf(pieces);
        return text === null ? null : responseView(text, method);
      });
    const whole = await read([bytes]);
    ensureSame(await read(parts), whole, "In parts");
    ensureSame(await read([...bytes]), whole, "Byte by byte");
    if (whole === "refused" || whole === "null") return "refused";
    const text = (await headOf([bytes]))!;
    const head = new ResponseHead();
    head.read(text, method);
    if (head.status >= 200) checkAnswer(head, { text, method });
    return "accepted";
  },
  show: ({ bytes }) => bytes,
});

function responseView(text: string, method: string) {
  const head = new ResponseHead();
  head.read(text, method);
  const { statusText, fields, framing, length, reusable, websocket } = head;
  return { statusText, fields, framing, length, reusable, websocket };
}

function checkAnswer(
  head: ResponseHead,
  { text, method }: { text: string; method: string },
): void {
  const { answers, malformed } = readAnswers(`${text}\r\n`, [method]);
  ensureSame(malformed, null, "What the other reader says");
  const [answer] = answers;
  ensure(answer !== undefined, "The other reader sees no answer");
  ensureSame(head.status, answer.status, "The status");
  const bodiless = method === "HEAD" || head.status === 204 ||
    head.status === 304;
  const expected = bodiless ? "none" : answer.untilClose ? "close" : null;
  if (expected !== null) ensureSame(head.framing, expected, "The framing");
  else {ensure(
      head.framing === "length" || head.framing === "chunked",
      "Framing",
    );}
  ensure(head.framing !== "close" || !head.reusable, "It ends by closing");
  for (const line of head.fields.split("\r\n")) {
    const name = line.slice(0, line.indexOf(":")).toLowerCase();
    ensure(!NEVER_ANSWERED.includes(name), `${name} goes on`);
  }
}

const NEVER_ANSWERED = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "transfer-encoding",
  "upgrade",
  "x-routed-to",
  "x-route-reason",
  "x-config-version",
];

/** Targets alone, which climb out of their base in all ways. */
export const targets = target({
  name: "targets",
  weight: 60,
  make(random) {
    const segment = () =>
      random.pick([
        "..",
        ".",
        "a",
        "",
        "%2e%2e",
        ".%2E",
        "...",
        "..;x",
        "a;..",
      ]);
    const slash = () => random.pick(["/", "/", "/", "\\", "%2f", "%5C", "//"]);
    const path = `/${random.list(8, () => segment() + slash()).join("")}`;
    return random.once(3) ? mutate(random, path, { bytes: true }) : path;
  },
  check(text): Verdict {
    const head = new RequestHead(RULES);
    try {
      head.read(`GET ${text} HTTP/1.1\r\nHost: a\r\n`);
    } catch (error) {
      ensure(error instanceof ProtocolError, `It throws ${error}`);
      return "refused";
    }
    checkClimb(head.target);
    return climbsOut(head.target) ? "refused" : "accepted";
  },
  show: (text) => text,
});
