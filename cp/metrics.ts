import { canonicalTail, type Config } from "../shared/config.ts";
import { CANONICAL_HEAD } from "../shared/config.ts";
import { Histogram, type Metrics, SECONDS_BOUNDS } from "../shared/metrics.ts";

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
  #config: { version: number; config: Config } | null = null;
  #bytes: number | null = 0;

  /** Tells what is committed now; null while nothing is. */
  set current(current: { version: number; config: Config } | null) {
    // Answers may overtake each other; the newest version stays.
    if (
      current === null || current.version === this.#config?.version ||
      current.version < (this.#config?.version ?? 0)
    ) return;
    this.#config = current;
    this.#bytes = null;
  }

  register(metrics: Metrics): void {
    metrics.gauge({
      name: "signalbox_cp_config_version",
      help: "The committed version; 0 while there is none.",
    }, () => this.#config?.version ?? 0);
    metrics.gauge({
      name: "signalbox_cp_config_bytes",
      help: "Size of the committed config's canonical text.",
    }, () => {
      this.#bytes ??= configBytes(this.#config!.config);
      return this.#bytes;
    });
    metrics.gauge({
      name: "signalbox_cp_config_customers",
      help: "Customers assigned in the committed config.",
    }, () => this.#config?.config.customers.size ?? 0);
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

/** The length of a config's canonical text, in bytes, without making it. */
export function configBytes(config: Config): number {
  let bytes = CANONICAL_HEAD.length + canonicalTail(config).length;
  let filled = 0;
  for (const { fragment } of config.customers.buckets) {
    if (fragment === "") continue;
    bytes += fragment.length;
    filled++;
  }
  return bytes + Math.max(0, filled - 1);
}
