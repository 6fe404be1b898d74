import { ProtocolError } from "./http1/fields.ts";
import { tunnel } from "./http1/tunnel.ts";
import type { Wire } from "./http1/wire.ts";
import type { Exchange } from "./listen/exchange.ts";
import type { StreamKind } from "./traffic.ts";
import { UpstreamError } from "./upstream/error.ts";
import type { UpstreamConnection } from "./upstream/upstream.ts";

/** How long parts of an answer may take, in milliseconds. */
export interface RelayTimeouts {
  /** A body without a byte, or a reader that takes none. */
  readonly idle: number;
  /** The same for event streams and tunnels. */
  readonly stream: number;
}

/**
 * Streams the answer whose head has come to the client. One that came whole and is small, as most are, is only
 * laid out on the client's wire.
 *
 * @param options.fields lines to add to its head.
 * @returns null where the answer is laid out and only has to be sent.
 */
export function relay(
  exchange: Exchange,
  connection: UpstreamConnection,
  options: { fields: string; timeouts: RelayTimeouts },
): Promise<void> | null {
  const { head, body, wire, cell } = connection;
  const { fields, timeouts } = options;
  const { streams } = cell.traffic;
  const start = `HTTP/1.1 ${head.statusText}\r\n${head.fields}${fields}`;
  wire.awaitBytes(Infinity);
  exchange.streaming = head.status === 101 || head.eventStream;
  if (head.status === 101) {
    exchange.keepAlive = false;
    const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    return counted(
      relayTunnel(exchange, wire, { text: start + upgrade, timeouts }),
      { streams, kind: "tunnel" },
    );
  }
  const patience = head.eventStream ? timeouts.stream : timeouts.idle;
  body.begin(head.framing, head.length);
  const first = firstPiece(connection);
  const framing = head.framing === "chunked" || head.framing === "close"
    ? "Transfer-Encoding: chunked\r\n"
    : "";
  const close = exchange.endsConnection() ? "Connection: close\r\n" : "";
  const text = `${start}${framing}${close}\r\n`;
  exchange.status = head.status;
  if (body.done && exchange.client.lay(text, first, patience)) return null;
  const rest = relayRest(exchange, connection, { text, first, patience });
  return head.eventStream
    ? counted(rest, { streams, kind: "event_stream" })
    : rest;
}

/** Counts a stream for as long as it is open. */
async function counted(
  stream: Promise<void>,
  { streams, kind }: { streams: Record<StreamKind, number>; kind: StreamKind },
): Promise<void> {
  streams[kind]++;
  try {
    await stream;
  } finally {
    streams[kind]--;
  }
}

async function relayRest(
  exchange: Exchange,
  connection: UpstreamConnection,
  options: { text: string; first: Uint8Array | null; patience: number },
): Promise<void> {
  const { body, wire } = connection;
  const { text, first, patience } = options;
  await exchange.client.send(text, first, patience);
  while (!body.done) {
    wire.awaitBytes(patience);
    const piece = await nextPiece(connection);
    wire.awaitBytes(Infinity);
    if (piece.length > 0) await exchange.client.write(piece, patience);
  }
}

async function relayTunnel(
  exchange: Exchange,
  wire: Wire,
  options: { text: string; timeouts: RelayTimeouts },
): Promise<void> {
  const { text, timeouts } = options;
  await exchange.answer(101, text, null);
  await tunnel(exchange.client, wire, {
    stream: timeouts.stream,
    closing: timeouts.idle,
  });
}

/** What came of the answer's body together with its head. */
function firstPiece(
  { body, wire, cell }: UpstreamConnection,
): Uint8Array | null {
  try {
    const piece = body.take(wire);
    return piece.length === 0 ? null : piece;
  } catch (cause) {
    throw new UpstreamError(
      `Cannot take the beginning of an answer's body of ${cell.endpoint.url}`,
      { kind: "malformed", cause },
    );
  }
}

async function nextPiece(connection: UpstreamConnection): Promise<Uint8Array> {
  try {
    return await connection.body.next(connection.wire);
  } catch (cause) {
    const kind = connection.timedOut !== null
      ? "stalled"
      : cause instanceof ProtocolError
      ? "malformed"
      : "cut";
    throw new UpstreamError(
      `Cannot take the rest of an answer's body of ${connection.cell.endpoint.url}`,
      { kind, waited: connection.timedOut, cause },
    );
  }
}
