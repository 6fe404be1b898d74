import { equal, match } from "node:assert/strict";
import { until } from "../harness/until.ts";
import { requestText } from "./front.ts";
import { Peer, PeerEndpoint } from "./peer.ts";
import { metricsOf } from "./process.ts";
import { Subject } from "./subject.ts";

/**
 * Server-sent events pass one by one, and their stream lives through silence that would end another body
 * (https://html.spec.whatwg.org/multipage/server-sent-events.html, SPEC section 6).
 */

const IDLE = 250;
const STREAM = 4000;

let play: (peer: Peer) => Promise<void> = () => Promise.resolve();
const endpoint = await PeerEndpoint.listen(async (peer) => {
  await peer.until("\r\n\r\n");
  await play(peer);
});
const subjects = await Subject.both({
  placements: { cell: endpoint.url },
  env: {
    ROUTER_IDLE_TIMEOUT: `${IDLE}ms`,
    ROUTER_STREAM_TIMEOUT: `${STREAM}ms`,
  },
});
Deno.test.afterAll(async () => {
  for (const subject of subjects) await subject[Symbol.asyncDispose]();
  await endpoint[Symbol.asyncDispose]();
});

const head = (type: string, framing: string) =>
  `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\n${framing}\r\n`;
const EVENTS = "text/event-stream; charset=utf-8";

/** How a piece of a body is framed, by what announces it. */
const framings: Readonly<Record<string, (piece: string) => string>> = {
  "Transfer-Encoding: chunked\r\n": (piece) =>
    `${piece.length.toString(16)}\r\n${piece}\r\n`,
  "Connection: close\r\n": (piece) => piece,
  "Content-Length: 1000000\r\n": (piece) => piece,
};

async function streams(subject: Subject): Promise<number | undefined> {
  const metrics = await metricsOf(subject.router);
  return metrics.get(
    'signalbox_router_streams{placement="cell",kind="event_stream"}',
  );
}

for (const subject of subjects) {
  const { name } = subject.front;
  for (const [framing, frame] of Object.entries(framings)) {
    Deno.test(`${name}: each event arrives before the next is sent (${framing.trim()})`, async () => {
      const seen: PromiseWithResolvers<void>[] = [];
      const events = 100;
      play = async (peer) => {
        await peer.send(head(EVENTS, framing));
        for (let i = 0; i < events; i++) {
          await peer.send(frame(`data: ${i}\n\n`));
          await (seen[i] = Promise.withResolvers<void>()).promise;
        }
      };
      using client = await Peer.connect(subject.front);
      await client.send(requestText({}));
      match(await client.until("\r\n\r\n"), /^HTTP\/1\.1 200 /);
      for (let i = 0; i < events; i++) {
        await client.until(`data: ${i}\n\n`);
        if (i === 0) equal(await streams(subject), 1, "it is counted");
        await until("the endpoint to wait", () => seen[i]);
        seen[i]!.resolve();
      }
      client.close();
      await until("the stream to be over", async () => {
        return await streams(subject) === 0;
      });
    });
  }

  Deno.test(`${name}: an event stream may be silent for longer than another body, but not for ever`, async () => {
    const first = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<number>();
    play = async (peer) => {
      await peer.send(head(EVENTS, "Connection: close\r\n") + "data: 1\n\n");
      await first.promise;
      // A silence of its own length is what this is about.
      await new Promise((resolve) => setTimeout(resolve, IDLE * 4));
      // Before it is sent: the router may have it before this process goes on.
      const silentFrom = performance.now();
      await peer.send("data: 2\n\n");
      await peer.end();
      ended.resolve(performance.now() - silentFrom);
    };
    using client = await Peer.connect(subject.front);
    await client.send(requestText({}));
    await client.until("data: 1\n\n");
    first.resolve();
    await client.until("data: 2\n\n");
    const { text } = await client.rest();
    equal(/(^|\r\n)0\r\n/.test(text), false, "it is cut, not ended");
    equal(await ended.promise >= STREAM, true, "not before its time");
    const metrics = await metricsOf(subject.router);
    equal(
      metrics.get(
        'signalbox_router_upstream_errors_total{placement="cell",kind="stalled"}',
      ),
      1,
    );
  });
}
