import { keyText } from "./keys.ts";
import { damaged } from "./records.ts";
import type { OpenFiles } from "./open_files.ts";
import { StoreDamaged, StoreTimedOut, StoreUnavailable } from "./store.ts";

/** What is used of a {@linkcode Deno.Kv}. */
export type Kv = Pick<
  Deno.Kv,
  "get" | "getMany" | "list" | "atomic" | "watch" | "close"
>;

/** A value as the database has it; both fields are null if there is none. */
export interface Entry {
  readonly key: Deno.KvKey;
  readonly value: unknown;
  readonly versionstamp: string | null;
}

/** How many keys Deno KV reads at a time. */
const KEYS_PER_READ = 10;
/** How many such reads are on their way at a time. */
const READS_AT_A_TIME = 4;

/**
 * A Deno KV whose every failure is a {@linkcode StoreUnavailable} that says what was attempted, or a
 * {@linkcode StoreDamaged} where its file is no database any more, and whose every call ends in time.
 */
export class Database {
  readonly #kv: Kv;
  readonly #timeoutMs: number;
  readonly #files: OpenFiles | null;
  #closed = false;

  /** `files` are those of the database, where it has some: nothing is read or written once they are others. */
  constructor(
    kv: Kv,
    options: { timeoutMs: number; files?: OpenFiles | null },
  ) {
    this.#kv = kv;
    this.#timeoutMs = options.timeoutMs;
    this.#files = options.files ?? null;
  }

  /** Reads one key, strongly. */
  async get(key: Deno.KvKey): Promise<Entry> {
    return await this.#attempt("read", key, () => this.#kv.get(key));
  }

  /** Reads up to 10 keys in one snapshot, strongly. */
  async snapshot<const K extends readonly Deno.KvKey[]>(
    keys: K,
  ): Promise<{ [I in keyof K]: Entry }> {
    const entries = await this.#attempt(
      "read",
      keys[0]!,
      () => this.#kv.getMany<unknown[]>(keys),
    );
    return entries as { [I in keyof K]: Entry };
  }

  /** Reads any number of keys, strongly, in their order; not all in one snapshot, nor all held at a time. */
  async *getMany(keys: readonly Deno.KvKey[]): AsyncGenerator<Entry> {
    const reads: Promise<readonly Entry[]>[] = [];
    for (let at = 0; at < keys.length || reads.length > 0;) {
      while (at < keys.length && reads.length < READS_AT_A_TIME) {
        const read = this.snapshot(keys.slice(at, at + KEYS_PER_READ));
        // Who stops early, or at an error of an earlier read, leaves the later ones unobserved.
        read.catch(() => {});
        reads.push(read);
        at += KEYS_PER_READ;
      }
      yield* await reads.shift()!;
    }
  }

  /** Lists keys and values, strongly, `batchSize` at a time; not all in one snapshot. */
  async *list(
    selector: Deno.KvListSelector & { readonly prefix: Deno.KvKey },
    options: { limit?: number; reverse?: boolean; batchSize: number },
  ): AsyncGenerator<Entry> {
    const entries = this.#kv.list(selector, options);
    for (;;) {
      const next = await this.#attempt(
        "list",
        selector.prefix,
        () => entries.next(),
      );
      if (next.done === true) return;
      yield next.value;
    }
  }

  /** Begins an atomic operation, to be ended by {@linkcode Database.commit}. */
  atomic(): Deno.AtomicOperation {
    return this.#kv.atomic();
  }

  /** Commits an atomic operation; null if one of its checks failed. `key` names it in an error. */
  async commit(
    operation: Deno.AtomicOperation,
    key: Deno.KvKey,
  ): Promise<string | null> {
    const result = await this.#attempt("write", key, () => operation.commit());
    // Else it may be in a file that no later start finds.
    this.#files?.check();
    return result.ok ? result.versionstamp : null;
  }

  /** A stream with an item for each change of a key; it may miss some. */
  watch(key: Deno.KvKey): ReadableStream<unknown> {
    return this.#kv.watch([key]);
  }

  /** Makes every later call fail; closes the database itself only if told to. */
  close(options: { kv: boolean }): void {
    if (this.#closed) return;
    this.#closed = true;
    if (options.kv) this.#kv.close();
  }

  async #attempt<T>(
    verb: string,
    key: Deno.KvKey,
    run: () => Promise<T>,
  ): Promise<T> {
    if (this.#closed) {
      throw new StoreUnavailable(
        `Cannot ${verb} ${keyText(key)} of the store: it is closed`,
      );
    }
    this.#files?.check();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () =>
          reject(
            new StoreTimedOut(
              `Cannot ${verb} ${
                keyText(key)
              } of the store: the database gives no answer within ${this.#timeoutMs} ms`,
            ),
          ),
        this.#timeoutMs,
      );
    });
    try {
      return await Promise.race([run(), late]);
    } catch (cause) {
      if (cause instanceof StoreTimedOut) throw cause;
      throw databaseError(verb, key, cause);
    } finally {
      clearTimeout(timer);
    }
  }
}

function databaseError(
  verb: string,
  key: Deno.KvKey,
  cause: unknown,
): StoreDamaged | StoreUnavailable {
  const why = cause instanceof Error ? cause.message : String(cause);
  // What SQLite says of a file that is not, or no longer, one of its own.
  if (/malformed|not a database/.test(why)) {
    return damaged(key, `the database says "${why}"`, { cause });
  }
  return new StoreUnavailable(
    `Cannot ${verb} ${keyText(key)} of the store: the database says "${why}"`,
    { cause },
  );
}
