import { dirname, join } from "node:path";
import { z } from "zod";
import { atMost } from "../shared/clock.ts";
import { logger } from "../shared/log.ts";

const log = logger("state");

const FILE = "applying";
/** The form of the file; another one is not read. */
const FORMAT = 1;
/** So many deaths while a config was being applied make it a suspect: one may have been a stray `kill -9`. */
const MAX_DEATHS = 2;
/** How many configs are remembered: there is seldom more than the one before the newest. */
const MAX_TRIALS = 8;
/** How long applying waits for the disk, in milliseconds: a mark that is late does no harm but to be late. */
const WAIT_MS = 1000;

/** What tells one config from another; a draft control plane's push names no digest. */
export interface TrialHead {
  readonly version: number;
  readonly epoch: string | null;
  readonly digest: string | null;
}

/** A config that this router has begun to apply, and not ended. */
interface Trial extends TrialHead {
  /** How often the router, or the thread that applied it, died meanwhile. */
  readonly deaths: number;
  /** It is being applied. */
  readonly begun: boolean;
}

const SHAPE = z.object({
  format: z.literal(FORMAT),
  trials: z.array(z.object({
    version: z.int().min(1),
    epoch: z.string().nullable(),
    digest: z.string().nullable(),
    deaths: z.int().min(0),
    begun: z.boolean(),
  })).max(MAX_TRIALS),
});

/**
 * Tells a config that kills the router while it is applied from all others: "applying version 5" is on the disk
 * before that is done, and taken away after it. Who finds it at the start knows that the router died in between.
 *
 * A router cannot be its own doctor for ever: where the state directory cannot be written, or does not answer, configs
 * are applied without a mark. The file is not synced: it is to outlive the process, not the machine.
 */
export class CrashSuspects {
  readonly #path: string;
  readonly #waitMs: number;
  #trials: readonly Trial[] = [];
  #writing: Promise<void> = Promise.resolve();
  #failing = false;

  constructor(
    directory: string,
    /** @default {1_000} */
    { waitMs = WAIT_MS }: { waitMs?: number } = {},
  ) {
    this.#path = join(directory, FILE);
    this.#waitMs = waitMs;
  }

  /** Learns at the start what was being applied when the router died, and counts it. Never throws. */
  async read(): Promise<void> {
    this.#trials = (await this.#readFile()).map((trial) =>
      trial.begun ? { ...trial, deaths: trial.deaths + 1, begun: false } : trial
    );
    for (const { begun: _, ...trial } of this.#trials) {
      if (trial.deaths < MAX_DEATHS) {
        log.warn("this router died while it applied a config", trial);
      } else {
        log.error(
          "a config is a crash suspect: this router died too often while it applied it, and takes a newer version only",
          trial,
        );
      }
    }
    if (this.#trials.length > 0) await this.#write();
  }

  /** Why a config is not to be applied; null if it may be. */
  suspicion(head: TrialHead): string | null {
    const trial = this.#trials.find((trial) => isSame(trial, head));
    if (trial === undefined || trial.deaths < MAX_DEATHS) return null;
    return `crash suspect: this router died ${trial.deaths} times while it applied version ${head.version}, and applies it no more; it takes a newer version.`;
  }

  /** Marks a config as being applied; resolves when that is on the disk, or cannot be, or takes too long. */
  async begin(head: TrialHead): Promise<void> {
    const before = this.#trials.find((trial) => isSame(trial, head));
    const { version, epoch, digest } = head;
    const deaths = before?.deaths ?? 0;
    this.#trials = [
      ...this.#trials.filter((trial) => trial !== before),
      { version, epoch, digest, deaths, begun: true },
    ].slice(-MAX_TRIALS);
    await this.#write();
  }

  /** A config was applied, or refused, and nobody died of it. */
  async end(head: TrialHead): Promise<void> {
    await this.#keep((trial) => !isSame(trial, head));
  }

  /** A pushed config is served, so that all others are older than what is: they will not come again. */
  async clear(): Promise<void> {
    await this.#keep(() => false);
  }

  /** The router stops while it applies a config, because it was told to: that is no death. */
  async withdraw(): Promise<void> {
    await this.#keep(({ begun, deaths }) => !begun || deaths > 0, {
      begun: false,
    });
  }

  async #keep(
    which: (trial: Trial) => boolean,
    change: Partial<Trial> = {},
  ): Promise<void> {
    const before = this.#trials;
    this.#trials = before.filter(which).map((trial) => ({
      ...trial,
      ...change,
    }));
    if (before.length > 0) await this.#write();
  }

  /** Has the file say what is known now, behind all writes before it. */
  async #write(): Promise<void> {
    const trials = this.#trials;
    this.#writing = this.#writing.then(() => this.#writeFile(trials));
    await atMost(this.#waitMs, this.#writing);
  }

  async #writeFile(trials: readonly Trial[]): Promise<void> {
    try {
      if (trials.length === 0) await removeIfThere(this.#path);
      else {
        const unfinished = `${this.#path}.new`;
        await Deno.mkdir(dirname(this.#path), { recursive: true });
        const text = JSON.stringify({ format: FORMAT, trials });
        await Deno.writeTextFile(unfinished, text, { mode: 0o600 });
        await Deno.rename(unfinished, this.#path);
      }
      this.#failing = false;
    } catch (error) {
      // The config's own saving tells of the disk each time; this need be told once.
      if (!this.#failing) {
        log.warn("cannot mark what is being applied; applying it without", {
          path: this.#path,
          error,
        });
      }
      this.#failing = true;
    }
  }

  async #readFile(): Promise<readonly Trial[]> {
    try {
      const text = await Deno.readTextFile(this.#path);
      return SHAPE.parse(JSON.parse(text)).trials;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) {
        log.warn("what was being applied at the end cannot be read; going on", {
          path: this.#path,
          error,
        });
      }
      return [];
    }
  }
}

/** Whether two heads are of one config, as far as both tell. */
function isSame(a: TrialHead, b: TrialHead): boolean {
  return a.version === b.version && a.epoch === b.epoch &&
    (a.digest === b.digest || a.digest === null || b.digest === null);
}

async function removeIfThere(path: string): Promise<void> {
  try {
    await Deno.remove(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
