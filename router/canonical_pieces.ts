import {
  CANONICAL_HEAD,
  canonicalTail,
  type Config,
} from "../shared/config.ts";

/** About how many characters a piece has: few enough that making one holds up no traffic. */
const PIECE_CHARS = 256 * 1024;

/** The canonical text of a config piece by piece, so that the text of a large one is never held whole. */
export function* canonicalPieces(config: Config): Generator<string, undefined> {
  let piece = CANONICAL_HEAD;
  let first = true;
  for (const { fragment } of config.customers.buckets) {
    if (fragment === "") continue;
    piece += first ? fragment : `,${fragment}`;
    first = false;
    if (piece.length >= PIECE_CHARS) {
      yield piece;
      piece = "";
    }
  }
  yield piece + canonicalTail(config);
}
