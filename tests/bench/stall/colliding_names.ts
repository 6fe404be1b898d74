import { FNV_BASIS, FNV_PRIME } from "../../../shared/customers.ts";

/** What 32 bits take up in letters and digits. */
const BLOCK_CHARS = 7;
/** Odd, so that no two numbers become one. */
const SCATTER = 0x9e3779b1;

/**
 * 2 to the power of `blocks` names that an attacker would choose: FNV-1a, the hash that puts customers into
 * buckets and that everybody knows, is the same 32 bits for all of them. Two blocks that lead from
 * one state of the hash to the same next one are soon found, and any choice of them in a row does it, too.
 */
export function collidingNames(blocks: number): string[] {
  let names = [""];
  let state = FNV_BASIS;
  for (let block = 0; block < blocks; block++) {
    const found = collidingBlocks(state);
    names = names.flatMap((name) => found.map((block) => name + block));
    state = hashOf(found[0], state);
  }
  return names;
}

/** Two different blocks with the same hash from a state on. */
function collidingBlocks(state: number): readonly [string, string] {
  const seen = new Map<number, string>();
  for (let number = 0;; number++) {
    const block = blockOf(number);
    const hash = hashOf(block, state);
    const other = seen.get(hash);
    if (other !== undefined) return [other, block];
    seen.set(hash, block);
  }
}

function hashOf(text: string, state: number): number {
  for (let i = 0; i < text.length; i++) {
    state = Math.imul(state ^ text.charCodeAt(i), FNV_PRIME);
  }
  return state;
}

/** A block of its own for each number, and not like that of the next. */
function blockOf(number: number): string {
  return (Math.imul(number, SCATTER) >>> 0).toString(36).padStart(
    BLOCK_CHARS,
    "0",
  );
}
