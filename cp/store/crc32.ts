/** CRC-32 (RFC 1952 section 8) of parts that were checked one by one. */

/** The polynomial of CRC-32, bits reversed: the highest bit of a word stands for x^0. */
const POLYNOMIAL = 0xedb88320;
const ONE = 0x80000000;

/** The product of two polynomials modulo CRC-32's; `a` must not be zero. */
function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = ONE;; bit >>>= 1) {
    if ((a & bit) !== 0) {
      product ^= b;
      if ((a & (bit - 1)) === 0) return product >>> 0;
    }
    b = (b & 1) === 1 ? (b >>> 1) ^ POLYNOMIAL : b >>> 1;
  }
}

/** x^(2^n) modulo the polynomial, for n from 0 to 31; from there on the powers repeat. */
const POWERS = squares();

function squares(): Uint32Array {
  const powers = new Uint32Array(32);
  let power = ONE >>> 1;
  for (let n = 0; n < 32; n++) {
    powers[n] = power;
    power = multiply(power, power);
  }
  return powers;
}

/** x^(8 · `bytes`): what a CRC is multiplied by when that many bytes follow. */
function shiftOf(bytes: number): number {
  let shift = ONE;
  for (let n = 3; bytes > 0; n++) {
    if (bytes % 2 === 1) shift = multiply(POWERS[n & 31]!, shift);
    bytes = Math.floor(bytes / 2);
  }
  return shift;
}

/** The CRC-32 of two parts in a row, from that of each and the length of the second in bytes. */
export function combineCrc32(
  first: number,
  second: { readonly crc: number; readonly length: number },
): number {
  return (multiply(shiftOf(second.length), first) ^ second.crc) >>> 0;
}
