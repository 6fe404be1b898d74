import { equal, match, ok } from "node:assert/strict";
import { until } from "../harness/until.ts";
import { requestText, type WireFront } from "./front.ts";
import { Peer, PeerEndpoint } from "./peer.ts";
import { milliseconds, quiet, report, upstreamConnections } from "./process.ts";
import { Subject } from "./subject.ts";

/**
 * A client that leaves ends the exchange with the endpoint; one that has only said all it has to say
 * does not (SPEC section 6, "The router").
 */

/** What the endpoint does with the next connections. */
let play: (peer: Peer) => Promise<void> = () => Promise.resolve();
const endpoint = await PeerEndpoint.listen((peer) => play(peer));
const subjects = await Subject.both({ placements: { cell: endpoint.url } });
Deno.test.afterAll(async () => {
  for (const subject of subjects) await subject[Symbol.asyncDispose]();
  await endpoint[Symbol.asyncDispose]();
});

const UPLOAD = "POST / HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\n";
const EVENTS =
  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
const PART = new Uint8Array(65536);

/** A moment at which a client can leave. */
interface Moment {
  /** What the endpoint does, until its connection ends. */
  readonly play: (peer: Peer, begun: () => void) => Promise<void>;
  /** What the client does until then. */
  readonly client: (client: Peer) => Promise<void>;
  /** Whether a FIN alone means that it has left. */
  readonly leavesByFin: boolean;
}

/** Sends until the other end is gone. */
async function sendOn(peer: Peer): Promise<void> {
  for (;;) await peer.send(PART);
}

const MOMENTS: Readonly<Record<string, Moment>> = {
  "before the answer": {
    play: async (peer, begun) => {
      await peer.until("\r\n\r\n");
      begun();
      await peer.end();
    },
    client: (client) => client.send(requestText({})),
    leavesByFin: false,
  },
  "before the answer, with a next request sent meanwhile": {
    play: async (peer, begun) => {
      await peer.until("\r\n\r\n");
      await peer.send("HTTP/1.1 103 Early Hints\r\n\r\n");
      begun();
      await peer.end();
    },
    client: async (client) => {
      await client.send(requestText({}));
      await client.until("\r\n\r\n");
      await client.send(requestText({}));
    },
    leavesByFin: false,
  },
  "during an upload with a length": {
    play: async (peer, begun) => {
      await peer.until("hello");
      begun();
      await peer.end();
    },
    client: (client) =>
      client.send(`${UPLOAD}Content-Length: 1000\r\n\r\nhello`),
    leavesByFin: true,
  },
  "during an upload in chunks": {
    play: async (peer, begun) => {
      await peer.until("hello\r\n");
      begun();
      await peer.end();
    },
    client: (client) =>
      client.send(`${UPLOAD}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`),
    leavesByFin: true,
  },
  "during an upload that is answered meanwhile": {
    play: async (peer, begun) => {
      await peer.until("hello");
      await peer.send(EVENTS);
      begun();
      await peer.end();
    },
    client: async (client) => {
      await client.send(`${UPLOAD}Content-Length: 1000\r\n\r\nhello`);
      await client.until("data: 1\n\n");
    },
    leavesByFin: true,
  },
  "during a download that flows": {
    play: async (peer, begun) => {
      await peer.until("\r\n\r\n");
      await peer.send("HTTP/1.1 200 OK\r\n\r\n");
      begun();
      await sendOn(peer);
    },
    client: async (client) => {
      await client.send(requestText({}));
      await client.until("\r\n\r\n");
    },
    leavesByFin: false,
  },
  "during a download that is silent": {
    play: async (peer, begun) => {
      await peer.until("\r\n\r\n");
      await peer.send(EVENTS);
      begun();
      await peer.end();
    },
    client: async (client) => {
      await client.send(requestText({}));
      await client.until("data: 1\n\n");
    },
    leavesByFin: false,
  },
};

/** Ways to leave. */
const WAYS: Readonly<
  Record<string, { leave: (client: Peer) => void; byFin: boolean }>
> = {
  "a reset": { leave: (client) => client.reset(), byFin: false },
  "FIN": { leave: (client) => client.finish(), byFin: true },
};

/** Waits until the router must have seen what was sent before: what comes later on another connection is answered. */
async function seen(front: WireFront): Promise<void> {
  match(await front.send("BAD\r\n\r\n"), /^HTTP\/1\.1 400 /);
}

/** Lets a client leave at a moment; answers after how many milliseconds the endpoint's connection ended. */
async function left(
  front: WireFront,
  moment: Moment,
  leave: (client: Peer) => void,
): Promise<number> {
  const begun = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<number>();
  play = async (peer) => {
    try {
      await moment.play(peer, begun.resolve);
    } finally {
      ended.resolve(performance.now());
    }
  };
  using client = await Peer.connect(front);
  await moment.client(client);
  await begun.promise;
  await seen(front);
  const leftAt = performance.now();
  leave(client);
  return await ended.promise - leftAt;
}

for (const { front, router } of subjects) {
  for (const [way, { leave, byFin }] of Object.entries(WAYS)) {
    for (const [when, moment] of Object.entries(MOMENTS)) {
      if (byFin && !moment.leavesByFin) continue;
      Deno.test(`${front.name}: a client that leaves ${when}, by ${way}, ends the request`, async () => {
        const took = await left(front, moment, leave);
        report("the endpoint's connection ended after", milliseconds(took));
        await quiet(router);
      });
    }
  }

  Deno.test(`${front.name}: a client that closes during a download ends the request when a write fails`, async () => {
    const took = await left(
      front,
      MOMENTS["during a download that flows"]!,
      (client) => client.close(),
    );
    report("the endpoint's connection ended after", milliseconds(took));
    await quiet(router);
  });

  Deno.test(`${front.name}: a client that ends its side and then resets ends the request`, async () => {
    const took = await left(
      front,
      MOMENTS["before the answer"]!,
      (client) => {
        client.finish();
        client.reset();
      },
    );
    report("the endpoint's connection ended after", milliseconds(took));
    await quiet(router);
  });

  Deno.test(`${front.name}: a client that leaves while its endpoint takes nothing ends the request`, async () => {
    play = async (peer) => {
      await peer.until("\r\n\r\n");
      // Whether the connection has ended is not to be seen without reading; the router's metrics tell.
      await done.promise;
    };
    const done = Promise.withResolvers<void>();
    using client = await Peer.connect(front);
    await client.send(`${UPLOAD}Content-Length: 1000000000\r\n\r\n`);
    let sent = 0;
    const sending = (async () => {
      for (;;) {
        await client.send(PART);
        sent += PART.length;
      }
    })().catch(() => {});
    let before = -1;
    await until("the upload to stand still", async () => {
      await new Promise((resolve) => setTimeout(resolve, 200));
      const still = sent === before;
      before = sent;
      return still;
    });
    const leftAt = performance.now();
    client.reset();
    await sending;
    await until("the endpoint's connection to be ended", async () => {
      const { active } = await upstreamConnections(router);
      return active === 0;
    });
    const took = performance.now() - leftAt;
    report("the endpoint's connection ended after", milliseconds(took));
    done.resolve();
    await quiet(router);
  });

  Deno.test(`${front.name}: a client that has only ended its side gets its answer (RFC 9112 section 9.6)`, async () => {
    for (
      const [text, wait] of [
        [requestText({}), 1500],
        [requestText({ method: "POST", body: "hello" }), 0],
        [
          requestText({
            method: "POST",
            body: "hello",
            trailers: [["A", "b"]],
          }),
          0,
        ],
      ] as const
    ) {
      const arrived = Promise.withResolvers<void>();
      const answer = Promise.withResolvers<void>();
      play = async (peer) => {
        await peer.until("\r\n\r\n");
        arrived.resolve();
        await answer.promise;
        await peer.send(
          "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n",
        );
        await peer.send("x".repeat(200_000));
        await peer.end();
      };
      await using client = await front.connect();
      await client.send(text);
      await client.finish();
      await arrived.promise;
      await seen(front);
      // The router looks about once a second if a client that has ended its side is still there.
      await new Promise((resolve) => setTimeout(resolve, wait));
      answer.resolve();
      const received = await client.rest();
      match(received, /^HTTP\/1\.1 200 /);
      equal(received.length - received.indexOf("\r\n\r\n") - 4, 200_000);
      ok(received.endsWith("x"));
    }
    await quiet(router);
  });
}
