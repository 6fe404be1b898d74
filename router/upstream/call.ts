import { takeHead } from "../http1/head.ts";
import { LONG_HEAD_BUFFERS } from "../http1/buffers.ts";
import { ProtocolError } from "../http1/fields.ts";
import type { RequestHead } from "../http1/request_head.ts";
import { TURN } from "../http1/wire.ts";
import { abandoned, type Exchange } from "../listen/exchange.ts";
import { UpstreamError } from "./error.ts";
import type { Cell, UpstreamConnection } from "./upstream.ts";

/**
 * A request that may not be sent twice takes no connection that has been idle for longer, in
 * milliseconds: servers close idle ones, commonly after 5 s, and what is sent meanwhile is lost.
 */
const FRESH_TIME = 2000;

/** The most informational answers before a final one. */
const MAX_INFORMATIONAL = 32;

/** How long parts of a call may take, in milliseconds. */
export interface CallTimeouts {
  /** From the last byte of the request to the first of the answer's head. */
  readonly response: number;
  /** A body without a byte. */
  readonly idle: number;
}

/**
 * Sends a request to a cell and waits for the head of its final answer; informational answers are
 * passed to the client on the way. The rest of the request's body goes on being sent meanwhile.
 *
 * It is sent twice only where no byte of it can have reached the endpoint, or where the method is
 * safe, there is no body, and a connection used before died without a byte of answer.
 *
 * @param text the head to send, with its empty line.
 * @returns the connection, with its `head` read.
 * @throws {UpstreamError} if the endpoint does not answer properly, or not in time.
 * @throws {ProtocolError} if the request's body is malformed, before anything is sent.
 */
export async function call(
  cell: Cell,
  exchange: Exchange,
  options: { head: RequestHead; text: string; timeouts: CallTimeouts },
): Promise<UpstreamConnection> {
  const { head, text, timeouts } = options;
  const body = exchange.takeBody();
  const repeatable = isSafe(head.method) && !head.hasBody && !head.websocket;
  let connection = cell.take(repeatable ? Infinity : FRESH_TIME);
  const bodyless = body === null && exchange.bodyDone;
  for (let first = true;; first = false) {
    const reused = connection !== null;
    try {
      connection ??= await open(cell, exchange);
      if (exchange.aborted !== null) throw abandoned();
      exchange.cancel = connection.cancel;
      if (bodyless && connection.wire.lay(text, null, timeouts.idle)) {
        await TURN;
        connection.wire.launch();
        connection.wire.awaitBytes(timeouts.response);
      } else {
        await sendWithBody(connection, exchange, { text, body, timeouts });
      }
      // An answer that comes whole needs no other function to wait for it.
      if (!connection.wire.took(await connection.wire.reading())) {
        throw endedEarly();
      }
      connection.answering = true;
      if (!readFinal(connection, head)) {
        await readOn(connection, exchange, { head, timeouts });
      }
      connection.committed = true;
      return connection;
    } catch (error) {
      const silent = connection === null || !connection.answering;
      const timedOut = connection?.timedOut ?? null;
      connection?.close();
      connection = null;
      if (exchange.aborted !== null || exchange.client.broken) throw error;
      const failure = upstreamError(error, cell, timedOut);
      const again = failure.retryable ||
        (repeatable && reused && silent && timedOut === null &&
          failure.kind === "reset");
      if (!first || !again) throw failure;
    }
  }
}

async function open(
  cell: Cell,
  exchange: Exchange,
): Promise<UpstreamConnection> {
  const controller = new AbortController();
  exchange.cancel = () => controller.abort();
  return await cell.connect(controller.signal);
}

async function sendWithBody(
  connection: UpstreamConnection,
  exchange: Exchange,
  options: { text: string; body: Uint8Array | null; timeouts: CallTimeouts },
): Promise<void> {
  const { text, body, timeouts } = options;
  const { wire } = connection;
  try {
    await wire.send(text, body, timeouts.idle);
  } catch (error) {
    // An endpoint may answer and close without reading all of a request, so the answer is looked for.
    if (body === null || wire.closed) throw error;
  }
  if (exchange.bodyDone) {
    exchange.client.shrink();
    wire.awaitBytes(timeouts.response);
    return;
  }
  // While the client sends, its own silence is what counts; but one that waits for `100 Continue` sends nothing.
  if (exchange.head?.expectsContinue === true) {
    wire.awaitBytes(timeouts.response);
  }
  const answerFrom = () => {
    if (!connection.committed) {
      wire.awaitBytes(timeouts.response);
    }
  };
  exchange.pump({
    write: async (piece) => {
      if (!connection.committed) wire.awaitBytes(Infinity);
      try {
        await wire.write(piece, timeouts.idle);
      } catch (error) {
        answerFrom();
        throw error;
      }
    },
    finished: answerFrom,
  });
}

/**
 * Reads the head of a final answer, if it is there.
 *
 * @returns false if it is not complete, or that of an informational answer, which `status` tells.
 */
function readFinal(
  connection: UpstreamConnection,
  request: RequestHead,
  seen = 0,
): boolean {
  const { wire, head } = connection;
  head.status = 0;
  const text = takeHead(wire, seen);
  if (text === null) return false;
  head.read(text, request.method);
  if (head.status === 101 && !(request.websocket && head.websocket)) {
    throw new ProtocolError(
      "Cannot take an answer that changes to a protocol not asked for",
    );
  }
  return head.status >= 200 || head.status === 101;
}

/** Reads on until the head of a final answer; informational answers are passed to the client. */
async function readOn(
  connection: UpstreamConnection,
  exchange: Exchange,
  options: { head: RequestHead; timeouts: CallTimeouts },
): Promise<void> {
  const { wire, head } = connection;
  for (let informational = 0;;) {
    let seen = wire.available;
    if (head.status !== 0) {
      if (++informational > MAX_INFORMATIONAL) {
        throw new ProtocolError(
          `Cannot take more than ${MAX_INFORMATIONAL} informational answers`,
        );
      }
      await pass(connection, exchange, options.timeouts);
      seen = 0;
    }
    if (seen === wire.available) {
      if (wire.full) wire.grow(LONG_HEAD_BUFFERS);
      if (!await wire.fill()) throw endedEarly();
    }
    if (readFinal(connection, options.head, seen)) return;
  }
}

function endedEarly(): UpstreamError {
  return new UpstreamError(
    "Cannot read the head of an answer: the connection ended before it",
    { kind: "reset" },
  );
}

/** Passes an informational answer on. */
async function pass(
  connection: UpstreamConnection,
  exchange: Exchange,
  timeouts: CallTimeouts,
): Promise<void> {
  const { head, wire } = connection;
  if (head.status === 100) exchange.continued = true;
  wire.awaitBytes(Infinity);
  await exchange.client.send(
    `HTTP/1.1 ${head.statusText}\r\n${head.fields}\r\n`,
    null,
    timeouts.idle,
  );
  if (exchange.bodySent) wire.awaitBytes(timeouts.response);
}

/** What an error on the way to the head of an answer means. */
function upstreamError(
  error: unknown,
  cell: Cell,
  timedOut: number | null,
): UpstreamError {
  if (timedOut !== null) {
    return new UpstreamError(
      `Cannot wait longer for an answer of ${cell.endpoint.url}`,
      { kind: "response_timeout", waited: timedOut, cause: error },
    );
  }
  if (error instanceof UpstreamError) return error;
  if (error instanceof ProtocolError) {
    return new UpstreamError(
      `Cannot understand the answer of ${cell.endpoint.url}`,
      { kind: "malformed", cause: error },
    );
  }
  return new UpstreamError(
    `Cannot get an answer of ${cell.endpoint.url}: the connection broke`,
    { kind: "reset", cause: error },
  );
}

/** Methods that change nothing (RFC 9110 section 9.2.1). */
function isSafe(method: string): boolean {
  return method === "GET" || method === "HEAD" || method === "OPTIONS" ||
    method === "TRACE";
}
