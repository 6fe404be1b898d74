import {
  Bucket,
  bucketOf,
  BUCKETS,
  CustomerMap,
} from "../../shared/customers.ts";
import { Turns } from "../store/turns.ts";

/** What a move makes of one bucket; answers the same bucket where it changes nothing. */
type BucketMove = (bucket: Bucket, index: number) => Bucket;

/**
 * Moves many customers. What it makes of each bucket is kept, so that after {@linkcode Move.prepare}
 * the commit, which cannot let others have their turns, has only the buckets to move that somebody
 * else has changed meanwhile.
 */
export class Move {
  readonly #move: BucketMove;
  readonly #made: { from: Bucket; to: Bucket }[] = [];

  private constructor(move: BucketMove) {
    this.#move = move;
  }

  /** Moves all customers of a placement to another one. */
  static all({ from, to }: { from: string; to: string }): Move {
    // Quotes in names are escaped, and placements have none: this stands only between the two.
    const before = `":"${from}"`;
    const after = `":"${to}"`;
    return new Move((bucket) =>
      from !== to && bucket.fragment.includes(before)
        ? new Bucket(bucket.fragment.replaceAll(before, after), bucket.size)
        : bucket
    );
  }

  /** Moves these customers; those that are not assigned become assigned. */
  static of(customers: readonly string[], to: string): Move {
    const byBucket: string[][] = Array.from({ length: BUCKETS }, () => []);
    for (const customer of customers) {
      byBucket[bucketOf(customer)]!.push(customer);
    }
    return new Move((bucket, index) => {
      const moved = byBucket[index]!;
      if (moved.length === 0) return bucket;
      return bucket.with(moved.map((customer) => [customer, to]));
    });
  }

  /** Makes what {@linkcode Move.apply} will need, digests included; others have their turns meanwhile. */
  async prepare(customers: CustomerMap): Promise<void> {
    const turns = new Turns();
    for (const [index, bucket] of customers.buckets.entries()) {
      void this.#bucket(bucket, index).digest;
      await turns.next();
    }
  }

  /** The customers after the move. */
  apply(customers: CustomerMap): CustomerMap {
    const buckets = customers.buckets.map((bucket, index) =>
      this.#bucket(bucket, index)
    );
    return buckets.every((bucket, index) => bucket === customers.buckets[index])
      ? customers
      : new CustomerMap(buckets);
  }

  #bucket(from: Bucket, index: number): Bucket {
    const made = this.#made[index];
    if (made?.from === from) return made.to;
    const to = this.#move(from, index);
    this.#made[index] = { from, to };
    return to;
  }
}
