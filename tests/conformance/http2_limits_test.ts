import { deepEqual, equal, ok } from "node:assert/strict";
import { until } from "../harness/until.ts";
import { conforms, endAfterwards } from "./cases.ts";
import { Cell } from "./cell.ts";
import type { H2Client, H2Stream } from "./h2_client.ts";
import { ask, headOf } from "./h2_front.ts";
import {
  HAS_PROC,
  mebibytes,
  memoryOf,
  metricsOf,
  quiet,
  report,
} from "./process.ts";
import { Subject } from "./subject.ts";

/** What bounds HTTP/2 in time, number and memory. */

const cell = new Cell();
const start = (env: Record<string, string>) =>
  Subject.start({ placements: { cell: cell.url() }, secure: true, env });
const [subject, small, impatient] = await Promise.all([
  start({}),
  start({ ROUTER_MAX_CONNECTIONS: "2" }),
  start({ ROUTER_IDLE_TIMEOUT: "2s", ROUTER_KEEPALIVE_TIMEOUT: "2s" }),
]);
endAfterwards(cell, subject, small, impatient);

const MEGABYTE = 2 ** 20;
const PART = "x".repeat(65_536);

/** Waits until `count` moves no more. */
async function still(count: () => number): Promise<void> {
  let before = -1;
  let same = 0;
  await until("the body to stand still", async () => {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const now = count();
    same = now > 0 && now === before ? same + 1 : 0;
    before = now;
    return same === 4;
  });
}

/** What the router's memory has grown by while `run` ran, once it has its buffers and its compiled code. */
async function growth(run: () => Promise<void>): Promise<number> {
  const { pid } = subject.router.program;
  const before = await memoryOf(pid);
  await run();
  const grown = (await memoryOf(pid)).resident - before.resident;
  report("growth", mebibytes(grown));
  return grown;
}

/** Has the router take some megabytes either way, so that it has what it needs for that. */
async function warm(): Promise<void> {
  const body = "x".repeat(MEGABYTE / 2);
  await using _ = cell.answer(
    `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  for (let i = 0; i < 32; i++) {
    await subject.h2!.exchange({ method: "POST", body });
  }
}

for (const manner of ["paused", "deaf"] as const) {
  Deno.test({
    name: `HTTP/2: a download of 256 MiB to a ${manner} reader holds memory`,
    ignore: !HAS_PROC,
    fn: async () => {
      await warm();
      let sent = 0;
      await using _ = cell.play(async (socket) => {
        await socket.head();
        await socket.send(
          `HTTP/1.1 200 OK\r\nContent-Length: ${256 * MEGABYTE}\r\n\r\n`,
        );
        for (; sent < 256 * MEGABYTE; sent += PART.length) {
          await socket.send(PART);
        }
        await socket.rest();
      });
      const grown = await growth(async () => {
        await using client = await subject.h2!.connect(manner);
        const stream = await ask(client, {});
        await still(() => sent);
        ok(sent < 64 * MEGABYTE, `${sent} bytes were taken`);
        if (manner === "deaf") return;
        // It goes on where it stopped.
        const before = sent;
        await stream.allow(16 * MEGABYTE);
        await until("the body to go on", () => sent >= before + 8 * MEGABYTE);
      });
      ok(grown < 32 * MEGABYTE, mebibytes(grown));
      await quiet(subject.router);
    },
  });
}

Deno.test({
  name: "HTTP/2: an upload of 256 MiB to a stopped endpoint holds memory",
  ignore: !HAS_PROC,
  fn: async () => {
    await warm();
    const go = Promise.withResolvers<void>();
    let received = 0;
    await using _ = cell.play(async (socket) => {
      await socket.head();
      await go.promise;
      while (received < 256 * MEGABYTE) {
        await socket.count(MEGABYTE);
        received += MEGABYTE;
      }
      await socket.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
      await socket.rest();
    });
    await using client = await subject.h2!.connect();
    const stream = await client.request([
      ...headOf({ method: "POST" }),
      ["content-length", String(256 * MEGABYTE)],
    ], { end: false });
    let sent = 0;
    const part = new Uint8Array(65_536);
    const send = async () => {
      for (; sent < 256 * MEGABYTE; sent += part.length) {
        const end = sent + part.length === 256 * MEGABYTE;
        await stream.write(part, { end });
      }
    };
    let sending = Promise.resolve();
    const grown = await growth(async () => {
      sending = send();
      await still(() => sent);
    });
    ok(grown < 32 * MEGABYTE, mebibytes(grown));
    ok(sent < 64 * MEGABYTE, `${sent} bytes were taken`);
    go.resolve();
    await sending;
    await stream.body();
    equal(stream.status, 200);
  },
});

conforms(
  "HTTP/2: a body that falls silent is answered 408 (RFC 9110 section 15.5.9)",
  async () => {
    await using _ = cell.play(async (socket) => {
      await socket.head();
      await socket.rest();
    });
    for (const field of [["content-length", "10"], ["x-none", ""]] as const) {
      await using client = await impatient.h2!.connect();
      const stream = await client.request([
        ...headOf({ method: "POST" }),
        field,
      ], { end: false });
      await stream.write("abc");
      await stream.body();
      equal(stream.status, 408);
    }
    await quiet(impatient.router);
  },
);

conforms(
  "HTTP/2: a connection without a request is ended after its time (RFC 9113 section 9.1)",
  async () => {
    await using _ = cell.answer();
    await using client = await impatient.h2!.connect();
    equal(await (await ask(client, {})).body(), "ok");
    await until("its end", () => client.closed);
  },
);

conforms(
  "HTTP/2: requests above ROUTER_MAX_CONNECTIONS are answered 503, connections above it are ended",
  async () => {
    const go = Promise.withResolvers<void>();
    await using scene = cell.play(async (socket) => {
      for (;;) {
        await socket.head();
        await go.promise;
        await socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      }
    });
    const front = small.h2!;
    await using one = await front.connect();
    await using two = await front.connect();
    const running: H2Stream[] = [await ask(one, {}), await ask(two, {})];
    await until("both to run", () => scene.sockets.length === 2);
    const third = await ask(one, {});
    await third.body();
    deepEqual([third.status, third.field("content-type")], [
      503,
      "application/problem+json",
    ]);
    const refused: H2Client | null = await front.connect().catch(() => null);
    if (refused !== null) {
      await until("its end", () => refused.closed);
      await refused[Symbol.asyncDispose]();
    }
    go.resolve();
    for (const stream of running) equal(await stream.body(), "ok");
    equal(await (await ask(one, {})).body(), "ok", "there is room again");
    const metrics = await metricsOf(small.router);
    const name =
      'signalbox_router_connections_refused_total{reason="max_connections"}';
    ok(metrics.get(name)! >= 2);
  },
);

conforms(
  "HTTP/2: on SIGTERM, clients are told to go away, running requests finish, and it exits 0 (RFC 9113 section 6.8)",
  async () => {
    const go = Promise.withResolvers<void>();
    await using scene = cell.play(async (socket) => {
      await socket.head();
      await go.promise;
      await socket.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      await socket.rest();
    });
    await using stopping = await start({ ROUTER_DRAIN_TIMEOUT: "60s" });
    await using idle = await stopping.h2!.connect();
    await using client = await stopping.h2!.connect();
    const stream = await ask(client, {});
    await until("it to run", () => scene.sockets.length === 1);
    stopping.router.program.signal("SIGTERM");
    await until(
      "to be told",
      () => client.goneAway !== null && (idle.goneAway !== null || idle.closed),
    );
    ok(await stopping.h2!.connect().then(() => false, () => true));
    go.resolve();
    equal(await stream.body(), "ok");
    equal((await stopping.router.program.ended).code, 0);
  },
);

conforms(
  "HTTP/2: what has not ended when the time to stop is over is cut, and it exits 0",
  async () => {
    await using _ = cell.play(async (socket) => {
      await socket.head();
      await socket.send(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n",
      );
      await socket.rest();
    });
    await using stopping = await start({ ROUTER_DRAIN_TIMEOUT: "300ms" });
    await using client = await stopping.h2!.connect();
    const stream = await ask(client, {});
    await stream.head();
    stopping.router.program.signal("SIGTERM");
    ok(await stream.end() !== null);
    equal((await stopping.router.program.ended).code, 0);
  },
);
