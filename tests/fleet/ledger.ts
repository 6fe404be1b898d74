import type { Counted, VersionNews } from "./messages.ts";

/** Different reasons that are kept apart; what comes after counts as one. */
const MAX_KINDS = 20;

/** What happens on the links of a process, added up. */
export class Ledger {
  connects = 0;
  bytes = 0;
  applied = 0;
  rejected = 0;
  decoded = 0;
  newest = 0;
  readonly losses = new Tally();
  readonly faults = new Tally();
  #versions = new Map<number, {
    version: number;
    seenAt: number;
    applied: [openedAt: number, at: number][];
    rejected: number;
  }>();

  /** The first byte of a version has come to a router. */
  begins(version: number): void {
    this.#of(version);
  }

  /** A router acknowledged a version. */
  answers(
    version: number,
    { rejected, openedAt }: { rejected: boolean; openedAt: number },
  ): void {
    const news = this.#of(version);
    if (rejected) {
      this.rejected++;
      news.rejected++;
    } else {
      this.applied++;
      news.applied.push([openedAt, Date.now()]);
    }
  }

  /** What is new of the versions since the last call. */
  takeVersions(): VersionNews[] {
    const news = [...this.#versions.values()];
    this.#versions = new Map();
    return news;
  }

  #of(version: number) {
    let news = this.#versions.get(version);
    if (news === undefined) {
      news = { version, seenAt: Date.now(), applied: [], rejected: 0 };
      this.#versions.set(version, news);
    }
    return news;
  }
}

/** Counts by reason. */
export class Tally {
  readonly #counts = new Map<string, number>();

  add(what: string, times = 1): void {
    const known = this.#counts.has(what) || this.#counts.size < MAX_KINDS;
    const kind = known ? what : "other reasons";
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + times);
  }

  /** All of them, the most frequent first. */
  entries(): Counted[] {
    return [...this.#counts].sort(([, a], [, b]) => b - a);
  }

  /** How many in all. */
  get total(): number {
    return this.entries().reduce((sum, [, times]) => sum + times, 0);
  }
}
