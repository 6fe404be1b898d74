import { othersSeconds, processTree, processUsage } from "../process_usage.ts";
import type { Case } from "./cases.ts";
import { type LoadOptions, requestLoad, webSocketLoad } from "./load.ts";
import type { Peer, RunningPeer, Scene } from "./peers/peer.ts";
import { probe } from "./probe.ts";
import { errorCount, type Sample } from "./sample.ts";

/** What came of one proxy in one case: samples, or why there are none. */
export interface Outcome {
  readonly peer: Peer;
  readonly samples: readonly Sample[];
  /** Why it was not measured, or not to the end. */
  readonly failure?: string;
}

export interface MeasureOptions {
  readonly peers: readonly Peer[];
  readonly scene: Scene;
  readonly rounds: number;
  readonly seconds: number;
  readonly customersFile: string;
  /** Takes a line on how it goes. */
  readonly tell: (text: string) => void;
}

/** A just-in-time compiler needs longer before the first sample than caches do before the others. */
const FIRST_WARM_UP_S = 2;
const WARM_UP_S = 1;

interface Lane {
  readonly peer: Peer;
  readonly running: RunningPeer;
  readonly pids: readonly number[];
  readonly samples: Sample[];
  failure?: string;
}

/**
 * Measures all proxies in one case. They are started anew, so that the peak of memory is that of the
 * case, and stay up, idle, while others are measured; each round measures every one of them, beginning
 * with another, so that what the machine does meanwhile falls on all alike.
 */
export async function measureCase(
  item: Case,
  options: MeasureOptions,
): Promise<Outcome[]> {
  await using stack = new AsyncDisposableStack();
  const outcomes: (Outcome | Lane)[] = [];
  const { signal } = options.scene;
  for (const peer of options.peers) {
    signal.throwIfAborted();
    const reason = peer.cannot?.(item);
    const lane = reason === undefined
      ? await enter(peer, item, { stack, options })
      : { peer, samples: [], failure: reason };
    if (lane.failure !== undefined) {
      options.tell(`${peer.name}: ${lane.failure}`);
    }
    outcomes.push(lane);
  }
  const lanes = outcomes.filter((outcome): outcome is Lane =>
    "running" in outcome
  );
  for (let round = 0; round < options.rounds; round++) {
    for (let i = 0; i < lanes.length; i++) {
      signal.throwIfAborted();
      const lane = lanes[(round + i) % lanes.length]!;
      if (lane.failure === undefined) {
        await measure(item, lane, { round, options });
      }
    }
  }
  return outcomes.map(({ peer, samples, failure }) => ({
    peer,
    samples,
    ...(failure === undefined ? {} : { failure }),
  }));
}

async function enter(
  peer: Peer,
  item: Case,
  { stack, options }: {
    stack: AsyncDisposableStack;
    options: MeasureOptions;
  },
): Promise<Outcome | Lane> {
  try {
    const running = stack.use(await peer.start(options.scene));
    // No proxy is in front to choose the cell.
    if (!item.webSocket && peer.id !== "direct") {
      await probe(item, running, options.scene);
    }
    const pids = await processTree(running.pid);
    return { peer, running, pids, samples: [] };
  } catch (error) {
    return { peer, samples: [], failure: describe(error) };
  }
}

async function measure(
  item: Case,
  lane: Lane,
  { round, options }: { round: number; options: MeasureOptions },
): Promise<void> {
  const { seconds, scene, customersFile, rounds } = options;
  const load = item.webSocket ? webSocketLoad : requestLoad;
  const run = (seconds: number) =>
    load(
      item,
      {
        port: lane.running.port,
        seconds,
        customersFile,
        folder: scene.folder,
        signal: scene.signal,
      } satisfies LoadOptions,
    );
  try {
    await run(round === 0 ? FIRST_WARM_UP_S : WARM_UP_S);
    const before = await usage(lane, scene);
    const result = await run(seconds);
    const after = await usage(lane, scene);
    const cpuSeconds = after.proxy - before.proxy;
    lane.samples.push({
      ...result,
      cpuSeconds,
      othersCores: (after.others - before.others) / result.seconds,
      peakBytes: after.peakBytes,
    });
    const errors = errorCount(result);
    options.tell(
      `${item.id}, round ${round + 1} of ${rounds}, ${lane.peer.name}: ${
        Math.round(result.requests / result.seconds)
      }/s, ${(cpuSeconds / result.requests * 1e6).toFixed(1)} CPU-µs each${
        errors === 0
          ? ""
          : `, ${errors} ERRORS ${JSON.stringify(result.errors)}`
      }`,
    );
  } catch (error) {
    scene.signal.throwIfAborted();
    lane.failure = describe(error);
    options.tell(`${item.id}, ${lane.peer.name}: ${lane.failure}`);
  }
}

/** Processor time used so far by the proxy and by all that is not of the benchmark, in seconds. */
async function usage(
  { pids }: Lane,
  { endpointPid }: Scene,
): Promise<{ proxy: number; others: number; peakBytes: number }> {
  // The load is a child of this process that has ended when it is asked for.
  const all = new Set([...pids, endpointPid, Deno.pid]);
  const [proxy, others] = await Promise.all([
    processUsage(pids),
    othersSeconds([...all]),
  ]);
  return { proxy: proxy.cpuSeconds, others, peakBytes: proxy.peakBytes };
}

function describe(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replaceAll("\n", " ").slice(0, 500);
}
