import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** So much may lie about, in bytes. */
const ENOUGH = 32 * 1024 * 1024;

let collect: (() => void) | null = null;

/**
 * Has this thread's garbage collected if there may be much of it; nothing else runs on it meanwhile. For a thread that
 * is idle most of the time: left alone, it would keep what its last work has left, which may be hundreds of megabytes,
 * until it works again.
 */
export function collectGarbage(): void {
  const { heapUsed, external } = Deno.memoryUsage();
  if (heapUsed + external < ENOUGH) return;
  if (collect === null) {
    setFlagsFromString("--expose-gc");
    collect = runInNewContext("gc") as () => void;
  }
  collect();
}
