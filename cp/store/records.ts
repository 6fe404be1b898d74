import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { z } from "zod";
import { keyText } from "./keys.ts";
import {
  type EndedRollout,
  type Head,
  type Orders,
  type RouterRecord,
  StoreDamaged,
  type VersionInfo,
} from "./store.ts";

/** Bytes of a seal: a SHA-256. */
const SEAL_BYTES = 32;

const DIGEST = z.templateLiteral(["sha256:", z.string().regex(/[0-9a-f]{64}/)]);
const VERSION = z.int().min(1);

/** The store's own record. */
export const STORE_SHAPE = z.object({
  /** The layout of everything below; another one cannot be read. */
  format: z.int(),
  createdAt: z.string(),
});

const ORDERS_SHAPE: z.ZodType<Orders> = z.object({
  holds: z.array(z.object({
    id: z.string(),
    version: z.int().min(0),
    customers: z.array(z.string()),
    untilReleased: z.boolean().default(false),
    endedBy: VERSION.nullable().default(null),
    createdAt: z.string(),
    until: z.string(),
    author: z.string().nullable(),
    cutStreamsMs: z.number().nullable(),
  })),
  cuts: z.array(z.object({
    version: VERSION,
    afterMs: z.number(),
    until: z.string(),
  })),
});

const COUNT_SHAPE = z.object({
  requests: z.number().min(0),
  errors: z.number().min(0),
}).nullable();

const ROLLOUT_FIELDS = {
  version: VERSION,
  before: VERSION,
  startedAt: z.string(),
  until: z.string(),
  author: z.string().nullable(),
  holdMs: z.number(),
  maxErrors: z.number(),
  canaries: z.array(z.object({
    id: z.string(),
    instance: z.string().nullable(),
    counted: COUNT_SHAPE,
    before: COUNT_SHAPE,
  })),
};

export const ROLLOUT_SHAPE: z.ZodType<EndedRollout> = z.object({
  ...ROLLOUT_FIELDS,
  outcome: z.enum(["promoted", "halted", "aborted"]),
  endedAt: z.string(),
  endedBy: z.string().nullable(),
  reason: z.string().nullable(),
  takenBackBy: VERSION.nullable(),
  ends: z.array(z.object({
    id: z.string(),
    state: z.string(),
    counted: COUNT_SHAPE,
  })),
});

export const HEAD_SHAPE: z.ZodType<Head> = z.object({
  version: z.int().min(0),
  epoch: z.string().min(1),
  digest: DIGEST.nullable(),
  supersedes: z.array(z.string()),
  // Releases before 0.2 have none.
  orders: ORDERS_SHAPE.default({ holds: [], cuts: [] }),
  trial: z.object({
    version: VERSION,
    before: VERSION,
    until: z.string(),
    withinMs: z.number(),
  }).nullable().default(null),
  rollout: z.object(ROLLOUT_FIELDS).nullable().default(null),
  guardedSince: z.int().min(0).optional(),
  assertions: z.string().nullable().default(null),
}).refine((head) => (head.version === 0) === (head.digest === null))
  // A head that does not say was written by software without a guard.
  .transform((head) => ({
    ...head,
    guardedSince: head.guardedSince ?? head.version,
  }));

export const INFO_SHAPE: z.ZodType<VersionInfo> = z.object({
  version: VERSION,
  epoch: z.string().min(1),
  digest: DIGEST,
  createdAt: z.string(),
  author: z.string().nullable(),
  message: z.string().nullable(),
  traceparent: z.string().optional(),
  customers: z.int().min(0),
  placements: z.int().min(0),
  assertions: z.string().optional(),
});

export const RULES_SHAPE = z.object({ text: z.string() });

/** What stays known of every version. */
export const DIGEST_SHAPE = z.object({
  epoch: z.string().min(1),
  digest: DIGEST,
});

export const ROUTER_SHAPE: z.ZodType<RouterRecord> = z.object({
  id: z.string(),
  instance: z.string().nullable(),
  address: z.string(),
  connectedSince: z.string(),
  goneSince: z.string().nullable(),
  controlPlane: z.string(),
  liveUntil: z.string(),
  version: z.number().nullable(),
  epoch: z.string().nullable(),
  digest: z.string().nullable(),
  durable: z.boolean().nullable(),
  // Releases before 0.2 did not keep it.
  appliedAt: z.string().nullable().default(null),
  oldWork: z.object({
    version: VERSION,
    epoch: z.string().nullable(),
    requests: z.int().min(0),
    streams: z.int().min(0),
    oldestMs: z.number().min(0),
  }).nullable().default(null),
  holds: z.array(z.object({
    id: z.string(),
    requests: z.int().min(0),
    streams: z.int().min(0),
    oldestMs: z.number().min(0),
    waiting: z.int().min(0),
  })).default([]),
  counted: COUNT_SHAPE.default(null),
  lastMinute: COUNT_SHAPE.default(null),
  features: z.array(z.string()).default([]),
  status: z.string(),
  error: z.string().nullable(),
  lastPong: z.string().nullable(),
});

/** Some bytes behind their SHA-256, so that a reader knows them from others. */
export function seal(payload: Uint8Array): Uint8Array {
  const sealed = new Uint8Array(SEAL_BYTES + payload.length);
  sealed.set(createHash("sha256").update(payload).digest());
  sealed.set(payload, SEAL_BYTES);
  return sealed;
}

/**
 * The bytes behind a seal.
 *
 * @throws {StoreDamaged} if the value is missing, no bytes, or not what was sealed.
 */
export function unseal(key: Deno.KvKey, value: unknown): Uint8Array {
  if (!(value instanceof Uint8Array)) {
    throw damaged(key, value === null ? "it is missing" : "it is no bytes");
  }
  const payload = value.subarray(SEAL_BYTES);
  const found = createHash("sha256").update(payload).digest();
  if (Buffer.compare(found, value.subarray(0, SEAL_BYTES)) !== 0) {
    throw damaged(key, "its contents do not match their SHA-256");
  }
  return payload;
}

/** A record as sealed JSON. */
export function encodeRecord(record: unknown): Uint8Array {
  return seal(new TextEncoder().encode(JSON.stringify(record)));
}

/**
 * Reads a record that {@linkcode encodeRecord} wrote.
 *
 * @throws {StoreDamaged} if it is missing, damaged, or of another shape.
 */
export function decodeRecord<T>(
  entry: { readonly key: Deno.KvKey; readonly value: unknown },
  shape: z.ZodType<T>,
): T {
  const payload = unseal(entry.key, entry.value);
  try {
    return shape.parse(JSON.parse(new TextDecoder().decode(payload)));
  } catch (cause) {
    throw damaged(entry.key, "its fields are not those of its kind", { cause });
  }
}

/** The error about a damaged value, naming its key. */
export function damaged(
  key: Deno.KvKey,
  why: string,
  options?: ErrorOptions,
): StoreDamaged {
  const text = keyText(key);
  return new StoreDamaged(
    `Cannot use ${text} of the store: ${why}`,
    text,
    options,
  );
}
