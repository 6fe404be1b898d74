import type { Config } from "../../shared/config.ts";
import { readConfig } from "./config_reader.ts";
import type { Database, Entry } from "./database.ts";
import {
  DIGEST_PREFIX,
  digestKey,
  HEAD_KEY,
  infoKey,
  keyText,
  manifestKey,
} from "./keys.ts";
import { Manifest } from "./manifest.ts";
import {
  damaged,
  decodeRecord,
  DIGEST_SHAPE,
  HEAD_SHAPE,
  INFO_SHAPE,
} from "./records.ts";
import {
  type Head,
  StoreDamaged,
  StoreUnavailable,
  type Version,
  type VersionInfo,
} from "./store.ts";

/** Times a version is read again because it was replaced or dropped meanwhile. */
const MAX_READS = 20;

/** A head, and the version it stands for. */
export interface Known {
  /** The head's versionstamp. */
  readonly stamp: string;
  readonly head: Head;
  readonly version: Version | null;
  readonly manifest: Manifest | null;
}

/**
 * The newest version, kept in memory with the versionstamp of its head. A strong read of the head
 * tells whether it still is the newest; if not, only the buckets that differ are read.
 */
export class Newest {
  readonly #db: Database;
  #known: Known | null = null;
  #sure = false;
  #loading: { name: string; result: Promise<Known | null> } | null = null;

  constructor(db: Database) {
    this.#db = db;
  }

  /** The config known last, whose buckets later ones may share. */
  get config(): Config | null {
    return this.#known?.version?.config ?? null;
  }

  /** The version known last, which may no longer be the newest. */
  get version(): Version | null {
    return this.#known?.version ?? null;
  }

  /** The newest version, by a strong read of the head. */
  async read(): Promise<Known> {
    for (let read = 0; read < MAX_READS; read++) {
      const known = await this.load(await this.#db.get(HEAD_KEY));
      if (known !== null) return known;
    }
    throw new StoreUnavailable(
      `Cannot read the newest version: it changed during each of ${MAX_READS} reads`,
    );
  }

  /** What a head stands for; null if the head changed while that was read. */
  async load(entry: Entry): Promise<Known | null> {
    const head = decodeRecord(entry, HEAD_SHAPE);
    const stamp = entry.versionstamp!;
    const name = headName({ head, stamp });
    if (this.#sure && this.#known !== null && headName(this.#known) === name) {
      return this.#known;
    }
    // Orders change the head and leave its version as it is.
    if (this.#sure && this.#known !== null && isSame(this.#known.head, head)) {
      const known = { ...this.#known, stamp, head };
      this.keep(known);
      return known;
    }
    // Several who ask for one head share one reading of it.
    if (this.#loading?.name === name) return await this.#loading.result;
    const loading = { name, result: this.#read(head, stamp) };
    this.#loading = loading;
    try {
      const known = await loading.result;
      if (known !== null) this.keep(known);
      return known;
    } finally {
      if (this.#loading === loading) this.#loading = null;
    }
  }

  /** The same, but a version that is damaged is left out where the head itself is sound. */
  async loadSound(entry: Entry): Promise<Known | null> {
    try {
      return await this.load(entry);
    } catch (error) {
      if (!(error instanceof StoreDamaged) || error.key === keyText(HEAD_KEY)) {
        throw error;
      }
      const head = decodeRecord(entry, HEAD_SHAPE);
      return {
        stamp: entry.versionstamp!,
        head,
        version: null,
        manifest: null,
      };
    }
  }

  /** Takes a version for the newest, unless a newer one is known. */
  keep(known: Known): void {
    // Versionstamps grow; a slow read of an older head replaces nothing.
    if (
      this.#sure && this.#known !== null && known.stamp < this.#known.stamp
    ) return;
    this.#known = known;
    this.#sure = true;
  }

  /** Makes the next use read everything about the head again, after a failure or a conflict. */
  doubt(): void {
    this.#sure = false;
  }

  async #read(head: Head, stamp: string): Promise<Known | null> {
    try {
      return await this.#readVersion(head, stamp);
    } catch (error) {
      // With a newer head, this version may have been dropped while it was read.
      const again = await this.#db.get(HEAD_KEY);
      if (again.versionstamp !== stamp) return null;
      throw error;
    }
  }

  async #readVersion(head: Head, stamp: string): Promise<Known> {
    await this.#checkAbove(head);
    if (head.version === 0) {
      return { stamp, head, version: null, manifest: null };
    }
    const [infoEntry, manifestEntry, digestEntry] = await this.#db.snapshot([
      infoKey(head.version),
      manifestKey(head.version),
      digestKey(head.version),
    ]);
    const info = decodeRecord(infoEntry, INFO_SHAPE);
    const record = decodeRecord(digestEntry, DIGEST_SHAPE);
    for (const { epoch, digest } of [info, record]) {
      if (epoch !== head.epoch || digest !== head.digest) {
        throw damaged(
          HEAD_KEY,
          `it names epoch ${head.epoch} and digest ${head.digest} for version ${head.version}, which was committed with ${epoch} and ${digest}`,
        );
      }
    }
    const manifest = openManifest(manifestEntry, info);
    const config = await readConfig(this.#db, manifest, this.config);
    const version = Object.freeze({ ...info, config });
    return { stamp, head, version, manifest };
  }

  /**
   * A version above the head means that the head is not the one that was written last, unless it was
   * committed since: then the head stands at it, or above, by now.
   */
  async #checkAbove(head: Head): Promise<void> {
    const above = this.#db.list({
      prefix: DIGEST_PREFIX,
      start: digestKey(head.version + 1),
    }, { limit: 1, batchSize: 1 });
    for await (const { key } of above) {
      const now = decodeRecord(await this.#db.get(HEAD_KEY), HEAD_SHAPE);
      if (now.version >= (key.at(-1) as number)) return;
      throw damaged(
        HEAD_KEY,
        `it says version ${head.version}, but there is ${keyText(key)}`,
      );
    }
  }
}

function isSame(a: Head, b: Head): boolean {
  return a.version === b.version && a.epoch === b.epoch &&
    a.digest === b.digest;
}

/** Tells heads apart. A stamp alone does not: a store that is restored counts on from where it was then. */
function headName({ head, stamp }: Pick<Known, "head" | "stamp">): string {
  return `${stamp} ${head.epoch} ${head.version} ${head.digest}`;
}

/**
 * One version, whole; null if there is none, or it is no longer kept.
 *
 * @throws {StoreDamaged} if something of it does not match its digest.
 */
export async function readVersion(
  db: Database,
  version: number,
  newest: Newest,
): Promise<Version | null> {
  const [infoEntry, manifestEntry] = await db.snapshot([
    infoKey(version),
    manifestKey(version),
  ]);
  // A dropped version leaves neither; one alone is what damage leaves.
  if (infoEntry.value === null && manifestEntry.value === null) return null;
  const info = decodeRecord(infoEntry, INFO_SHAPE);
  if (info.version !== version) {
    throw damaged(infoEntry.key, `it is that of version ${info.version}`);
  }
  const manifest = openManifest(manifestEntry, info);
  const known = newest.version;
  if (known?.version === version && known.digest === info.digest) return known;
  try {
    const config = await readConfig(db, manifest, newest.config);
    return Object.freeze({ ...info, config });
  } catch (error) {
    // Its chunks may be gone because it was dropped while it was read.
    const again = await db.get(manifestKey(version));
    if (again.value === null) return null;
    throw error;
  }
}

function openManifest(entry: Entry, info: VersionInfo): Manifest {
  const manifest = Manifest.decode(entry);
  const { digest } = manifest;
  if (digest !== info.digest) {
    throw damaged(
      entry.key,
      `its chunks make digest ${digest}, and version ${info.version} was committed with ${info.digest}`,
    );
  }
  return manifest;
}
