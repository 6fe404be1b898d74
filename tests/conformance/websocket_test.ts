import { Buffer } from "node:buffer";
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { deflateRawSync, inflateRawSync } from "node:zlib";
import { ControlPlane } from "../harness/control_plane.ts";
import { dataFolder } from "../harness/program.ts";
import { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";
import { acceptOf, closePayload, FrameSocket, OPCODE } from "./frames.ts";
import { requestText, WireFront } from "./front.ts";
import { fieldsOf, valuesOf } from "./messages.ts";
import { Peer, PeerEndpoint } from "./peer.ts";
import {
  HAS_PROC,
  mebibytes,
  memoryOf,
  metricsOf,
  quiet,
  report,
  upstreamConnections,
} from "./process.ts";
import { Subject } from "./subject.ts";

/** A WebSocket passes as a tunnel (RFC 6455); nothing else does (SPEC section 6). */

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/** What the endpoint does with a connection after a request's head. */
let play: (peer: Peer, head: string) => Promise<void> = () => Promise.resolve();
const endpoint = await PeerEndpoint.listen(async (peer) => {
  await play(peer, await peer.until("\r\n\r\n"));
});
const subjects = await Subject.both({
  placements: { cell: endpoint.url },
  env: { ROUTER_IDLE_TIMEOUT: "2s" },
});
Deno.test.afterAll(async () => {
  for (const subject of subjects) await subject[Symbol.asyncDispose]();
  await endpoint[Symbol.asyncDispose]();
});

/** A handshake, with more fields. */
function handshake(fields: readonly (readonly [string, string])[] = []) {
  return requestText({
    headers: [
      ["Connection", "Upgrade"],
      ["Upgrade", "websocket"],
      ["Sec-WebSocket-Version", "13"],
      ["Sec-WebSocket-Key", KEY],
      ...fields,
    ],
  });
}

/** The endpoint's answer to a handshake. */
function agreement(head: string, fields = ""): string {
  const [key] = valuesOf(fieldsOf(head), "sec-websocket-key");
  return `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${
    acceptOf(key!)
  }\r\n${fields}\r\n`;
}

/** A WebSocket through a router, and its two ends. */
interface Tunnel extends AsyncDisposable {
  readonly client: FrameSocket;
  readonly cell: FrameSocket;
  /** The heads of the handshake: what reached the endpoint, and what reached the client. */
  readonly asked: string;
  readonly answered: string;
}

async function open(
  front: WireFront,
  options: {
    fields?: readonly (readonly [string, string])[];
    answer?: string;
  } = {},
): Promise<Tunnel> {
  const arrived = Promise.withResolvers<{ peer: Peer; head: string }>();
  const over = Promise.withResolvers<void>();
  play = async (peer, head) => {
    await peer.send(agreement(head, options.answer));
    arrived.resolve({ peer, head });
    await over.promise;
  };
  const client = await Peer.connect(front);
  await client.send(handshake(options.fields));
  const { peer, head } = await arrived.promise;
  const answered = await client.until("\r\n\r\n");
  return {
    client: new FrameSocket(client, true),
    cell: new FrameSocket(peer, false),
    asked: head,
    answered,
    [Symbol.asyncDispose]: () => {
      client.close();
      over.resolve();
      return Promise.resolve();
    },
  };
}

/** Both directions of a tunnel, by name. */
function ways({ client, cell }: Tunnel) {
  return {
    "to the cell": [client, cell],
    "to the client": [cell, client],
  } as const;
}

async function tunnels(router: Router): Promise<number | undefined> {
  const metrics = await metricsOf(router);
  return metrics.get(
    'signalbox_router_streams{placement="cell",kind="tunnel"}',
  );
}

/** A test that begins without a connection to the endpoint: what a script is for is the test's own. */
function test(
  subject: Subject,
  name: string,
  run: (subject: Subject) => Promise<void>,
): void {
  Deno.test(name, async () => {
    for (const peer of endpoint.peers.splice(0)) peer.close();
    await until("old connections to be ended", async () => {
      const { active, idle } = await upstreamConnections(subject.router);
      return active + idle === 0;
    });
    await run(subject);
  });
}

for (const subject of subjects) {
  const { name } = subject.front;
  test(
    subject,
    `${name}: a WebSocket's handshake passes with its subprotocols and extensions (RFC 6455 section 4)`,
    async ({ front, router }) => {
      const offer =
        'permessage-deflate; client_max_window_bits, x-other; a="b"';
      const agreed = "permessage-deflate; server_no_context_takeover";
      await using tunnel = await open(front, {
        fields: [
          ["Sec-WebSocket-Protocol", "chat.v2, chat.v1"],
          ["Sec-WebSocket-Extensions", offer],
          ["Origin", "https://a.example"],
        ],
        answer:
          `Sec-WebSocket-Protocol: chat.v1\r\nSec-WebSocket-Extensions: ${agreed}\r\n`,
      });
      const asked = fieldsOf(tunnel.asked);
      deepEqual(valuesOf(asked, "upgrade"), ["websocket"]);
      deepEqual(valuesOf(asked, "connection"), ["Upgrade"]);
      deepEqual(valuesOf(asked, "sec-websocket-key"), [KEY]);
      deepEqual(valuesOf(asked, "sec-websocket-version"), ["13"]);
      deepEqual(valuesOf(asked, "sec-websocket-protocol"), [
        "chat.v2, chat.v1",
      ]);
      deepEqual(valuesOf(asked, "sec-websocket-extensions"), [offer]);
      deepEqual(valuesOf(asked, "origin"), ["https://a.example"]);
      match(tunnel.answered, /^HTTP\/1\.1 101 /);
      const answered = fieldsOf(tunnel.answered);
      deepEqual(valuesOf(answered, "upgrade"), ["websocket"]);
      deepEqual(valuesOf(answered, "connection"), ["Upgrade"]);
      deepEqual(valuesOf(answered, "sec-websocket-accept"), [ACCEPT]);
      deepEqual(valuesOf(answered, "sec-websocket-protocol"), ["chat.v1"]);
      deepEqual(valuesOf(answered, "sec-websocket-extensions"), [agreed]);
      equal(await tunnels(router), 1, "it is counted");
    },
  );

  test(
    subject,
    `${name}: messages of any size and kind pass both ways, compressed ones as they are (RFC 6455 section 5, RFC 7692)`,
    async ({ front }) => {
      await using tunnel = await open(front);
      for (const [way, [from, to]] of Object.entries(ways(tunnel))) {
        for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20]) {
          const payload = new Uint8Array(size);
          for (let i = 0; i < size; i++) payload[i] = (i * 31) & 0xff;
          const sent = from.send({ opcode: OPCODE.binary, payload });
          deepEqual(await to.next(), {
            final: true,
            compressed: false,
            opcode: OPCODE.binary,
            payload: Buffer.from(payload),
          }, `${size} bytes ${way}`);
          await sent;
        }
        const text = new TextEncoder().encode("héllo, wörld ☃");
        await from.send({ opcode: OPCODE.text, payload: text, final: false });
        await from.send({ opcode: OPCODE.ping, payload: text });
        await from.send({ opcode: 0, payload: text });
        deepEqual(
          [await to.next(), await to.next(), await to.next()].map((frame) => [
            frame.opcode,
            frame.final,
            new TextDecoder().decode(frame.payload),
          ]),
          [[1, false, "héllo, wörld ☃"], [9, true, "héllo, wörld ☃"], [
            0,
            true,
            "héllo, wörld ☃",
          ]],
        );
        const plain = "so very compressible ".repeat(1000);
        const payload = deflateRawSync(plain, { finishFlush: 2 }).subarray(
          0,
          -4,
        );
        await from.send({ opcode: OPCODE.text, payload, compressed: true });
        const frame = await to.next();
        ok(frame.compressed);
        const whole = Buffer.concat([frame.payload, TAIL]);
        equal(inflateRawSync(whole, { finishFlush: 2 }).toString(), plain);
      }
    },
  );

  test(
    subject,
    `${name}: a message of 64 MiB passes both ways`,
    async ({ front }) => {
      const size = 64 * 2 ** 20;
      const payload = Buffer.alloc(size);
      for (let i = 0; i < size; i += 4) {
        payload.writeUInt32LE(i * 7 % 2 ** 32, i);
      }
      await using tunnel = await open(front);
      for (const [way, [from, to]] of Object.entries(ways(tunnel))) {
        const sent = from.send({ opcode: OPCODE.binary, payload });
        const frame = await to.next();
        await sent;
        equal(payload.compare(frame.payload), 0, way);
      }
    },
  );

  test(
    subject,
    `${name}: close codes and reasons pass both ways, and the end of one side is passed by FIN (RFC 6455 section 7)`,
    async ({ front, router }) => {
      for (const way of ["to the cell", "to the client"] as const) {
        await using tunnel = await open(front);
        const [from, to] = ways(tunnel)[way];
        await from.send({
          opcode: OPCODE.close,
          payload: closePayload(4001, "gone to lunch"),
        });
        deepEqual(
          Buffer.from((await to.next()).payload),
          Buffer.from(closePayload(4001, "gone to lunch")),
        );
        await to.send({
          opcode: OPCODE.close,
          payload: closePayload(1000, "bye"),
        });
        deepEqual(
          Buffer.from((await from.next()).payload),
          Buffer.from(closePayload(1000, "bye")),
        );
        // As RFC 6455 section 7.1.1 has it, the server is the first to end the connection.
        tunnel.cell.peer.finish();
        equal(await tunnel.client.peer.end(), "fin");
        tunnel.client.peer.finish();
        equal(await tunnel.cell.peer.end(), "fin");
      }
      await until("no tunnel to be counted", async () => {
        return await tunnels(router) === 0;
      });
    },
  );

  test(
    subject,
    `${name}: a reset of one side ends the other`,
    async ({ front, router }) => {
      for (const way of ["to the cell", "to the client"] as const) {
        await using tunnel = await open(front);
        const [from, to] = ways(tunnel)[way];
        from.peer.reset();
        await to.peer.end();
      }
      await quiet(router);
    },
  );

  const refusals: Readonly<Record<string, string>> = {
    "403 with a body":
      "HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\nWWW-A: b\r\n\r\nno!\n",
    "426 in chunks":
      "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nno!\n\r\n0\r\n\r\n",
    "200": "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nno!\n",
  };
  for (const [what, refusal] of Object.entries(refusals)) {
    test(
      subject,
      `${name}: a refused upgrade reaches the client, whose connection goes on (${what})`,
      async ({ front }) => {
        play = async (peer) => {
          for (;;) {
            await peer.send(refusal);
            await peer.until("\r\n\r\n");
          }
        };
        using client = await Peer.connect(front);
        for (const text of [handshake(), requestText({}), handshake()]) {
          await client.send(text);
          const answer = await client.until("no!\n");
          ok(answer.startsWith(refusal.slice(0, 12)), answer);
          if (what.endsWith("chunks")) await client.until("0\r\n\r\n");
        }
      },
    );
  }

  const others: Readonly<Record<string, readonly [string, string][]>> = {
    "h2c": [
      ["Connection", "Upgrade, HTTP2-Settings"],
      ["Upgrade", "h2c"],
      ["HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"],
    ],
    "TLS/1.0": [["Connection", "Upgrade"], ["Upgrade", "TLS/1.0"]],
    "an unknown one": [["Connection", "upgrade"], ["Upgrade", "morse/1"]],
    "a WebSocket or h2c": [
      ["Connection", "Upgrade"],
      ["Upgrade", "websocket, h2c"],
    ],
    "a WebSocket that Connection does not name": [["Upgrade", "websocket"]],
  };
  for (const [what, headers] of Object.entries(others)) {
    test(
      subject,
      `${name}: an upgrade to ${what} goes on without the field, and 101 is no answer to it (RFC 9110 section 7.8)`,
      async ({ front, router }) => {
        const asked: string[] = [];
        play = async (peer, head) => {
          asked.push(head);
          await peer.send(
            asked.length === 1
              ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
              : `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${
                headers.find(([name]) => name === "Upgrade")![1]
              }\r\n\r\n`,
          );
          await peer.end();
        };
        equal((await front.exchange({ headers })).status, 200);
        equal((await front.exchange({ headers })).status, 502);
        for (const head of asked) {
          ok(
            !/^(upgrade|http2-settings):|^connection:.*upgrade/im.test(head),
            head,
          );
        }
        await quiet(router);
      },
    );
  }

  test(
    subject,
    `${name}: a POST is no WebSocket's handshake, nor is one with a body (RFC 6455 section 4.1)`,
    async ({ front }) => {
      let asked = "";
      play = async (peer, head) => {
        asked = head;
        await peer.send(
          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
        await peer.end();
      };
      const headers = [["Connection", "Upgrade"], [
        "Upgrade",
        "websocket",
      ]] as const;
      for (const more of [{ method: "POST" }, { body: "hello" }]) {
        equal((await front.exchange({ headers, ...more })).status, 200);
        ok(!/^upgrade:/im.test(asked), asked);
      }
    },
  );

  const wrong: Readonly<Record<string, string>> = {
    "another protocol": "Connection: Upgrade\r\nUpgrade: h2c\r\n",
    "no protocol": "Connection: Upgrade\r\n",
    "a protocol that Connection does not name": "Upgrade: websocket\r\n",
  };
  for (const [what, fields] of Object.entries(wrong)) {
    test(
      subject,
      `${name}: a 101 to ${what} is no answer to a WebSocket's handshake`,
      async ({ front, router }) => {
        play = async (peer) => {
          await peer.send(
            `HTTP/1.1 101 Switching Protocols\r\n${fields}\r\nsmuggled`,
          );
          await peer.end();
        };
        using client = await Peer.connect(front);
        await client.send(handshake());
        match(await client.until("\r\n\r\n"), /^HTTP\/1\.1 502 /);
        await quiet(router);
      },
    );
  }
}

const TAIL = Buffer.from([0, 0, 0xff, 0xff]);
const [plain] = subjects;

for (const way of ["to the cell", "to the client"] as const) {
  Deno.test({
    name:
      `a reader that stops in a tunnel, ${way}, costs no memory, and everything arrives when it goes on`,
    ignore: !HAS_PROC,
    async fn() {
      const { front, router } = plain;
      await until("no tunnel to be left", async () => {
        return await tunnels(router) === 0;
      });
      await using tunnel = await open(front);
      const [from, to] = ways(tunnel)[way];
      const payload = new Uint8Array(65536).fill(0x61);
      const before = await memoryOf(router.program.pid);
      const frames = 1024;
      let sent = 0;
      const sending = (async () => {
        for (; sent < frames; sent++) {
          await from.send({ opcode: OPCODE.binary, payload });
        }
      })();
      let same = 0;
      let last = -1;
      await until("the sender to stand still", async () => {
        await new Promise((resolve) => setTimeout(resolve, 100));
        same = sent > 0 && sent === last ? same + 1 : 0;
        last = sent;
        return same === 3;
      });
      ok(sent < frames);
      const { resident } = await memoryOf(router.program.pid);
      report(
        "memory grown when stopped",
        `${mebibytes(resident - before.resident)}, ${
          mebibytes(sent * 65536)
        } sent`,
      );
      ok(resident - before.resident < 32 * 2 ** 20);
      for (let i = 0; i < frames; i++) {
        equal((await to.next()).payload.length, payload.length);
      }
      await sending;
    },
  });
}

Deno.test("a tunnel outlives a change of config on the endpoint it began with, and ends by FIN when the grace period is over", async () => {
  await using folder = await dataFolder();
  await using other = await PeerEndpoint.listen(async (peer) => {
    for (;;) {
      await peer.until("\r\n\r\n");
      await peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother");
    }
  });
  await using cp = await ControlPlane.start(folder.path);
  const config = (url: string) => ({
    default_placement: "cell",
    customer_to_placement: {},
    placement_to_endpoint: { cell: url },
  });
  const put = async (url: string) => {
    const { status, body } = await cp.call("PUT", "/v1/config", {
      body: config(url),
    });
    equal(status < 300, true, JSON.stringify(body));
    return body.version;
  };
  await put(endpoint.url);
  await using router = await Router.start("tunnels", {
    folder: folder.path,
    cpUrl: cp.connectUrl,
    env: { ROUTER_DRAIN_TIMEOUT: "4s" },
  });
  await router.serves(1);
  const front = new WireFront(new URL(router.url));
  await using tunnel = await open(front);
  for (let version = 2; version < 8; version++) {
    await put(version % 2 === 0 ? other.url : endpoint.url);
    await router.serves(version);
    if (version % 2 === 0) {
      const { body } = await front.exchange({});
      equal(new TextDecoder().decode(body), "other");
    }
    for (const [from, to] of Object.values(ways(tunnel))) {
      const payload = new TextEncoder().encode(`version ${version}`);
      await from.send({ opcode: OPCODE.text, payload });
      deepEqual((await to.next()).payload, Buffer.from(payload));
    }
  }
  router.program.signal("SIGTERM");
  await router.program.line("stopping");
  // It is served on for as long as the grace lasts.
  for (const [from, to] of Object.values(ways(tunnel))) {
    await from.send({ opcode: OPCODE.ping });
    equal((await to.next()).opcode, OPCODE.ping);
  }
  deepEqual(
    await Promise.all([tunnel.client.peer.end(), tunnel.cell.peer.end()]),
    ["fin", "fin"],
  );
  equal((await router.program.ended).code, 0);
});
