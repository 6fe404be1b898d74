import type { HoldReport } from "./holds.ts";

/** How many holds are remembered. */
const MAX_HOLDS = 256;

/** Joins what several threads report of each hold. */
export class HoldReports {
  readonly #reports = new Map<string, Map<object, HoldReport>>();

  /** A thread reports; answers the sum over `threads`, or null while one of them has not reported this hold. */
  take(
    thread: object,
    report: HoldReport,
    threads: readonly object[],
  ): HoldReport | null {
    const { id } = report;
    const ofHold = this.#reports.get(id) ?? new Map<object, HoldReport>();
    ofHold.set(thread, report);
    this.#reports.set(id, ofHold);
    if (this.#reports.size > MAX_HOLDS) {
      const [oldest] = this.#reports.keys();
      this.#reports.delete(oldest!);
    }
    return this.#sum(id, threads);
  }

  /** A thread has ended, and its requests with it; answers the holds that all others have reported. */
  leave(thread: object, threads: readonly object[]): HoldReport[] {
    const sums: HoldReport[] = [];
    for (const [id, ofHold] of this.#reports) {
      if (!ofHold.delete(thread)) continue;
      const sum = this.#sum(id, threads);
      if (sum !== null) sums.push(sum);
    }
    return sums;
  }

  #sum(id: string, threads: readonly object[]): HoldReport | null {
    const ofHold = this.#reports.get(id)!;
    const sum = { id, requests: 0, streams: 0, oldestMs: 0, waiting: 0 };
    for (const thread of threads) {
      const report = ofHold.get(thread);
      if (report === undefined) return null;
      sum.requests += report.requests;
      sum.streams += report.streams;
      sum.waiting += report.waiting;
      sum.oldestMs = Math.max(sum.oldestMs, report.oldestMs);
    }
    return sum;
  }
}
