import { gzipSync } from "node:zlib";
import {
  canonicalLength,
  canonicalText,
  configDigest,
} from "../../../shared/canonical.ts";
import { type Config, parseConfigText } from "../../../shared/config.ts";
import { CustomerMap } from "../../../shared/customers.ts";
import { JsonSyntaxError } from "../../../shared/json.ts";
import { packCanonical } from "../../../router/config/canonical_reader.ts";
import {
  type ConfigContents,
  readConfig,
} from "../../../router/config/config_reader.ts";
import { NameTable } from "../../../router/config/name_table.ts";
import type { PackedConfig } from "../../../router/config/packed_config.ts";
import { configDoc, configParts, customerName } from "../inputs/config.ts";
import { docText, objectDoc } from "../inputs/json.ts";
import {
  canonicalForm,
  type PlainConfig,
  plainConfig,
} from "../models/config_model.ts";
import { modelJson } from "../models/json_model.ts";
import { mutate, soundOrNot } from "../mutate.ts";
import type { Random } from "../../harness/random.ts";
import { ensure, ensureSame, target, type Verdict } from "../target.ts";

const MAX_BYTES = 1024 * 1024;
const TOKENS = [
  "http://",
  "https://a",
  '"a":"b",',
  '"customer_to_placement"',
  '"default_placement"',
  '},"default_placement":',
  "@",
  "?",
  "#",
  "\\u0061",
  '\\"',
  "\\\\",
];

/** Any text as a config file: taken if and only if the rules hold, with the digest the specification says. */
export const config = target({
  name: "config",
  weight: 30,
  make: (random) => ({
    text: soundOrNot(random, () => docText(configDoc(random), random), {
      tokens: TOKENS,
    }),
    changes: random.list(
      5,
      (): [string, boolean] => [customerName(random), random.once(3)],
    ),
  }),
  check: checkText,
  show: ({ text }) => text,
});

/** Canonical text and what it is mutated to: the router's scanner takes it only where it is canonical again. */
export const canonical = target({
  name: "canonical",
  weight: 40,
  make: (random) => nearlyCanonical(random),
  check(text) {
    const bytes = new TextEncoder().encode(text);
    const packed = packCanonical(bytes);
    const parsed = parsedOrNull(new TextDecoder().decode(bytes));
    if (packed === null) {
      ensure(
        parsed === null || canonicalText(parsed) !== text,
        "packCanonical() refuses canonical text",
      );
    } else {
      ensure(parsed !== null, "packCanonical() takes what is no config");
      ensureSame(canonicalText(parsed), text, "packCanonical() takes");
      checkPacked(packed, parsed);
    }
    agree({ kind: "text", text: bytes }, parsed);
    return packed === null ? "refused" : "accepted";
  },
  show: (text) => text,
});

/** What arrives in parts: one gzip member, or nearly. */
export const gzip = target({
  name: "gzip",
  weight: 15,
  make(random) {
    const text = random.once(4)
      ? docText(configDoc(random), random)
      : nearlyCanonical(random);
    const bytes = gzipSync(text, { level: random.pick([0, 1, 6]) });
    const member = Array.from(
      bytes,
      (byte) => String.fromCharCode(byte),
    ).join("");
    return {
      text,
      member: soundOrNot(random, () => member, {
        bytes: true,
        tokens: [member, "\x1f\x8b\x08\0", "\0\0\xff\xff"],
      }),
      whole: random.once(20) ? text.length - random.below(3) : MAX_BYTES,
      sound: member,
    };
  },
  check({ text, member, whole, sound }): Verdict {
    const bytes = Uint8Array.from(member, (char) => char.charCodeAt(0));
    const maxBytes = Math.max(1, whole);
    const read = readConfig({ kind: "gzip", gzip: bytes }, {
      maxBytes,
      digest: null,
    });
    if (member === sound) {
      const length = new TextEncoder().encode(text).length;
      const parsed = length > maxBytes ? null : parsedOrNull(text);
      ensureSame(read.ok, parsed !== null, "A sound member is taken");
      if (read.ok) {
        ensureSame(read.packed.digest, configDigest(parsed!), "Digest");
      }
    }
    if (!read.ok) return "refused";
    ensure(read.packed.text.length <= MAX_BYTES, "It is larger than the limit");
    const { digest } = read.packed;
    // The checksum can hold by chance; what is taken is then the config that its own text says.
    const own = parsedOrNull(new TextDecoder().decode(read.packed.text));
    ensureSame(own && configDigest(own), digest, "Digest of its own text");
    const other = `sha256:${"0".repeat(64)}`;
    const options = { maxBytes, digest: other };
    const refused = readConfig({ kind: "gzip", gzip: bytes }, options);
    ensure(!refused.ok, "A config of another digest is taken");
    return "accepted";
  },
  show: ({ member }) => member,
});

function nearlyCanonical(random: Random): string {
  const parts = configParts(random);
  const { text } = canonicalForm({
    defaultPlacement: parts.defaultPlacement as string,
    customers: new Map(parts.customers as [string, string][]),
    endpoints: new Map(parts.endpoints as [string, string][]),
  });
  if (random.once(3)) return text;
  if (random.once(8)) {
    return docText(objectDoc([
      ["customer_to_placement", objectDoc(random.shuffled(parts.customers))],
      ["default_placement", parts.defaultPlacement],
      ["placement_to_endpoint", objectDoc(random.shuffled(parts.endpoints))],
    ]));
  }
  return mutate(random, text, { tokens: TOKENS });
}

function parsedOrNull(text: string): Config | null {
  try {
    const result = parseConfigText(text);
    return result.ok ? result.config : null;
  } catch (error) {
    ensure(error instanceof JsonSyntaxError, `parseConfigText(): ${error}`);
    return null;
  }
}

/** What a text says by the rules alone. */
function modelOf(text: string): PlainConfig | null {
  const document = modelJson(text);
  return document === null || document.repeated.length > 0
    ? null
    : plainConfig(document.value);
}

function checkText(
  { text, changes }: { text: string; changes: (readonly [string, boolean])[] },
): Verdict {
  const model = modelOf(text);
  const parsed = parsedOrNull(text);
  ensureSame(parsed !== null, model !== null, "It is a valid config");
  // Surrogates without their other half do not survive UTF-8, so they are no text of a file.
  if (text.isWellFormed()) {
    const bytes = new TextEncoder().encode(text);
    agree({ kind: "text", text: bytes }, parsed);
    if (packCanonical(bytes) !== null) {
      ensureSame(model && canonicalForm(model).text, text, "It is canonical");
    }
  }
  if (parsed === null || model === null) return "refused";
  const form = canonicalForm(model);
  ensureSame(canonicalText(parsed), form.text, "Canonical text");
  ensureSame(configDigest(parsed), form.digest, "Digest");
  ensureSame(canonicalLength(parsed), form.text.length, "Canonical length");
  const again = parsedOrNull(form.text);
  ensureSame(again && configDigest(again), form.digest, "Digest, read again");
  const packed = packCanonical(new TextEncoder().encode(form.text));
  ensure(packed !== null, "Its canonical text is not taken");
  checkPacked(packed, parsed);
  checkChanges(parsed, model, changes);
  return "accepted";
}

/** What a router makes of contents is what the shared parser makes of them. */
function agree(contents: ConfigContents, parsed: Config | null): void {
  const read = readConfig(contents, { maxBytes: MAX_BYTES, digest: null });
  ensureSame(read.ok, parsed !== null, "readConfig() takes it");
  if (read.ok) checkPacked(read.packed, parsed!);
  else ensure(read.error !== "", "It is refused without a reason");
}

function checkPacked(packed: PackedConfig, parsed: Config): void {
  ensureSame(
    packed.digest,
    configDigest(parsed),
    "Digest of the packed config",
  );
  ensureSame(packed.size, parsed.customers.size, "Customers");
  ensureSame(packed.defaultPlacement, parsed.defaultPlacement, "Default");
  const table = new NameTable(packed.text, packed.customers);
  const placements = [...packed.endpoints.keys()];
  for (const [customer, placement] of parsed.customers.entries()) {
    ensureSame(placements[table.get(customer)], placement, customer);
    ensureSame(parsed.customers.get(customer), placement, customer);
    // Its neighbours by name are found only if they are customers too.
    for (const near of [`${customer}x`, customer.slice(1), `"${customer}`]) {
      const expected = /^[!-~]+$/.test(near)
        ? parsed.customers.get(near)
        : undefined;
      ensureSame(placements[table.get(near)], expected, near);
    }
  }
  for (const [placement, url] of parsed.endpoints) {
    ensureSame(packed.endpoints.get(placement), url, placement);
  }
}

/** Changing a map bucket by bucket gives what a map made anew would be. */
function checkChanges(
  parsed: Config,
  model: PlainConfig,
  changes: readonly (readonly [string, boolean])[],
): void {
  const expected = new Map(model.customers);
  const wanted = new Map<string, string | null>();
  for (const [customer, away] of changes) {
    wanted.set(customer, away ? null : parsed.defaultPlacement);
    if (away) expected.delete(customer);
    else expected.set(customer, parsed.defaultPlacement);
  }
  const changed = parsed.customers.with(wanted);
  const fresh = CustomerMap.from(expected);
  ensureSame(changed.size, fresh.size, "Customers after changes");
  for (const [index, { fragment }] of changed.buckets.entries()) {
    ensureSame(fragment, fresh.buckets[index]!.fragment, `Bucket ${index}`);
  }
}
