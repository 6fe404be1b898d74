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
  readonly text: Uint8Array;
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

/** How many bytes a config's arrays take. */
export function packedBytes({ text, customers }: PackedConfig): number {
  return customers.slots.byteLength + text.byteLength;
}

/** The same config with its arrays in `room`, which has to be of {@linkcode packedBytes} at least. */
export function copyPacked(
  packed: PackedConfig,
  room: ArrayBufferLike,
): PackedConfig {
  const { key, slots } = packed.customers;
  // The words first: they have to be aligned.
  const slotsCopy = new Uint32Array(room, 0, slots.length);
  slotsCopy.set(slots);
  const textCopy = new Uint8Array(room, slots.byteLength, packed.text.length);
  textCopy.set(packed.text);
  return {
    ...packed,
    text: textCopy,
    customers: { key, slots: slotsCopy },
  };
}
