/**
 * The load for WebSockets: on each of many connections one message at a time, and the next when it came
 * back. Raw sockets with frames made beforehand, because the runtime's WebSocket would cost more than
 * most proxies. Its argument is JSON, and so is the {@linkcode LoadResult} it prints.
 */
import { Buffer } from "node:buffer";
import { createHash, randomBytes } from "node:crypto";
import type { WebSocketLoad } from "./load.ts";
import type { LoadResult } from "./sample.ts";

/** Round trips are counted in steps of 10 µs, up to 1 s. */
const STEP_MS = 0.01;
const STEPS = 100_000;

const { item, port, seconds, customersFile }: WebSocketLoad = JSON.parse(
  Deno.args[0]!,
);
const customers = (await Deno.readTextFile(customersFile)).trim().split("\n");
const roundTrips = new Uint32Array(STEPS);
const errors: Record<string, number> = {};
let messages = 0;
let deadline = Infinity;

/** A binary message as a client sends it, and as a server does (RFC 6455 section 5.2). */
function frames(body: Buffer): { out: Buffer; back: Buffer } {
  const length = Buffer.from([0, body.length >> 8, body.length & 0xff]);
  const head = (mask: number) => {
    length[0] = mask | 126;
    return Buffer.concat([Buffer.from([0x82]), length]);
  };
  const mask = randomBytes(4);
  const masked = body.map((byte, i) => byte ^ mask[i & 3]!);
  return {
    out: Buffer.concat([head(0x80), mask, masked]),
    back: Buffer.concat([head(0), body]),
  };
}

async function open(buffer: Buffer): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.setNoDelay(true);
  const key = randomBytes(16).toString("base64");
  const customer = customers[Math.floor(Math.random() * customers.length)];
  await connection.write(Buffer.from(
    `GET ${item.path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nX-Routing-Key: ${customer}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`,
  ));
  let head = "";
  while (!head.endsWith("\r\n\r\n")) {
    const size = await connection.read(buffer);
    if (size === null) break;
    head += buffer.toString("latin1", 0, size);
  }
  const accept = createHash("sha1")
    .update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  if (!head.startsWith("HTTP/1.1 101 ") || !head.includes(accept)) {
    throw new Error(`no WebSocket: ${head.split("\r\n", 1)[0]}`);
  }
  return connection;
}

/** Sends messages until the time is up. Each connection has a body of its own, so a mix-up would show. */
async function converse(
  connection: Deno.TcpConn,
  buffer: Buffer,
): Promise<void> {
  const { out, back } = frames(randomBytes(item.sends));
  for (;;) {
    const sent = performance.now();
    if (sent > deadline) return;
    await connection.write(out);
    let end = 0;
    while (end < back.length) {
      const size = await connection.read(buffer.subarray(end));
      if (size === null) throw new Error("closed by the proxy");
      end += size;
    }
    if (end !== back.length || back.compare(buffer, 0, end) !== 0) {
      throw new Error("another message came back");
    }
    const step = Math.floor((performance.now() - sent) / STEP_MS);
    roundTrips[Math.min(step, STEPS - 1)]!++;
    messages++;
  }
}

function percentile(share: number): number {
  let left = messages * share;
  const step = roundTrips.findIndex((count) => (left -= count) <= 0);
  return (step + 1) * STEP_MS;
}

function count(error: unknown): void {
  const name = error instanceof Error ? error.message : String(error);
  errors[name] = (errors[name] ?? 0) + 1;
}

const connections: [Deno.TcpConn, Buffer][] = [];
for (let i = 0; i < item.connections; i++) {
  const buffer = Buffer.alloc(4096);
  try {
    connections.push([await open(buffer), buffer]);
  } catch (error) {
    count(error);
  }
}
const started = performance.now();
deadline = started + seconds * 1000;
await Promise.all(
  connections.map((connection) => converse(...connection).catch(count)),
);
const result: LoadResult = {
  requests: messages,
  seconds: (performance.now() - started) / 1000,
  p50Ms: percentile(0.5),
  p99Ms: percentile(0.99),
  errors,
};
console.log(JSON.stringify(result));
// What is still open ends with the process.
Deno.exit(0);
