import type { Target } from "./session.ts";

/** How many versions are kept. */
const MAX_VERSIONS = 100;
/** How many times are kept of one version. */
const MAX_TIMES = 20_000;

/** How fast a version reached the routers that were connected when it was committed. Times are in milliseconds. */
export interface VersionPropagation {
  readonly version: number;
  readonly epoch: string;
  /** How many applied it. A version that a newer one replaced on its way reaches few. */
  readonly applied: number;
  readonly rejected: number;
  /** From the commit to the ack of half of those that applied it; null where none did. */
  readonly p50_ms: number | null;
  readonly p99_ms: number | null;
  /** To the last of them. */
  readonly last_ms: number | null;
}

interface Spread {
  readonly target: Target;
  readonly times: number[];
  applied: number;
  rejected: number;
  last: number;
}

/** Keeps the times from commit to ack of the newest versions, as this process has seen them. */
export class Propagation {
  /** By version and epoch, the oldest first. */
  readonly #spreads = new Map<string, Spread>();

  /** A router has answered a version that was committed while it was connected. */
  answered(target: Target, status: "applied" | "rejected", ms: number): void {
    const spread = this.#of(target);
    if (spread === null) return;
    if (status === "rejected") {
      spread.rejected++;
      return;
    }
    spread.applied++;
    spread.last = Math.max(spread.last, ms);
    if (spread.times.length < MAX_TIMES) spread.times.push(ms);
  }

  /** The newest versions that anybody answered, the newest first. */
  newest(limit: number): VersionPropagation[] {
    return [...this.#spreads.values()].slice(-limit).reverse().map(shown);
  }

  #of(target: Target): Spread | null {
    const key = `${target.version} ${target.epoch}`;
    const known = this.#spreads.get(key);
    if (known !== undefined) return known;
    const oldest = this.#spreads.values().next().value;
    if (this.#spreads.size >= MAX_VERSIONS && oldest !== undefined) {
      // An answer so late would push out what is newer.
      if (target.committedAt < oldest.target.committedAt) return null;
      this.#spreads.delete(
        `${oldest.target.version} ${oldest.target.epoch}`,
      );
    }
    const spread = { target, times: [], applied: 0, rejected: 0, last: 0 };
    this.#spreads.set(key, spread);
    return spread;
  }
}

function shown(
  { target, times, applied, rejected, last }: Spread,
): VersionPropagation {
  const sorted = Float64Array.from(times).sort();
  const at = (share: number) =>
    sorted.length === 0
      ? null
      : round(sorted[Math.ceil(share * sorted.length) - 1]!);
  return {
    version: target.version,
    epoch: target.epoch,
    applied,
    rejected,
    p50_ms: at(0.5),
    p99_ms: at(0.99),
    last_ms: applied === 0 ? null : round(last),
  };
}

function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
