import { Buffer } from "node:buffer";
import {
  ChunkScanner,
  requestTrailerFilter,
  RESPONSE_TRAILER_FILTER,
} from "../../../router/http1/chunked.ts";
import {
  MAX_FIELDS,
  MAX_TRAILER_BYTES,
  ProtocolError,
} from "../../../router/http1/fields.ts";
import { chunkedBody, HTTP_TOKENS } from "../inputs/http.ts";
import { readChunked } from "../models/answer_model.ts";
import { parts, soundOrNot } from "../mutate.ts";
import { ensure, ensureSame, target, type Verdict } from "../target.ts";

/** What a scanner made of a body. */
interface Scanned {
  /** What would be sent on, its filtered trailers included. */
  readonly sent: string;
  readonly done: boolean;
  readonly refused: boolean;
  /** How many bytes belong to the body. */
  readonly end: number;
}

/** What may stand in no trailer section that goes on, whatever way it is written. */
const NEVER_TRAILING = [
  "content-length",
  "transfer-encoding",
  "host",
  "connection",
  "trailer",
  "content-type",
];
const NEVER_OF_REQUESTS = [
  "authorization",
  "cookie",
  "forwarded",
  "via",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-real-ip",
  "x-request-id",
  "x-routing-key",
];
const NEVER_OF_ANSWERS = ["set-cookie", "x-routed-to", "x-config-version"];

/** Chunked bodies and their trailers, beside a reader that decodes them. */
export const chunks = target({
  name: "chunked-bodies",
  weight: 80,
  make(random) {
    const bytes = soundOrNot(random, () => chunkedBody(random), {
      bytes: true,
      tokens: HTTP_TOKENS,
    });
    return { bytes, parts: parts(random, bytes), request: random.once(2) };
  },
  check({ bytes, parts, request }): Verdict {
    const whole = scan([bytes], request);
    for (
      const [how, pieces] of [["In parts", parts], ["By bytes", [
        ...bytes,
      ]]] as const
    ) {
      const other = scan(pieces, request);
      ensureSame(other.refused, whole.refused, `${how}: refused`);
      if (!whole.refused) ensureSame(other, whole, how);
    }
    const model = readChunked(bytes, 0);
    if (whole.refused) {
      const long = model.trailers.length > MAX_FIELDS ||
        bytes.length > MAX_TRAILER_BYTES;
      ensure(model.end === null || long, "A sound body is refused");
      return "refused";
    }
    // Trailers are checked when all have come.
    ensure(!whole.done || !model.malformed, "A malformed body is taken");
    ensureSame(whole.done, model.end !== null, "It is complete");
    if (!whole.done) return "refused";
    ensureSame(whole.end, model.end, "Where it ends");
    const again = readChunked(whole.sent, 0);
    ensureSame(again.end, whole.sent.length, "What goes on is one whole body");
    ensureSame(again.body, model.body, "Its content");
    const never = [
      ...NEVER_TRAILING,
      ...request ? NEVER_OF_REQUESTS : NEVER_OF_ANSWERS,
    ];
    const kept = model.trailers.filter(([name]) =>
      !never.includes(name.replaceAll("_", "-"))
    );
    for (const [name] of again.trailers) {
      ensure(!never.includes(name.replaceAll("_", "-")), `${name} goes on`);
    }
    for (const trailer of again.trailers) {
      ensure(
        kept.some((one) => String(one) === String(trailer)),
        "A new trailer",
      );
    }
    const plain = (trailers: typeof kept) =>
      trailers.filter(([name]) => name === "x-a" || name === "accept");
    ensureSame(plain(again.trailers.slice()), plain(kept), "Harmless trailers");
    return "accepted";
  },
  show: ({ bytes }) => bytes,
});

function scan(pieces: readonly string[], request: boolean): Scanned {
  const scanner = new ChunkScanner(
    request ? requestTrailerFilter("x-routing-key") : RESPONSE_TRAILER_FILTER,
  );
  let sent = "";
  let end = 0;
  try {
    for (const piece of pieces) {
      if (scanner.done) break;
      const bytes = Buffer.from(piece, "latin1");
      const stop = scanner.scan(bytes, 0, bytes.length);
      ensure(scanner.done || stop === bytes.length, "It leaves bytes behind");
      end += stop;
      sent += bytes.subarray(0, scanner.passed).toString("latin1");
      if (scanner.done) sent += scanner.tail;
    }
  } catch (error) {
    ensure(error instanceof ProtocolError, `It throws ${error}`);
    return { sent: "", done: false, refused: true, end: 0 };
  }
  return { sent, done: scanner.done, refused: false, end };
}
