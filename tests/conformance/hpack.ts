/** Header compression (RFC 7541), as much as a test's client needs: literals out, anything without a table in. */

// Appendix A, from 1 on.
const STATIC: readonly (readonly [string, string])[] =
  `:authority|:method=GET|:method=POST|:path=/|:path=/index.html|:scheme=http|:scheme=https|:status=200|:status=204|:status=206|:status=304|:status=400|:status=404|:status=500|accept-charset|accept-encoding=gzip, deflate|accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate`
    .split("|").map((entry) => {
      const [name, value] = entry.split("=");
      return [name!, value ?? ""] as const;
    });

// Appendix B: the length of each symbol's code, which is canonical, so that the codes follow.
const LENGTHS = [
  "13 23 28 28 28 28 28 28 28 24 30 28 28 30 28 28",
  "28 28 28 28 28 28 30 28 28 28 28 28 28 28 28 28",
  "6 10 10 12 13 6 8 11 10 10 8 11 8 6 6 6",
  "5 5 5 6 6 6 6 6 6 6 7 8 15 6 12 10",
  "13 6 7 7 7 7 7 7 7 7 7 7 7 7 7 7",
  "7 7 7 7 7 7 7 7 8 7 8 13 19 13 14 6",
  "15 5 6 5 6 5 6 6 6 5 7 7 6 6 6 5",
  "6 7 6 5 5 6 7 7 7 7 7 15 11 14 13 28",
  "20 22 20 20 22 22 22 23 22 23 23 23 23 23 24 23",
  "24 24 22 23 24 23 23 23 23 21 22 23 22 23 23 24",
  "22 21 20 22 22 23 23 21 23 22 22 24 21 22 23 23",
  "21 21 22 21 23 22 23 23 20 22 22 22 23 22 22 23",
  "26 26 20 19 22 23 22 25 26 26 26 27 27 26 24 25",
  "19 21 26 27 27 26 27 24 21 21 26 26 28 27 27 27",
  "20 24 20 21 22 21 21 23 22 22 25 25 24 24 26 23",
  "26 27 26 26 27 27 27 27 27 28 27 27 27 27 27 26",
  "30",
].flatMap((line) => line.split(" ").map(Number));

/** The symbols by the length and value of their codes. */
const SYMBOLS: ReadonlyMap<string, number> = (() => {
  const symbols = new Map<string, number>();
  let code = 0;
  for (let length = 1; length <= 30; length++) {
    for (const [symbol, own] of LENGTHS.entries()) {
      if (own === length) symbols.set(`${length} ${code++}`, symbol);
    }
    code <<= 1;
  }
  return symbols;
})();

/** A field as a literal that is never indexed, without Huffman code; each character is a byte. */
export function literal(name: string, value: string): string {
  return `\x10${text(name)}${text(value)}`;
}

function text(value: string): string {
  let length = "";
  let rest = value.length;
  if (rest < 127) length = String.fromCharCode(rest);
  else {
    length = "\x7f";
    for (rest -= 127; rest >= 128; rest >>= 7) {
      length += String.fromCharCode(rest & 127 | 128);
    }
    length += String.fromCharCode(rest);
  }
  return length + value;
}

/** Reads header blocks of a peer that was told to keep no table. */
export class Hpack {
  #bytes = new Uint8Array(0);
  #at = 0;

  /** @throws if the block is not one, or uses a table. */
  decode(parts: readonly Uint8Array[]): [string, string][] {
    this.#bytes = Uint8Array.from(parts.flatMap((part) => [...part]));
    this.#at = 0;
    const fields: [string, string][] = [];
    while (this.#at < this.#bytes.length) {
      const first = this.#bytes[this.#at]!;
      if ((first & 0x80) !== 0) {
        fields.push([...known(this.#number(7))]);
      } else if ((first & 0xe0) === 0x20) {
        this.#number(5);
      } else {
        const index = this.#number((first & 0x40) !== 0 ? 6 : 4);
        const name = index === 0 ? this.#text() : known(index)[0];
        fields.push([name, this.#text()]);
      }
    }
    return fields;
  }

  #number(bits: number): number {
    const full = (1 << bits) - 1;
    let value = this.#bytes[this.#at++]! & full;
    if (value < full) return value;
    for (let shift = 0;; shift += 7) {
      const byte = this.#bytes[this.#at++]!;
      value += (byte & 127) << shift;
      if ((byte & 128) === 0) return value;
    }
  }

  #text(): string {
    const coded = (this.#bytes[this.#at]! & 0x80) !== 0;
    const length = this.#number(7);
    const bytes = this.#bytes.subarray(this.#at, this.#at += length);
    return coded ? expand(bytes) : String.fromCharCode(...bytes);
  }
}

function known(index: number): readonly [string, string] {
  const entry = STATIC[index - 1];
  if (entry === undefined) {
    throw new Error(`Cannot read field ${index}: there is no table`);
  }
  return entry;
}

function expand(bytes: Uint8Array): string {
  let all = "";
  let code = 0;
  let length = 0;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = code << 1 | (byte >> bit & 1);
      const symbol = SYMBOLS.get(`${++length} ${code}`);
      if (symbol === undefined) continue;
      all += String.fromCharCode(symbol);
      code = length = 0;
    }
  }
  return all;
}
