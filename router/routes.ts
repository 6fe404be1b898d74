import type { Config } from "../shared/config.ts";
import { type Endpoint, parseEndpoint } from "../shared/endpoint.ts";

/** A placement as a request needs it: its name and where it is. */
export interface Placement {
  readonly name: string;
  readonly endpoint: Endpoint;
}

/** What a lookup answers; the object is shared between requests and never changed. */
export interface Route {
  readonly placement: Placement;
  /** `assigned` where the config names the customer, else `default`. */
  readonly reason: "assigned" | "default";
}

/** The lookup structure of one config, built when it is applied and never changed after. */
export interface Routes {
  /** The config it was built from. */
  readonly config: Config;
  readonly placements: ReadonlyMap<string, Placement>;
  /** The route of a customer: two map reads, whatever the size of the config. */
  find(customer: string): Route;
}

/** Builds the lookup structure of a valid config. */
export function compileRoutes(config: Config): Routes {
  const placements = new Map<string, Placement>();
  const assigned = new Map<string, Route>();
  for (const [name, url] of config.endpoints) {
    const placement = Object.freeze({ name, endpoint: parseEndpoint(url) });
    placements.set(name, placement);
    assigned.set(name, Object.freeze({ placement, reason: "assigned" }));
  }
  const fallback: Route = Object.freeze({
    placement: placements.get(config.defaultPlacement)!,
    reason: "default",
  });
  const customers = new Map<string, Route>();
  for (const [customer, placement] of config.customers.entries()) {
    customers.set(customer, assigned.get(placement)!);
  }
  return Object.freeze({
    config,
    placements,
    find: (customer: string) => customers.get(customer) ?? fallback,
  });
}
