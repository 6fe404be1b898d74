import {
  BESIDE,
  CODINGS,
  DATA_ENDS,
  LAST_CHUNKS,
  LENGTHS,
  REQUEST_LINES,
  SIZES,
} from "./smuggling_forms.ts";

/** What one client sends on a connection of its own: a request in doubt, and a second one in its body or behind it. */
export interface Input {
  readonly text: string;
  /** The text in the parts in which it is sent. */
  readonly parts: readonly string[];
}

/** Numbers that are the same in every run (a linear congruential generator, modulo 2 ** 32). */
class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** A whole number from 0 on, below `limit`. */
  below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0;
    return Math.floor(this.#state / 2 ** 32 * limit);
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

/** How the second request lies behind the head of the first. */
const BODIES: readonly ((second: string) => string)[] = [
  (second) => second,
  (second) => `0\r\n\r\n${second}`,
  (second) => chunk(second) + "0\r\n\r\n",
  (second) => `5\r\nhello\r\n0\r\n\r\n${second}`,
  (second) => `hello${second}`,
];

const METHODS = ["POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS"];

const LINE = "{method} {target} HTTP/1.1\r\n";

function chunk(data: string): string {
  return `${data.length.toString(16)}\r\n${data}\r\n`;
}

/** Every input of the suite, the same for the same seed. Each has targets of its own. */
export function smugglingInputs(seed: number): Input[] {
  const chance = new Chance(seed);
  const inputs: Input[] = [];
  const known = new Set<string>();

  /** `body` gets the second request; `numbers` are the lengths that `@` may stand for. */
  const add = (
    fields: string,
    body: (second: string) => string,
    {
      line = LINE,
      method = chance.of(METHODS),
      mutate = (text: string) => text,
    } = {},
  ) => {
    const id = String(inputs.length).padStart(5, "0");
    const second =
      `GET /smuggled/${id} HTTP/1.1\r\nHost: a.example\r\nX-Routing-Key: acme\r\n\r\n`;
    const rest = body(second);
    // What a length may count: everything, nothing, a word, or all that comes before the second request.
    const length = chance.of([
      rest.length,
      rest.length,
      0,
      5,
      rest.indexOf(second),
    ]);
    const count = (text: string) =>
      text.replaceAll("@", String(Math.max(0, length)));
    const start = line.replace("{method}", method).replace(
      "{target}",
      `/first/${id}`,
    );
    const head = `Host: a.example\r\nX-Routing-Key: acme\r\n`;
    const text = start + head + mutate(`${count(fields)}\r\n${count(rest)}`);
    // By chance some come a second time.
    const shape = text.replaceAll(`/${id} `, "");
    if (known.has(shape)) return;
    known.add(shape);
    inputs.push({ text, parts: cut(text, chance) });
  };

  for (const length of LENGTHS) {
    for (const body of BODIES) for (let i = 0; i < 2; i++) add(length, body);
  }
  for (const coding of CODINGS) {
    for (const body of BODIES) add(coding, body);
  }
  for (let i = 0; i < 1000; i++) {
    const length = i % 3 === 0 ? LENGTHS[i % 7]! : chance.of(LENGTHS);
    const coding = i % 3 === 1 ? CODINGS[i % 4]! : chance.of(CODINGS);
    const between = chance.of(["", "", "X: y\r\n", chance.of(BESIDE)]);
    add(
      i % 2 === 0 ? length + between + coding : coding + between + length,
      chance.of(BODIES),
    );
  }
  for (const list of [LENGTHS, CODINGS]) {
    for (let i = 0; i < 100; i++) {
      add(chance.of(list) + chance.of(list), chance.of(BODIES));
    }
  }
  const chunked = CODINGS[0]!;
  for (const size of SIZES) {
    const odd = `${size}abc\r\n`;
    add(chunked, (second) => `${odd}0\r\n\r\n${second}`);
    add(chunked, (second) => `${odd}${chunk(second)}0\r\n\r\n`);
    add(chunked, (second) => `5\r\nhello\r\n${odd}0\r\n\r\n${second}`);
    // The size line itself, with the size of what would be smuggled.
    add(
      chunked,
      (second) =>
        `${
          size.replace("3", second.length.toString(16))
        }${second}\r\n0\r\n\r\n`,
    );
    add(
      chunked,
      (second) =>
        `${
          size.replace("3", second.length.toString(16).toUpperCase())
        }${second}\r\n0\r\n\r\n${second.replace("smuggled", "again")}`,
    );
  }
  for (const end of DATA_ENDS) {
    add(chunked, (second) => `3\r\nabc${end}0\r\n\r\n${second}`);
    add(chunked, (second) => `3\r\nabc${end}${chunk(second)}0\r\n\r\n`);
    add(chunked, (second) => `${chunk(second).slice(0, -2)}${end}0\r\n\r\n`);
    add(chunked, (second) => `0${end}\r\n${second}`);
  }
  for (const last of LAST_CHUNKS) {
    add(chunked, (second) => last + second);
    add(chunked, (second) => chunk("abc") + last + second);
    add(chunked, (second) => chunk(second) + last);
  }
  for (const beside of BESIDE) {
    for (const framing of ["", LENGTHS[0]!, chunked, chunked + LENGTHS[0]!]) {
      add(beside + framing, chance.of(BODIES));
      add(framing + beside, chance.of(BODIES));
    }
  }
  for (const line of REQUEST_LINES) {
    for (const framing of ["", LENGTHS[0]!, chunked, LENGTHS[0]! + chunked]) {
      add(framing, chance.of(BODIES), { line });
    }
  }
  const sound = [LENGTHS[0]!, chunked, LENGTHS[3]!, CODINGS[3]!];
  for (let i = 0; i < 300; i++) {
    add(chance.of(sound), chance.of(BODIES), {
      mutate: (text) => otherLineEnd(text, chance),
    });
  }
  for (let i = 0; i < 500; i++) {
    add(chance.of(sound) + chance.of(["", "X: y\r\n"]), chance.of(BODIES), {
      mutate: (text) => otherByte(text, chance),
    });
  }
  return inputs;
}

/** Up to where a text may be changed: the second request stays as it is. */
function changeable(text: string): number {
  return text.indexOf("GET /smuggled/");
}

/** Puts something else in place of one of the first line ends. */
function otherLineEnd(text: string, chance: Chance): string {
  const ends = [...text.slice(0, changeable(text)).matchAll(/\r\n/g)];
  const { index } = chance.of(ends);
  const other = chance.of([
    "\n",
    "\r",
    "\n\r",
    "\r\r\n",
    "\r\n\r\n",
    "\0",
    "\r\n ",
    "\x0b",
    "\x85",
    "",
  ]);
  return text.slice(0, index) + other + text.slice(index + 2);
}

/** Puts a byte in, or in place of another, or takes one out, near the framing. */
function otherByte(text: string, chance: Chance): string {
  const at = chance.below(Math.min(changeable(text), 60));
  const byte = chance.of([...'\0\t\n\v\f\r \x1f\x7f\x85\xa0\xff,;:_+-"x0']);
  switch (chance.below(3)) {
    case 0:
      return text.slice(0, at) + byte + text.slice(at);
    case 1:
      return text.slice(0, at) + byte + text.slice(at + 1);
    default:
      return text.slice(0, at) + text.slice(at + 1);
  }
}

/** Most inputs go in one part; the rest in up to four. */
function cut(text: string, chance: Chance): string[] {
  if (chance.below(3) > 0) return [text];
  const places = Array.from(
    { length: 3 },
    () => 1 + chance.below(text.length - 1),
  );
  const parts: string[] = [];
  let from = 0;
  for (const place of [...places.sort((a, b) => a - b), text.length]) {
    if (place > from) parts.push(text.slice(from, place));
    from = Math.max(from, place);
  }
  return parts;
}
