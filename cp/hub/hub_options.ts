import type { Logger } from "../../shared/log.ts";
import type { VersionStore } from "../store/store.ts";
import type { Clock } from "../../shared/clock.ts";
import type { PacerLimits } from "./pacer.ts";
import type { SessionRules } from "./session.ts";

/** What a hub is made of. */
export interface HubOptions {
  readonly store: VersionStore;
  readonly log: Logger;
  /**
   * Names this process in the roster; no two processes on one store may have the same name.
   *
   * @default {a random one}
   */
  readonly controlPlane?: string;
  /**
   * Whether this process alone uses the store: true for an embedded file or a store in memory, false
   * where several control planes share it.
   */
  readonly exclusive: boolean;
  /**
   * Milliseconds between two pings.
   *
   * @default {5000}
   */
  readonly pingIntervalMs?: number;
  /**
   * Milliseconds of silence after which a router is dropped.
   *
   * @default {12000}
   */
  readonly routerTimeoutMs?: number;
  /**
   * Connections at a time; more are refused.
   *
   * @default {20000}
   */
  readonly maxConnections?: number;
  /**
   * Base URL of this control plane, shown in the command that ends a conflict; a function where it is
   * only known once the server listens.
   *
   * @default {"http://127.0.0.1:8081"}
   */
  readonly url?: string | (() => string);
  /** Further bounds of sessions and pushes, for tests and unusual fleets. */
  readonly rules?: Partial<SessionRules>;
  readonly limits?: Partial<PacerLimits>;
  /** @default {systemClock} */
  readonly clock?: Clock;
}
