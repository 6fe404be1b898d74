import type { Random } from "../../harness/random.ts";
import { anyDoc, type Doc, objectDoc } from "./json.ts";

const VISIBLE = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCXYZ[\\]^_`abcxyz{|}~";
const PLACEMENT_LETTERS = "ABCXYZabcxyz0123456789._-";
const SPECIAL_CUSTOMERS = [
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  '"',
  "\\",
  '\\"',
  'x":"a',
  "...",
  "~",
  "~1",
  "%2e",
];
const BAD_NAMES = ["", ".", "..", "a b", "é", "a\n", "\x7f", "\u{1f600}"];
const HOSTS = [
  "127.0.0.1",
  "10.0.1.1",
  "cells.example",
  "a",
  "[::1]",
  "[fe80::1:2]",
  "xn--bcher-kva.example",
];
const PATHS = ["", "", "/", "/base", "/a/b/", "/%20", "/~x;y=1", "//"];
const BAD_ENDPOINTS = [
  "",
  "ftp://a",
  "http://",
  "http://u@a",
  "http://a?x",
  "http://a#",
  "http://a/..",
  "http://a/%2E/b",
  "http://a:0",
  "http://a:65536",
  "http://[::1",
  "http://é/",
  "/a",
  "http:/a",
];

/** A customer's name that a config may hold. */
export function customerName(random: Random): string {
  if (random.once(4)) return random.pick(SPECIAL_CUSTOMERS);
  if (random.once(30)) return "c".repeat(random.pick([255, 256]));
  const name = random.text(VISIBLE, 1, 10);
  return name === "." || name === ".." ? "dot" : name;
}

/** A placement's name that a config may hold. */
export function placementName(random: Random): string {
  if (random.once(4)) return random.pick(["__proto__", "constructor", "p.-_"]);
  if (random.once(30)) return "p".repeat(128);
  return `${random.text(PLACEMENT_LETTERS, 1, 6)}x`;
}

/** An endpoint that a config may hold. */
export function endpointUrl(random: Random): string {
  const scheme = random.pick(["http", "http", "https", "HTTP"]);
  const port = random.pick(["", "", ":80", ":9001", ":65535", ":1", ":00080"]);
  return `${scheme}://${random.pick(HOSTS)}${port}${random.pick(PATHS)}`;
}

/** The parts of a config, before anything is wrong with it. */
export interface ConfigParts {
  readonly defaultPlacement: Doc;
  readonly customers: readonly (readonly [string, Doc])[];
  readonly endpoints: readonly (readonly [string, Doc])[];
}

/** The parts of a valid config. */
export function configParts(random: Random): ConfigParts {
  const endpoints = new Map<string, string>();
  for (let left = random.between(1, 4); left > 0; left--) {
    endpoints.set(placementName(random), endpointUrl(random));
  }
  const placements = [...endpoints.keys()];
  const customers = new Map<string, string>();
  const most = random.once(20) ? 300 : 12;
  for (let left = random.below(most); left > 0; left--) {
    customers.set(customerName(random), random.pick(placements));
  }
  return {
    defaultPlacement: random.pick(placements),
    customers: [...customers],
    endpoints: [...endpoints],
  };
}

/** A config's document; one of three is wrong in something. */
export function configDoc(random: Random): Doc {
  const parts = configParts(random);
  return random.once(3)
    ? wrongConfig(random, parts)
    : documentOf(random, parts);
}

/** The document of a config, its fields in any order. */
export function documentOf(random: Random, parts: ConfigParts): Doc {
  return objectDoc(random.shuffled(fieldsOf(parts)));
}

function fieldsOf(parts: ConfigParts): (readonly [string, Doc])[] {
  return [
    ["default_placement", parts.defaultPlacement],
    ["customer_to_placement", objectDoc(parts.customers)],
    ["placement_to_endpoint", objectDoc(parts.endpoints)],
  ];
}

function wrongConfig(random: Random, parts: ConfigParts): Doc {
  const { customers, endpoints } = parts;
  const twice = <T>(list: readonly T[]): T[] =>
    list.length === 0 ? [] : [...list, random.pick(list)];
  switch (random.below(9)) {
    case 0:
      return documentOf(random, {
        ...parts,
        customers: [...customers, [random.pick(BAD_NAMES), "x"]],
      });
    case 1:
      return documentOf(random, {
        ...parts,
        endpoints: [...endpoints, [random.pick(BAD_NAMES), "http://a"]],
      });
    case 2:
      return documentOf(random, {
        ...parts,
        endpoints: [...endpoints, ["bad", random.pick(BAD_ENDPOINTS)]],
      });
    case 3:
      return documentOf(random, {
        ...parts,
        customers: [...customers, ["c", anyDoc(random, 2)]],
      });
    case 4:
      return documentOf(random, {
        ...parts,
        defaultPlacement: random.pick([null, 1, "nowhere", "__proto__", ""]),
      });
    case 5:
      return documentOf(random, { ...parts, customers: twice(customers) });
    case 6:
      return objectDoc(twice(fieldsOf(parts)));
    case 7: {
      const fields = fieldsOf(parts);
      fields[random.below(3)] = [
        random.pick(["__proto__", "version", "customer_to_placement"]),
        anyDoc(random, 2),
      ];
      return objectDoc(fields);
    }
    default:
      return anyDoc(random);
  }
}
