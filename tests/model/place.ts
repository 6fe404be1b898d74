import type { Head, VersionStore } from "../../cp/store/store.ts";
import type { Kv } from "../../cp/store/database.ts";
import type { Node } from "./history.ts";
import type { RemoteCalls } from "./remote_calls.ts";

/** What a database held at some moment. */
export interface Snapshot {
  /** The newest version in it; null for none. */
  readonly node: Node | null;
}

/** Who is said to edit where software does that knows of no guard. */
export const OLDER_SOFTWARE = "older software";

/** The one database of all control planes, which outlives them. */
export interface Place {
  /** Opens a store on it, for one process. */
  open(
    calls: RemoteCalls,
    options: { wrapKv: (kv: Kv) => Kv },
  ): Promise<VersionStore>;
  /** What it held after each commit and at its beginning, the oldest first. */
  readonly snapshots: readonly Snapshot[];
  /** Its head, as it is now. */
  readonly head: Head;
  /** Whether the roster has a router. */
  lists(router: string): boolean;
  /** Sets it back. */
  restore(snapshot: Snapshot): void;
  /** Makes it as if it had never been used. */
  wipe(): void;
  /** Until this moment no watch tells of changes. */
  silenceWatches(until: number): void;
}
