import { type Clock, systemClock } from "../shared/clock.ts";
import { errorLine } from "../shared/errors.ts";
import { Histogram, SECONDS_BOUNDS } from "../shared/metrics.ts";
import type { NextConfig } from "./active.ts";
import { type PushContents, readConfig } from "./config/config_reader.ts";
import type { PackedConfig } from "./config/packed_config.ts";
import type { Outcome } from "./link/state.ts";
import { otherDigest, type PushHead } from "./link/verdict.ts";
import type { SavedConfigs } from "./saved_config.ts";
import type { SavedHead } from "./saved_file.ts";

export interface ApplierOptions {
  readonly saved: SavedConfigs;
  /** The largest config that is taken, in bytes of JSON. */
  readonly maxConfigBytes: number;
  /**
   * Has a config served, on all threads or on none. What is given stays the applier's.
   *
   * @throws if that cannot be; then the one before it stays.
   */
  readonly serve: (config: NextConfig) => Promise<void>;
  /** Why a config is not to be served although it is valid; null if it is. */
  readonly guard: (push: PushHead, packed: PackedConfig) => string | null;
  readonly clock?: Clock;
}

/**
 * Brings configs into service: reads and validates, has them swapped in, saves, in this order (SPEC section 6,
 * "Applying a config"), and keeps a mark on the disk meanwhile. Whether a push is to be taken at all is decided
 * before.
 */
export class Applier {
  readonly #options: ApplierOptions;
  readonly #clock: Clock;
  /** From a whole push to the swap, in seconds. */
  readonly applySeconds = new Histogram(SECONDS_BOUNDS);

  constructor(options: ApplierOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Applies a push. Never throws: what goes wrong makes a rejection, and the config before it stays. */
  async apply(
    push: PushHead,
    contents: PushContents,
    { sameAs }: { readonly sameAs: string | null },
  ): Promise<Outcome> {
    const { suspects } = this.#options.saved;
    const suspicion = suspects.suspicion(push);
    if (suspicion !== null) return { status: "rejected", error: suspicion };
    await suspects.begin(push);
    const outcome = await this.#apply(push, contents, sameAs);
    if (outcome.status === "applied") await suspects.clear();
    else await suspects.end(push);
    return outcome;
  }

  async #apply(
    push: PushHead,
    contents: PushContents,
    sameAs: string | null,
  ): Promise<Outcome> {
    const started = this.#clock.now();
    try {
      const read = readConfig(contents, {
        maxBytes: this.#options.maxConfigBytes,
        digest: push.digest,
      });
      if (!read.ok) return { status: "rejected", error: read.error };
      const { packed } = read;
      const { digest } = packed;
      const { version, epoch } = push;
      const head = { version, epoch, digest };
      if (sameAs !== null) {
        return digest === sameAs
          ? { status: "unchanged", durable: await this.#save(head, packed) }
          : { status: "rejected", error: otherDigest(version, sameAs) };
      }
      const problem = this.#options.guard(push, packed);
      if (problem !== null) return { status: "rejected", error: problem };
      const source = "control_plane";
      await this.#options.serve({ version, epoch, source, packed });
      this.applySeconds.observe((this.#clock.now() - started) / 1000);
      const durable = await this.#save(head, packed);
      return { status: "applied", digest, durable };
    } catch (error) {
      return { status: "rejected", error: errorLine(error) };
    }
  }

  /** Whether a config is on the disk; it is saved unless it is. */
  async #save(head: SavedHead, packed: PackedConfig): Promise<boolean> {
    const { saved } = this.#options;
    return saved.has(head) || await saved.save(head, packed);
  }
}
