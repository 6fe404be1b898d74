import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { type Config, destinationOf } from "../../shared/config.ts";
import {
  type Attribution,
  type CanaryEnd,
  type CommitOptions,
  type Edit,
  EmptyStore,
  type EndedRollout,
  type Head,
  NothingBefore,
  OnTrial,
  type Orders,
  RolloutUnderWay,
  type RouterRecord,
  type Staging,
  TooManyCanaries,
  type Version,
  type VersionInfo,
} from "./store.ts";

/** Characters of author and message together; a database's value holds 65,536 bytes. */
const MAX_ATTRIBUTION = 12_000;
/** Epochs that one store may supersede, for the same reason. */
const MAX_SUPERSEDED = 1000;
/** Characters of an epoch. */
const MAX_EPOCH = 128;
/** Characters that are kept of a router's error. */
const MAX_ERROR = 8000;
/** Bytes that these may take as JSON, where some characters take six. */
const MAX_ERROR_BYTES = 32_000;
/** Bytes of a router's record as JSON, for the same reason: what else a router tells of itself is short. */
const MAX_ROUTER_BYTES = 60_000;

/** A takeover as {@linkcode VersionStore.takeover} is told of it. */
export interface Takeover {
  readonly above: number;
  readonly epochs: readonly string[];
}

/** The head of a store that is made now. */
export function emptyHead(): Head {
  return {
    version: 0,
    epoch: crypto.randomUUID(),
    digest: null,
    supersedes: [],
    orders: NO_ORDERS,
    trial: null,
    rollout: null,
    guardedSince: 0,
    assertions: null,
  };
}

/** Characters of all rules together. */
const MAX_RULES_TEXT = 60_000;

/**
 * The digest that rules are kept by; null for none.
 *
 * @throws {RangeError} if they are too long to be kept.
 */
export function rulesDigest(text: string | null): string | null {
  if (text === null) return null;
  if (text.length > MAX_RULES_TEXT) {
    throw new RangeError(
      `Cannot keep rules of ${text.length} characters: at most ${MAX_RULES_TEXT} are kept`,
    );
  }
  return createHash("sha256").update(text).digest("hex");
}

/**
 * Checks that a commit is allowed while a version may wait to be confirmed, or be for canaries only.
 *
 * @throws {OnTrial} if it is not because a version waits.
 * @throws {RolloutUnderWay} if it is not because of canaries.
 * @throws {NothingBefore} if it is to be confirmed or staged itself, and nothing could return.
 * @throws {TooManyCanaries} if it has more than can be kept.
 */
export function checkTrial(
  { trial, rollout, version }: Head,
  { confirmWithinMs, reverts, staging, halts }: CommitOptions = {},
): void {
  if (halts !== undefined && rollout?.version !== halts.version) {
    throw new RolloutUnderWay(
      `The rollout of version ${halts.version} is over`,
      rollout,
    );
  }
  if (reverts !== undefined && trial?.version !== reverts) {
    throw new OnTrial(`Version ${reverts} does not wait any more`, trial);
  }
  if (reverts === undefined && trial !== null) {
    throw new OnTrial(
      `Version ${trial.version} waits to be confirmed until ${trial.until}`,
      trial,
    );
  }
  if (halts === undefined && rollout !== null) {
    throw new RolloutUnderWay(
      `Version ${rollout.version} is being rolled out, until ${rollout.until}`,
      rollout,
    );
  }
  if (staging !== undefined) checkStaging(staging);
  if (confirmWithinMs === undefined && staging === undefined) return;
  if (version === 0) {
    throw new NothingBefore("There is no version before that could return");
  }
}

/** Characters of a rollout's canaries as JSON, so that they fit into the head's value beside the epochs. */
const MAX_CANARIES_TEXT = 9_000;

function checkStaging({ canaries }: Staging): void {
  const { length } = JSON.stringify(canaries);
  if (length > MAX_CANARIES_TEXT) {
    throw new TooManyCanaries(
      `${canaries.length} canaries would take ${length} characters, and at most ${MAX_CANARIES_TEXT} are kept`,
    );
  }
}

/** A head without its rollout, and that rollout with how it ended. */
export interface Ended {
  readonly head: Head;
  readonly ended: EndedRollout;
}

/**
 * The head once a version that canaries serve is for all.
 *
 * @throws {RolloutUnderWay} if it is not for canaries only.
 */
export function promoted(
  head: Head,
  version: number,
  { by, ends = [] }: {
    by: string | null;
    ends?: readonly CanaryEnd[] | undefined;
  },
): Ended {
  const { rollout } = head;
  if (rollout?.version !== version) {
    throw new RolloutUnderWay(
      rollout === null
        ? "No version is being rolled out"
        : `Version ${rollout.version} is being rolled out, and no other`,
      rollout,
    );
  }
  return {
    head: { ...head, rollout: null },
    ended: {
      ...rollout,
      outcome: "promoted",
      endedAt: new Date().toISOString(),
      endedBy: by,
      reason: null,
      takenBackBy: null,
      ends,
    },
  };
}

/** A rollout that `info` takes back, with how it ended; null where it takes none back. */
export function haltedBy(
  { rollout }: Head,
  info: VersionInfo,
  { halts }: CommitOptions,
): EndedRollout | null {
  return halts === undefined || rollout === null ? null : {
    ...rollout,
    outcome: halts.outcome,
    endedAt: info.createdAt,
    endedBy: info.author,
    reason: halts.reason,
    takenBackBy: info.version,
    ends: halts.ends ?? [],
  };
}

/** The head once a version that waits is confirmed. */
export function confirmedHead(head: Head, version: number): Head {
  const { trial } = head;
  if (trial?.version !== version) {
    throw new OnTrial(
      trial === null
        ? "No version waits to be confirmed"
        : `Version ${trial.version} waits to be confirmed, and no other`,
      trial,
    );
  }
  return { ...head, trial: null };
}

/** Nothing to be done beside. */
export const NO_ORDERS: Orders = Object.freeze({ holds: [], cuts: [] });

/** Characters of all orders as JSON, so that they fit into the head's value beside the epochs. */
const MAX_ORDERS = 16_000;

/**
 * The head with other orders; those whose time is over are dropped.
 *
 * @throws {RangeError} if they do not fit into the head.
 */
export function orderedHead(
  head: Head,
  change: (now: Orders, head: Head) => Orders,
  now: number,
): Head {
  const current = ({ until }: { until: string }) => Date.parse(until) > now;
  const { holds, cuts } = head.orders;
  const changed = change(
    { holds: holds.filter(current), cuts: cuts.filter(current) },
    head,
  );
  const length = JSON.stringify(changed).length;
  if (length > MAX_ORDERS) {
    throw new RangeError(
      `Cannot keep orders of ${length} characters: at most ${MAX_ORDERS} are kept`,
    );
  }
  return { ...head, orders: changed };
}

/** The edit of a takeover: the contents stay, once `check` has found nothing against it. */
export function currentContents(
  check: (current: Version | null, head: Head) => unknown = () => {},
): Edit {
  return async (current, head) => {
    await check(current, head);
    if (current === null) {
      throw new EmptyStore(
        "Cannot take over: the store is empty, so there are no contents to commit",
      );
    }
    return current.config;
  };
}

/**
 * Checks that an attribution can be kept.
 *
 * @throws {RangeError} if author and message are longer than 12,000 characters.
 */
export function checkAttribution(attribution: Attribution): void {
  const length = (attribution.author?.length ?? 0) +
    (attribution.message?.length ?? 0);
  if (length > MAX_ATTRIBUTION) {
    throw new RangeError(
      `Cannot commit with an author and a message of ${length} characters: at most ${MAX_ATTRIBUTION} are kept`,
    );
  }
}

/** Whether a commit makes a version also where the contents stay: one that begins an epoch, or takes a version back. */
export function alwaysMakes(
  takeover: Takeover | null,
  { reverts, halts }: CommitOptions,
): boolean {
  return takeover !== null || reverts !== undefined || halts !== undefined;
}

/** What is known of a version that is committed on top of `head` now. */
export function nextInfo(
  head: Head,
  digest: string,
  options: {
    config: Config;
    attribution: Attribution;
    takeover: Takeover | null;
  },
): VersionInfo {
  const { config, attribution, takeover } = options;
  return {
    version: Math.max(head.version, takeover?.above ?? 0) + 1,
    epoch: takeover === null ? head.epoch : crypto.randomUUID(),
    digest,
    createdAt: new Date().toISOString(),
    author: attribution.author,
    message: attribution.message,
    ...(attribution.traceparent === undefined
      ? {}
      : { traceparent: attribution.traceparent }),
    customers: config.customers.size,
    placements: config.endpoints.size,
    ...(head.assertions === null ? {} : { assertions: head.assertions }),
  };
}

/**
 * The head that a version makes.
 *
 * @throws {RangeError} if a takeover would supersede more than 1,000 epochs.
 */
export function nextHead(
  head: Head,
  info: VersionInfo,
  options: {
    takeover: Takeover | null;
    commit: CommitOptions;
    /** The contents before, null before the first version, and those of the version. */
    before: Config | null;
    config: Config;
  },
): Head {
  const { takeover, commit: { confirmWithinMs, staging } } = options;
  const { version, epoch, digest, createdAt, author } = info;
  const after = (ms: number) =>
    new Date(Date.parse(createdAt) + ms).toISOString();
  const trial = confirmWithinMs === undefined ? null : {
    version,
    before: head.version,
    until: after(confirmWithinMs),
    withinMs: confirmWithinMs,
  };
  const rollout = staging === undefined ? null : {
    ...staging,
    version,
    before: head.version,
    startedAt: createdAt,
    until: after(staging.holdMs),
    author,
  };
  const orders = ordersUnder(version, head.orders, options);
  const next = { ...head, version, epoch, digest, orders, trial, rollout };
  if (takeover === null) return next;
  const supersedes = [
    ...new Set([...head.supersedes, head.epoch, ...takeover.epochs]),
  ];
  if (supersedes.length > MAX_SUPERSEDED) {
    throw new RangeError(
      `Cannot take over ${supersedes.length} epochs: a store supersedes at most ${MAX_SUPERSEDED}`,
    );
  }
  // Who takes over means what the store holds to be served.
  return { ...next, supersedes, guardedSince: 0 };
}

/** The orders once a version is committed: it ends holds of those whom it sends elsewhere. */
function ordersUnder(
  version: number,
  orders: Orders,
  { before, config }: { before: Config | null; config: Config },
): Orders {
  if (before === null || orders.holds.length === 0) return orders;
  const goes = (customer: string) => {
    const was = destinationOf(before, customer);
    const is = destinationOf(config, customer);
    return was.placement !== is.placement || was.endpoint !== is.endpoint;
  };
  return {
    ...orders,
    holds: orders.holds.map((hold) =>
      hold.untilReleased || hold.endedBy !== null ||
        !hold.customers.every(goes)
        ? hold
        : { ...hold, endedBy: version }
    ),
  };
}

/**
 * Checks the arguments of a takeover.
 *
 * @throws {RangeError} if a version or an epoch cannot be one.
 */
export function checkTakeover(takeover: Takeover): void {
  const { above, epochs } = takeover;
  if (!Number.isSafeInteger(above) || above < 0 || above > 2 ** 52) {
    throw new RangeError(
      `Cannot take over above version ${above}: it must be a whole number from 0 to 2^52`,
    );
  }
  for (const epoch of epochs) {
    if (epoch === "" || epoch.length > MAX_EPOCH) {
      throw new RangeError(
        `Cannot take over an epoch of ${epoch.length} characters: it must have 1 to ${MAX_EPOCH}`,
      );
    }
  }
}

/**
 * Checks the limit of a list.
 *
 * @throws {RangeError} if it is not a whole number from 1.
 */
export function checkLimit(limit: number): void {
  if (!Number.isSafeInteger(limit) || limit < 1) {
    throw new RangeError(
      `Cannot list ${limit} versions: the limit must be a whole number from 1`,
    );
  }
}

/**
 * Checks how many versions are to be kept.
 *
 * @throws {RangeError} if it is not a whole number from 1.
 */
export function checkKeepVersions(keepVersions: number): void {
  if (!Number.isSafeInteger(keepVersions) || keepVersions < 1) {
    throw new RangeError(
      `Cannot keep ${keepVersions} versions: it must be a whole number from 1, for the newest is never dropped`,
    );
  }
}

/** How many of the newest versions are kept now: where the one before the newest may return, it is kept however few are. */
export function keptNow(
  { trial, rollout }: Head,
  keepVersions: number,
): number {
  return trial === null && rollout === null
    ? keepVersions
    : Math.max(keepVersions, 2);
}

/**
 * A router's record as it is kept, so that it can be, whatever the router tells: its error is cut at 8,000 characters,
 * or sooner where they take too many bytes, and it is without its holds where they are too many.
 */
export function keptRouter(record: RouterRecord): RouterRecord {
  const error = record.error === null ? null : keptError(record.error);
  const kept = error === record.error ? record : { ...record, error };
  return kept.holds.length > 0 && jsonBytes(kept) > MAX_ROUTER_BYTES
    ? { ...kept, holds: [] }
    : kept;
}

function keptError(error: string): string {
  let kept = error.length > MAX_ERROR
    ? `${error.slice(0, MAX_ERROR - 1)}…`
    : error;
  while (jsonBytes(kept) > MAX_ERROR_BYTES) {
    kept = `${kept.slice(0, kept.length / 2)}…`;
  }
  return kept;
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
