import type { GuardLimits } from "../../cp/api/guard.ts";
import type { Hub } from "../../cp/hub/hub.ts";
import type { Kv } from "../../cp/store/database.ts";
import type { VersionStore } from "../../cp/store/store.ts";
import type { ApplyPush } from "../../router/link/link.ts";
import type { Connect, SocketHandlers } from "../../router/link/socket.ts";
import type { Serving } from "../../router/link/verdict.ts";
import type { Clock } from "../../shared/clock.ts";
import type { Hold } from "../../shared/protocol.ts";

/** What the simulation uses of a hub. */
export type SimulatedHub = Pick<
  Hub,
  | "start"
  | "stop"
  | "admit"
  | "follow"
  | "resend"
  | "conflicts"
  | "routers"
  | "standing"
  | "rollout"
  | "candidates"
  | "canaries"
  | "promote"
  | "abort"
  | "counted"
  | "holds"
  | "waitForHold"
  | "refresh"
  | "router"
  | "forget"
  | "propagation"
  | "listen"
>;

/**
 * Where a part can be wrapped, so that it breaks what it is to keep: a mutant. Each is given the part as
 * it is and answers what takes its place.
 */
export interface Variation {
  readonly kv?: (kv: Kv) => Kv;
  readonly store?: (store: VersionStore) => VersionStore;
  /** From where on an edit has to be confirmed. */
  readonly guard?: GuardLimits;
  readonly hub?: (hub: SimulatedHub) => SimulatedHub;
  readonly connect?: (
    connect: Connect,
    router: { readonly serving: () => Serving | null },
  ) => Connect;
  /** What a router's data plane makes of whom it is to hold. */
  readonly hold?: (order: Hold) => Hold;
  readonly apply?: (apply: ApplyPush) => ApplyPush;
  /** What a router finds on its disk. */
  readonly saved?: (saved: Serving | null) => Serving | null;
  readonly routerClock?: (clock: Clock) => Clock;
}

/** The same object with some methods replaced; the others stay its own. */
export function wrapped<T extends object>(target: T, replaced: Partial<T>): T {
  return new Proxy(target, {
    get(of, name) {
      if (Object.hasOwn(replaced, name)) return Reflect.get(replaced, name);
      const value = Reflect.get(of, name, of);
      return typeof value === "function" ? value.bind(of) : value;
    },
  });
}

/** The methods of handlers, for others that replace some of them. */
export function methods(handlers: SocketHandlers): SocketHandlers {
  return {
    open: (protocol) => handlers.open(protocol),
    heard: () => handlers.heard(),
    text: (text, bytes) => handlers.text(text, bytes),
    binary: (data) => handlers.binary(data),
    broken: (reason, tooLarge) => handlers.broken(reason, tooLarge),
    closing: (code, reason) => handlers.closing(code, reason),
    closed: (code, reason) => handlers.closed(code, reason),
  };
}
