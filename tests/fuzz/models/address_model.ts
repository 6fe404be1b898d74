/** An address as a number, and of how many bits it is. */
export interface Address {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

/** Reads an IPv4 or IPv6 address by hand; null if it is none. A zone counts for nothing. */
export function addressOf(text: string): Address | null {
  if (/[\n\r\u2028\u2029]/.test(text)) return null;
  const percent = text.indexOf("%");
  const plain = percent < 0 ? text : text.slice(0, percent);
  const four = fourOf(plain);
  if (four !== null) return { bits: 32, value: four };
  const value = sixOf(plain);
  if (value === null) return null;
  // One that is mapped into IPv6 is the IPv4 address it stands for.
  return /^::ffff:[^:]+$/i.test(plain) && plain.includes(".")
    ? { bits: 32, value: value & 0xffffffffn }
    : { bits: 128, value };
}

function fourOf(text: string): bigint | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  let value = 0n;
  for (const part of parts) {
    if (!/^(?:0|[1-9][0-9]{0,2})$/.test(part) || Number(part) > 255) {
      return null;
    }
    value = value << 8n | BigInt(part);
  }
  return value;
}

function sixOf(text: string): bigint | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const [before, after] = halves.map((half, index) =>
    groupsOf(half, index === halves.length - 1)
  );
  if (before == null || after === null) return null;
  const missing = 8 - before.length - (after?.length ?? 0);
  if (after === undefined ? missing !== 0 : missing < 1) return null;
  const zeros: bigint[] = new Array(missing).fill(0n);
  return [...before, ...zeros, ...after ?? []].reduce(
    (value, group) => value << 16n | group,
    0n,
  );
}

/** The groups of 16 bits of a half; the last may be two, written as an IPv4 address. */
function groupsOf(half: string, last: boolean): bigint[] | null {
  if (half === "") return [];
  const groups: bigint[] = [];
  const parts = half.split(":");
  for (const [index, part] of parts.entries()) {
    const four = last && index === parts.length - 1 ? fourOf(part) : null;
    if (four !== null) groups.push(four >> 16n, four & 0xffffn);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) groups.push(BigInt(`0x${part}`));
    else return null;
  }
  return groups;
}

/** Whether an address is in a block: their first `prefix` bits are the same. */
export function isWithin(
  address: Address,
  block: Address & { readonly prefix: number },
): boolean {
  const rest = BigInt(block.bits - block.prefix);
  return address.bits === block.bits &&
    address.value >> rest === block.value >> rest;
}
