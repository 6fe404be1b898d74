const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";
const NAME_CHARS = 16;

/** The placements that customers are spread over. */
export const PLACEMENTS = ["tier1", "tier2", "tier3"] as const;

/** So many random names of 16 letters and digits. */
export function randomNames(count: number): string[] {
  const names = new Set<string>();
  const bytes = new Uint8Array(NAME_CHARS);
  while (names.size < count) {
    crypto.getRandomValues(bytes);
    let name = "";
    for (const byte of bytes) name += LETTERS[byte % LETTERS.length];
    names.add(name);
  }
  return [...names];
}

/** The placement of a customer after it was moved so many times. */
export function placementOf(index: number, moves = 0): string {
  return PLACEMENTS[(index + moves) % PLACEMENTS.length]!;
}

/** A config as JSON; `moves` turns all of its customers to other placements. */
export function configJson(names: readonly string[], moves = 0): string {
  return `{"default_placement":"tier1","customer_to_placement":{${
    pairsJson(names, moves)
  }},"placement_to_endpoint":{${
    PLACEMENTS.map((name, index) => `"${name}":"http://127.0.0.1:${index + 1}"`)
      .join(",")
  }}}`;
}

/** A merge patch that moves these customers, as JSON. */
export function patchJson(names: readonly string[], moves: number): string {
  return `{"customer_to_placement":{${pairsJson(names, moves)}}}`;
}

function pairsJson(names: readonly string[], moves: number): string {
  return names.map((name, index) => `"${name}":"${placementOf(index, moves)}"`)
    .join(",");
}
