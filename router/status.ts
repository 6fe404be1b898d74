import type { ActiveConfig, ConfigSource } from "./active.ts";
import type { FenceReport } from "./fence.ts";
import type { LinkStatus } from "./link/status.ts";
import { isSameHead, type SavedHead } from "./saved_file.ts";

/** What `GET /status` answers (SPEC section 6). Times are RFC 3339. */
export interface StatusDocument {
  readonly id: string;
  /** Null while no config is served; 0 on a bootstrap config. */
  readonly version: number | null;
  readonly epoch: string | null;
  readonly digest: string | null;
  readonly source: ConfigSource | null;
  readonly applied_at: string | null;
  /** By the monotonic clock, so that a corrected wall clock makes nothing look stale. */
  readonly age_seconds: number | null;
  /** Whether there is a connection to a control plane. */
  readonly connected: boolean;
  readonly control_plane: {
    /** The newest version it told of; null before it told of any. */
    readonly version: number | null;
    readonly lag: number;
    readonly behind_seconds: number;
    readonly last_heard_at: string | null;
  };
  readonly last_rejected: {
    readonly version: number;
    readonly epoch: string | null;
    readonly error: string;
    readonly at: string;
  } | null;
  /** Whether the config being served is in the state directory, or needs not be. */
  readonly durable: boolean;
  /** What still runs that this config would send elsewhere; null while no config is served. */
  readonly old_work: {
    /** Without those that stream. */
    readonly requests: number;
    /** Event streams and tunnels. */
    readonly streams: number;
    readonly oldest_seconds: number;
  } | null;
}

/** Puts the status together. `now` is on the monotonic clock, in milliseconds. */
export function statusDocument(
  options: {
    readonly id: string;
    readonly active: ActiveConfig | null;
    readonly link: LinkStatus;
    /** The newest config on the disk. */
    readonly saved: SavedHead | null;
    readonly fence: FenceReport | null;
    readonly now: number;
  },
): StatusDocument {
  const { id, active, link, saved, fence, now } = options;
  const rejected = link.lastRejected;
  return {
    id,
    version: active?.version ?? null,
    epoch: active?.epoch ?? null,
    digest: active?.digest ?? null,
    source: active?.source ?? null,
    applied_at: active === null ? null : rfc3339(active.appliedAt),
    age_seconds: active === null ? null : ageSeconds(active, now),
    connected: link.connected,
    control_plane: {
      version: link.version,
      lag: link.lag,
      behind_seconds: round(link.behindSeconds),
      last_heard_at: link.lastHeardAt === null
        ? null
        : rfc3339(link.lastHeardAt),
    },
    last_rejected: rejected === null
      ? null
      : { ...rejected, at: rfc3339(rejected.at) },
    durable: isDurable(active, saved),
    old_work: fence === null ? null : {
      requests: fence.requests,
      streams: fence.streams,
      oldest_seconds: fence.oldestMs / 1000,
    },
  };
}

/**
 * Whether the config being served is on the disk; a bootstrap config is not meant to be, and counts as it.
 *
 * @param saved the newest config that is.
 */
export function isDurable(
  active: ActiveConfig | null,
  saved: SavedHead | null,
): boolean {
  if (active === null || active.source === "bootstrap") return true;
  return saved !== null && isSameHead(saved, active);
}

/** Seconds since a config was applied. */
export function ageSeconds(active: ActiveConfig, now: number): number {
  return round((now - active.appliedAtMonotonic) / 1000);
}

function round(seconds: number): number {
  return Math.round(seconds * 1000) / 1000;
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}
