import { useEffect, useState } from "preact/hooks";
import type {
  RolloutUnderWay,
  Router,
  StagedRollout,
  VersionInfo,
} from "../../api/answers.ts";
import { ApiError, call } from "./api.ts";
import { readEvents } from "./events.ts";

/** How the page stands to its control plane. */
export type Link =
  | { readonly kind: "connecting" }
  | { readonly kind: "live" }
  /** Since when, on the browser's clock, and why. */
  | { readonly kind: "lost"; readonly since: number; readonly why: string }
  | { readonly kind: "token"; readonly why: string };

/** All that the page is told of without asking. */
export interface Live {
  readonly link: Link;
  /** The committed version; null before it is known, 0 while nothing is committed. */
  readonly version: number | null;
  readonly epoch: string | null;
  /** Until when the committed version has to be confirmed; null where it needs not be. */
  readonly confirmBy: string | null;
  /** The version is for canaries only; null where it is for all. */
  readonly rollout: RolloutUnderWay;
  /** The rollout that ended last while the page was open. */
  readonly ended: EndedRollout | null;
  /** Sorted by id. */
  readonly routers: readonly Router[];
  /** The newest version that was told of. */
  readonly newest: VersionInfo | null;
  /** What the control plane's clock is ahead of the browser's, in milliseconds. */
  readonly ahead: number;
}

interface RouterEvent {
  readonly kind: string;
  readonly router: Router;
}

/** A rollout that is over, as the page is told of it. */
export type EndedRollout = Omit<StagedRollout, "canaries">;

const RETRY_MS = 1_000;
/** The fleet is read whole so often: other control planes on the store tell of their routers only there. */
const READ_MS = 5_000;
/** A read that takes long, as with very many routers, is made less often. */
const READ_SHARE = 20;
/** Events that come together are shown together. */
const GATHER_MS = 100;

let live: Live = {
  link: { kind: "connecting" },
  version: null,
  epoch: null,
  confirmBy: null,
  rollout: null,
  ended: null,
  routers: [],
  newest: null,
  ahead: 0,
};
let routers = new Map<string, Router>();
/** What is told of routers while the fleet is being read. */
const records = new Set<RouterEvent[]>();
const listeners = new Set<(live: Live) => void>();
let showing: ReturnType<typeof setTimeout> | undefined;
let reading: ReturnType<typeof setTimeout> | undefined;
let readMs = 0;

/** What the page is told, now and whenever it changes. */
export function useLive(): Live {
  const [state, setState] = useState(live);
  useEffect(() => {
    listeners.add(setState);
    setState(live);
    return () => void listeners.delete(setState);
  }, []);
  return state;
}

/** The time on the control plane's clock, in milliseconds, told every second. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return Math.max(now, Date.now()) + live.ahead;
}

/** Follows the control plane for as long as the page is open. */
export async function follow(): Promise<void> {
  for (;;) {
    try {
      for await (const event of readEvents({ opened })) take(event);
      lost("The control plane ended the connection.");
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) {
        change({ link: { kind: "token", why: error.message } });
        return;
      }
      lost(
        error instanceof ApiError
          ? error.message
          : "The control plane does not answer.",
      );
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** Reads the whole fleet, now. */
export async function readFleet(): Promise<void> {
  clearTimeout(reading);
  const started = performance.now();
  const meanwhile: RouterEvent[] = [];
  records.add(meanwhile);
  try {
    const fleet = await call<
      {
        version: number;
        epoch: string;
        confirm_by: string | null;
        rollout: RolloutUnderWay;
        routers: Router[];
      }
    >("/v1/routers");
    routers = new Map(fleet.routers.map((router) => [keyOf(router), router]));
    // What was told while it was read may be newer.
    for (const event of meanwhile) takeRouter(event);
    change({
      version: Math.max(
        fleet.version,
        fleet.epoch === live.epoch ? live.version ?? 0 : 0,
      ),
      epoch: fleet.epoch,
      confirmBy: fleet.confirm_by,
      rollout: fleet.rollout,
      ...(live.link.kind === "connecting" ? { link: { kind: "live" } } : {}),
    });
  } catch {
    // The event stream tells when the control plane is gone, and what was last known stays in view.
  }
  records.delete(meanwhile);
  readMs = performance.now() - started;
  readLater();
}

function opened(): void {
  change({ link: { kind: "live" } });
  void readFleet();
}

function lost(why: string): void {
  clearTimeout(reading);
  const { link } = live;
  change({
    link: {
      kind: "lost",
      since: link.kind === "lost" ? link.since : Date.now(),
      why,
    },
  });
}

function readLater(): void {
  clearTimeout(reading);
  if (live.link.kind !== "live") return;
  reading = setTimeout(() => {
    if (document.hidden) readLater();
    else void readFleet();
  }, Math.max(READ_MS, readMs * READ_SHARE));
}

function take({ name, data }: { name: string; data: string }): void {
  if (name === "version") {
    const version = JSON.parse(data) as VersionInfo;
    change({
      version: version.version,
      epoch: version.epoch,
      newest: version,
    });
    // It may be what takes one back that was not confirmed.
    if (live.confirmBy !== null) void readFleet();
  } else if (name === "rollout") {
    const rollout = JSON.parse(data) as EndedRollout;
    change({ ended: rollout.state === "under_way" ? null : rollout });
    void readFleet();
  } else if (name === "router") {
    const event = JSON.parse(data) as RouterEvent;
    for (const record of records) record.push(event);
    takeRouter(event);
    show();
  }
}

function takeRouter({ kind, router }: RouterEvent): void {
  const same = [...routers.values()].filter(({ id }) => id === router.id);
  if (kind === "gone") {
    routers.delete(keyOf(router));
    // A process that came back is listed in place of the one before.
    if (!same.some((other) => isAnother(other, router))) {
      routers.set(keyOf(router), router);
    }
  } else {
    for (const other of same) {
      if (!other.connected) routers.delete(keyOf(other));
    }
    routers.set(keyOf(router), router);
  }
}

function isAnother(other: Router, router: Router): boolean {
  return other.connected && keyOf(other) !== keyOf(router);
}

function keyOf({ id, instance, address }: Router): string {
  return `${id} ${instance ?? address}`;
}

/** Changes what is shown, for all of the page. */
export function change(changes: Partial<Live>): void {
  live = { ...live, ...changes };
  show();
}

function show(): void {
  showing ??= setTimeout(() => {
    showing = undefined;
    const sorted = [...routers.values()].sort((a, b) => a.id < b.id ? -1 : 1);
    live = { ...live, routers: sorted.map((router) => judged(router, live)) };
    for (const listener of listeners) listener(live);
  }, GATHER_MS);
}

/** The version a router should be serving, as far as is known; null where that is for the control plane to say. */
function targetOf({ id }: Router, { version, rollout }: Live): number | null {
  if (rollout === null || rollout.canaries.includes(id)) return version;
  return rollout.before;
}

/** A router is told about when it answers; until then a newer version makes it one that is behind. */
function judged(router: Router, live: Live): Router {
  const { epoch } = live;
  const target = targetOf(router, live);
  const behind = router.status === "current" && target !== null &&
    router.version !== null && router.epoch === epoch &&
    router.version < target;
  if (!behind) return router;
  const versions = target - router.version!;
  return { ...router, status: "behind", lag: { versions, seconds: 0 } };
}
