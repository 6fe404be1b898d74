import { createHash } from "node:crypto";
import { Buffer } from "node:buffer";
import {
  CANONICAL_HEAD,
  canonicalTail,
  digestOf,
} from "../../shared/canonical.ts";
import {
  type Config,
  MAX_CUSTOMERS,
  parseConfigText,
} from "../../shared/config.ts";
import {
  Bucket,
  BUCKETS,
  FNV_BASIS,
  FNV_PRIME,
} from "../../shared/customers.ts";
import { JsonSyntaxError } from "../../shared/json.ts";
import { NameTable } from "./name_table.ts";
import type { PackedConfig } from "./packed_config.ts";

const HEAD = Buffer.from(CANONICAL_HEAD, "latin1");
const TAIL = Buffer.from('},"default_placement":', "latin1");
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const COMMA = 0x2c;
const DOT = 0x2e;
/** The fewest bytes that a customer and its placement take up, with the comma behind them. */
const PAIR_BYTES = 8;
const MAX_NAME_LENGTH = 256;

/**
 * Reads a config from the bytes of its canonical text in one pass that makes no object for a customer: a million
 * customers take half a second, and bytes that are anything else are refused where they stop being canonical. It is
 * as strict as `parseConfigText`, and stricter: what it takes is valid, and the text is the canonical one.
 *
 * @param text kept by what is answered; it must not change any more.
 * @returns null for anything else, which says nothing of whether the text is a valid config; `parseConfigText`
 * then does.
 */
export function packCanonical(
  text: Uint8Array<ArrayBuffer>,
): PackedConfig | null {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.byteLength);
  const end = bytes.lastIndexOf(TAIL);
  if (end < HEAD.length || !bytes.subarray(0, HEAD.length).equals(HEAD)) {
    return null;
  }
  const tail = bytes.toString("latin1", end);
  const rest = readTail(tail);
  if (rest === null) return null;
  const customers = scanCustomers(text, end, placementTable(rest.endpoints));
  if (customers === null) return null;
  const { size, names, lengths, numbers, buckets } = customers;
  const table = NameTable.of(text, size);
  for (let i = 0; i < size; i++) {
    const name = names[i]!;
    table.add(name, name + lengths[i]!, numbers[i]!);
  }
  const digests = buckets.map(([from, to]) =>
    from === to ? Bucket.EMPTY : { digest: sha256(text.subarray(from, to)) }
  );
  return {
    ...rest,
    text,
    size,
    digest: digestOf(sha256(tail), digests),
    customers: { key: table.key, slots: table.slots },
  };
}

function sha256(data: string | Uint8Array): Uint8Array {
  return createHash("sha256").update(data).digest();
}

/** What stands behind the customers, by the rules for any config; null if they are broken. */
function readTail(
  tail: string,
): Pick<Config, "defaultPlacement" | "endpoints"> | null {
  try {
    const result = parseConfigText(CANONICAL_HEAD + tail);
    if (!result.ok || canonicalTail(result.config) !== tail) return null;
    const { defaultPlacement, endpoints } = result.config;
    return { defaultPlacement, endpoints };
  } catch (error) {
    if (error instanceof JsonSyntaxError) return null;
    throw error;
  }
}

/** The numbers of placements, by their names as they stand in a text. */
function placementTable(endpoints: ReadonlyMap<string, string>): NameTable {
  const names = [...endpoints.keys()];
  const text = Buffer.from(` ${names.map((name) => `${name}"`).join("")}`);
  const table = NameTable.of(text, names.length);
  let at = 1;
  for (const [number, name] of names.entries()) {
    table.add(at, at + name.length, number);
    at += name.length + 1;
  }
  return table;
}

/** The customers of a text. */
interface Customers {
  readonly size: number;
  /** Where each name begins, behind its quote. */
  readonly names: Uint32Array;
  /** How many bytes each takes up. */
  readonly lengths: Uint16Array;
  /** The number of each one's placement. */
  readonly numbers: Uint16Array;
  /** Where the fragment of each bucket begins and ends. */
  readonly buckets: readonly (readonly [from: number, to: number])[];
}

/** The customers in front of `end`, or null if they are not canonical. */
function scanCustomers(
  text: Uint8Array,
  end: number,
  placements: NameTable,
): Customers | null {
  const buckets = new Array<readonly [number, number]>(BUCKETS).fill([0, 0]);
  let at = HEAD.length;
  // No memory is taken for what is never written.
  const most = Math.min(
    MAX_CUSTOMERS,
    Math.ceil((end - at) / PAIR_BYTES),
  );
  const names = new Uint32Array(most);
  const lengths = new Uint16Array(most);
  const numbers = new Uint16Array(most);
  let size = 0;
  let bucket = -1;
  let start = at;
  while (at < end || size > 0) {
    // `"customer":"placement"`
    if (text[at] !== QUOTE || size === most) return null;
    const name = at + 1;
    // The bucket is FNV-1a of the name (SPEC section 3).
    let hash = FNV_BASIS;
    let length = 0;
    for (at = name;; at++, length++) {
      let code = text[at]!;
      if (code === QUOTE) break;
      if (code === BACKSLASH) {
        code = text[++at]!;
        if (code !== QUOTE && code !== BACKSLASH) return null;
      }
      if (!(code > 0x20 && code < 0x7f)) return null;
      hash = Math.imul(hash ^ code, FNV_PRIME);
    }
    if (
      length === 0 || length > MAX_NAME_LENGTH ||
      (text[name] === DOT &&
        (length === 1 || (length === 2 && text[name + 1] === DOT)))
    ) return null;
    const nameEnd = at;
    if (text[at + 1] !== COLON || text[at + 2] !== QUOTE) return null;
    const placement = at + 3;
    at = text.indexOf(QUOTE, placement);
    const number = at < 0 ? -1 : placements.find(text, placement, at);
    if (number < 0) return null;
    const own = (hash >>> 0) % BUCKETS;
    if (own === bucket) {
      // Also what makes every name stand once: the same name is in the same bucket.
      if (!isBefore(text, names[size - 1]!, name)) return null;
    } else {
      if (own < bucket) return null;
      if (bucket >= 0) buckets[bucket] = [start, name - 2];
      bucket = own;
      start = name - 1;
    }
    names[size] = name;
    lengths[size] = nameEnd - name;
    numbers[size] = number;
    size++;
    at++;
    if (at === end) {
      buckets[bucket] = [start, at];
      break;
    }
    if (text[at] !== COMMA) return null;
    at++;
  }
  return { size, names, lengths, numbers, buckets };
}

/** Whether the name at `a` sorts before the one at `b`. */
function isBefore(text: Uint8Array, a: number, b: number): boolean {
  for (;; a++, b++) {
    if (text[b] === QUOTE) return false;
    if (text[a] === QUOTE) return true;
    if (text[a] === BACKSLASH) a++;
    if (text[b] === BACKSLASH) b++;
    if (text[a]! !== text[b]!) return text[a]! < text[b]!;
  }
}
