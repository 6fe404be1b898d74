import type { Random } from "../harness/random.ts";

/** What most parsers have a rule about. */
const COMMON = [
  "\0",
  "\n",
  "\r",
  "\r\n",
  "\t",
  " ",
  "\x7f",
  "\x80",
  "\xff",
  "0",
  "-0",
  "1e309",
  "9007199254740993",
  "18446744073709551616",
  "-1",
  "00",
  "0x10",
  ".",
  "..",
  "/",
  "//",
  "%00",
  "%2e%2e",
  "%",
  ",",
  ";",
  ":",
  "=",
  "__proto__",
  "constructor",
  '"',
  "\\",
  "[",
  "]",
  "{",
  "}",
  "null",
  "true",
];

/** What only texts of more than bytes can hold: surrogates alone and in pairs, a byte order mark, line separators. */
const WIDE = ["\ud800", "\udc00", "\u{1f600}", "\ufeff", "\u2028", "é", "İ"];

/** What a text may become; see {@linkcode mutate}. */
export interface Mutation {
  /** Words that mean something to the parser. */
  readonly tokens?: readonly string[];
  /** Whether each character is a byte, so that none above 255 may come in. */
  readonly bytes?: boolean;
  /** A sound text of the same kind, to be spliced with. */
  readonly other?: () => string;
}

/** The text after one to four changes. */
export function mutate(
  random: Random,
  text: string,
  how: Mutation = {},
): string {
  const changes = 1 + random.below(1 + random.below(4));
  for (let i = 0; i < changes; i++) text = change(random, text, how);
  return text;
}

/** Three inputs of four are sound or nearly so; of the others most are mutated much, and some are noise. */
export function soundOrNot(
  random: Random,
  make: () => string,
  how: Mutation = {},
): string {
  const kind = random.below(20);
  if (kind < 8) return make();
  if (kind === 19) return random.bytes(80);
  return mutate(random, make(), { other: make, ...how });
}

function change(random: Random, text: string, how: Mutation): string {
  const from = random.below(text.length + 1);
  const length = random.below(1 + random.below(Math.min(24, text.length) + 1));
  const to = Math.min(text.length, from + length);
  const piece = text.slice(from, to);
  switch (random.below(13)) {
    case 0:
      return flip(random, text);
    case 1:
      return text.slice(0, from) + text.slice(to);
    case 2:
      return text.slice(0, to) + piece + text.slice(to);
    case 3:
    case 4:
      return text.slice(0, from) + token(random, how) + text.slice(from);
    case 5:
      return text.slice(0, from) + token(random, how) + text.slice(to);
    case 6:
      return text.slice(0, from);
    case 7:
      return splice(random, text, how);
    case 8:
      return text.slice(0, from) + random.bytes(3) + text.slice(to);
    case 9:
      return text.slice(0, to) + piece.repeat(random.pick([2, 10, 300])) +
        text.slice(to);
    case 10:
      return otherNumber(random, text);
    case 11: {
      const second = random.below(text.length + 1);
      return text.slice(0, second) + piece + text.slice(second);
    }
    default:
      return text.slice(0, from) + otherCase(piece) + text.slice(to);
  }
}

function token(random: Random, how: Mutation): string {
  const own = how.tokens ?? [];
  if (own.length > 0 && random.once(2)) return random.pick(own);
  return !how.bytes && random.once(4) ? random.pick(WIDE) : random.pick(COMMON);
}

function flip(random: Random, text: string): string {
  if (text === "") return "\x01";
  const at = random.below(text.length);
  const flipped = text.charCodeAt(at) ^ (1 << random.below(8));
  return text.slice(0, at) + String.fromCharCode(flipped) + text.slice(at + 1);
}

function splice(random: Random, text: string, how: Mutation): string {
  const other = how.other?.() ?? text;
  return text.slice(0, random.below(text.length + 1)) +
    other.slice(random.below(other.length + 1));
}

/** One number of the text in another form, or another size. */
function otherNumber(random: Random, text: string): string {
  const numbers = [...text.matchAll(/[0-9]+/g)];
  if (numbers.length === 0) return text + "1";
  const { 0: number, index } = random.pick(numbers);
  const other = random.pick([
    "0",
    `0${number}`,
    `+${number}`,
    `-${number}`,
    `${number}.0`,
    `${number}e1`,
    `${number},${number}`,
    String(Number(number) + 1),
    String(Number(number) - 1),
    "65536",
    "4294967296",
    "9007199254740992",
    "9".repeat(400),
  ]);
  return text.slice(0, index) + other + text.slice(index + number.length);
}

/** Letters of ASCII only: others may become what is no byte. */
function otherCase(text: string): string {
  return text.replaceAll(
    /[A-Za-z]/g,
    (letter) => String.fromCharCode(letter.charCodeAt(0) ^ 0x20),
  );
}

/** Cuts a text at random places; empty parts are left out. */
export function parts(random: Random, text: string): string[] {
  const pieces: string[] = [];
  for (let at = 0; at < text.length;) {
    const length = 1 + random.below(1 + random.below(text.length - at));
    pieces.push(text.slice(at, at + length));
    at += length;
  }
  return pieces;
}
