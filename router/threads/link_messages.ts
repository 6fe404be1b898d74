import type { NextConfig } from "../active.ts";
import type { Counted, Order } from "../../shared/protocol.ts";
import type { FenceReport } from "../fence.ts";
import type { HoldReport } from "../holds.ts";
import type { FirstConfig } from "../first_config.ts";
import type { LinkCounters, LinkStatus } from "../link/status.ts";
import type { SavedHead } from "../saved_file.ts";
import type { HistogramCounts } from "./counts.ts";

/** What the main thread tells the link's thread. All of it is plain data. */
export type ToLink =
  /** Reads what there is to serve. Answered by `started`, or `failed`. */
  | {
    readonly type: "start";
    /** The settings as they stood in the environment; they were found right. */
    readonly env: Readonly<Record<string, string>>;
    /** Null for the first thread of the process. */
    readonly resume: Resume | null;
  }
  /** The config that `start` answered is served. */
  | { readonly type: "settled" }
  /** Begins to connect. */
  | { readonly type: "connect"; readonly id: string; readonly instance: string }
  /** All threads serve the config of `serve`; `free` where nobody reads the one before it any more. */
  | { readonly type: "served"; readonly free: boolean }
  /** None does. */
  | { readonly type: "refused"; readonly error: string }
  /** What still runs that the config being served would send elsewhere. */
  | { readonly type: "fence"; readonly report: FenceReport }
  /** How a hold stands. */
  | { readonly type: "holding"; readonly report: HoldReport }
  /** Requests that are over, for the pongs. */
  | { readonly type: "counted"; readonly counted: Counted }
  /** Answered by `report`. */
  | { readonly type: "report" }
  /** Answered by `stopped`. */
  | { readonly type: "stop" };

/** Where a thread goes on that takes the place of a lost one. */
export interface Resume {
  /** What is served; null for nothing, or a bootstrap config. */
  readonly served: NextConfig | null;
  /** Whether it is known to be on the disk. */
  readonly durable: boolean;
}

/** What the link's thread tells the main thread. */
export type FromLink =
  | ({ readonly type: "started" } & FirstConfig)
  /** It cannot start. */
  | { readonly type: "failed"; readonly problem: string }
  /** A config to be served. Answered by `served`, or `refused`. */
  | { readonly type: "serve"; readonly config: NextConfig }
  /** What the control plane wants done beside. */
  | { readonly type: "order"; readonly order: Order }
  /** Also told without being asked, whenever a push was answered. */
  | { readonly type: "report"; readonly report: LinkReport }
  | { readonly type: "stopped" };

/** Where the link and the state directory stand. */
export interface LinkReport {
  readonly status: LinkStatus;
  readonly counters: LinkCounters;
  /** From a whole push to its being served, in seconds. */
  readonly applySeconds: HistogramCounts;
  /** The newest config on the disk, as far as this process read or wrote it. */
  readonly saved: SavedHead | null;
  /** Configs that could not be written, or not in time. */
  readonly saveFailures: number;
  /** Errors of the thread that nobody caught. */
  readonly uncaught: number;
}
