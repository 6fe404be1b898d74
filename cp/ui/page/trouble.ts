import type { Router } from "../../api/answers.ts";

export type Status = Router["status"];

/** All statuses, the worst first. */
export const STATUSES: readonly Status[] = [
  "conflict",
  "rejected",
  "too_large",
  "unanswered",
  "gone",
  "behind",
  "current",
];

/** What a status is called, what it means, and what to do about it. */
export const ABOUT: Record<
  Status,
  { readonly name: string; readonly means: string; readonly advice: string }
> = {
  conflict: {
    name: "in conflict",
    means: "serves another history than this store's, and is not pushed to",
    advice:
      "The store may have been emptied or restored. Compare with the router's own GET /config; bring the contents back with PUT /v1/config, then POST /v1/takeover makes this store the truth.",
  },
  rejected: {
    name: "rejected",
    means: "refused the newest version and serves the one before",
    advice:
      "Its reason is below. Mend the config, or push again once the router can take it.",
  },
  too_large: {
    name: "too large",
    means: "cannot take a config of this size in one message",
    advice:
      "It does not speak signalbox.v1, in which configs come in parts: update it.",
  },
  unanswered: {
    name: "not answering",
    means: "got the newest version 30 s ago and has not answered",
    advice: "Look at its log; push again, or restart it.",
  },
  gone: {
    name: "gone",
    means: "is not connected, and serves on with what it last had",
    advice:
      "If it runs, look at its network and its log. If it was taken away for good, forget it.",
  },
  behind: {
    name: "behind",
    means: "serves an older version; the newest is on its way",
    advice: "This ends within seconds. If it does not, look at its log.",
  },
  current: {
    name: "current",
    means: "serves the newest version",
    advice: "",
  },
};

/** How many routers there are of each status. */
export function tally(routers: readonly Router[]): Map<Status, number> {
  const counts = new Map<Status, number>();
  for (const { status } of routers) {
    counts.set(status, (counts.get(status) ?? 0) + 1);
  }
  return counts;
}

/** Those that need somebody before those that do not, each by id. */
export function worstFirst(routers: readonly Router[]): Router[] {
  return routers.toSorted((a, b) =>
    STATUSES.indexOf(a.status) - STATUSES.indexOf(b.status) ||
    (a.id < b.id ? -1 : 1)
  );
}
