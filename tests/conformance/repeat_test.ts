import { deepEqual, equal, match, ok } from "node:assert/strict";
import { RawSocket, TestRouter } from "../../router/testing.ts";
import { connectEndpoint } from "../../router/upstream/connect.ts";
import { Cell, OK } from "./cell.ts";
import { requestText } from "./front.ts";
import { takeAnswer, takeRequest, valuesOf } from "./messages.ts";
import { Peer, PeerEndpoint } from "./peer.ts";
import { report, upstreamConnections } from "./process.ts";
import { Subject } from "./subject.ts";
import { until } from "../harness/until.ts";

/**
 * A request is sent twice only where no byte of it can have reached the endpoint, or where its method is
 * safe, it has no body, and the reused connection died before a byte of answer (RFC 9110 section 9.2.2,
 * RFC 9112 section 9.3.1). A POST is never replayed.
 */

const cell = new Cell();
let play: (peer: Peer, text: string) => Promise<void> = () => Promise.resolve();
/** Answers a first request on each connection, and does with the second what the test says. */
const received: string[] = [];
const mortal = await PeerEndpoint.listen(async (peer) => {
  await peer.until("\r\n\r\n");
  await peer.send(OK);
  const text = await peer.until("\r\n\r\n");
  received.push(text);
  await play(peer, text);
});
const subject = await Subject.start({
  placements: {
    mortal: mortal.url,
    refusing: `http://127.0.0.1:${closedPort()}`,
    cell: cell.url(),
  },
  customers: { mortal: "mortal", refused: "refusing" },
});
const { front, router } = subject;
Deno.test.afterAll(async () => {
  await subject[Symbol.asyncDispose]();
  await mortal[Symbol.asyncDispose]();
  await cell[Symbol.asyncDispose]();
});

/** A port at which nobody listens. */
function closedPort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}

const TO_CELL = [["X-Routing-Key", "somebody"]] as const;
const MORTAL = ["X-Routing-Key", "mortal"] as const;

const deaths: Readonly<Record<string, (peer: Peer) => void>> = {
  FIN: (peer) => peer.finish(),
  RST: (peer) => peer.reset(),
};

for (const [death, die] of Object.entries(deaths)) {
  for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
    Deno.test(`a ${method} whose reused connection dies by ${death} after it was read is answered 502, and was sent once`, async () => {
      await warm();
      play = (peer) => Promise.resolve(die(peer));
      const answer = await front.exchange({ method, headers: [MORTAL] });
      equal(answer.status, 502);
      equal(received.length, 1, "it was received once");
    });
  }

  for (const method of ["GET", "HEAD", "OPTIONS"]) {
    Deno.test(`a ${method} whose reused connection dies by ${death} is sent again on a fresh one`, async () => {
      await warm();
      play = (peer) => Promise.resolve(die(peer));
      const answer = await front.exchange({ method, headers: [MORTAL] });
      equal(answer.status, 200);
      equal(
        received.length,
        1,
        "the second time was the first of its own connection",
      );
    });
  }

  Deno.test(`a GET whose reused connection dies by ${death} within the answer's head is not sent again`, async () => {
    await warm();
    play = async (peer) => {
      await peer.send("HTTP/1.1 200 OK\r\nContent-");
      // The router has taken these bytes before the end follows: an answer has begun.
      await new Promise((resolve) => setTimeout(resolve, 50));
      die(peer);
    };
    const before = mortal.peers.length;
    equal((await front.exchange({ headers: [MORTAL] })).status, 502);
    equal(mortal.peers.length, before, "no other connection was opened");
  });

  Deno.test(`a GET with a body whose reused connection dies by ${death} is not sent again`, async () => {
    await warm();
    play = (peer) => Promise.resolve(die(peer));
    const answer = await front.exchange({ headers: [MORTAL], body: "x" });
    equal(answer.status, 502);
    equal(received.length, 1);
  });
}

/** Leaves exactly one idle connection to the mortal endpoint. */
async function warm(): Promise<void> {
  for (const peer of mortal.peers) peer.close();
  await until("old connections to be ended", async () => {
    const { active, idle } = await upstreamConnections(router, "mortal");
    return active + idle === 0;
  });
  received.length = 0;
  equal((await front.exchange({ headers: [MORTAL] })).status, 200);
  await until("a connection to be kept", async () => {
    const { idle } = await upstreamConnections(router, "mortal");
    return idle === 1;
  });
}

Deno.test("a refused connection is tried once more on a fresh one, for a POST too: no byte of it was sent", async () => {
  // Between the two attempts is the moment at which an endpoint that restarts is back; only inside of the
  // router's process can a test know it.
  const port = closedPort();
  let back: Deno.TcpListener | null = null;
  let attempts = 0;
  await using inside = new TestRouter(`http://127.0.0.1:${port}`, {
    upstream: {
      connect: async (...parameters) => {
        attempts++;
        try {
          return await connectEndpoint(...parameters);
        } finally {
          back ??= Deno.listen({ hostname: "127.0.0.1", port });
        }
      },
    },
  });
  await using client = await inside.connect();
  await client.send(requestText({ method: "POST", body: "x" }));
  await until("a second attempt", () => attempts === 2);
  await using endpoint = new RawSocket(await back!.accept());
  back!.close();
  equal((await takeRequest(endpoint)).body, "x");
  await endpoint.send(OK);
  match(await client.message(), /^HTTP\/1\.1 200 /);
});

Deno.test("a connection refused twice is answered 502, for a POST and a GET", async () => {
  const headers = [["X-Routing-Key", "refused"]] as const;
  for (const method of ["POST", "GET"]) {
    equal((await front.exchange({ method, headers })).status, 502);
  }
});

const REQUESTS = 10_000;
const CLIENTS = 32;

Deno.test("no GET fails and no POST arrives twice in 10,000 requests to an endpoint that closes idle connections at random", async () => {
  /** How often each request arrived whole. */
  const arrivals = new Map<string, number>();
  let connections = 0;
  await using _scene = cell.play(async (socket) => {
    connections++;
    for (;;) {
      const { line, fields } = await takeRequest(socket);
      const id = line.split(" ")[1]!;
      arrivals.set(id, (arrivals.get(id) ?? 0) + 1);
      equal(valuesOf(fields, "content-length").length, id[1] === "p" ? 1 : 0);
      await socket.send(OK);
      // One connection in six ends: at once, or after up to 4 ms in which another request may come.
      if (Math.random() < 1 / 6) {
        const idle = Math.floor(Math.random() * 5);
        if (idle > 0) await new Promise((ready) => setTimeout(ready, idle));
        return;
      }
    }
  });
  const failed: string[] = [];
  let next = 0;
  const client = async () => {
    await using socket = await front.connect();
    while (next < REQUESTS) {
      const index = next++;
      const post = index % 2 === 1;
      const id = `/${post ? "p" : "g"}${index}`;
      await socket.send(requestText(
        post
          ? { method: "POST", target: id, body: "hello", headers: TO_CELL }
          : { target: id, headers: TO_CELL },
      ));
      const { status, body } = await takeAnswer(socket);
      if (status === 200) equal(body, "ok");
      else failed.push(`${status} ${id}`);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  report(
    "of 10,000 requests",
    `${failed.length} POSTs answered 502; ${connections} connections were opened`,
  );
  deepEqual(failed.filter((failure) => !/^502 \/p/.test(failure)), []);
  for (let index = 0; index < REQUESTS; index++) {
    const post = index % 2 === 1;
    const count = arrivals.get(`/${post ? "p" : "g"}${index}`) ?? 0;
    if (post) ok(count <= 1, `POST ${index} arrived ${count} times`);
    else ok(count >= 1, `GET ${index} never arrived`);
  }
});
