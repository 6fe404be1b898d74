import { Buffer } from "node:buffer";
import type { Cell } from "../proxy/customers.ts";

/** How many characters a name has; each is a byte. */
export const NAME_BYTES = 16;

const ALPHABET = Buffer.from(
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
);
/** What the runtime gives out at a time. */
const RANDOM_BYTES = 65_536;

/** Random names of 16 characters, one after another: as strings a million of them would be felt everywhere. */
export function randomNames(count: number): Buffer {
  const names = Buffer.allocUnsafeSlow(count * NAME_BYTES);
  for (let at = 0; at < names.length; at += RANDOM_BYTES) {
    crypto.getRandomValues(names.subarray(at, at + RANDOM_BYTES));
  }
  for (let i = 0; i < names.length; i++) names[i] = ALPHABET[names[i]! & 63]!;
  return names;
}

export function nameOf(names: Buffer, customer: number): string {
  const at = customer * NAME_BYTES;
  return names.toString("latin1", at, at + NAME_BYTES);
}

/** How many customers there are. */
export function sizeOf(names: Buffer): number {
  return names.length / NAME_BYTES;
}

/**
 * The cell of a customer, counted from 0: every version moves all of them, and those that are even, or odd,
 * are alike. So an answer can be checked by the number of its customer and its version alone.
 */
export function cellOf(
  customer: number,
  { version, cells }: { version: number; cells: number },
): number {
  return (customer + version % 2) % cells;
}

/** All customers and their placements in a version. */
export function* assignments(
  names: Buffer,
  { version, cells }: { version: number; cells: readonly Cell[] },
): Generator<[customer: string, placement: string]> {
  const options = { version, cells: cells.length };
  for (let i = 0; i < sizeOf(names); i++) {
    yield [nameOf(names, i), cells[cellOf(i, options)]!.placement];
  }
}
