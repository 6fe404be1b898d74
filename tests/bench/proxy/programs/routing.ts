import type { ConfigBody } from "../../../harness/config.ts";

/** The same lookup as all others have. */
export interface Routing {
  /** The placement of a customer, and its endpoint. */
  of(customer: string | null): { placement: string; endpoint: string };
}

/** Reads the config file that the program was given as its first argument. */
export function readRouting(): Routing {
  const config: ConfigBody = JSON.parse(Deno.readTextFileSync(Deno.args[0]!));
  const customers = new Map(Object.entries(config.customer_to_placement));
  const endpoints = new Map(Object.entries(config.placement_to_endpoint));
  return {
    of(customer) {
      const placement = customers.get(customer ?? "") ??
        config.default_placement;
      return { placement, endpoint: endpoints.get(placement)! };
    },
  };
}
