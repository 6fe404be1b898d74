import type { NextConfig } from "./active.ts";
import { NameTable } from "./config/name_table.ts";
import type { PackedConfig } from "./config/packed_config.ts";
import type { PushHead } from "./link/verdict.ts";

/** So few customers may be lost whatever their share is. */
const MIN_LOST = 10;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Why a push is not to be served although it is valid: it would send more than `share` of the customers that are
 * served to the default, and the control plane does not say that its own guard let every step since then pass. Null if
 * it is to be served.
 *
 * @param served null where nothing is served, or a bootstrap config, which anything replaces.
 * @param share from 0 to 1; 1 refuses nothing.
 */
export function guardProblem(
  push: PushHead,
  packed: PackedConfig,
  { served, share }: { served: NextConfig | null; share: number },
): string | null {
  if (served === null || share >= 1) return null;
  const { guardedSince } = push;
  if (guardedSince !== undefined && guardedSince <= served.version) return null;
  const { size } = served.packed;
  const lost = countLost(served.packed, packed);
  if (lost <= MIN_LOST || lost <= size * share) return null;
  const since = `every step since version ${served.version}`;
  return `Version ${push.version} would lose ${lost} of the ${size} customers that this router serves, which is more than ROUTER_GUARD_SHARE (${
    Math.round(share * 1e5) / 1e3
  }%), and the control plane does not say that ${since} passed its guard or was confirmed.`;
}

/** How many customers of `before` are not in `after`. */
export function countLost(before: PackedConfig, after: PackedConfig): number {
  const { text, customers: { slots } } = before;
  const table = new NameTable(after.text, after.customers);
  let lost = 0;
  for (let slot = 0; slot < slots.length; slot += 2) {
    const from = slots[slot]!;
    if (from !== 0 && table.find(text, from, nameEnd(text, from)) < 0) lost++;
  }
  return lost;
}

/** Where the quote is that closes a name. */
function nameEnd(text: Uint8Array, from: number): number {
  let at = from;
  for (; text[at] !== QUOTE; at++) if (text[at] === BACKSLASH) at++;
  return at;
}
