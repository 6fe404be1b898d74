import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import process from "node:process";

/** Loads a package from where the benchmark installed it: the second argument is that folder. */
export const load = createRequire(`${process.argv[3]}/`);

const config = JSON.parse(readFileSync(process.argv[2], "utf8"));
const customers = new Map(Object.entries(config.customer_to_placement));
const endpoints = new Map(Object.entries(config.placement_to_endpoint));

/** The same lookup as all others have, in the config file that is the first argument. */
export function routeOf(customer) {
  const placement = customers.get(customer) ?? config.default_placement;
  return { placement, endpoint: endpoints.get(placement) };
}
