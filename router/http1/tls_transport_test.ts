import { equal, ok, rejects } from "node:assert/strict";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, createServer } from "node:tls";
import { TEST_CERT, TEST_KEY } from "../upstream/testing.ts";
import { TlsTransport } from "./tls_transport.ts";

/** A connection's two ends: ours, and what the peer's stands on. */
async function pair() {
  const accepted = Promise.withResolvers<Socket>();
  const server = createServer(
    { cert: TEST_CERT, key: TEST_KEY },
    (socket) => accepted.resolve(socket),
  );
  const listening = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", () => listening.resolve());
  await listening.promise;
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError();
  const { port } = address;
  const raw = connectTcp({ host: "127.0.0.1", port });
  await new Promise<void>((ready) => raw.once("connect", ready));
  const peer = connectTls({
    socket: raw,
    servername: "localhost",
    ca: TEST_CERT,
  });
  peer.on("error", () => {});
  await new Promise<void>((ready) => peer.once("secureConnect", ready));
  const socket = await accepted.promise as ConstructorParameters<
    typeof TlsTransport
  >[0];
  const transport = new TlsTransport(socket);
  return {
    transport,
    socket,
    peer,
    raw,
    async [Symbol.asyncDispose]() {
      transport.close();
      peer.destroy();
      raw.destroy();
      await new Promise((closed) => server.close(closed));
    },
  };
}

const BUFFER = new Uint8Array(65536);

Deno.test("TlsTransport.read() tells a reset from an end, and writing nothing tells of both", async () => {
  await using ended = await pair();
  equal(await ended.transport.write(new Uint8Array(0)), 0);
  ended.peer.end("x");
  equal(await ended.transport.read(BUFFER), 1);
  equal(await ended.transport.read(BUFFER), null);
  equal(
    await ended.transport.write(new Uint8Array(0)),
    0,
    "it can be answered",
  );
  equal(await ended.transport.write(BUFFER), BUFFER.length);
  await using reset = await pair();
  const read = reset.transport.read(BUFFER);
  reset.raw.resetAndDestroy();
  await rejects(read, /reset/);
  await rejects(reset.transport.write(new Uint8Array(0)), /reset/);
});

Deno.test("TlsTransport takes no more from the network than is read, and then all of it", async () => {
  await using one = await pair();
  const part = new Uint8Array(1 << 20);
  const parts = 64;
  let sent = 0;
  const sending = (async () => {
    for (; sent < parts; sent++) {
      await new Promise<void>((left) => one.peer.write(part, () => left()));
    }
    one.peer.end();
  })();
  for (let last = -1; sent !== last || sent === 0;) {
    last = sent;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  ok(sent < parts, "the peer has to wait");
  ok(one.socket.readableLength < 4 << 20);
  let length = 0;
  for (let count; (count = await one.transport.read(BUFFER)) !== null;) {
    length += count;
  }
  equal(length, parts * part.length);
  await sending;
});
