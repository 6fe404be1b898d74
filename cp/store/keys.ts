/** The keys of the store in its database. */

const ROOT = "signalbox";

/** Everything of ours; a database on Deno Deploy may hold other things as well. */
export const ROOT_PREFIX: Deno.KvKey = [ROOT];
/** Format and birth of the store. */
export const STORE_KEY: Deno.KvKey = [ROOT, "store"];
/** Where the store stands; every commit checks its versionstamp. */
export const HEAD_KEY: Deno.KvKey = [ROOT, "head"];
/** Written with each batch of deleted chunks; every commit checks its versionstamp. */
export const SWEPT_KEY: Deno.KvKey = [ROOT, "swept"];
/** Written by a commit that failed several times; who deletes chunks then waits. */
export const HOLD_KEY: Deno.KvKey = [ROOT, "hold"];
export const INFO_PREFIX: Deno.KvKey = [ROOT, "info"];
export const MANIFEST_PREFIX: Deno.KvKey = [ROOT, "manifest"];
export const DIGEST_PREFIX: Deno.KvKey = [ROOT, "digest"];
export const CHUNK_PREFIX: Deno.KvKey = [ROOT, "chunk"];
export const ROUTER_PREFIX: Deno.KvKey = [ROOT, "router"];
export const ROLLOUT_PREFIX: Deno.KvKey = [ROOT, "rollout"];

/** Rules that versions have to satisfy, by their digest. */
export function rulesKey(digest: string): Deno.KvKey {
  return [ROOT, "rules", digest];
}

/** What is known of a version without its config. */
export function infoKey(version: number): Deno.KvKey {
  return [...INFO_PREFIX, version];
}

/** Which chunks a version is made of. */
export function manifestKey(version: number): Deno.KvKey {
  return [...MANIFEST_PREFIX, version];
}

/** Epoch and digest of a version, kept for ever. */
export function digestKey(version: number): Deno.KvKey {
  return [...DIGEST_PREFIX, version];
}

/** How the staged rollout of a version ended. */
export function rolloutKey(version: number): Deno.KvKey {
  return [...ROLLOUT_PREFIX, version];
}

/** One value of a chunk; `id` is the 36 bytes of a {@linkcode ChunkRef}. */
export function chunkKey(id: Uint8Array, part: number): Deno.KvKey {
  return [...CHUNK_PREFIX, id, part];
}

/** One router of the roster. */
export function routerKey(id: string): Deno.KvKey {
  return [...ROUTER_PREFIX, id];
}

/** A key as text, for messages: its parts joined by slashes, bytes as hex. */
export function keyText(key: Deno.KvKey): string {
  return key.map((part) => part instanceof Uint8Array ? part.toHex() : part)
    .join("/");
}
