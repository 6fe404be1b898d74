import { canonicalLength } from "../shared/canonical.ts";
import type { Config } from "../shared/config.ts";
import { Histogram, type Metrics, SECONDS_BOUNDS } from "../shared/metrics.ts";
import type { LargeAnswers } from "./api/large_answers.ts";
import type { OneByOne } from "./api/one_by_one.ts";
import { StoreDamaged, type VersionStore } from "./store/store.ts";

/** How an edit ended. */
export const EDIT_RESULTS = [
  "committed",
  "unchanged",
  "dry_run",
  "invalid",
  "conflict",
  "refused",
  "failed",
] as const;
export type EditResult = typeof EDIT_RESULTS[number];

/** What the API counts (SPEC section 8). */
export class ApiMetrics {
  readonly edits: Record<EditResult, number> = {
    committed: 0,
    unchanged: 0,
    dry_run: 0,
    invalid: 0,
    conflict: 0,
    refused: 0,
    failed: 0,
  };
  /** From the checked request to the durable version; edits that committed only. */
  readonly commitSeconds = new Histogram(SECONDS_BOUNDS);
  readonly #large: LargeAnswers;
  readonly #history: OneByOne;
  #version = 0;
  #damaged = false;
  #config: Config | null = null;
  #bytes: number | null = 0;

  constructor(options: { large: LargeAnswers; history: OneByOne }) {
    this.#large = options.large;
    this.#history = options.history;
  }

  /** Reads where the store stands; what it does not tell keeps its last value. */
  async read(store: VersionStore): Promise<void> {
    try {
      this.#version = (await store.head()).version;
      const config = (await store.current())?.config ?? null;
      this.#damaged = false;
      if (config === this.#config) return;
      this.#config = config;
      this.#bytes = config === null ? 0 : null;
    } catch (error) {
      // The rest of the metrics matters most when the store fails.
      if (error instanceof StoreDamaged) this.#damaged = true;
    }
  }

  register(metrics: Metrics): void {
    metrics.gauge({
      name: "signalbox_cp_config_version",
      help: "The committed version; 0 while there is none.",
    }, () => this.#version);
    metrics.gauge({
      name: "signalbox_cp_config_bytes",
      help: "Size of the committed config's canonical text.",
    }, () => {
      this.#bytes ??= canonicalLength(this.#config!);
      return this.#bytes;
    });
    metrics.gauge({
      name: "signalbox_cp_config_customers",
      help: "Customers assigned in the committed config.",
    }, () => this.#config?.customers.size ?? 0);
    metrics.gauge({
      name: "signalbox_cp_store_damaged",
      help: "1 while what is stored does not match its digests, else 0.",
    }, () => Number(this.#damaged));
    metrics.gauge({
      name: "signalbox_cp_large_answers_in_flight",
      help: "Answers of many bytes on their way to readers of the API.",
    }, () => this.#large.open);
    metrics.gauge({
      name: "signalbox_cp_history_calls",
      help: "Calls that read or compare old versions, or wait to.",
    }, () => this.#history.size);
    metrics.counter({
      name: "signalbox_cp_calls_refused_total",
      help: "Calls refused because too many of their kind ran, by kind.",
    }, () => [
      { labels: { kind: "large_answer" }, value: this.#large.refused },
      { labels: { kind: "history" }, value: this.#history.refused },
    ]);
    metrics.counter({
      name: "signalbox_cp_edits_total",
      help: "Edits asked for, by how they ended.",
    }, () =>
      EDIT_RESULTS.map((result) => ({
        labels: { result },
        value: this.edits[result],
      })));
    metrics.histogram({
      name: "signalbox_cp_commit_seconds",
      help: "Time from a checked edit to its durable version.",
    }, () => [{ histogram: this.commitSeconds }]);
  }
}
