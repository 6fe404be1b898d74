/** Random choices that a seed repeats: sfc32 (Chris Doty-Humphrey), seeded by FNV-1a of all that names an input. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #count = 1;

  /** The choices of one input: the same for the same seed, target and number, whatever was drawn for others. */
  constructor(seed: number, target = "", number = 0) {
    this.#a = hash(`${seed} ${target} ${number}`);
    this.#b = hash(`${number} ${seed} ${target}`);
    this.#c = hash(`${target} ${number} ${seed}`);
    for (let i = 0; i < 12; i++) this.#next();
  }

  #next(): number {
    const sum = (this.#a + this.#b + this.#count) | 0;
    this.#count = (this.#count + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + sum | 0;
    return sum >>> 0;
  }

  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number {
    return Math.floor(this.#next() / 2 ** 32 * limit);
  }

  /** A whole number from `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  pick<const T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }

  /** So many things as are drawn, at most `most`; small numbers come more often. */
  list<T>(most: number, make: (index: number) => T): T[] {
    const length = this.below(this.between(0, most) + 1);
    return Array.from({ length }, (_, index) => make(index));
  }

  /** `least` to `most` characters of an alphabet. */
  text(alphabet: string, least: number, most: number): string {
    let text = "";
    for (let left = this.between(least, most); left > 0; left--) {
      text += alphabet[this.below(alphabet.length)];
    }
    return text;
  }

  /** Characters below 256, each a byte. */
  bytes(most: number): string {
    let text = "";
    for (let left = this.below(most + 1); left > 0; left--) {
      text += String.fromCharCode(this.below(256));
    }
    return text;
  }

  /** The list in another order. */
  shuffled<T>(list: readonly T[]): T[] {
    const mixed = [...list];
    for (let last = mixed.length - 1; last > 0; last--) {
      const at = this.below(last + 1);
      [mixed[at], mixed[last]] = [mixed[last]!, mixed[at]!];
    }
    return mixed;
  }
}

function hash(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash | 0;
}
