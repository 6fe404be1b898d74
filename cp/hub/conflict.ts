import type { Head } from "../store/store.ts";
import type { Served } from "./session.ts";

/** What the store keeps of a version for ever. */
export interface Recorded {
  readonly epoch: string;
  readonly digest: string;
}

/** How what a router serves stands to the store's history. */
export type Verdict =
  /** It serves a version of this history, or of one this history replaced: it takes what is pushed. */
  | { readonly kind: "follows" }
  /** It serves no version. */
  | { readonly kind: "blank" }
  /** It serves another history. `reason` is a sentence. */
  | { readonly kind: "conflict"; readonly reason: string }
  /** The store has to be asked for its record of `version` first. */
  | { readonly kind: "lookup"; readonly version: number };

/**
 * Whether what a router serves belongs to the store's history (SPEC section 4). It is in conflict
 * with an epoch that is neither the store's nor one it superseded, a version above the head, or
 * another digest than the store's for that version. Versions of a superseded epoch are not compared:
 * the takeover that replaced it declared them void.
 *
 * `recorded` answers what the store keeps of a version, null if nothing, undefined if it was not asked.
 */
export function judge(
  served: Pick<Served, "version" | "epoch" | "digest">,
  head: Head,
  recorded: (version: number) => Recorded | null | undefined,
): Verdict {
  const { version, epoch, digest } = served;
  if (epoch !== null && epoch !== head.epoch) {
    if (!head.supersedes.includes(epoch)) {
      return conflict(
        `It serves epoch ${epoch}, which is neither the store's (${head.epoch}) nor one it superseded.`,
      );
    }
    return { kind: version === null ? "blank" : "follows" };
  }
  if (version === null) return { kind: "blank" };
  if (version > head.version) {
    return conflict(
      `It serves version ${version}, which is above the store's newest, ${head.version}.`,
    );
  }
  if (digest === null) return { kind: "follows" };
  const known = version === head.version && head.digest !== null
    ? { epoch: head.epoch, digest: head.digest }
    : recorded(version);
  if (known === undefined) return { kind: "lookup", version };
  if (epoch === null) {
    // Without an epoch it may mean a version from before a takeover, which is void.
    if (known === null || known.epoch !== head.epoch) {
      return { kind: "follows" };
    }
  } else if (known === null || known.epoch !== epoch) {
    return conflict(
      `It serves version ${version} of epoch ${epoch}, which the store never had.`,
    );
  }
  if (known.digest !== digest) {
    return conflict(
      `It serves version ${version} as ${digest}, where the store has ${known.digest}.`,
    );
  }
  return { kind: "follows" };
}

/**
 * Whether routers that serve no version have to wait: while those in conflict outnumber those that
 * follow, it is more likely the store that is wrong, and it must not win new followers.
 */
export function holdsBlank(
  counts: { readonly conflict: number; readonly follows: number },
): boolean {
  return counts.conflict > counts.follows;
}

function conflict(reason: string): Verdict {
  return { kind: "conflict", reason };
}
