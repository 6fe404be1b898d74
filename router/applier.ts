import { errorLine } from "../shared/errors.ts";
import { logger } from "../shared/log.ts";
import { Histogram, SECONDS_BOUNDS } from "../shared/metrics.ts";
import { activate, activeConfig, type ConfigSource } from "./active.ts";
import { type Clock, systemClock } from "../shared/clock.ts";
import { type PushContents, readConfig } from "./config/config_reader.ts";
import type { PackedConfig } from "./config/packed_config.ts";
import type { Outcome } from "./link/state.ts";
import { otherDigest, type PushHead } from "./link/verdict.ts";
import { compileRoutes, type Routes } from "./routes.ts";
import type { SavedConfigs } from "./saved_config.ts";

const log = logger("config");

/** A config that is ready to be served, with what is known of it. */
export interface ReadyConfig {
  /** 0 for a bootstrap config. */
  readonly version: number;
  readonly epoch: string | null;
  readonly digest: string;
  readonly source: ConfigSource;
  readonly routes: Routes;
}

/** Makes a config ready to be served. */
export function readyConfig(
  { version, epoch, source }: Pick<ReadyConfig, "version" | "epoch" | "source">,
  packed: PackedConfig,
): ReadyConfig {
  const { digest } = packed;
  const routes = compileRoutes(packed, version);
  return { version, epoch, digest, source, routes };
}

/** The serving threads besides the one that applies: a config is served by all of them, or by none. */
export interface OtherThreads {
  /**
   * Has all of them read a config, and hold it ready.
   *
   * @throws if one cannot.
   */
  prepare(config: ReadyConfig): Promise<void>;
  /** Has all of them serve it. */
  serve(config: ReadyConfig): Promise<void>;
}

export interface ApplierOptions {
  readonly saved: SavedConfigs;
  /** The largest config that is taken, in bytes of JSON. */
  readonly maxConfigBytes: number;
  /** The serving threads besides this one. */
  readonly threads?: OtherThreads;
  /** Called after each swap, in the same turn. */
  readonly onApplied: (routes: Routes) => void;
  readonly clock?: Clock;
}

/**
 * Brings configs into service: reads and validates, swaps, saves, in this order (SPEC section 6,
 * "Applying a config"). Whether a push is to be taken at all is decided before.
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

  /** Whether the config being served is on the disk; a bootstrap config is not meant to be, and counts as it. */
  get durable(): boolean {
    const active = activeConfig();
    if (active === null || active.source === "bootstrap") return true;
    const { newest } = this.#options.saved;
    return newest !== null && newest.version === active.version &&
      newest.epoch === active.epoch && newest.digest === active.digest;
  }

  /** Applies a push. Never throws: what goes wrong makes a rejection, and the config before it stays. */
  async apply(
    push: PushHead,
    contents: PushContents,
    { sameAs }: { readonly sameAs: string | null },
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
      if (sameAs !== null) {
        return digest === sameAs
          ? { status: "unchanged", durable: await this.#saveAgain() }
          : { status: "rejected", error: otherDigest(push.version, sameAs) };
      }
      const { version, epoch } = push;
      const source = "control_plane";
      const config = readyConfig({ version, epoch, source }, packed);
      const { threads } = this.#options;
      await threads?.prepare(config);
      this.serve(config);
      await threads?.serve(config);
      this.applySeconds.observe((this.#clock.now() - started) / 1000);
      const head = { version, epoch, digest };
      const durable = await this.#options.saved.save(head, packed);
      return { status: "applied", digest, durable };
    } catch (error) {
      return { status: "rejected", error: errorLine(error) };
    }
  }

  /** Saves what is being served, if that failed before; answers whether it is on the disk. */
  async #saveAgain(): Promise<boolean> {
    const active = activeConfig();
    if (this.durable || active === null) return this.durable;
    const { version, epoch, digest, routes } = active;
    return await this.#options.saved.save(
      { version, epoch, digest },
      routes.packed,
    );
  }

  /** Swaps a config in: one assignment, between two requests. */
  serve(config: ReadyConfig): void {
    activate({
      ...config,
      appliedAt: this.#clock.wall(),
      appliedAtMonotonic: this.#clock.now(),
    });
    try {
      this.#options.onApplied(config.routes);
    } catch (error) {
      // The config is in service, whatever those who were told of it make of it.
      log.error("a listener failed on a new config", { error });
    }
  }
}
