import { Buffer } from "node:buffer";
import { createApp } from "../../../router/app.ts";
import { Fence } from "../../../router/fence.ts";
import { Holds } from "../../../router/holds.ts";
import { parseTrustedProxies } from "../../../router/forwarding.ts";
import { MemoryTransport } from "../../../router/http1/testing.ts";
import { Client } from "../../../router/listen/client.ts";
import { activeAt, request } from "../../../router/testing.ts";
import { Traffic } from "../../../router/traffic.ts";
import { Upstream } from "../../../router/upstream/upstream.ts";
import {
  readRequest,
  readStream,
  type StrictRequest,
} from "../../conformance/smuggling_reader.ts";
import { answerBytes, HTTP_TOKENS, requestBytes } from "../inputs/http.ts";
import {
  type ModelReading,
  readAnswers,
  readChunked,
} from "../models/answer_model.ts";
import { parts, soundOrNot } from "../mutate.ts";
import {
  type Checker,
  ensure,
  ensureSame,
  type Target,
  type Verdict,
} from "../target.ts";

/** The whole data path between two connections in memory: the listener's side, the app, the way to the cells. */

const BASE = "/base";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const HOW = { bytes: true, tokens: HTTP_TOKENS };

/** What a connection saw. */
interface Seen {
  /** What each connection to the endpoint was sent. */
  readonly endpoint: readonly string[];
  readonly client: string;
  readonly closed: boolean;
}

/** A data path whose endpoint's every connection answers with the same bytes. */
class Path {
  readonly #upstream: Upstream;
  readonly #app: ReturnType<typeof createApp>;
  readonly #traffic = new Traffic();
  #connections: MemoryTransport[] = [];
  #answer: readonly string[] = [];

  constructor() {
    this.#upstream = new Upstream({
      traffic: this.#traffic,
      connect: () => {
        const transport = new MemoryTransport(this.#answer.map(bytesOf));
        this.#connections.push(transport);
        return Promise.resolve(transport);
      },
    });
    const fence = new Fence(() => {});
    const active = activeAt(`http://127.0.0.1:1${BASE}`);
    this.#app = createApp({
      active: () => active,
      upstream: this.#upstream,
      traffic: this.#traffic,
      fence,
      holds: new Holds({
        fence,
        traffic: this.#traffic,
        maxWaiting: 1,
        maxWait: 1000,
        tell: () => {},
        active: () => active,
      }),
      routingKey: { kind: "header", name: "x-routing-key" },
      trusted: parseTrustedProxies(["10.0.0.1"]),
      via: "signalbox",
      timeouts: { response: 30_000, idle: 60_000, stream: 60_000 },
      tracing: null,
      accessLogLevel: "off",
      accessLog: () => {},
    });
  }

  async run(
    sent: readonly string[],
    options: { readonly answer: readonly string[]; readonly peer: string },
  ): Promise<Seen> {
    this.#connections = [];
    this.#answer = options.answer;
    const transport = new MemoryTransport(sent.map(bytesOf));
    const client = new Client(transport, {
      peer: options.peer,
      secure: false,
      host: {
        app: this.#app,
        stopping: false,
        idleTimeout: 60_000,
        headerTimeout: 10_000,
        keepAliveTimeout: 75_000,
      },
    });
    await client.serve();
    ensureSame(this.#traffic.inFlight, 0, "Requests left over");
    const endpoint = this.#connections.map(({ written }) => written);
    return { endpoint, client: transport.written, closed: transport.closed };
  }

  close(): void {
    this.#upstream.close();
  }
}

function bytesOf(text: string): Uint8Array {
  return Buffer.from(text, "latin1");
}

interface Requests {
  readonly bytes: string;
  readonly parts: readonly string[];
  readonly peer: string;
}

/** What clients send, through to the endpoint: what comes out there was a request of the client, and no other. */
export const pathRequests: Target<Requests> = {
  name: "path-requests",
  weight: 60,
  make(random) {
    const make = () =>
      Array.from({ length: random.between(1, 3) }, () => requestBytes(random))
        .join(random.pick(["", "", "\r\n"]));
    const bytes = soundOrNot(random, make, HOW);
    return {
      bytes,
      parts: random.once(2) ? [bytes] : parts(random, bytes),
      peer: random.pick(["10.0.0.1", "10.0.0.2"]),
    };
  },
  open: () => onPath(checkRequests),
  show: ({ bytes }) => bytes,
};

/** What endpoints answer, through to the client: an answer that is whole and sound, one that is cut, or an error. */
export const pathAnswers: Target<Answers> = {
  name: "path-answers",
  weight: 60,
  make(random) {
    const bytes = soundOrNot(random, () => answerBytes(random), HOW);
    return {
      method: random.pick(["GET", "GET", "HEAD", "POST"]),
      parts: random.once(2) ? [bytes] : parts(random, bytes),
      bytes,
    };
  },
  open: () => onPath(checkAnswers),
  show: ({ method, bytes }) => `${method}: ${bytes}`,
};

function onPath<Input>(
  check: (path: Path, input: Input) => Promise<Verdict>,
): Checker<Input> {
  const path = new Path();
  return {
    check: (input) => check(path, input),
    close: () => path.close(),
  };
}

async function checkRequests(
  path: Path,
  { bytes, parts, peer }: Requests,
): Promise<Verdict> {
  const seen = await path.run(parts, { answer: [OK], peer });
  ensure(seen.closed, "The client's connection stays open");
  const strict = readStream(bytes);
  // The other reader takes fewer hosts, and one form of OPTIONS for another target.
  const lenient = strict.why.startsWith("Host") || /OPTIONS http/i.test(bytes);
  const sent = strict.requests;
  const whole = sent.filter(({ complete }) => complete).length;
  let next = 0;
  let forwarded = 0;
  for (const text of seen.endpoint) {
    const reading = readStream(text);
    ensure(
      reading.end !== "malformed" || reading.why.startsWith("Host"),
      `The endpoint gets what is malformed: ${reading.why}`,
    );
    for (const got of reading.requests) {
      if (lenient) continue;
      const index = sent.findIndex((one, index) =>
        index >= next && isForwarded(one, got)
      );
      ensure(index >= 0, `The endpoint gets ${got.method} ${got.target}`);
      ensure(!got.complete || sent[index]!.complete, "A cut request is whole");
      next = index + 1;
      forwarded++;
    }
    checkHead(text, peer);
  }
  checkForwardedBodies(seen.endpoint);
  if (lenient) return "refused";
  const answers = readAnswers(
    seen.client,
    [...sent.map(({ method }) => method), "GET"],
  );
  ensureSame(answers.malformed, null, "What the client gets");
  ensure(answers.answers.length <= sent.length + 1, "Answers to no requests");
  ensure(
    answers.answers.length >= Math.min(whole, forwarded),
    "A whole request has no answer",
  );
  for (const { status } of answers.answers) {
    ensure(EXPECTED.includes(status), `The client gets status ${status}`);
  }
  return forwarded > 0 ? "accepted" : "refused";
}

const EXPECTED = [200, 400, 405, 408, 414, 431, 505];

/** Whether what the endpoint got is this request, below the base path, as far as it was there. */
function isForwarded(sent: StrictRequest, got: StrictRequest): boolean {
  const target = sent.target === "*" ? BASE : BASE + sent.target;
  return got.method === sent.method && got.target === target &&
    got.framing === sent.framing &&
    (got.complete ? got.body === sent.body : sent.body.startsWith(got.body));
}

/** What the router says of where a request came from, and what an untrusted client says of it. */
function checkHead(text: string, peer: string): void {
  const { request } = readRequest(text, 0);
  if (request === undefined) return;
  const values = (wanted: string) =>
    request.fields.filter(([name]) =>
      name.toLowerCase().replaceAll("_", "-") === wanted
    ).map(([, value]) => value);
  const trusted = peer === "10.0.0.1";
  const from = values("x-forwarded-for");
  ensure(trusted || from.length === 1, "X-Forwarded-For stands twice");
  ensure(from.at(-1)!.endsWith(peer), `X-Forwarded-For: ${from}`);
  if (trusted) return;
  ensureSame(from, [peer], "What an untrusted client says goes on");
  ensureSame(values("via"), ["1.1 signalbox"], "Via");
  ensureSame(values("forwarded"), [], "Forwarded");
  ensureSame(values("x-real-ip"), [], "X-Real-IP");
  ensureSame(values("x-request-id").length, 1, "X-Request-Id");
}

/** Chunked bodies go on without the trailers that may not come so. */
function checkForwardedBodies(texts: readonly string[]): void {
  for (const text of texts) {
    for (const { trailers } of readStream(text).requests) {
      for (const [name] of trailers) {
        const plain = name.toLowerCase().replaceAll("_", "-");
        ensure(
          plain !== "host" && plain !== "x-routing-key",
          `Trailer ${name}`,
        );
      }
    }
  }
}

interface Answers {
  readonly method: string;
  readonly bytes: string;
  readonly parts: readonly string[];
}

async function checkAnswers(
  path: Path,
  { method, bytes, parts }: Answers,
): Promise<Verdict> {
  const asked = request(
    `${method} /x HTTP/1.1`,
    method === "POST" ? "Content-Length: 1\r\n" : "",
    method === "POST" ? "b" : "",
  );
  const options = { answer: parts, peer: "10.0.0.2" };
  const seen = await path.run([asked], options);
  ensure(seen.closed, "The client's connection stays open");
  const got = readAnswers(seen.client, [method]);
  ensureSame(got.malformed, null, "What the client gets is malformed");
  const said = readAnswers(bytes, [method]);
  const [answer] = got.answers;
  ensure(answer !== undefined, `The client gets no answer: ${seen.client}`);
  ensure(!answer.untilClose, "An answer ends by closing");
  if (answer.status === 502) {
    const [sound] = said.answers;
    // What is refused may be sound all the same, by rules of the router's own; but not what is plain.
    ensure(
      sound === undefined || !isPlain(bytes, said),
      "A plain answer is refused",
    );
    ensure(!/127\.0\.0\.1/.test(answer.body), "The endpoint's address is told");
    return "refused";
  }
  const [original] = said.answers;
  ensure(original !== undefined, "An answer that nobody gave");
  ensureSame(answer.status, original.status, "The status");
  ensure(
    answer.complete === original.complete || said.malformed !== null,
    "A cut answer looks whole",
  );
  if (answer.complete && said.malformed === null) {
    ensureSame(answer.body, original.body, "The body");
  } else ensure(original.body.startsWith(answer.body), "Part of the body");
  const routed = answer.fields.filter(([name]) => name === "x-routed-to");
  ensureSame(routed.map(([, value]) => value), ["cell"], "X-Routed-To");
  for (const name of ["keep-alive", "upgrade", "proxy-connection"]) {
    ensure(!answer.fields.some(([other]) => other === name), `${name} goes on`);
  }
  return answer.complete ? "accepted" : "refused";
}

/** Whether an answer is one that every client takes: one answer of HTTP/1.1, with the shortest framing. */
function isPlain(bytes: string, said: ModelReading): boolean {
  return said.malformed === null && said.informational === 0 &&
    said.answers.length === 1 && said.answers[0]!.complete &&
    /^HTTP\/1\.1 200 OK\r\n/.test(bytes) &&
    readChunked(bytes, bytes.indexOf("\r\n\r\n") + 4).malformed &&
    !/transfer|upgrade/i.test(bytes) && bytes.length < 2000;
}
