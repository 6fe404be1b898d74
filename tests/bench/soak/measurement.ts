import { Random } from "../../harness/random.ts";
import { type Residence, residenceOf } from "../residence.ts";
import { type Deed, DEEDS } from "./deeds.ts";
import type { Second } from "./load.ts";
import { Scene } from "./scene.ts";

/** What a run has shown. Times are in seconds from its beginning. */
export interface Outcome {
  readonly seconds: readonly Second[];
  readonly deeds: readonly { readonly at: number; readonly name: string }[];
  readonly router: readonly Residence[];
  /** Of the control plane since it was started last. */
  readonly controlPlane: readonly Residence[];
  /** When it was started last. */
  readonly lastStartAt: number;
  readonly edits: {
    readonly acknowledged: number;
    readonly unanswered: number;
  };
  readonly failures: readonly string[];
}

const SAMPLE_MS = 2000;
/** After this share of the time the control plane is left running, so that a leak of it can be seen. */
const RESTARTS_UNTIL = 1 / 4;

/** Runs it all; `tell` hears of each deed. */
export async function measure(
  options: {
    minutes: number;
    seed: number;
    tell: (text: string) => void;
    signal: AbortSignal;
  },
): Promise<Outcome> {
  const { minutes, seed, tell, signal } = options;
  const random = new Random(seed);
  await using scene = await Scene.start(random);
  const begun = performance.now();
  const elapsed = () => (performance.now() - begun) / 1000;
  const total = minutes * 60;
  const deeds: { at: number; name: string }[] = [];
  const router: Residence[] = [];
  let controlPlane: Residence[] = [];
  let lastStartAt = 0;

  let sampling = true;
  const samples = (async () => {
    while (sampling) {
      const { pid } = scene.all.controlPlane.program;
      router.push(await residenceOf(scene.all.router.program.pid, elapsed()));
      try {
        const sample = await residenceOf(pid, elapsed());
        // What it had before its last start is another process's.
        if (pid === scene.all.controlPlane.program.pid) {
          controlPlane.push(sample);
        }
      } catch {
        // It is being restarted.
      }
      await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS));
    }
  })();
  try {
    let left: Deed[] = [];
    while (elapsed() < total && !signal.aborted) {
      if (left.length === 0) left = random.shuffled(DEEDS);
      const deed = left.pop()!;
      if (deed.restarts && elapsed() > total * RESTARTS_UNTIL) continue;
      const at = elapsed();
      tell(`${clock(at)} of ${minutes}:00  ${deed.name}`);
      try {
        await deed.run(scene);
        if (deed.restarts) {
          lastStartAt = elapsed();
          controlPlane = [];
        }
        await scene.settled();
      } catch (error) {
        scene.failures.push(`${clock(at)} ${deed.name}: ${error}`);
        tell(`  failed: ${error}`);
      }
      deeds.push({ at, name: deed.name });
      await new Promise((resolve) =>
        setTimeout(resolve, random.between(500, 2000))
      );
    }
    signal.throwIfAborted();
    await scene.finish();
  } finally {
    sampling = false;
    await samples;
  }
  const { edits, failures, load: { seconds } } = scene;
  return { seconds, deeds, router, controlPlane, lastStartAt, edits, failures };
}

/** Minutes and seconds. */
export function clock(seconds: number): string {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
