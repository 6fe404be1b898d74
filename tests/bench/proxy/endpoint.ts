/**
 * The endpoint behind all proxies: four cells in one process, each on a port of its own. It is there
 * to be cheap, not to be an HTTP server: it knows the requests of the benchmark alone (one at a time
 * on a connection, below 64 KiB) and answers with bytes made beforehand. Prints its ports as JSON.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { CASES } from "./cases.ts";

const CELLS = 4;
const CHUNK = 65_536;
/** No request of the benchmark is larger, whatever fields a proxy adds. */
const LARGEST_REQUEST = 65_536;
const LF = 0x0a;
const CR = 0x0d;

/** The answers of one cell by their path. The body is letters, and the cell says its number. */
function answersOf(cell: number): Map<string, Buffer> {
  return new Map(
    CASES.filter(({ webSocket }) => !webSocket).map((item) => {
      const body = "x".repeat(item.receives);
      const chunked = item.id === "1m-chunked";
      const framing = chunked
        ? "Transfer-Encoding: chunked"
        : `Content-Length: ${item.receives}`;
      const head = `HTTP/1.1 200 OK\r\nDate: ${
        new Date().toUTCString()
      }\r\nContent-Type: text/plain\r\nX-Cell: ${cell}\r\n${framing}\r\n\r\n`;
      return [item.path, Buffer.from(head + (chunked ? inChunks(body) : body))];
    }),
  );
}

function inChunks(body: string): string {
  let text = "";
  for (let i = 0; i < body.length; i += CHUNK) {
    const part = body.slice(i, i + CHUNK);
    text += `${part.length.toString(16)}\r\n${part}\r\n`;
  }
  return `${text}0\r\n\r\n`;
}

/** Whether the bytes of one request are all there. Looks at no more than it must. */
function isWhole(buffer: Buffer, end: number): boolean {
  const endsInBlankLine = end > 3 && buffer[end - 1] === LF &&
    buffer[end - 2] === CR && buffer[end - 3] === LF && buffer[end - 4] === CR;
  if (buffer[0] === 0x47 /* G */) return endsInBlankLine;
  const text = buffer.toString("latin1", 0, Math.min(end, 8192));
  const headEnd = text.indexOf("\r\n\r\n");
  if (headEnd < 0) return false;
  const length = /\r\ncontent-length: *([0-9]+)/i.exec(text.slice(0, headEnd));
  if (length !== null) return end >= headEnd + 4 + Number(length[1]);
  // In chunks: the body is letters, so a blank line after its head is the end of the last chunk.
  return endsInBlankLine && end > headEnd + 4;
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array) {
  let done = await connection.write(bytes);
  while (done < bytes.length) {
    done += await connection.write(bytes.subarray(done));
  }
}

/** The handshake (RFC 6455 section 4.2.2), then every message back as it came. */
async function echo(
  connection: Deno.Conn,
  buffer: Buffer,
  end: number,
): Promise<void> {
  const key = /\r\nsec-websocket-key: *(\S+)/i.exec(
    buffer.toString("latin1", 0, end),
  )?.[1];
  const accept = createHash("sha1").update(
    `${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`,
  ).digest("base64");
  await writeAll(
    connection,
    Buffer.from(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    ),
  );
  end = 0;
  for (;;) {
    const size = await connection.read(buffer.subarray(end));
    if (size === null) return;
    end += size;
    let start = 0;
    let out = 0;
    for (;;) {
      const frame = unmask(buffer, start, end);
      if (frame === undefined) break;
      start += frame.size;
      buffer.copyWithin(out, frame.answer, start);
      out += start - frame.answer;
    }
    if (out > 0) await writeAll(connection, buffer.subarray(0, out));
    buffer.copyWithin(0, start, end);
    end -= start;
  }
}

/**
 * Turns the client's frame at `start` into the same frame of a server (no mask), in place, and
 * answers where that begins. Undefined while the frame is not whole.
 */
function unmask(
  buffer: Buffer,
  start: number,
  end: number,
): { size: number; answer: number } | undefined {
  if (end - start < 6) return undefined;
  const short = buffer[start + 1]! & 0x7f;
  const head = short === 126 ? 4 : 2;
  const length = short === 126 ? buffer.readUInt16BE(start + 2) : short;
  const size = head + 4 + length;
  if (end - start < size) return undefined;
  const mask = start + head;
  for (let i = 0; i < length; i++) {
    buffer[mask + 4 + i]! ^= buffer[mask + (i & 3)]!;
  }
  buffer[start + 1]! &= 0x7f;
  buffer.copyWithin(start + 4, start, mask);
  return { size, answer: start + 4 };
}

async function serve(
  connection: Deno.TcpConn,
  answers: ReadonlyMap<string, Buffer>,
): Promise<void> {
  connection.setNoDelay(true);
  let buffer = Buffer.allocUnsafeSlow(4096);
  let end = 0;
  for (;;) {
    const size = await connection.read(buffer.subarray(end));
    if (size === null) return;
    end += size;
    if (!isWhole(buffer, end)) {
      if (end === LARGEST_REQUEST) return;
      if (end === buffer.length) {
        const larger = Buffer.allocUnsafeSlow(LARGEST_REQUEST);
        buffer.copy(larger);
        buffer = larger;
      }
      continue;
    }
    const line = buffer.toString("latin1", 0, 32);
    const path = line.slice(line.indexOf(" ") + 1).split(" ", 1)[0]!;
    if (path === "/websocket") {
      return await echo(
        connection,
        Buffer.concat([buffer], LARGEST_REQUEST),
        end,
      );
    }
    const answer = answers.get(path);
    if (answer === undefined) {
      throw new Error(`The endpoint has no answer for ${JSON.stringify(line)}`);
    }
    end = 0;
    await writeAll(connection, answer);
  }
}

async function listen(listener: Deno.TcpListener, cell: number): Promise<void> {
  const answers = answersOf(cell);
  for await (const connection of listener) {
    serve(connection, answers)
      .catch((error) => {
        // A proxy or the load leaves as it likes.
        if (
          error instanceof Deno.errors.ConnectionReset ||
          error instanceof Deno.errors.BrokenPipe
        ) return;
        console.error(error);
      })
      .finally(() => connection.close());
  }
}

const listeners = Array.from(
  { length: CELLS },
  () => Deno.listen({ hostname: "127.0.0.1", port: 0 }),
);
console.log(JSON.stringify(listeners.map(({ addr }) => addr.port)));
await Promise.all(listeners.map(listen));
