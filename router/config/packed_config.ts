import { canonicalText } from "../../shared/canonical.ts";
import type { Config } from "../../shared/config.ts";
import { packCanonical } from "./canonical_reader.ts";
import type { NameSlots } from "./name_table.ts";

/**
 * A valid config as serving threads hold it and threads hand it on: bytes, and next to nothing that the garbage
 * collector would have to look through.
 */
export interface PackedConfig {
  /** The canonical text, in ASCII. */
  readonly text: Uint8Array<ArrayBuffer>;
  /** `sha256:` and 64 hex digits over it (SPEC section 3). */
  readonly digest: string;
  /** How many customers are assigned. */
  readonly size: number;
  readonly defaultPlacement: string;
  /** Placement → endpoint URL, sorted by placement. */
  readonly endpoints: ReadonlyMap<string, string>;
  /** Where in the text each customer stands, with the place of its placement among the endpoints, from 0. */
  readonly customers: NameSlots;
}

/** Packs a config. */
export function packConfig(config: Config): PackedConfig {
  const packed = packCanonical(
    new TextEncoder().encode(canonicalText(config)),
  );
  if (packed === null) {
    throw new Error("Cannot read the canonical text of a valid config");
  }
  return packed;
}

/** A copy, to be given away to another thread. */
export function copyPacked(packed: PackedConfig): PackedConfig {
  const { key, slots } = packed.customers;
  const customers = { key, slots: slots.slice() };
  return { ...packed, text: packed.text.slice(), customers };
}

/** What is transferred where a config is given away. */
export function packedBuffers(packed: PackedConfig): Transferable[] {
  return [packed.text.buffer, packed.customers.slots.buffer];
}

/** Configs that are being read over time, and by how many. */
const held = new Map<PackedConfig, number>();

/** Keeps a config readable until what is answered is called, whatever becomes of it. */
export function holdPacked(packed: PackedConfig): () => void {
  held.set(packed, (held.get(packed) ?? 0) + 1);
  return () => {
    const others = held.get(packed)! - 1;
    if (others > 0) held.set(packed, others);
    else held.delete(packed);
  };
}

/**
 * Frees the memory of a config that nobody reads any more: left to the garbage collector, it would stay for minutes,
 * and the next config beside it would set off a collection that requests wait for.
 */
export function releasePacked(packed: PackedConfig): void {
  if (held.has(packed)) return;
  for (const { buffer } of [packed.text, packed.customers.slots]) {
    buffer.transfer(0);
  }
}
