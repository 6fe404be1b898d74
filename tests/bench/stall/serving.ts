import { setTimeout as pause } from "node:timers/promises";
import { dataFolder } from "../../harness/program.ts";
import type { Router } from "../../harness/router.ts";
import { Child } from "../child.ts";
import { othersSeconds, processUsage } from "../process_usage.ts";
import { type Pushed, PushingControlPlane } from "./control_plane.ts";
import { cellOf, nameOf, sizeOf } from "./customers.ts";
import type { Form } from "./forms.ts";
import { PreparedConfigs } from "./prepared_config.ts";
import { now, type Recording, type Stretch } from "./recording.ts";
import { RunningLoad } from "./running_load.ts";
import { type Customers, type Scene, startRouter } from "./scene.ts";

/** One push, or what stands in its place, and as long a time before and after it. */
export interface Round {
  readonly before: Stretch;
  readonly during: Stretch;
  readonly after: Stretch;
  /** From the first byte to the ack, in milliseconds. */
  readonly pushMs: number;
  /** From when the push had left to the ack. */
  readonly applyMs: number;
  /** What programs that are none of the benchmark's kept busy meanwhile. */
  readonly othersCores: number;
}

/** What a router did at one size. */
export interface Served {
  readonly size: number;
  readonly form: Form;
  readonly rounds: readonly Round[];
  readonly recording: Recording;
  /** The most memory the router had had by the end. */
  readonly peakBytes: number;
  /** What it had some seconds after the last push, under load all the time. */
  readonly restBytes: number;
  /** Those seconds, and the processor time that the router used in them. */
  readonly rest: Stretch;
  readonly restCpuSeconds: number;
}

const WARM_UP_MS = 3000;
const REST_MS = 5000;
/** Between what stands outside a round and the round, so that neither is seen in the other. */
const MARGIN_MS = 250;
/** What a new config leaves to be cleaned up is cleaned up by then, or at some time that nobody can foresee. */
const TAIL_MS = 100;
/** Between "before" and the push, so that a stall that begins with the push is not in both. */
const APART_MS = 20;
/** A shorter time would have too few requests. */
const LEAST_MS = 400;

/** Serves a size with a router of its own, so that what is seen of its memory is of this size and form. */
export async function measureServing(
  scene: Scene,
  { form, customers }: { form: Form; customers: Customers },
): Promise<Served> {
  const { signal, tell } = scene;
  const { cells } = scene.endpoint;
  const { names } = customers;
  const size = sizeOf(names);
  await using stack = new AsyncDisposableStack();
  const configs = new PreparedConfigs(form, { names, cells });
  const folder = stack.use(await dataFolder());
  const controlPlane = stack.use(new PushingControlPlane());
  const router = stack.use(
    await startRouter(scene, { folder: folder.path, cpUrl: controlPlane.url }),
  );
  await controlPlane.connected;
  let version = 1;
  const first = await controlPlane.push(version, configs.frames(version));
  const load = stack.use(
    await RunningLoad.start(scene, {
      port: Number(new URL(router.url).port),
      namesFile: customers.namesFile,
    }),
  );
  await pause(WARM_UP_MS, undefined, { signal });

  const pids = [router.program.pid, load.pid, scene.endpoint.pid, Deno.pid];
  const rounds: Round[] = [];
  let expectedMs = first.ackedAt - first.begunAt;
  while (rounds.length < scene.rounds) {
    const frames = form.pushes ? configs.frames(++version) : null;
    const round = await measureRound(
      { expectedMs, pids, signal },
      () =>
        frames === null
          ? nothing(form, { milliseconds: expectedMs, signal })
          : controlPlane.push(version, frames),
    );
    rounds.push(round);
    // What is pushed under load takes longer than the first, and may do so from round to round.
    if (form.pushes) expectedMs = Math.max(expectedMs, round.pushMs);
    tell(
      `${size} customers, ${form.title}, round ${rounds.length} of ${scene.rounds}: ${
        round.pushMs.toFixed(0)
      } ms, other programs on ${round.othersCores.toFixed(1)} cores`,
    );
  }
  await pause(REST_MS, undefined, { signal });
  const restFrom = now();
  const usage = await processUsage([router.program.pid]);
  await pause(REST_MS, undefined, { signal });
  const atRest = await processUsage([router.program.pid]);
  const rest = { from: restFrom, to: now() };
  await explains(router, { names, version, cells: cells.length });
  return {
    size,
    form,
    rounds,
    recording: await load.stop(),
    peakBytes: atRest.peakBytes,
    restBytes: atRest.residentBytes,
    rest,
    restCpuSeconds: atRest.cpuSeconds - usage.cpuSeconds,
  };
}

/** One round; `push` does what happens in its middle, and is expected to take so long. */
async function measureRound(
  { expectedMs, pids, signal }: {
    expectedMs: number;
    pids: readonly number[];
    signal: AbortSignal;
  },
  push: () => Promise<Pushed>,
): Promise<Round> {
  const others = await othersSeconds(pids);
  const since = now();
  await pause(MARGIN_MS, undefined, { signal });
  const calmSince = now();
  await pause(lengthOf(expectedMs) + MARGIN_MS, undefined, { signal });
  const { begunAt, sentAt, ackedAt } = await push();
  const pushMs = ackedAt - begunAt;
  const length = lengthOf(pushMs);
  await pause(begunAt + 2 * length - now(), undefined, { signal });
  const seconds = (now() - since) / 1000;
  return {
    before: {
      from: Math.max(calmSince, begunAt - APART_MS - length),
      to: begunAt - APART_MS,
    },
    during: { from: begunAt, to: begunAt + length },
    after: { from: begunAt + length, to: begunAt + 2 * length },
    pushMs,
    applyMs: ackedAt - sentAt,
    // Below nothing where the kernel has rounded so.
    othersCores: Math.max(0, (await othersSeconds(pids) - others) / seconds),
  };
}

/** How long a round looks at a push that takes so long, in milliseconds. */
function lengthOf(pushMs: number): number {
  return Math.max(LEAST_MS, pushMs + TAIL_MS);
}

/** Stands in the place of a push. */
async function nothing(
  form: Form,
  { milliseconds, signal }: { milliseconds: number; signal: AbortSignal },
): Promise<Pushed> {
  const begunAt = now();
  {
    await using _busy = form.id === "busy"
      ? new Child("sh", { args: ["-c", "while :; do :; done"] })
      : null;
    await pause(milliseconds, undefined, { signal });
  }
  return { begunAt, sentAt: begunAt, ackedAt: begunAt + milliseconds };
}

/**
 * Makes sure that the newest version is what is served.
 *
 * @throws {Error} saying what is served instead.
 */
async function explains(
  router: Router,
  { names, version, cells }: {
    names: Customers["names"];
    version: number;
    cells: number;
  },
): Promise<void> {
  for (const customer of [0, sizeOf(names) - 1]) {
    const name = nameOf(names, customer);
    const placement = `tier${cellOf(customer, { version, cells }) + 1}`;
    const url = `${router.adminUrl}/explain?customer=${name}`;
    const explained = await (await fetch(url)).json();
    const routed = await router.ask(name, "/1k");
    for (const said of [explained, routed]) {
      if (said.version !== version || said.placement !== placement) {
        throw new Error(
          `After version ${version} customer ${name} is not at ${placement}: ${
            JSON.stringify({ explained, routed })
          }`,
        );
      }
    }
  }
}
