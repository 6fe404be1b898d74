import type { ListenAddress } from "../../shared/settings.ts";
import type { NextConfig } from "../active.ts";
import type { Counted, Hold, Order } from "../../shared/protocol.ts";
import type { FenceReport } from "../fence.ts";
import type { HoldReport } from "../holds.ts";
import type { DataListenOptions } from "../data_path.ts";
import type { TlsFiles, TlsIdentity } from "../listen/tls_identity.ts";
import type { TrafficCounts } from "./counts.ts";

/** One listener that every thread opens. */
export interface SentListener {
  readonly address: ListenAddress;
  readonly protocol: DataListenOptions["protocol"];
}

/** What the main thread tells a serving thread. All of it is plain data. */
export type ToServing =
  | {
    readonly type: "start";
    /** The settings as they stood in the environment; they were found right. */
    readonly env: Readonly<Record<string, string>>;
    readonly tls: TlsFiles;
    readonly listeners: readonly SentListener[];
    readonly config: NextConfig | null;
    readonly holds: readonly Hold[];
    /** How many threads serve in all, which share out what may be open. */
    readonly threads: number;
    /** Their name in `Via` fields. */
    readonly via: string;
  }
  /** Holds a config ready. Answered by `prepared`. */
  | { readonly type: "prepare"; readonly config: NextConfig }
  /** Serves the config that was prepared last. Answered by `serving`. */
  | { readonly type: "swap" }
  | { readonly type: "order"; readonly order: Order }
  /** Answered by `counts`. */
  | { readonly type: "count" }
  | { readonly type: "renew"; readonly identity: TlsIdentity }
  /** Answered by `stopped`. */
  | { readonly type: "stop"; readonly graceMs: number };

/** What a serving thread tells the main thread. */
export type FromServing =
  | { readonly type: "listening" }
  /** It cannot start. */
  | { readonly type: "failed"; readonly problem: string }
  /** `error` is null where the config is ready. */
  | { readonly type: "prepared"; readonly error: string | null }
  /** `error` is null where the config is served. */
  | { readonly type: "serving"; readonly error: string | null }
  | { readonly type: "counts"; readonly counts: TrafficCounts }
  /** Told without being asked, as {@linkcode Fence} tells it. */
  | { readonly type: "fence"; readonly report: FenceReport }
  /** Told without being asked, as {@linkcode Holds} tells it. */
  | { readonly type: "holding"; readonly report: HoldReport }
  /** Told without being asked, each second in which it changes. */
  | { readonly type: "counted"; readonly counted: Counted }
  | { readonly type: "stopped" };
