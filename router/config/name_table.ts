import { halfSipHash, type HashKey, randomHashKey } from "./half_sip_hash.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
/** A name of the longest kind, each character escaped. */
const NAME_BYTES = 512;

/** The bytes of the name that is looked up: a lookup is never interrupted by another. */
const wanted = new Uint8Array(NAME_BYTES);

/** What a {@linkcode NameTable} consists of besides the text: plain data, which another thread can be given. */
export interface NameSlots {
  readonly key: HashKey;
  /**
   * A power of two of slots, two words each: where in the text a name begins, 0 for an empty slot; and 16 bits of
   * the name's hash before 16 bits of the number that stands beside it.
   */
  readonly slots: Uint32Array;
}

/**
 * Names to numbers, in two arrays: a text in which each name stands as JSON writes it, with its closing quote, and
 * slots that tell where. A million names are no more to the garbage collector than one, a lookup reads two or
 * three cache lines, and no choice of names makes it slow.
 */
export class NameTable implements NameSlots {
  readonly key: HashKey;
  readonly slots: Uint32Array;
  readonly #text: Uint8Array;
  readonly #mask: number;

  constructor(text: Uint8Array, { key, slots }: NameSlots) {
    this.key = key;
    this.slots = slots;
    this.#text = text;
    this.#mask = slots.length / 2 - 1;
  }

  /** An empty table for at most `count` names in `text`. */
  static of(text: Uint8Array, count: number): NameTable {
    let capacity = 4;
    // Two slots of three are taken at most, so that probing ends soon.
    while (capacity * 2 < count * 3) capacity *= 2;
    const slots = new Uint32Array(capacity * 2);
    return new NameTable(text, { key: randomHashKey(), slots });
  }

  /**
   * Adds the name in `text[from..to)`, in front of its closing quote. It must not be there yet.
   *
   * @param number from 0 to 65,535.
   */
  add(from: number, to: number, number: number): void {
    const hash = halfSipHash(this.key, this.#text, from, to);
    let slot = hash & this.#mask;
    while (this.slots[slot * 2] !== 0) slot = (slot + 1) & this.#mask;
    this.slots[slot * 2] = from;
    this.slots[slot * 2 + 1] = (hash & 0xffff0000) | number;
  }

  /** The number of the name in `bytes[from..to)`, written as JSON writes it; -1 if there is none. */
  find(bytes: Uint8Array, from: number, to: number): number {
    const text = this.#text;
    const { slots } = this;
    const mask = this.#mask;
    const hash = halfSipHash(this.key, bytes, from, to);
    for (let slot = hash & mask;; slot = (slot + 1) & mask) {
      const start = slots[slot * 2]!;
      if (start === 0) return -1;
      const beside = slots[slot * 2 + 1]!;
      if (((beside ^ hash) & 0xffff0000) !== 0) continue;
      let at = start;
      let i = from;
      while (i < to && text[at] === bytes[i]) {
        at++;
        i++;
      }
      if (i === to && text[at] === QUOTE) return beside & 0xffff;
    }
  }

  /** The number of a name; -1 if there is none. */
  get(name: string): number {
    let length = 0;
    for (let i = 0; i < name.length; i++) {
      const code = name.charCodeAt(i);
      // A name that is too long, or no ASCII, is in no table.
      if (length > NAME_BYTES - 2 || code > 0x7f) return -1;
      if (code === QUOTE || code === BACKSLASH) wanted[length++] = BACKSLASH;
      wanted[length++] = code;
    }
    return this.find(wanted, 0, length);
  }
}
