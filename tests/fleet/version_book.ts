import type { VersionNews } from "./messages.ts";
import { Propagation } from "./propagation.ts";

/** Versions whose answers are kept one by one; of older ones only the sums are. */
const MAX_KEPT = 16;

/** How one version went through the fleet. */
export interface VersionFigures {
  readonly version: number;
  /** When the first router was sent the first byte of it, in milliseconds since the Unix epoch. */
  readonly seenAt: number;
  /** When the newest answer was sent; `seenAt` before any. */
  readonly lastAt: number;
  readonly applied: number;
  readonly rejected: number;
  /**
   * From `seenAt` to each acknowledgement, of routers that were connected by then: one that comes
   * later gets the version later, and that says nothing of how fast it went out.
   */
  readonly propagation: Propagation;
}

interface Entry {
  seenAt: number;
  lastAt: number;
  rejected: number;
  readonly applied: (readonly [openedAt: number, at: number])[];
}

/** What the processes tell of versions, brought together. */
export class VersionBook {
  readonly #entries = new Map<number, Entry>();
  readonly #folded = new Propagation();
  #count = 0;

  /** Versions that were seen, ever. */
  get count(): number {
    return this.#count;
  }

  take(news: VersionNews): void {
    const entry = this.#entries.get(news.version) ?? this.#add(news);
    entry.seenAt = Math.min(entry.seenAt, news.seenAt);
    entry.rejected += news.rejected;
    for (const answer of news.applied) {
      entry.applied.push(answer);
      entry.lastAt = Math.max(entry.lastAt, answer[1]);
    }
  }

  /** How a version went; null if it was not seen, or too long ago. */
  figures(version: number): VersionFigures | null {
    const entry = this.#entries.get(version);
    if (entry === undefined) return null;
    return {
      version,
      seenAt: entry.seenAt,
      lastAt: entry.lastAt,
      applied: entry.applied.length,
      rejected: entry.rejected,
      propagation: propagationOf(entry),
    };
  }

  /** Over all versions. */
  total(): Propagation {
    const total = new Propagation();
    total.addAll(this.#folded);
    for (const entry of this.#entries.values()) {
      total.addAll(propagationOf(entry));
    }
    return total;
  }

  #add({ version, seenAt }: VersionNews): Entry {
    const entry = { seenAt, lastAt: seenAt, rejected: 0, applied: [] };
    this.#entries.set(version, entry);
    this.#count++;
    if (this.#entries.size > MAX_KEPT) {
      const [oldest] = this.#entries;
      this.#folded.addAll(propagationOf(oldest![1]));
      this.#entries.delete(oldest![0]);
    }
    return entry;
  }
}

function propagationOf({ seenAt, applied }: Entry): Propagation {
  const propagation = new Propagation();
  for (const [openedAt, at] of applied) {
    if (openedAt <= seenAt) propagation.add(at - seenAt);
  }
  return propagation;
}
