import { nextConfig, type ReadyConfig } from "../active.ts";
import type { Counted, Order } from "../../shared/protocol.ts";
import type { FenceReport } from "../fence.ts";
import type { HoldReport } from "../holds.ts";
import type { TlsIdentity } from "../listen/tls_identity.ts";
import { Child } from "../../shared/child.ts";
import type { TrafficCounts } from "./counts.ts";
import { LastKnown } from "./last_known.ts";
import type { FromServing, ToServing } from "./serving_messages.ts";

/** How much longer than its requests a thread may take to stop, in milliseconds. */
const STOP_TIME = 30_000;

export interface ServingThreadOptions {
  /** What it runs. */
  readonly module: string;
  /** Called once if the thread dies, or does not answer. */
  readonly lost: (error: string) => void;
  /** It has told anew what is old on it. */
  readonly fenceChanged: () => void;
  /** It has told how a hold stands on it. */
  readonly holding: (report: HoldReport) => void;
}

/** One serving thread besides the main one, as that one sees it. */
export class ServingThread {
  /** It takes requests. */
  listening = false;
  /** The config that it holds ready, or serves. */
  ready: ReadyConfig | null = null;
  /** What it has told last of what is old on it. */
  fence: FenceReport | null = null;
  /** The requests that it has told last of. */
  counted: Counted = { requests: 0, errors: 0 };
  readonly #child: Child<ToServing, FromServing>;
  readonly #counts = new LastKnown<TrafficCounts | null>(null, async () => {
    const { counts } = await this.#child.ask({ type: "count" }, ["counts"]);
    return counts;
  });

  constructor({ module, lost, fenceChanged, holding }: ServingThreadOptions) {
    this.#child = new Child<ToServing, FromServing>({
      module,
      name: "signalbox-serving",
      lost,
      told: (message) => {
        if (message.type === "fence") {
          this.fence = message.report;
          fenceChanged();
        } else if (message.type === "holding") {
          holding(message.report);
        } else if (message.type === "counted") {
          this.counted = message.counted;
        }
      },
    });
  }

  /** It has ended, or counts as lost. */
  get over(): boolean {
    return this.#child.over;
  }

  /** Its counters, as it told them last; null before it did. */
  get counts(): TrafficCounts | null {
    return this.#counts.value;
  }

  /** @throws if it cannot listen. */
  async start(message: ToServing & { type: "start" }): Promise<void> {
    const answer = await this.#child.ask(message, ["listening", "failed"]);
    if (answer.type === "failed") throw new Error(answer.problem);
    this.listening = true;
  }

  /**
   * Has it hold a config ready.
   *
   * @throws if it cannot.
   */
  async prepare(config: ReadyConfig): Promise<void> {
    this.ready = null;
    const { error } = await this.#child.ask(
      { type: "prepare", config: nextConfig(config) },
      ["prepared"],
    );
    if (error !== null) throw new Error(error);
    this.ready = config;
  }

  /**
   * Has it serve what it holds ready.
   *
   * @throws if it cannot.
   */
  async swap(): Promise<void> {
    const { error } = await this.#child.ask({ type: "swap" }, ["serving"]);
    if (error !== null) throw new Error(error);
  }

  /** Has it do something beside serving. */
  order(order: Order): void {
    this.#child.tell({ type: "order", order });
  }

  /** Asks for its counters; those it told last where it does not answer soon. */
  count(): Promise<TrafficCounts | null> {
    return this.#counts.ask();
  }

  renew(identity: TlsIdentity): void {
    this.#child.tell({ type: "renew", identity });
  }

  /** Lets its requests end within `graceMs` milliseconds, and ends it. */
  async stop(graceMs: number): Promise<void> {
    this.listening = false;
    await this.#child.ask({ type: "stop", graceMs }, ["stopped"], {
      patience: graceMs + STOP_TIME,
    }).catch(() => {});
    this.end();
  }

  /** Gives it up, and tells of that. */
  lose(error: string): void {
    this.#child.lose(error);
  }

  /** Ends it where it stands. */
  end(): void {
    this.listening = false;
    this.#child.end();
  }
}
