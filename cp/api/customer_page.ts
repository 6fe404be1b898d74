import { Bucket, type CustomerMap } from "../../shared/customers.ts";

/** Which customers a list is to show. */
export interface CustomerFilter {
  /** Only customers that come after this one. */
  readonly after?: string | null;
  /** Only customers that begin so. */
  readonly prefix?: string;
  /** Only customers assigned to this placement. */
  readonly placement?: string;
}

type Pair = [customer: string, placement: string];

/** A bucket being read: its next pair, and the rest. */
interface Lane {
  pair: Pair;
  readonly rest: Iterator<Pair, void>;
}

/**
 * The customers of a map, sorted by name over all buckets. Each bucket is sorted in itself, so they
 * are merged from the place asked for on: a page costs what it shows, not what the map holds.
 */
export function* sortedCustomers(
  customers: CustomerMap,
  filter: CustomerFilter = {},
): Generator<Pair> {
  const { after, prefix = "", placement } = filter;
  // No name holds a character below "!", so this is the smallest text behind `after`.
  const next = typeof after === "string" ? `${after}\0` : "";
  const from = next > prefix ? next : prefix;
  const heap: Lane[] = [];
  for (const bucket of customers.buckets) {
    const lane = laneOf(bucket.fragment, { from, placement });
    if (lane !== null) heap.push(lane);
  }
  for (let at = (heap.length >> 1) - 1; at >= 0; at--) sink(heap, at);
  while (heap.length > 0) {
    const lane = heap[0]!;
    // What comes out is sorted: the first that does not begin so is behind all that do.
    if (!lane.pair[0].startsWith(prefix)) return;
    yield lane.pair;
    const following = lane.rest.next();
    if (following.done) {
      const last = heap.pop()!;
      if (heap.length > 0) heap[0] = last;
    } else lane.pair = following.value;
    sink(heap, 0);
  }
}

function laneOf(
  fragment: string,
  { from, placement }: { from: string; placement: string | undefined },
): Lane | null {
  const at = seek(fragment, from);
  const rest = placement === undefined
    ? pairsFrom(fragment, at)
    : pairsOf(fragment, { at, placement });
  const first = rest.next();
  return first.done ? null : { pair: first.value, rest };
}

/** Restores the heap below a place: the lane with the smallest customer is its root. */
function sink(heap: Lane[], start: number): void {
  for (let at = start;;) {
    let least = at;
    for (const child of [2 * at + 1, 2 * at + 2]) {
      if (
        child < heap.length && heap[child]!.pair[0] < heap[least]!.pair[0]
      ) least = child;
    }
    if (least === at) return;
    [heap[at], heap[least]] = [heap[least]!, heap[at]!];
    at = least;
  }
}

function pairsFrom(fragment: string, at: number): Iterator<Pair, void> {
  // A bucket reads its fragment only; how many pairs are left is not asked here.
  return new Bucket(fragment.slice(at), 0).entries();
}

/** Only the pairs of one placement, found without reading the others. */
function* pairsOf(
  fragment: string,
  { at, placement }: { at: number; placement: string },
): Generator<Pair, void> {
  // Quotes in names are escaped, and placements have none: this stands only between the two.
  const mark = `":"${placement}"`;
  for (;;) {
    const end = fragment.indexOf(mark, at);
    if (end === -1) return;
    let start = end;
    do start = fragment.lastIndexOf('"', start - 1); while (
      fragment[start - 1] === "\\"
    );
    yield [JSON.parse(fragment.slice(start, end + 1)), placement];
    at = end + mark.length;
  }
}

/** Where in a fragment the first customer stands that is not below `from`; its length if there is none. */
function seek(fragment: string, from: string): number {
  if (from === "") return 0;
  // Every pair that begins below `low` is below `from`, and none that begins at `high` or behind is.
  let low = 0;
  let high = fragment.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const start = pairStart(fragment, middle);
    if (start >= high) high = middle;
    else {
      const first = pairsFrom(fragment, start).next();
      if (!first.done && first.value[0] < from) low = start + 1;
      else high = start;
    }
  }
  return pairStart(fragment, low);
}

/** Where the first pair begins at or behind a place. */
function pairStart(fragment: string, at: number): number {
  if (at === 0) return 0;
  for (let comma = at - 2;; comma++) {
    comma = fragment.indexOf('","', Math.max(comma, 0));
    if (comma === -1) return fragment.length;
    // The quote that ends a pair stands behind a placement. One inside a name stands behind its
    // escape, and one that begins a name behind a comma or nothing.
    if (comma > 0 && !"\\,".includes(fragment[comma - 1]!)) return comma + 2;
  }
}
