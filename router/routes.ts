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

/** The lookup structure of one config, built when it is applied; what it answers never changes after. */
export interface Routes {
  /** The config it was built from. */
  readonly packed: PackedConfig;
  /** The route of a customer: a hash of the name and a look in one table, whatever the size of the config. */
  find(customer: string): Route;
}

/**
 * Builds the lookup structure of a config, on the thread that serves requests meanwhile: so customers are looked
 * up where they lie, and a placement's route is made when the first request asks for it.
 */
export function compileRoutes(packed: PackedConfig, version: number): Routes {
  const names = [...packed.endpoints.keys()];
  const assigned = new Array<Route | undefined>(names.length);
  const route = (name: string, reason: Route["reason"]): Route => {
    const endpoint = parseEndpoint(packed.endpoints.get(name)!);
    // Joined, since that makes one string: a concatenation would be put together anew for each answer.
    const fields = [
      `X-Routed-To: ${name}\r\n`,
      `X-Route-Reason: ${reason}\r\n`,
      `X-Config-Version: ${version}\r\n`,
    ].join("");
    const placement = Object.freeze({ name, endpoint });
    return Object.freeze({ placement, reason, fields });
  };
  const fallback = route(packed.defaultPlacement, "default");
  const table = new NameTable(packed.text, packed.customers);
  return Object.freeze({
    packed,
    find(customer: string): Route {
      const number = table.get(customer);
      if (number < 0) return fallback;
      return assigned[number] ??= route(names[number]!, "assigned");
    },
  });
}
