import { copyPacked, packedBytes, type PackedConfig } from "./packed_config.ts";

/** A config so much smaller than its room gets another one. */
const MAX_WASTE = 4;
/** How much larger than its config a new room is: configs grow a little with each version. */
const HEADROOM = 1.25;
const MIN_ROOM_BYTES = 64 * 1024;

/**
 * Memory that all threads share, for the config that is served and the next one, in turn. A thread that serves takes
 * a new config up without copying it, and without memory that comes or goes on its own heap, which would have its
 * garbage collected while requests wait.
 */
export class ConfigRooms {
  #served: SharedArrayBuffer | null = null;
  #next: SharedArrayBuffer | null = null;

  /** Puts a config where all threads can read it; it stands there until `put` is called again, or `served` twice. */
  put(packed: PackedConfig): PackedConfig {
    const bytes = packedBytes(packed);
    const wanted = Math.max(MIN_ROOM_BYTES, Math.ceil(bytes * HEADROOM));
    const room = this.#next?.byteLength ?? 0;
    if (room < bytes || room > wanted * MAX_WASTE) {
      this.#next = new SharedArrayBuffer(wanted);
    }
    return copyPacked(packed, this.#next!);
  }

  /**
   * All threads serve what was put last.
   *
   * @param free whether nobody reads the config before it any more; else its room is left to those who do.
   */
  served(free: boolean): void {
    const before = this.#served;
    this.#served = this.#next;
    this.#next = free ? before : null;
  }
}
