/** The secret that a hash depends on: two words of 32 bits. */
export type HashKey = readonly [number, number];

/** A fresh secret. */
export function randomHashKey(): HashKey {
  const [first, second] = crypto.getRandomValues(new Int32Array(2));
  return [first!, second!];
}

/**
 * HalfSipHash-1-3 of `bytes[from..to)`, as a signed integer of 32 bits. Nobody can find collisions without the
 * key, so whoever chooses names cannot make a table of them slow (Aumasson and Bernstein, "SipHash: a fast
 * short-input PRF"; the halved form with 1 and 3 rounds is what Linux keys its tables with on 32-bit processors).
 */
export function halfSipHash(
  key: HashKey,
  bytes: Uint8Array,
  from: number,
  to: number,
): number {
  let v0 = key[0];
  let v1 = key[1];
  let v2 = 0x6c796765 ^ v0;
  let v3 = 0x74656462 ^ v1;
  const whole = to - from >> 2;
  // A word of four bytes a round; the bytes left over and the length; and three rounds without a word.
  for (let round = 0; round < whole + 4; round++) {
    let word = 0;
    if (round < whole) {
      const at = from + round * 4;
      word = bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 |
        bytes[at + 3]! << 24;
    } else if (round === whole) {
      word = (to - from) << 24;
      for (let at = from + whole * 4, shift = 0; at < to; at++, shift += 8) {
        word |= bytes[at]! << shift;
      }
    } else if (round === whole + 1) {
      v2 ^= 0xff;
    }
    v3 ^= word;
    v0 = v0 + v1 | 0;
    v1 = (v1 << 5 | v1 >>> 27) ^ v0;
    v0 = v0 << 16 | v0 >>> 16;
    v2 = v2 + v3 | 0;
    v3 = (v3 << 8 | v3 >>> 24) ^ v2;
    v0 = v0 + v3 | 0;
    v3 = (v3 << 7 | v3 >>> 25) ^ v0;
    v2 = v2 + v1 | 0;
    v1 = (v1 << 13 | v1 >>> 19) ^ v2;
    v2 = v2 << 16 | v2 >>> 16;
    v0 ^= word;
  }
  return v1 ^ v3;
}
