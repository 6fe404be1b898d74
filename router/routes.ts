import { type Endpoint, parseEndpoint } from "../shared/endpoint.ts";
import { NameTable } from "./config/name_table.ts";
import type { PackedConfig } from "./config/packed_config.ts";

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
  /** The field lines of an answer that say where it came from. */
  readonly fields: string;
}

/** The lookup structure of one config, built when it is applied and never changed after. */
export interface Routes {
  /** The config it was built from. */
  readonly packed: PackedConfig;
  readonly placements: ReadonlyMap<string, Placement>;
  /** The route of a customer: a hash of the name and a look in one table, whatever the size of the config. */
  find(customer: string): Route;
}

/** Builds the lookup structure of a config; what it costs grows with the placements, not with the customers. */
export function compileRoutes(packed: PackedConfig, version: number): Routes {
  const placements = new Map<string, Placement>();
  const assigned: Route[] = [];
  const route = (placement: Placement, reason: Route["reason"]): Route => {
    // Joined, since that makes one string: a concatenation would be put together anew for each answer.
    const fields = [
      `X-Routed-To: ${placement.name}\r\n`,
      `X-Route-Reason: ${reason}\r\n`,
      `X-Config-Version: ${version}\r\n`,
    ].join("");
    return Object.freeze({ placement, reason, fields });
  };
  for (const [name, url] of packed.endpoints) {
    const placement = Object.freeze({ name, endpoint: parseEndpoint(url) });
    placements.set(name, placement);
    assigned.push(route(placement, "assigned"));
  }
  const fallback = route(placements.get(packed.defaultPlacement)!, "default");
  const table = new NameTable(packed.text, packed.customers);
  return Object.freeze({
    packed,
    placements,
    find(customer: string): Route {
      const number = table.get(customer);
      return number < 0 ? fallback : assigned[number]!;
    },
  });
}
