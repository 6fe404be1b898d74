import { setTimeout as pause } from "node:timers/promises";
import { dataFolder, Program } from "../../harness/program.ts";
import { twoFreePorts } from "../free_port.ts";
import { processUsage } from "../process_usage.ts";
import { Asking } from "./asking.ts";
import { PushingControlPlane } from "./control_plane.ts";
import { cellOf, NAME_BYTES, nameOf, sizeOf } from "./customers.ts";
import { FORMS } from "./forms.ts";
import { PreparedConfigs } from "./prepared_config.ts";
import { failureCount, now } from "./recording.ts";
import { type Customers, type Scene, startRouter } from "./scene.ts";

/** One start of a router, from its last-known-good config. Times in milliseconds since the process was asked for. */
export interface Start {
  /** Until its admin listener said that it is ready. */
  readonly readyMs: number;
  /** Until a request was routed. */
  readonly routedMs: number;
  /** Requests answered 503, because there was no config yet. */
  readonly early: number;
  /** What was answered by anything but the last-known-good config, by kind. */
  readonly failures: Readonly<Record<string, number>>;
  /** The most memory it had had half a second later. */
  readonly peakBytes: number;
}

/** All starts at one size. */
export interface Started {
  readonly size: number;
  readonly starts: readonly Start[];
}

/** The version that is saved; a bootstrap config has none. */
const VERSION = 1;
/** Customers of the bootstrap config, and those that are asked for. */
const ASKED = 1000;
const POLL_MS = 1;
const TIMEOUT_MS = 30_000;
/** For how long a router that is ready is asked on. */
const ASKED_ON_MS = 500;

/**
 * Starts a router again and again from what it had saved. Beside that lies a bootstrap config, which has the
 * customers that are asked for elsewhere and must never be seen.
 */
export async function measureStart(
  scene: Scene,
  customers: Customers,
): Promise<Started> {
  await using folder = await dataFolder();
  const bootstrap = await save(scene, { customers, folder: folder.path });
  const size = sizeOf(customers.names);
  const starts: Start[] = [];
  for (let round = 0; round < scene.rounds; round++) {
    const start = await startOnce(scene, {
      customers,
      env: {
        ROUTER_ID: "bench",
        ROUTER_CP_URL: "",
        ROUTER_STATE_DIR: `${folder.path}/bench`,
        ROUTER_BOOTSTRAP: bootstrap,
        ROUTER_ACCESS_LOG: "errors",
        ...scene.routerEnv,
      },
    });
    starts.push(start);
    scene.tell(
      `${size} customers, start ${round + 1} of ${scene.rounds}: ready after ${
        startMs(start).toFixed(0)
      } ms`,
    );
  }
  return { size, starts };
}

/** Has a router apply a config, and leaves it on the disk beside a bootstrap config, whose path is answered. */
async function save(
  scene: Scene,
  { customers, folder }: { customers: Customers; folder: string },
): Promise<string> {
  const { names } = customers;
  const { cells } = scene.endpoint;
  const parts = FORMS.find(({ id }) => id === "parts")!;
  const configs = new PreparedConfigs(parts, { names, cells });
  {
    await using controlPlane = new PushingControlPlane();
    await using router = await startRouter(scene, {
      folder,
      cpUrl: controlPlane.url,
    });
    await controlPlane.connected;
    await controlPlane.push(VERSION, configs.frames(VERSION));
    await router.program.stop();
  }
  const elsewhere = (customer: number) =>
    cells[cellOf(customer, { version: VERSION + 1, cells: cells.length })]!;
  const path = `${folder}/bootstrap.json`;
  await Deno.writeTextFile(
    path,
    JSON.stringify({
      default_placement: cells[0]!.placement,
      customer_to_placement: Object.fromEntries(
        Array.from(
          { length: Math.min(ASKED, sizeOf(names)) },
          (_, i) => [nameOf(names, i), elsewhere(i).placement],
        ),
      ),
      placement_to_endpoint: Object.fromEntries(
        cells.map(({ placement, url }) => [placement, url]),
      ),
    }),
  );
  return path;
}

async function startOnce(
  { endpoint, signal }: Scene,
  { customers, env }: { customers: Customers; env: Record<string, string> },
): Promise<Start> {
  // Known beforehand, so that they can be asked from the first moment on.
  const [port, adminPort] = twoFreePorts();
  const began = now();
  await using router = Program.start("router", {
    ...env,
    ROUTER_LISTEN: `127.0.0.1:${port}`,
    ROUTER_ADMIN_LISTEN: `127.0.0.1:${adminPort}`,
  });
  const stop = new AbortController();
  router.ended.then(() => stop.abort());
  const waiting = AbortSignal.any([
    signal,
    stop.signal,
    AbortSignal.timeout(TIMEOUT_MS),
  ]);
  const asking = new Asking({
    port,
    names: customers.names.subarray(0, ASKED * NAME_BYTES),
    version: VERSION,
    cells: endpoint.cells.length,
    signal: waiting,
  });
  try {
    const [readyAt, routedAt] = await Promise.all([
      ready(adminPort, waiting),
      asking.routed,
    ]);
    await pause(ASKED_ON_MS, undefined, { signal });
    const { peakBytes } = await processUsage([router.pid]);
    return {
      readyMs: readyAt - began,
      routedMs: routedAt - began,
      early: asking.early,
      failures: asking.failures,
      peakBytes,
    };
  } catch (error) {
    signal.throwIfAborted();
    const seen = JSON.stringify(asking.failures);
    throw new Error(
      `The router has not started, wrong answers ${seen}: ${router.logText()}`,
      { cause: error },
    );
  } finally {
    stop.abort();
    await asking.ended;
  }
}

/** When the admin listener says for the first time that the router is ready. */
async function ready(port: number, signal: AbortSignal): Promise<number> {
  for (;;) {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal });
      await answer.body?.cancel();
      if (answer.status === 200) return now();
    } catch (error) {
      // Nobody listens yet.
      if (!(error instanceof TypeError)) throw error;
    }
    await pause(POLL_MS, undefined, { signal });
  }
}

/** Until it said that it is ready, and a request was routed. */
export function startMs({ readyMs, routedMs }: Start): number {
  return Math.max(readyMs, routedMs);
}

/** How many answers were wrong in all starts at a size. */
export function startFailures({ starts }: Started): number {
  return starts.reduce((sum, { failures }) => sum + failureCount(failures), 0);
}
