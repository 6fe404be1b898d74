import type { HoldOrder, RouterRecord } from "../store/store.ts";
import type { Clock } from "../../shared/clock.ts";
import type { HoldRollout, HoldStanding, HoldView } from "./fleet.ts";
import { answerOf, type HoldAnswer } from "./orders.ts";

/** How often the roster is read for routers of other control planes. */
const ROSTER_POLL_MS = 250;
/** Changes that come together are looked at together. */
const GATHER_MS = 5;

/** What a hold's watch sees of the routers. */
export interface HoldSource {
  /** Whether there is such a hold. */
  has(hold: string): boolean;
  /** The connected routers' ids, and how each stands. */
  answers(
    hold: string,
  ): Iterable<
    {
      readonly id: string;
      readonly instance: string | null;
      readonly answer: HoldAnswer;
    }
  >;
  /** The roster's routers that are not connected here. */
  others(): Promise<{
    readonly elsewhere: readonly RouterRecord[];
    readonly gone: readonly string[];
    readonly complete: boolean;
  }>;
}

/** How a hold stands on all routers. */
export async function holdRollout(
  source: HoldSource,
  hold: string,
): Promise<HoldStanding> {
  const { elsewhere, gone, complete } = await source.others();
  const instances = new Map<string, string | null>();
  const holding: HoldRollout["holding"][number][] = [];
  const pending: string[] = [];
  const cannot: string[] = [];
  const add = (id: string, answer: HoldAnswer) => {
    switch (answer.kind) {
      case "holding": {
        const { requests, streams, oldestMs, waiting } = answer.state;
        const oldest_seconds = oldestMs / 1000;
        holding.push({ id, requests, streams, oldest_seconds, waiting });
        return;
      }
      case "pending":
        pending.push(id);
        return;
      case "cannot":
        cannot.push(id);
        return;
      default:
        answer satisfies never;
    }
  };
  for (const { id, instance, answer } of source.answers(hold)) {
    // Of two with one id nobody can say which one it was.
    instances.set(id, instances.has(id) ? null : instance);
    add(id, answer);
  }
  for (const record of elsewhere) {
    instances.set(record.id, record.instance);
    add(record.id, answerOf(record, hold));
  }
  const running = holding.filter(({ requests, streams }) =>
    requests + streams > 0
  );
  const state = pending.length > 0 || !complete
    ? "pending"
    : running.length > 0
    ? "draining"
    : cannot.length + gone.length > 0
    ? "unknown"
    : "drained";
  const over = !source.has(hold);
  return { over, state, holding, pending, cannot, gone: [...gone], instances };
}

/** A hold as the API shows it. */
export function holdView(hold: HoldOrder, standing: HoldStanding): HoldView {
  const { id, customers, createdAt, until, author } = hold;
  const { instances: _, over: __, ...rollout } = standing;
  return { id, customers, created_at: createdAt, until, author, ...rollout };
}

/** Waits for what the routers tell of a hold. */
export class HoldWatch {
  readonly #source: HoldSource;
  readonly #clock: Clock;
  #notice: () => void = () => {};

  constructor(source: HoldSource, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Something about a router has changed. */
  notice(): void {
    this.#notice();
  }

  /** Waits until `enough` says so of how the hold stands, or the time is up; answers how it stands then. */
  async wait(
    hold: string,
    options: {
      timeoutMs: number;
      signal: AbortSignal;
      enough: (standing: HoldStanding) => boolean;
    },
  ): Promise<HoldStanding> {
    const { timeoutMs, signal, enough } = options;
    const end = this.#clock.now() + timeoutMs;
    for (;;) {
      const rollout = await holdRollout(this.#source, hold);
      const left = end - this.#clock.now();
      if (enough(rollout) || left <= 0 || signal.aborted) return rollout;
      await this.#changed(Math.min(left, ROSTER_POLL_MS), signal);
    }
  }

  #changed(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      let cancelSoon = () => {};
      const done = () => {
        cancel();
        cancelSoon();
        signal.removeEventListener("abort", done);
        this.#notice = () => {};
        resolve();
      };
      const cancel = this.#clock.after(ms, done);
      signal.addEventListener("abort", done);
      this.#notice = () => {
        this.#notice = () => {};
        cancelSoon = this.#clock.after(GATHER_MS, done);
      };
    });
  }
}
