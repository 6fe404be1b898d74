import { createHash } from "node:crypto";
import { endpointProblem } from "../../../shared/endpoint.ts";
import type { JsonValue } from "../../../shared/json.ts";

/** A config as plain pairs. */
export interface PlainConfig {
  readonly defaultPlacement: string;
  readonly customers: ReadonlyMap<string, string>;
  readonly endpoints: ReadonlyMap<string, string>;
}

/** A value as a config by the rules of SPEC section 3; null if it breaks one. */
export function plainConfig(value: JsonValue): PlainConfig | null {
  if (!(value instanceof Map) || value.size !== 3) return null;
  const endpoints = value.get("placement_to_endpoint");
  const customers = value.get("customer_to_placement");
  const chosen = value.get("default_placement");
  if (!(endpoints instanceof Map && customers instanceof Map)) return null;
  for (const [name, url] of endpoints) {
    if (!isName(name, /^[A-Za-z0-9._-]+$/, 128)) return null;
    if (typeof url !== "string" || endpointProblem(url) !== null) return null;
  }
  for (const [name, placement] of customers) {
    if (!isName(name, /^[!-~]+$/, 256)) return null;
    if (typeof placement !== "string" || !endpoints.has(placement)) return null;
  }
  if (typeof chosen !== "string" || !endpoints.has(chosen)) return null;
  return {
    defaultPlacement: chosen,
    customers: customers as Map<string, string>,
    endpoints: endpoints as Map<string, string>,
  };
}

function isName(name: string, form: RegExp, most: number): boolean {
  return form.test(name) && name.length <= most && name !== "." &&
    name !== "..";
}

/** The canonical text and the digest of a config, straight from SPEC section 3. */
export function canonicalForm(
  config: PlainConfig,
): { readonly text: string; readonly digest: string } {
  const buckets = Array.from({ length: 1024 }, (): [string, string][] => []);
  for (const pair of config.customers) {
    buckets[fnv1a(pair[0]) % 1024]!.push(pair);
  }
  const fragments = buckets.map((pairs) =>
    pairsText(pairs.sort(([a], [b]) => a < b ? -1 : 1))
  );
  const sorted = [...config.endpoints].sort(([a], [b]) => a < b ? -1 : 1);
  const tail = `},"default_placement":${
    JSON.stringify(config.defaultPlacement)
  },"placement_to_endpoint":{${pairsText(sorted)}}}`;
  const used = fragments.filter((fragment) => fragment !== "");
  const hash = createHash("sha256").update(sha256(tail));
  for (const fragment of fragments) hash.update(sha256(fragment));
  return {
    text: `{"customer_to_placement":{${used.join(",")}${tail}`,
    digest: `sha256:${hash.digest("hex")}`,
  };
}

const NOTHING = createHash("sha256").digest();

function sha256(text: string): Uint8Array {
  return text === "" ? NOTHING : createHash("sha256").update(text).digest();
}

function pairsText(pairs: readonly (readonly [string, string])[]): string {
  return pairs.map(([key, value]) =>
    `${JSON.stringify(key)}:${JSON.stringify(value)}`
  ).join(",");
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5n;
  for (const byte of new TextEncoder().encode(text)) {
    hash = (hash ^ BigInt(byte)) * 0x01000193n & 0xffffffffn;
  }
  return Number(hash);
}
