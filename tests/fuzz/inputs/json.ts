import type { Random } from "../../harness/random.ts";

/** A JSON document as it is written: unlike an object it can hold a key twice. */
export type Doc =
  | null
  | boolean
  | number
  | string
  | readonly Doc[]
  | { readonly members: readonly (readonly [key: string, value: Doc])[] };

const KEYS = [
  "a",
  "b",
  "",
  "__proto__",
  "constructor",
  "~",
  "/",
  "a/b",
  "0",
  "é",
  '"',
  "\\",
  "toString",
];
const STRINGS = ["", "a", "\u2028", '"\\', "\ud800", "\u{1f600}", "\t", "null"];
const NUMBERS = [0, -0, 1, -1, 0.1, 1e21, 5e-324, 2 ** 53, -12.5e-7];

/** An object's document. */
export function objectDoc(
  members: readonly (readonly [string, Doc])[],
): Doc {
  return { members };
}

/** Any document; `depth` is how deep it may nest. */
export function anyDoc(random: Random, depth = 4): Doc {
  switch (random.below(depth > 0 ? 9 : 5)) {
    case 0:
      return null;
    case 1:
      return random.once(2);
    case 2:
      return random.pick(NUMBERS);
    case 3:
      return random.pick(STRINGS);
    case 4:
      return random.text("abcdefgh", 0, 8);
    case 5:
    case 6:
      return random.list(6, () => anyDoc(random, depth - 1));
    default:
      return objectDoc(
        random.list(6, () => [random.pick(KEYS), anyDoc(random, depth - 1)]),
      );
  }
}

/** The text of a document; with `random` it has white space, escapes and numbers as nobody writes them. */
export function docText(doc: Doc, random: Random | null = null): string {
  if (doc === null || typeof doc === "boolean") return String(doc);
  if (typeof doc === "number") return numberText(doc, random);
  if (typeof doc === "string") return stringText(doc, random);
  const space = () => random === null ? "" : random.pick(SPACES);
  if ("members" in doc) {
    const members = doc.members.map(([key, value]) =>
      `${space()}${stringText(key, random)}${space()}:${space()}${
        docText(value, random)
      }${space()}`
    );
    return `{${members.join(",") || space()}}`;
  }
  const items = doc.map((item) =>
    `${space()}${docText(item, random)}${space()}`
  );
  return `[${items.join(",") || space()}]`;
}

const SPACES = ["", "", "", "", " ", "\n", "\t", "\r\n  "];

function numberText(number: number, random: Random | null): string {
  const plain = Object.is(number, -0) ? "-0" : String(number);
  if (random === null || /e/.test(plain) || !random.once(4)) return plain;
  return random.pick([`${plain}e0`, `${plain}E+00`, `${plain}e-0`]);
}

function stringText(text: string, random: Random | null): string {
  const plain = JSON.stringify(text);
  if (random === null || text === "" || !random.once(8)) return plain;
  const at = random.below(text.length);
  const code = text.charCodeAt(at).toString(16).padStart(4, "0");
  const rest = (part: string) => JSON.stringify(part).slice(1, -1);
  return `"${rest(text.slice(0, at))}\\u${code}${rest(text.slice(at + 1))}"`;
}

/** A text that nests deep, or nearly as deep as is allowed. */
export function deepText(random: Random): string {
  const depth = random.pick([63, 64, 65, 66, 1000, 20_000]);
  const [open, close] = random.pick([["[", "]"], ['{"a":', "}"]]);
  return open.repeat(depth) + "1" + (random.once(4) ? "" : close.repeat(depth));
}
