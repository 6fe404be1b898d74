import {
  type Config,
  MAX_CUSTOMERS,
  MAX_PLACEMENTS,
  type Problem,
} from "../../shared/config.ts";
import type { CustomerMap } from "../../shared/customers.ts";
import { pointer, show } from "../../shared/json.ts";
import type { Version } from "../store/store.ts";
import { sortedCustomers } from "./customer_page.ts";
import { emptyStore, invalid, ProblemError } from "./problem.ts";

/** How many customers an error names; the rest is counted. */
const NAMED = 5;

/** The config that a part is edited of. */
export function configToEdit(current: Version | null): Config {
  if (current === null) throw emptyStore("conflict");
  return current.config;
}

/** The config with these customers. */
export function withCustomers(config: Config, customers: CustomerMap): Config {
  if (customers.size > MAX_CUSTOMERS) {
    throw invalid([{
      pointer: "",
      detail:
        `A config holds at most ${MAX_CUSTOMERS} customers, and this edit makes them ${customers.size}.`,
    }]);
  }
  return customers === config.customers
    ? config
    : Object.freeze({ ...config, customers });
}

/** The config with this assignment of a customer; null takes it away. */
export function assign(
  config: Config,
  { customer, placement }: { customer: string; placement: string | null },
): Config {
  return withCustomers(config, config.customers.with([[customer, placement]]));
}

/** The problem of a body that names a placement which is not there; none if it is. */
export function placementMissing(
  config: Config,
  { placement, at }: { placement: string; at: string },
): Problem[] {
  return config.endpoints.has(placement) ? [] : [{
    pointer: pointer("", at),
    detail: `Placement ${
      show(placement)
    } is not in the config; PUT /v1/placements/${placement} adds it.`,
  }];
}

/** The config with this endpoint for a placement, which is added if it is new. */
export function setEndpoint(
  config: Config,
  { placement, endpoint }: { placement: string; endpoint: string },
): Config {
  if (config.endpoints.get(placement) === endpoint) return config;
  const endpoints = new Map(config.endpoints).set(placement, endpoint);
  if (endpoints.size > MAX_PLACEMENTS) {
    throw invalid([{
      pointer: "",
      detail:
        `A config holds at most ${MAX_PLACEMENTS} placements, and ${placement} would be one more.`,
    }]);
  }
  return Object.freeze({ ...config, endpoints });
}

/**
 * The config without a placement.
 *
 * @throws {ProblemError} `not-found`, or `conflict` if it is in use: says by whom.
 */
export function removePlacement(config: Config, placement: string): Config {
  if (!config.endpoints.has(placement)) throw unknownPlacementName(placement);
  const users: string[] = [];
  if (config.defaultPlacement === placement) {
    users.push("it is the default placement");
  }
  const count = config.customers.counts.get(placement) ?? 0;
  if (count > 0) {
    const names: string[] = [];
    for (const [customer] of sortedCustomers(config.customers, { placement })) {
      names.push(show(customer));
      if (names.length === NAMED) break;
    }
    const rest = count - names.length;
    users.push(
      `${count} customer${count === 1 ? " is" : "s are"} assigned to it (${
        names.join(", ")
      }${rest > 0 ? ` and ${rest} more` : ""})`,
    );
  }
  if (users.length > 0) {
    throw new ProblemError(
      "conflict",
      `Placement ${show(placement)} cannot be deleted: ${
        users.join(", and ")
      }. Move them first, with POST /v1/moves or PATCH /v1/config.`,
    );
  }
  const endpoints = new Map(config.endpoints);
  endpoints.delete(placement);
  return Object.freeze({ ...config, endpoints });
}

/** 404 for a placement. */
export function unknownPlacementName(placement: string): ProblemError {
  return new ProblemError(
    "not-found",
    `There is no placement ${show(placement)}.`,
  );
}
