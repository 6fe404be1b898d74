import type { ConfigBody } from "../../harness/config.ts";

const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";
const NAME_LENGTH = 16;
const PLACEMENTS = 10;

/** A config of so many customers with random names of 16 characters, spread over 10 placements. */
export function randomConfig(customers: number): ConfigBody {
  const names = Array.from({ length: PLACEMENTS }, (_, i) => `tier${i + 1}`);
  const assigned: Record<string, string> = {};
  for (let i = 0; i < customers; i++) {
    assigned[randomName()] = names[i % PLACEMENTS]!;
  }
  return {
    default_placement: names[0]!,
    customer_to_placement: assigned,
    placement_to_endpoint: Object.fromEntries(
      names.map((name, i) => [name, `http://10.0.1.${i + 1}:9000`]),
    ),
  };
}

/** Another placement than the one a customer has. */
export function otherPlacement(placement: string): string {
  return placement === "tier1" ? "tier2" : "tier1";
}

function randomName(): string {
  let name = "";
  for (const byte of crypto.getRandomValues(new Uint8Array(NAME_LENGTH))) {
    name += LETTERS[byte % LETTERS.length];
  }
  return name;
}
