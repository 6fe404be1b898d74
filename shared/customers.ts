import { createHash } from "node:crypto";

/** How many buckets the customers of a config are in (SPEC section 3). */
export const BUCKETS = 1024;

const EMPTY_COUNTS: ReadonlyMap<string, number> = new Map();

/** What FNV-1a of 32 bits begins with, and what it multiplies by for each byte. */
export const FNV_BASIS = 0x811c9dc5;
export const FNV_PRIME = 0x01000193;

/** The bucket of a customer: FNV-1a (32 bits) over the bytes of its name, modulo 1,024. */
export function bucketOf(customer: string): number {
  let hash = FNV_BASIS;
  for (let i = 0; i < customer.length; i++) {
    hash = Math.imul(hash ^ customer.charCodeAt(i), FNV_PRIME);
  }
  return (hash >>> 0) % BUCKETS;
}

/** A name as canonical text writes it. Names are visible ASCII, so only two characters are escaped. */
function quote(name: string): string {
  return /["\\]/.test(name) ? JSON.stringify(name) : `"${name}"`;
}

/**
 * One of the 1,024 parts of a customer map, immutable and shared between all the versions in which
 * it is the same. It is kept as its canonical fragment: one string in place of a map's many keeps a
 * million customers in some 40 MB, and is what the digest and the store want anyway.
 */
export class Bucket {
  /** `"customer":"placement"` pairs sorted by customer and joined by commas; empty if there are none. */
  readonly fragment: string;
  /** How many customers it holds. */
  readonly size: number;
  #digest: Uint8Array | undefined;
  #counts: ReadonlyMap<string, number> | undefined;

  /**
   * `fragment` has to be canonical and of `size` pairs; {@linkcode Bucket.from} makes it so. `digest` is
   * that of the fragment, where it is known already.
   */
  constructor(fragment: string, size: number, digest?: Uint8Array) {
    this.fragment = fragment;
    this.size = size;
    this.#digest = digest;
  }

  static readonly EMPTY = new Bucket("", 0);

  /** A bucket of these customers, in any order. */
  static from(entries: [customer: string, placement: string][]): Bucket {
    if (entries.length === 0) return Bucket.EMPTY;
    entries.sort((a, b) => a[0] < b[0] ? -1 : 1);
    // Joined, because a string grown by additions stays a tree of its parts, many times its size.
    const fragment = entries.map(([customer, placement]) =>
      `${quote(customer)}:"${placement}"`
    ).join(",");
    return new Bucket(fragment, entries.length);
  }

  /** SHA-256 of the fragment, 32 bytes; made when first asked for. */
  get digest(): Uint8Array {
    return this.#digest ??= createHash("sha256").update(this.fragment)
      .digest();
  }

  /** How many of its customers each placement has. */
  get counts(): ReadonlyMap<string, number> {
    if (this.size === 0) return EMPTY_COUNTS;
    if (this.#counts === undefined) {
      const counts = new Map<string, number>();
      for (const [, placement] of this.entries()) {
        counts.set(placement, (counts.get(placement) ?? 0) + 1);
      }
      this.#counts = counts;
    }
    return this.#counts;
  }

  /** The placement a customer is assigned to. */
  get(customer: string): string | undefined {
    // `,"name":"` can stand only where a pair begins: a quote inside a name is escaped, and a
    // placement has none.
    const key = `${quote(customer)}:"`;
    let at = 0;
    if (!this.fragment.startsWith(key)) {
      at = this.fragment.indexOf(`,${key}`) + 1;
      if (at === 0) return undefined;
    }
    const start = at + key.length;
    return this.fragment.slice(start, this.fragment.indexOf('"', start));
  }

  /** The bucket after these changes, of its own customers; itself where nothing changes. */
  with(changes: readonly (readonly [string, string | null])[]): Bucket {
    if (
      changes.length === 1 &&
      this.get(changes[0]![0]) === (changes[0]![1] ?? undefined)
    ) return this;
    const entries = new Map(this.entries());
    let changed = false;
    for (const [customer, placement] of changes) {
      if (entries.get(customer) === (placement ?? undefined)) continue;
      changed = true;
      if (placement === null) entries.delete(customer);
      else entries.set(customer, placement);
    }
    return changed ? Bucket.from([...entries]) : this;
  }

  /** Its customers and their placements, sorted by customer. */
  *entries(): Generator<[customer: string, placement: string]> {
    const text = this.fragment;
    for (let at = 0; at < text.length;) {
      let end = text.indexOf('"', at + 1);
      let customer: string;
      if (
        text.charCodeAt(end - 1) === 0x5c || text.slice(at, end).includes("\\")
      ) {
        for (end = at + 1; text.charCodeAt(end) !== 0x22; end++) {
          if (text.charCodeAt(end) === 0x5c) end++;
        }
        customer = JSON.parse(text.slice(at, end + 1));
      } else {
        customer = text.slice(at + 1, end);
      }
      const start = end + 3;
      const stop = text.indexOf('"', start);
      yield [customer, text.slice(start, stop)];
      at = stop + 2;
    }
  }
}

/** Customer → placement, in 1,024 immutable buckets: an edit makes one bucket anew and shares the rest. */
export class CustomerMap {
  /** Always 1,024 of them. */
  readonly buckets: readonly Bucket[];
  /** How many customers are assigned. */
  readonly size: number;
  #counts: ReadonlyMap<string, number> | undefined;

  constructor(buckets: readonly Bucket[]) {
    if (buckets.length !== BUCKETS) {
      throw new RangeError(
        `Cannot build a customer map: it takes ${BUCKETS} buckets, not ${buckets.length}`,
      );
    }
    this.buckets = buckets;
    let size = 0;
    for (const bucket of buckets) size += bucket.size;
    this.size = size;
  }

  static readonly EMPTY = new CustomerMap(
    new Array<Bucket>(BUCKETS).fill(Bucket.EMPTY),
  );

  /** A map of these pairs; a customer must not stand twice. */
  static from(
    entries: Iterable<readonly [customer: string, placement: string]>,
  ): CustomerMap {
    const sorted: [string, string][][] = Array.from(
      { length: BUCKETS },
      () => [],
    );
    for (const [customer, placement] of entries) {
      sorted[bucketOf(customer)]!.push([customer, placement]);
    }
    return new CustomerMap(sorted.map((entries) => Bucket.from(entries)));
  }

  /** The placement a customer is assigned to, if any. */
  get(customer: string): string | undefined {
    return this.buckets[bucketOf(customer)]!.get(customer);
  }

  /** All pairs, bucket by bucket, each bucket sorted by customer: the order of the canonical text. */
  *entries(): Generator<[customer: string, placement: string]> {
    for (const bucket of this.buckets) yield* bucket.entries();
  }

  /** How many customers each placement has; placements without any are left out. */
  get counts(): ReadonlyMap<string, number> {
    return finish(this.counting());
  }

  /** Makes {@linkcode CustomerMap.counts}, and yields after every bucket. */
  *counting(): Steps<ReadonlyMap<string, number>> {
    if (this.#counts === undefined) {
      const counts = new Map<string, number>();
      for (const bucket of this.buckets) {
        for (const [placement, count] of bucket.counts) {
          counts.set(placement, (counts.get(placement) ?? 0) + count);
        }
        yield;
      }
      this.#counts = counts;
    }
    return this.#counts;
  }

  /**
   * The map after these changes; null takes an assignment away. Buckets they do not touch are
   * shared, and where nothing changes the answer is this very map.
   */
  with(changes: CustomerChanges): CustomerMap {
    return finish(this.changing(changes));
  }

  /** Makes what {@linkcode CustomerMap.with} answers, and yields after every bucket. */
  *changing(changes: CustomerChanges): Steps<CustomerMap> {
    // Bucket by bucket, because one that is being changed takes many times the memory of one that is not.
    const byBucket = new Map<number, [string, string | null][]>();
    for (const [customer, placement] of changes) {
      const index = bucketOf(customer);
      const bucket = byBucket.get(index);
      if (bucket === undefined) byBucket.set(index, [[customer, placement]]);
      else bucket.push([customer, placement]);
    }
    const buckets = [...this.buckets];
    let changed = false;
    for (const [index, changes] of byBucket) {
      const before = buckets[index]!;
      buckets[index] = before.with(changes);
      changed ||= buckets[index] !== before;
      yield;
    }
    return changed ? new CustomerMap(buckets) : this;
  }
}

/** Long work that may be left off at each of its steps. */
export type Steps<T> = Generator<undefined, T>;

/** Assignments by customer; null takes one away. */
export type CustomerChanges = Iterable<
  readonly [customer: string, placement: string | null]
>;

/** Does long work in one go. */
export function finish<T>(work: Steps<T>): T {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}
