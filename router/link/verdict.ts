/** What a router serves, as far as a push is judged by it. A bootstrap config is null: anything replaces it. */
export interface Serving {
  readonly version: number;
  /** Null if it came from a control plane that names none. */
  readonly epoch: string | null;
  readonly digest: string;
  /** Whether it is on this router's disk. */
  readonly durable: boolean;
}

/** What a push says of its config. */
export interface PushHead {
  readonly version: number;
  readonly epoch: string | null;
  readonly digest: string | null;
  readonly supersedes: readonly string[];
  /** Since which version each step passed the control plane's guard; absent where it does not say. */
  readonly guardedSince?: number;
  /** The trace that its edit belongs to, where it is traced. */
  readonly traceparent?: string;
}

/** What becomes of a push. */
export type Verdict =
  | { readonly kind: "take" }
  /** It is what is being served. */
  | { readonly kind: "unchanged" }
  /** Unchanged if its digest is the served one, else rejected; the push does not say which. */
  | { readonly kind: "compare"; readonly digest: string }
  | { readonly kind: "reject"; readonly error: string };

/**
 * Whether a router takes a push (SPEC section 4, "What a router takes"): never an older version of
 * the same history, another history only where it names the router's own as replaced.
 */
export function verdict(serving: Serving | null, push: PushHead): Verdict {
  if (serving === null) return { kind: "take" };
  if (push.epoch !== null && push.epoch !== serving.epoch) {
    if (serving.epoch === null || push.supersedes.includes(serving.epoch)) {
      return { kind: "take" };
    }
    return {
      kind: "reject",
      error:
        `Version ${push.version} is of epoch ${push.epoch}, which does not supersede epoch ${serving.epoch} of version ${serving.version} that this router serves.`,
    };
  }
  if (push.version > serving.version) return { kind: "take" };
  if (push.version < serving.version) {
    return {
      kind: "reject",
      error:
        `Version ${push.version} is older than version ${serving.version}, which this router serves.`,
    };
  }
  if (push.digest === null) {
    return { kind: "compare", digest: serving.digest };
  }
  return push.digest === serving.digest
    ? { kind: "unchanged" }
    : { kind: "reject", error: otherDigest(push.version, serving.digest) };
}

/** The sentence about a version that is served already, with other contents. */
export function otherDigest(version: number, digest: string): string {
  return `Version ${version} is being served with other contents, of digest ${digest}.`;
}
