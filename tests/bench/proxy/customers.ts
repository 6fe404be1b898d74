import type { ConfigBody } from "../../harness/config.ts";

const CUSTOMERS = 10_000;

/** A cell of the endpoint, under the name of its placement. */
export interface Cell {
  readonly placement: string;
  readonly port: number;
  /** As a config has it. */
  readonly url: string;
}

/** The cells that listen on these ports. */
export function cellsOn(ports: readonly number[]): Cell[] {
  return ports.map((port, i) => ({
    placement: `tier${i + 1}`,
    port,
    url: `http://127.0.0.1:${port}`,
  }));
}

/** A config of 10,000 customers with random names of 16 hexadecimal digits, spread over the cells. */
export function manyCustomers(cells: readonly Cell[]): ConfigBody {
  const customers: Record<string, string> = {};
  for (let i = 0; i < CUSTOMERS; i++) {
    const [name] = crypto.getRandomValues(new BigUint64Array(1));
    customers[name!.toString(16).padStart(16, "0")] =
      cells[i % cells.length]!.placement;
  }
  return {
    default_placement: cells[0]!.placement,
    customer_to_placement: customers,
    placement_to_endpoint: Object.fromEntries(
      cells.map(({ placement, url }) => [placement, url]),
    ),
  };
}
