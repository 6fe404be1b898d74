import type { Counted } from "../../shared/protocol.ts";
import type { HoldState, OldWork, RouterRecord } from "../store/store.ts";
import { type Clock, timeText } from "../../shared/clock.ts";
import { type Connection, stateOf } from "./connection.ts";
import { shownOldWork } from "./fence.ts";
import type { RouterStatus, RouterView } from "./fleet.ts";
import { type OpenSession, statusOf, type VersionName } from "./session.ts";

/** How a router that is connected here is shown. */
export function viewOf(
  connection: Connection,
  context: {
    clock: Clock;
    /** What it should be serving; null where that is not known. */
    target: Pick<VersionName, "version" | "epoch"> | null;
    controlPlane: string;
    duplicate: boolean;
  },
): RouterView {
  const { clock, target } = context;
  const state = stateOf(connection);
  const { version, epoch, digest, durable, appliedAt } = state.served;
  const { status, error } = statusOf(state);
  return {
    id: connection.id,
    instance: connection.instance,
    address: connection.address,
    connected: true,
    connected_since: connection.since,
    gone_since: null,
    duplicate_id: context.duplicate,
    version,
    epoch,
    digest,
    durable,
    applied_at: appliedAt === null ? null : timeText(clock, appliedAt),
    old_work: workOf(state),
    status,
    error,
    lag: lagOf(state, { target, now: clock.now() }),
    last_pong: state.pongAt === null ? null : timeText(clock, state.pongAt),
    features: connection.features,
    control_plane: connection.named ? context.controlPlane : "",
  };
}

/** What still runs under the version that is served, as far as it was told. */
function workOf({ served, oldWork }: OpenSession): RouterView["old_work"] {
  return oldWork === null || oldWork.version !== served.version
    ? null
    : shownOldWork(oldWork);
}

/** How far a router is behind; null where versions cannot be compared. */
function lagOf(
  state: OpenSession,
  { target, now }: {
    target: Pick<VersionName, "version" | "epoch"> | null;
    now: number;
  },
): RouterView["lag"] {
  const { version, epoch } = state.served;
  if (target === null || version === null || epoch !== target.epoch) {
    return null;
  }
  const versions = target.version - version;
  if (versions < 0) return null;
  const since = state.behindSince;
  const seconds = since === null ? 0 : Math.max(0, (now - since) / 1000);
  return { versions, seconds };
}

/** A view of a router that has just gone. */
export function goneView(view: RouterView, goneSince: string): RouterView {
  return {
    ...view,
    connected: false,
    gone_since: goneSince,
    duplicate_id: false,
    status: "gone",
    old_work: null,
    lag: null,
  };
}

/** How a router is shown that only the roster knows: gone, or connected to another control plane. */
export function viewOfRecord(
  record: RouterRecord,
  { connected }: { connected: boolean },
): RouterView {
  return {
    id: record.id,
    instance: record.instance,
    address: record.address,
    connected,
    connected_since: record.connectedSince,
    gone_since: connected ? null : record.goneSince ?? record.liveUntil,
    duplicate_id: false,
    version: record.version,
    epoch: record.epoch,
    digest: record.digest,
    durable: record.durable,
    applied_at: record.appliedAt,
    old_work: connected && record.oldWork?.version === record.version
      ? shownOldWork(record.oldWork!)
      : null,
    status: connected ? parseStatus(record.status).status : "gone",
    error: record.error,
    lag: null,
    last_pong: record.lastPong,
    features: record.features,
    control_plane: record.controlPlane,
  };
}

/** A view as the roster keeps it. `about` names the version that its status is about, which a record tells with it. */
export function recordOf(
  view: RouterView,
  options: {
    about: { readonly version: number; readonly epoch: string } | null;
    controlPlane: string;
    liveUntil: string;
    oldWork: OldWork | null;
    holds: readonly HoldState[];
    counted: Counted | null;
    lastMinute: Counted | null;
  },
): RouterRecord {
  const { about } = options;
  const status = about === null
    ? view.status
    : `${view.status} ${about.version} ${about.epoch}`;
  return {
    id: view.id,
    instance: view.instance,
    address: view.address,
    connectedSince: view.connected_since,
    goneSince: view.gone_since,
    controlPlane: options.controlPlane,
    liveUntil: options.liveUntil,
    version: view.version,
    epoch: view.epoch,
    digest: view.digest,
    durable: view.durable,
    appliedAt: view.applied_at,
    oldWork: options.oldWork,
    holds: options.holds,
    counted: options.counted,
    lastMinute: options.lastMinute,
    features: view.features,
    status,
    error: view.error,
    lastPong: view.last_pong,
  };
}

const STATUSES: readonly RouterStatus[] = [
  "current",
  "behind",
  "rejected",
  "unanswered",
  "too_large",
  "conflict",
  "gone",
];

/** The status of a record, and the version it is about. What is not known is taken for `behind`. */
export function parseStatus(
  text: string,
): {
  readonly status: RouterStatus;
  readonly about: { readonly version: number; readonly epoch: string } | null;
} {
  const [name, version, epoch] = text.split(" ");
  const status = STATUSES.find((status) => status === name) ?? "behind";
  const about = version !== undefined && epoch !== undefined
    ? { version: Number(version), epoch }
    : null;
  return { status, about };
}
