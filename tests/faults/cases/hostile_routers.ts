import { equal, ok } from "node:assert/strict";
import { frameBytes, OPCODE } from "../../conformance/frames.ts";
import { memoryOf, metricsOf } from "../../conformance/process.ts";
import { startCell } from "../../harness/cell.ts";
import { configOf } from "../../harness/config.ts";
import { ControlPlane } from "../../harness/control_plane.ts";
import { DraftRouter } from "../../harness/draft.ts";
import { Load } from "../../harness/load.ts";
import { dataFolder } from "../../harness/program.ts";
import { Router } from "../../harness/router.ts";
import { until } from "../../harness/until.ts";
import { fault } from "../fault.ts";

/**
 * Routers that misbehave, all at once. What is promised: the sound routers beside them get each edit and are not
 * disconnected; the control plane's memory is bounded; each misbehaviour is visible in `/v1/routers` or in the metrics.
 */

const MEBIBYTE = 2 ** 20;
const IDS = ["a", "b", "c"];
const EDITS = 10;
const FLAP_MS = 100;
/** The runtime reads a frame wholly before anybody sees it, up to 64 MiB each. */
const LARGE_FRAME = 60 * MEBIBYTE;
const LARGE_FRAMES = [1, 4];
const PIECES = 100;

interface Listed {
  readonly id: string;
  readonly status: string;
  readonly version: number | null;
  readonly connected: boolean;
  readonly duplicate_id?: boolean;
}

fault("hostile routers, beside sound ones", async (tally) => {
  await using folder = await dataFolder();
  await using one = startCell("one");
  await using two = startCell("two");
  await using stack = new AsyncDisposableStack();
  const controlPlane = stack.use(await ControlPlane.start(folder.path));
  const config = configOf([one, two]);
  for (let i = 0; i < 20_000; i++) {
    config.customer_to_placement[`customer-${i}`] = "two";
  }
  await controlPlane.call("PUT", "/v1/config", { body: config });
  const options = { folder: folder.path, cpUrl: controlPlane.connectUrl };
  const routers: Router[] = [];
  for (const id of IDS) {
    routers.push(stack.use(await Router.start(id, options)));
  }
  for (const router of routers) await router.serves(1);
  await using load = Load.start(routers.map(({ url }) => url), {
    connections: 6,
    pauseMs: 5,
  });
  const metric = async (name: string, label = "") =>
    [...await metricsOf({ adminUrl: controlPlane.url })]
      .filter(([sample]) =>
        sample.split("{")[0] === name && sample.includes(label)
      )
      .reduce((sum, [, value]) => sum + value, 0);
  const listed = async (): Promise<Listed[]> =>
    (await controlPlane.call("GET", "/v1/routers")).body.routers;
  const connect = (query: string) =>
    DraftRouter.connect(`${controlPlane.connectUrl}?${query}`);

  let attacking = true;
  const attacks: Promise<void>[] = [];
  /** Goes on until the attack is over; `each` is one time. */
  const again = (each: () => Promise<void>) => {
    attacks.push((async () => {
      while (attacking) {
        await each();
        tally.injected++;
      }
    })());
  };

  // One that rejects everything, and one that acknowledges what was never sent to it.
  const rejecter = stack.use(await connect("id=rejecter"));
  const liar = stack.use(await connect("id=liar"));
  const rejecting = (async () => {
    for (;;) {
      const { type, version } = await rejecter.inbox.next();
      if (type === "over") return;
      const error = "I do not like it";
      rejecter.send({ type: "ack", version, status: "rejected", error });
    }
  })();
  again(async () => {
    liar.send({ type: "ack", version: 999_999, status: "applied" });
    await pause(20);
  });
  // One that floods with what nobody knows.
  const flooder = stack.use(await connect("id=flooder"));
  again(async () => {
    for (let i = 0; i < 500; i++) flooder.send({ type: "nonsense", i });
    await pause(20);
  });
  // One that comes and goes, in the middle of its push.
  again(async () => {
    const flapper = await connect("id=flapper");
    await flapper[Symbol.asyncDispose]();
    await pause(FLAP_MS);
  });
  // One that never reads what it is sent.
  const _stalled = stack.use(await shake(controlPlane.port, "stalled"));
  // One that claims another's id.
  const twin = stack.use(await connect("id=a&instance=twin"));

  let slowest = 0;
  for (let i = 0; i < EDITS; i++) {
    const started = performance.now();
    const { body } = await controlPlane.call("PATCH", "/v1/customers/acme", {
      body: { placement: i % 2 ? "one" : "two" },
    });
    await Promise.all(routers.map((router) => router.serves(body.version)));
    slowest = Math.max(slowest, performance.now() - started);
    tally.acknowledged += IDS.length;
  }
  tally.notes.push(
    `${EDITS} edits were served by all sound routers, the slowest after ${
      slowest.toFixed(0)
    } ms`,
  );

  const seen = await until("each to be visible", async () => {
    const all = await listed();
    const statusOf = (id: string) =>
      all.filter((each) => each.id === id).map(({ status }) => status);
    ok(statusOf("rejecter").includes("rejected"), JSON.stringify(all));
    equal(all.filter(({ duplicate_id }) => duplicate_id).length, 2);
    ok(!statusOf("stalled").includes("current"));
    return all;
  });
  ok(seen.some(({ id }) => id === "flapper"));
  ok(await metric("signalbox_cp_acks_unsolicited_total") > 0);
  ok(await metric("signalbox_cp_unknown_messages_total") > 0);
  ok(await metric("signalbox_cp_router_closes_total") > 0);
  attacking = false;
  await Promise.all(attacks);
  rejecter.inbox.put({ type: "over" });
  await rejecting;
  equal((await twin.inbox.next()).type, "config_update");

  // Frames as large as the runtime takes.
  const frame = "x".repeat(LARGE_FRAME);
  const before = await memoryOf(controlPlane.program.pid);
  tally.notes.push(`memory before large frames: ${mebibytes(before.peak)}`);
  let ended = 0;
  for (const count of LARGE_FRAMES) {
    const senders = await Promise.all(
      Array.from({ length: count }, (_, i) => connect(`id=large-${i}`)),
    );
    for (const sender of senders) sender.send(frame);
    tally.injected += count;
    // A sender that is still writing when the answer comes sees a reset instead, so the control plane's word counts.
    await Promise.all(senders.map(({ closed }) => closed));
    ended += count;
    await until(
      "the large frames to be refused",
      async () =>
        await metric(
          "signalbox_cp_router_closes_total",
          'cause="too_large"',
        ) ===
          ended,
    );
    const { peak } = await memoryOf(controlPlane.program.pid);
    tally.notes.push(
      `memory with ${count} frames of 60 MiB at once: at most ${
        mebibytes(peak)
      }`,
    );
  }
  // One message in many pieces, none of them large.
  using pieces = await shake(controlPlane.port, "pieces");
  const payload = new Uint8Array(MEBIBYTE).fill(0x78);
  let sent = 0;
  try {
    for (; sent < PIECES; sent++) {
      const opcode = sent === 0 ? OPCODE.text : 0;
      await pieces.write(
        frameBytes({ opcode, payload, final: sent === PIECES - 1 }, true),
      );
    }
  } catch (error) {
    ok(isBroken(error), String(error));
  }
  tally.injected++;
  await until("the pieces to be refused", async () => {
    const all = await listed();
    return !all.some(({ id, connected }) => id === "pieces" && connected);
  });
  const { peak } = await memoryOf(controlPlane.program.pid);
  tally.notes.push(
    `memory with 100 MiB in pieces, of which ${sent} MiB were taken: at most ${
      mebibytes(peak)
    }`,
  );
  const last = await controlPlane.call("PATCH", "/v1/customers/acme", {
    body: { placement: "one" },
  });
  for (const router of routers) await router.serves(last.body.version);
  tally.acknowledged += IDS.length;
  await load.stop();
  tally.requests = load.requests;
  tally.failed = load.failures.length;
  // A connection that ended would have been followed by another.
  for (const { program } of routers) {
    const connects = program.log.filter(({ message }) =>
      message === "connected to the control plane"
    );
    tally.lost += connects.length - 1;
  }
});

function isBroken(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe ||
    error instanceof Deno.errors.ConnectionReset;
}

/** A connection whose WebSocket is asked for, and nothing read of it. */
async function shake(port: number, id: string): Promise<Deno.TcpConn> {
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(new TextEncoder().encode([
    `GET /v1/connect?id=${id} HTTP/1.1`,
    `Host: 127.0.0.1:${port}`,
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    "",
    "",
  ].join("\r\n")));
  return connection;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / MEBIBYTE)} MiB`;
}
