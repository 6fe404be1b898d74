import type { Kv } from "../../cp/store/database.ts";
import type { ChangeStreams } from "./change_streams.ts";
import type { RemoteCalls } from "./remote_calls.ts";

/** A value with its key. */
interface Stored {
  readonly key: Deno.KvKey;
  readonly value: unknown;
  readonly versionstamp: string;
}

/** What a key that nothing stands at is read as. */
type Read = Stored | {
  readonly key: Deno.KvKey;
  readonly value: null;
  readonly versionstamp: null;
};

/** The keys and values of all processes: what a database keeps when they are gone. */
export class KvData {
  readonly entries: Map<string, Stored>;
  /** The number of the newest commit. */
  stamp: number;

  constructor(from: KvData | null = null) {
    this.entries = new Map(from?.entries);
    this.stamp = from?.stamp ?? 0;
  }

  read(key: Deno.KvKey): Read {
    return this.entries.get(keyName(key)) ??
      { key, value: null, versionstamp: null };
  }

  /** Commits all, or nothing where a check fails. */
  commit({ checks, changes }: Operation): Deno.KvCommitResult | null {
    for (const { key, versionstamp } of checks) {
      if (this.read(key).versionstamp !== versionstamp) return null;
    }
    const versionstamp = (++this.stamp).toString(16).padStart(20, "0");
    for (const { key, value } of changes) {
      if (value === undefined) this.entries.delete(keyName(key));
      else this.entries.set(keyName(key), { key, value, versionstamp });
    }
    return { ok: true, versionstamp };
  }

  /** The first entries of a range, in their order. */
  range(
    { from, to, reverse, limit }: {
      from: string;
      to: string;
      reverse: boolean;
      limit: number;
    },
  ): [name: string, entry: Stored][] {
    const names: string[] = [];
    for (const name of this.entries.keys()) {
      if (name >= from && name < to) names.push(name);
    }
    names.sort();
    if (reverse) names.reverse();
    return names.slice(0, limit).map((name) => [
      name,
      this.entries.get(name)!,
    ]);
  }
}

/** An atomic operation, as far as it has been put together. */
export interface Operation {
  readonly checks: readonly Deno.AtomicCheck[];
  readonly changes: readonly {
    readonly key: Deno.KvKey;
    /** Undefined where it is deleted. */
    readonly value: unknown;
  }[];
}

/** What one process sees of a {@linkcode KvData}: as a {@linkcode Deno.Kv}, as far as the store uses one. */
export function openSimulatedKv(
  calls: RemoteCalls,
  options: {
    data: () => KvData;
    streams: ChangeStreams;
    commit: (operation: Operation) => Deno.KvCommitResult | Deno.KvCommitError;
  },
): Kv {
  const { data, streams, commit } = options;
  const kv = {
    get: (key: Deno.KvKey) =>
      calls.call(`get ${label(key)}`, () => data().read(key)),
    getMany: (keys: readonly Deno.KvKey[]) =>
      calls.call(
        `get ${keys.map(label).join(" ")}`,
        () => keys.map((key) => data().read(key)),
      ),
    async *list(
      selector: { prefix: Deno.KvKey; start?: Deno.KvKey; end?: Deno.KvKey },
      { limit = Infinity, reverse = false, batchSize = 100 }:
        Deno.KvListOptions = {},
    ) {
      const prefix = keyName(selector.prefix);
      let from = selector.start ? keyName(selector.start) : prefix;
      let to = selector.end ? keyName(selector.end) : `${prefix}\uffff`;
      for (let left = limit; left > 0;) {
        const size = Math.min(batchSize, left);
        const page = await calls.call(
          `list ${label(selector.prefix)}`,
          () => data().range({ from, to, reverse, limit: size }),
        );
        for (const [, entry] of page) yield entry;
        if (page.length < size) return;
        left -= size;
        const [last] = page.at(-1)!;
        if (reverse) to = last;
        else from = `${last}\u0000`;
      }
    },
    atomic: () => new SimulatedOperation(calls, commit),
    watch: () => streams.open(calls.process),
    close() {},
  };
  return kv as unknown as Kv;
}

class SimulatedOperation {
  readonly #calls: RemoteCalls;
  readonly #commit: (
    operation: Operation,
  ) => Deno.KvCommitResult | Deno.KvCommitError;
  readonly #checks: Deno.AtomicCheck[] = [];
  readonly #changes: { key: Deno.KvKey; value: unknown }[] = [];

  constructor(
    calls: RemoteCalls,
    commit: (
      operation: Operation,
    ) => Deno.KvCommitResult | Deno.KvCommitError,
  ) {
    this.#calls = calls;
    this.#commit = commit;
  }

  check(...checks: Deno.AtomicCheck[]): this {
    this.#checks.push(...checks);
    return this;
  }

  set(key: Deno.KvKey, value: unknown): this {
    this.#changes.push({ key, value });
    return this;
  }

  delete(key: Deno.KvKey): this {
    this.#changes.push({ key, value: undefined });
    return this;
  }

  commit(): Promise<Deno.KvCommitResult | Deno.KvCommitError> {
    const operation = { checks: this.#checks, changes: this.#changes };
    return this.#calls.call(
      `commit ${this.#changes.map(({ key }) => label(key)).join(" ")}`,
      () => this.#commit(operation),
      { write: true },
    );
  }
}

/** A key as text that sorts as Deno KV sorts keys of bytes, text and whole numbers. */
export function keyName(key: Deno.KvKey): string {
  let name = "";
  for (const part of key) {
    if (typeof part === "string") name += `s${part}\u0001`;
    else if (part instanceof Uint8Array) name += `b${part.toHex()}\u0001`;
    else name += `n${String(part).padStart(16, "0")}\u0001`;
  }
  return name;
}

/** A key in a trace. */
function label(key: Deno.KvKey): string {
  return key.slice(1).map((part) =>
    part instanceof Uint8Array ? part.toHex().slice(0, 8) : String(part)
  ).join("/") || "all";
}
