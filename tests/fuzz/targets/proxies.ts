import {
  parseTrustedProxies,
  plainAddress,
} from "../../../router/forwarding.ts";
import { type Address, addressOf, isWithin } from "../models/address_model.ts";
import { mutate } from "../mutate.ts";
import type { Random } from "../../harness/random.ts";
import { ensure, ensureSame, target, type Verdict } from "../target.ts";

/** Lists of trusted proxies, and addresses that are in them or just not. */
export const proxies = target({
  name: "trusted-proxies",
  weight: 20,
  make(random) {
    const items = random.list(4, () => item(random));
    if (items.length > 0 && random.once(3)) {
      const at = random.below(items.length);
      items[at] = mutate(random, items[at]!, {
        tokens: ["/0", "/8", ":", "."],
      });
    }
    const near = items.map((item) => neighbour(random, item));
    return { items, addresses: [...near, someAddress(random)] };
  },
  check({ items, addresses }): Verdict {
    const blocks = items.map(blockOf);
    let trusted;
    try {
      trusted = parseTrustedProxies(items);
    } catch (error) {
      ensure(error instanceof TypeError, `It throws ${error}`);
      ensure(
        blocks.includes(null),
        `A sound list is refused: ${error.message}`,
      );
      return "refused";
    }
    ensure(!blocks.includes(null), "A list is taken that is none");
    for (const text of addresses) {
      const address = addressOf(text);
      if (address === null) continue;
      const expected = blocks.some((block) => isWithin(address, block!));
      ensureSame(trusted.has(plainAddress(text)), expected, `It has ${text}`);
    }
    return "accepted";
  },
});

function someAddress(random: Random): string {
  const four = () =>
    Array.from({ length: 4 }, () => random.pick([0, 1, 10, 127, 128, 255]));
  const group = () => random.pick(["0", "1", "ffff", "fe80", "2001", "DB8"]);
  switch (random.below(6)) {
    case 0:
    case 1:
      return four().join(".");
    case 2:
      return `::ffff:${four().join(".")}`;
    case 3:
      return Array.from({ length: 8 }, group).join(":");
    case 4:
      return `fe80::${group()}%eth0`;
    default:
      return `${group()}::${group()}:${group()}`;
  }
}

function item(random: Random): string {
  const address = someAddress(random);
  if (random.once(3)) return address;
  const prefix = address.includes(".")
    ? random.pick([0, 1, 8, 15, 24, 31, 32])
    : random.pick([0, 1, 10, 32, 63, 64, 65, 127, 128]);
  return `${address}/${prefix}`;
}

function blockOf(item: string): Address & { prefix: number } | null {
  const [text = "", prefix, more] = item.split("/");
  const address = addressOf(text);
  if (address === null || more !== undefined) return null;
  if (prefix === undefined) return { ...address, prefix: address.bits };
  if (!/^[0-9]{1,3}$/.test(prefix) || Number(prefix) > address.bits) {
    return null;
  }
  return { ...address, prefix: Number(prefix) };
}

/** The address of a block with one bit turned, as text. */
function neighbour(random: Random, item: string): string {
  const block = blockOf(item);
  if (block === null) return "127.0.0.1";
  const value = block.value ^ (1n << BigInt(random.below(block.bits)));
  if (block.bits === 32) {
    return [24n, 16n, 8n, 0n].map((at) => value >> at & 255n).join(".");
  }
  const groups = Array.from(
    { length: 8 },
    (_, at) => (value >> BigInt(112 - 16 * at) & 0xffffn).toString(16),
  );
  return groups.join(":");
}
