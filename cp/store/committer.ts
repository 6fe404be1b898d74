import { Buffer } from "node:buffer";
import { digestOf } from "../../shared/canonical.ts";
import type { Config } from "../../shared/config.ts";
import { chunkRef, ChunkWriter } from "./chunks.ts";
import type { Database, Entry } from "./database.ts";
import { bucketPiece, type Piece, tailOf } from "./gzip.ts";
import {
  digestKey,
  HEAD_KEY,
  HOLD_KEY,
  infoKey,
  manifestKey,
  rolloutKey,
  rulesKey,
  SWEPT_KEY,
} from "./keys.ts";
import { type ChunkRef, Manifest, TAIL_SLOT } from "./manifest.ts";
import type { Known, Newest } from "./newest.ts";
import { pause } from "./pause.ts";
import { decodeRecord, encodeRecord, HEAD_SHAPE } from "./records.ts";
import { SerialQueue } from "./serial_queue.ts";
import { makeDigests, Turns } from "./turns.ts";
import {
  type Attribution,
  type CanaryEnd,
  CommitInDoubt,
  type CommitOptions,
  type Committed,
  type Edit,
  type Head,
  type Orders,
  StoreTimedOut,
  StoreUnavailable,
  type Version,
} from "./store.ts";
import {
  alwaysMakes,
  checkAttribution,
  checkTrial,
  confirmedHead,
  haltedBy,
  nextHead,
  nextInfo,
  orderedHead,
  promoted,
  rulesDigest,
  type Takeover,
} from "./version_info.ts";

/** Edits of this process that may wait for those before them. */
const MAX_WAITING = 1000;
/** Times a commit is tried when other processes commit, or sweep, at the same time. */
const MAX_TRIES = 100;
/** Tries after which a commit asks sweeps to wait, so that it does not have to write its chunks again and again. */
const TRIES_BEFORE_HOLD = 3;
/** The longest wait between two of them, in milliseconds. */
const MAX_WAIT_MS = 50;

/** What the committer counts. */
export interface CommitStats {
  commits: number;
  conflicts: number;
  bytesWritten: number;
}

/** What the committer works with. */
export interface CommitterOptions {
  readonly db: Database;
  readonly newest: Newest;
  /** Bytes of chunks in one atomic commit. */
  readonly batchBytes: number;
  readonly stats: CommitStats;
  /** Ends the waiting; the commit under way is finished. */
  readonly signal: AbortSignal;
}

/** An edit with all that goes with it. */
interface Request {
  readonly edit: Edit;
  readonly attribution: Attribution;
  readonly takeover: Takeover | null;
  readonly replaceDamaged: boolean;
  readonly options: CommitOptions;
  /** Chunks that earlier tries have committed; they are there for as long as `swept` is the same. */
  written: ReadonlySet<string>;
  swept: string | null;
}

/** Another head, and what is written with it. */
interface Change {
  readonly head: Head;
  readonly others?: readonly (readonly [Deno.KvKey, Uint8Array])[];
}

/** What a try is made of: the newest version, and `swept` from before any chunk was written. */
interface Base {
  readonly known: Known;
  readonly swept: string | null;
}

/**
 * Makes versions. Those of this process one after the other; against other processes by one atomic
 * commit that checks the head's versionstamp, tried again on what they made of it.
 */
export class Committer {
  readonly #options: CommitterOptions;
  readonly #queue = new SerialQueue();

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /** Runs a task while no commit of this process runs. */
  exclusive<T>(task: () => Promise<T>): Promise<T> {
    return this.#queue.run(task);
  }

  /** Commits an edit; see {@linkcode VersionStore.commit} and {@linkcode VersionStore.takeover}. */
  async commit(
    edit: Edit,
    attribution: Attribution,
    options: CommitOptions & { takeover: Takeover | null },
  ): Promise<Committed> {
    checkAttribution(attribution);
    const waiting = this.#queue.size;
    if (waiting >= MAX_WAITING) {
      throw new StoreUnavailable(
        `Cannot commit an edit: ${waiting} are waiting already, and at most ${MAX_WAITING} may`,
      );
    }
    const request: Request = {
      edit,
      attribution,
      takeover: options.takeover,
      replaceDamaged: options.replaceDamaged ?? false,
      options,
      written: new Set(),
      swept: null,
    };
    return await this.#queue.run(() => this.#run(request));
  }

  /** Changes what routers are to do beside; see {@linkcode VersionStore.changeOrders}. */
  changeOrders(change: (now: Orders, head: Head) => Orders): Promise<Head> {
    return this.#queue.run(() =>
      this.#changeHead((head) => ({
        head: orderedHead(head, change, Date.now()),
      }))
    );
  }

  /** Keeps a version that waits to be confirmed; see {@linkcode VersionStore.confirm}. */
  confirm(version: number): Promise<Head> {
    return this.#queue.run(() =>
      this.#changeHead((head) => ({ head: confirmedHead(head, version) }))
    );
  }

  /** Gives a version that canaries serve to all; see {@linkcode VersionStore.promote}. */
  promote(
    version: number,
    by: string | null,
    ends?: readonly CanaryEnd[],
  ): Promise<Head> {
    return this.#queue.run(() =>
      this.#changeHead((head) => {
        const { head: next, ended } = promoted(head, version, { by, ends });
        return {
          head: next,
          others: [[rolloutKey(version), encodeRecord(ended)]],
        };
      })
    );
  }

  /** Sets the rules of all versions; see {@linkcode VersionStore.setAssertions}. */
  setAssertions(
    text: string | null,
    check: (current: Version | null) => void | Promise<void>,
  ): Promise<Head> {
    const digest = rulesDigest(text);
    return this.#queue.run(() =>
      this.#changeHead(async (head, entry) => {
        // The version of that very head; one that was committed meanwhile makes the change fail, and be tried again.
        const known = await this.#options.newest.load(entry);
        if (known !== null) await check(known.version);
        return {
          head: { ...head, assertions: digest },
          others: text === null
            ? []
            : [[rulesKey(digest!), encodeRecord({ text })]],
        };
      })
    );
  }

  /** Changes the head, and no version. */
  async #changeHead(
    change: (head: Head, entry: Entry) => Change | Promise<Change>,
  ): Promise<Head> {
    const { db, newest, signal } = this.#options;
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      if (signal.aborted) {
        throw new StoreUnavailable("Cannot change the head: the store closes");
      }
      const entry = await db.get(HEAD_KEY);
      const { head, others = [] } = await change(
        decodeRecord(entry, HEAD_SHAPE),
        entry,
      );
      const operation = db.atomic().check(entry)
        .set(HEAD_KEY, encodeRecord(head));
      for (const [key, value] of others) operation.set(key, value);
      if (await db.commit(operation, HEAD_KEY) !== null) return head;
      newest.doubt();
      await pause(Math.random() * Math.min(MAX_WAIT_MS, 2 ** attempt), signal);
    }
    throw new StoreUnavailable(
      `Cannot change the head: others changed it during each of ${MAX_TRIES} tries`,
    );
  }

  async #run(request: Request): Promise<Committed> {
    const { db, newest, stats, signal } = this.#options;
    for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
      if (signal.aborted) {
        throw new StoreUnavailable("Cannot commit an edit: the store closes");
      }
      if (attempt >= TRIES_BEFORE_HOLD) {
        const hold = db.atomic().set(HOLD_KEY, encodeRecord({ attempt }));
        await db.commit(hold, HOLD_KEY);
      }
      const base = await this.#base(request);
      if (base !== null) {
        checkTrial(base.known.head, request.options);
        const config = await request.edit(
          base.known.version,
          base.known.head,
        );
        const committed = await this.#try(base, config, request);
        if (committed !== null) return committed;
      }
      stats.conflicts++;
      // Read again with all checks: a conflict with nobody is what a damaged head leads to.
      newest.doubt();
      await pause(Math.random() * Math.min(MAX_WAIT_MS, 2 ** attempt), signal);
    }
    throw new StoreUnavailable(
      `Cannot commit an edit: others committed during each of ${MAX_TRIES} tries`,
    );
  }

  async #base(request: Request): Promise<Base | null> {
    const { db, newest } = this.#options;
    try {
      const [head, swept] = await db.snapshot([HEAD_KEY, SWEPT_KEY]);
      const known = request.replaceDamaged
        ? await newest.loadSound(head)
        : await newest.load(head);
      return known === null ? null : { known, swept: swept.versionstamp };
    } catch (error) {
      newest.doubt();
      throw error;
    }
  }

  /** Makes a version of `config` on top of `base`; null if another process was faster. */
  async #try(
    base: Base,
    config: Config,
    request: Request,
  ): Promise<Committed | null> {
    const { version, head } = base.known;
    await makeDigests(config.customers);
    const digest = digestOf(tailOf(config).digest, config.customers.buckets);
    if (
      digest === version?.digest &&
      !alwaysMakes(request.takeover, request.options)
    ) {
      return { version, previous: version, changed: false };
    }
    const info = nextInfo(head, digest, { config, ...request });
    const next = {
      head: nextHead(head, info, {
        takeover: request.takeover,
        commit: request.options,
        before: base.known.version?.config ?? null,
        config,
      }),
      version: Object.freeze({ ...info, config }),
    };
    const { newest, stats } = this.#options;
    try {
      const { stamp, manifest, bytes } = await this.#write(base, next, request);
      if (stamp === null) return null;
      newest.keep({ ...next, stamp, manifest });
      stats.commits++;
      stats.bytesWritten += bytes;
      return { version: next.version, previous: version, changed: true };
    } catch (error) {
      newest.doubt();
      throw error;
    }
  }

  async #write(
    base: Base,
    next: Pick<Known, "head"> & { version: NonNullable<Known["version"]> },
    request: Request,
  ): Promise<{ stamp: string | null; manifest: Manifest; bytes: number }> {
    const { db, batchBytes } = this.#options;
    const { known, swept } = base;
    const { config, ...info } = next.version;
    if (request.swept !== swept) {
      request.swept = swept;
      request.written = new Set();
    }
    const writer = new ChunkWriter(db, {
      maxBytes: batchBytes,
      written: request.written,
    });
    const manifest = await writeChunks(config, known, writer);
    request.written = writer.written;
    const halted = haltedBy(known.head, info, request.options);
    const values: readonly (readonly [Deno.KvKey, Uint8Array])[] = [
      [manifestKey(info.version), manifest.encode()],
      [infoKey(info.version), encodeRecord(info)],
      [
        digestKey(info.version),
        encodeRecord({ epoch: info.epoch, digest: info.digest }),
      ],
      ...(halted === null
        ? []
        : [[rolloutKey(halted.version), encodeRecord(halted)] as const]),
      [HEAD_KEY, encodeRecord(next.head)],
    ];
    const operation = writer.rest()
      .check({ key: HEAD_KEY, versionstamp: known.stamp })
      .check({ key: SWEPT_KEY, versionstamp: swept })
      .check({ key: digestKey(info.version), versionstamp: null });
    let bytes = writer.bytes;
    for (const [key, value] of values) {
      operation.set(key, value);
      bytes += value.length;
    }
    let stamp: string | null;
    try {
      stamp = await db.commit(operation, HEAD_KEY);
    } catch (error) {
      stamp = await this.#committedAfterAll(values, error);
    }
    return { stamp, manifest, bytes };
  }

  /**
   * A failure may have struck after the database had committed: then its records stand there.
   *
   * @throws {CommitInDoubt} if that cannot be seen, or may still come.
   * @throws the failure itself, if nothing was committed.
   */
  async #committedAfterAll(
    values: readonly (readonly [Deno.KvKey, Uint8Array])[],
    failure: unknown,
  ): Promise<string | null> {
    if (!(failure instanceof StoreUnavailable)) throw failure;
    let entries: readonly Entry[];
    try {
      entries = await this.#options.db.snapshot(values.map(([key]) => key));
    } catch {
      // The failure that led here says more than this one.
      throw new CommitInDoubt(failure.message, { cause: failure });
    }
    const all = entries.every(({ value }, index) =>
      value instanceof Uint8Array &&
      Buffer.compare(value, values[index]![1]) === 0
    );
    if (all) return entries.at(-1)!.versionstamp;
    throw failure instanceof StoreTimedOut
      ? new CommitInDoubt(failure.message, { cause: failure })
      : failure;
  }
}

/** Writes the chunks that the base does not have, and makes the manifest of all. */
async function writeChunks(
  config: Config,
  base: Known,
  writer: ChunkWriter,
): Promise<Manifest> {
  const refs: [slot: number, ref: ChunkRef][] = [];
  const turns = new Turns();
  for (const [slot, bucket] of config.customers.buckets.entries()) {
    if (bucket.size === 0) continue;
    const shared = sharedRef(base, slot, bucket.digest);
    refs.push([
      slot,
      shared ?? await writePiece(writer, bucketPiece(bucket), {
        digest: bucket.digest,
        count: bucket.size,
      }),
    ]);
    await turns.next();
  }
  const tail = tailOf(config);
  const shared = sharedRef(base, TAIL_SLOT, tail.digest);
  refs.push([
    TAIL_SLOT,
    shared ?? await writePiece(writer, tail.piece, {
      digest: tail.digest,
      count: 0,
    }),
  ]);
  return Manifest.of(refs);
}

function sharedRef(
  base: Known,
  slot: number,
  digest: Uint8Array,
): ChunkRef | null {
  const { manifest } = base;
  return manifest !== null &&
      Buffer.compare(manifest.digestAt(slot), digest) === 0
    ? manifest.get(slot)
    : null;
}

async function writePiece(
  writer: ChunkWriter,
  piece: Piece,
  of: { digest: Uint8Array; count: number },
): Promise<ChunkRef> {
  const ref = chunkRef(piece, of);
  await writer.add(ref, piece.bytes);
  return ref;
}
