import { percentile } from "../statistics.ts";
import type { Case } from "./cases.ts";
import { Scene, type Tell } from "./scene.ts";

/** Edits before those that count, for the just-in-time compilers on both sides. */
const WARM_UP_EDITS = 10;
const MEBIBYTE = 2 ** 20;

/** What was measured of one case with one fleet. Times are in milliseconds. */
export interface Measured {
  /** From a PATCH to the last acknowledgement, for each edit. */
  readonly edits: readonly number[];
  /** Processor time for an edit, of the control plane and of the whole fleet. */
  readonly editCpu: { readonly controlPlane: number; readonly fleet: number };
  /** From the first connection to all being current. */
  readonly connectMs: number;
  /** The control plane's largest resident memory, before any router and at the end. */
  readonly idleBytes: number;
  readonly peakBytes: number;
  /** What other programs kept busy meanwhile. */
  readonly othersCores: number;
  /** What the routers found wrong with what they got. */
  readonly faults: readonly string[];
  /** Of a wide fleet. */
  readonly wide: {
    /** How many cores the control plane kept busy while the fleet was held. */
    readonly heldCores: number;
    /** Connections that were opened meanwhile. */
    readonly heldConnects: number;
    readonly restart: Awaited<ReturnType<Scene["restart"]>>;
  } | null;
}

export interface MeasureOptions {
  readonly edits: number | null;
  readonly holdMs: number;
  /** Whether some routers stall and some reject. */
  readonly trouble: boolean;
  readonly tell: Tell;
  readonly signal: AbortSignal;
}

/** Measures a case with one fleet. */
export async function measure(
  item: Case,
  options: MeasureOptions,
): Promise<Measured> {
  const { trouble, tell, signal } = options;
  const about = `${item.id}${trouble ? "" : ", without trouble"}`;
  tell(`${about}: starting a control plane with ${item.title}`);
  await using scene = await Scene.open(item, signal);
  const idle = await scene.usage();
  const started = performance.now();
  const othersBefore = await scene.others();
  const connectMs = await scene.connect(item, { trouble });
  tell(
    `${about}: all are there after ${seconds(connectMs)}, control plane ${
      mebibytes((await scene.usage()).peakBytes)
    } at most`,
  );
  const held = item.wide ? await hold(scene, about, options) : null;
  const { edits, editCpu } = await editAll(scene, { ...options, item, about });
  const { peakBytes } = await scene.usage();
  const restart = held === null ? null : await scene.restart();
  if (restart !== null) {
    tell(
      `${about}: all were back ${
        seconds(restart.back)
      } after the signal to restart`,
    );
  }
  const othersCores = (await scene.others() - othersBefore) /
    (performance.now() - started) * 1000;
  return {
    edits,
    editCpu,
    connectMs,
    idleBytes: idle.peakBytes,
    peakBytes,
    othersCores,
    faults: scene.state().faults.map(([what, times]) => `${times} × ${what}`),
    wide: held === null || restart === null ? null : { ...held, restart },
  };
}

/** Lets the fleet be for a while. */
async function hold(
  scene: Scene,
  about: string,
  { holdMs, tell, signal }: MeasureOptions,
): Promise<{ heldCores: number; heldConnects: number }> {
  tell(`${about}: holding for ${holdMs / 1000} s`);
  const before = await scene.usage();
  const { connects } = scene.state();
  const started = performance.now();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, holdMs);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
  const after = await scene.usage();
  return {
    heldCores: (after.cpuSeconds - before.cpuSeconds) /
      (performance.now() - started) * 1000,
    heldConnects: scene.state().connects - connects,
  };
}

async function editAll(
  scene: Scene,
  options: MeasureOptions & { item: Case; about: string },
): Promise<Pick<Measured, "edits" | "editCpu">> {
  const { item, about, tell } = options;
  const count = options.edits ?? item.edits;
  // One edit to a fleet that has seen none is what the widest case is about.
  const warmUp = item.wide ? 0 : Math.min(WARM_UP_EDITS, count);
  for (let i = 0; i < warmUp; i++) await scene.edit();
  const usage = await scene.usage();
  const fleetSeconds = await scene.fleetSeconds();
  const times: number[] = [];
  let toldAt = performance.now();
  for (let i = 1; i <= count; i++) {
    times.push(await scene.edit());
    if (i < count && performance.now() - toldAt < 5000) continue;
    toldAt = performance.now();
    tell(
      `${about}: ${i} of ${count} edits, last acknowledgement after ${
        percentile(times, 0.5)
      } ms (p50), ${percentile(times, 1)} ms (max)`,
    );
  }
  const spent = (before: number, after: number) =>
    (after - before) / count * 1000;
  return {
    edits: times,
    editCpu: {
      controlPlane: spent(
        usage.cpuSeconds,
        (await scene.usage()).cpuSeconds,
      ),
      fleet: spent(fleetSeconds, await scene.fleetSeconds()),
    },
  };
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

function mebibytes(bytes: number): string {
  return `${(bytes / MEBIBYTE).toFixed(0)} MiB`;
}
