import type { Logger } from "../../shared/log.ts";
import { RareWarning } from "../../shared/rare_warning.ts";

/** The longest detail a line of the log carries, in characters. */
const MAX_LOGGED_DETAIL = 2000;

/** Why a router is not let in. */
export const REFUSAL_KINDS = [
  "forbidden",
  "unauthorized",
  "upgrade-required",
  "bad-request",
  "too-many-connections",
] as const;
export type RefusalKind = typeof REFUSAL_KINDS[number];

/** One that was not let in. */
export interface Refusal {
  readonly reason: RefusalKind;
  readonly detail: string;
  readonly address: string;
}

/** Counts and logs routers that are not let in: each kind at once, then at most once a minute, as they try again for ever. */
export class Refusals {
  readonly counts: Record<RefusalKind, number>;
  readonly #warnings: Record<RefusalKind, RareWarning>;
  #last: Refusal | null = null;

  constructor(log: Logger) {
    const each = <T>(make: (kind: RefusalKind) => T) =>
      Object.fromEntries(
        REFUSAL_KINDS.map((kind) => [kind, make(kind)]),
      ) as Record<RefusalKind, T>;
    this.counts = each(() => 0);
    this.#warnings = each((reason) =>
      new RareWarning((times) => {
        const { detail, address } = this.#last!;
        log.warn("a router is refused", {
          reason,
          detail: detail.slice(0, MAX_LOGGED_DETAIL),
          address,
          times,
        });
      })
    );
  }

  /** One more; `now` in milliseconds. */
  add(refusal: Refusal, now: number): void {
    this.#last = refusal;
    this.counts[refusal.reason]++;
    this.#warnings[refusal.reason].happened(now);
  }
}
