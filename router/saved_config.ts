import { join } from "node:path";
import { errorLine } from "../shared/errors.ts";
import { logger } from "../shared/log.ts";
import type { PackedConfig } from "./config/packed_config.ts";
import { CrashSuspects } from "./crash_suspects.ts";
import {
  headText,
  isSameHead,
  MAX_FILE_BYTES,
  readContents,
  readHead,
  type SavedConfig,
  type SavedHead,
} from "./saved_file.ts";

const log = logger("state");

const NEWEST = "last_known_good";
const PREVIOUS = "last_known_good.previous";
const UNFINISHED = "last_known_good.new";
/** How many files of a kind are kept for a look at them. */
const MAX_ASIDE = 5;
/** Written at a time: more would keep a core busy in one go, which requests may want. */
const WRITE_BYTES = 256 * 1024;
/** How long an answer waits for the disk, in milliseconds. */
const SAVE_TIMEOUT_MS = 10_000;

/** A head alone, whatever it came with. */
function headOf({ version, epoch, digest }: SavedHead): SavedHead {
  return { version, epoch, digest };
}

/** A config that is to be written. */
interface Save {
  readonly head: SavedHead;
  readonly packed: PackedConfig;
  readonly done: (durable: boolean) => void;
  /** It was answered for already: the timeout has passed. */
  late: boolean;
}

/** What a saved file turned out to be; all but a sound one say what is wrong with them. */
type Found =
  | { readonly kind: "sound"; readonly saved: SavedConfig }
  | { readonly kind: "absent" }
  | { readonly kind: "damaged" | "suspect"; readonly problem: string };

/**
 * The last-known-good config on disk, and the one before it. A file is written beside the old one and takes its
 * place by a rename, so a crash leaves one of both.
 */
export class SavedConfigs {
  /** The configs of this directory that were being applied as the router died. */
  readonly suspects: CrashSuspects;
  readonly #directory: string;
  readonly #timeoutMs: number;
  readonly #savedLate: (head: SavedHead) => void;
  #next: Save | null = null;
  #writing: Promise<void> | null = null;
  #newest: SavedHead | null = null;
  /** How many writes failed, or did not end in time. */
  failures = 0;

  constructor(
    directory: string,
    options: {
      /** @default {10000} */
      timeoutMs?: number;
      /** Told of a config that reached the disk after `save` had answered that it has not. */
      savedLate?: (head: SavedHead) => void;
    } = {},
  ) {
    this.#directory = directory;
    this.#timeoutMs = options.timeoutMs ?? SAVE_TIMEOUT_MS;
    this.suspects = new CrashSuspects(directory);
    this.#savedLate = options.savedLate ?? (() => {});
  }

  /** What is on the disk, as far as this process read or wrote it. */
  get newest(): SavedHead | null {
    return this.#newest;
  }

  /** Whether a config is the newest one on the disk. */
  has(head: SavedHead): boolean {
    return this.#newest !== null && isSameHead(this.#newest, head);
  }

  /**
   * The newest sound config, or null. One that is damaged, or a crash suspect, is set aside under another name, and
   * said loudly; then the one before it is read. What is answered is marked as being applied. Never throws.
   */
  async read(): Promise<SavedConfig | null> {
    await this.suspects.read();
    for (const name of [NEWEST, PREVIOUS]) {
      const found = await this.#find(name);
      switch (found.kind) {
        case "sound":
          this.#newest = headOf(found.saved);
          return found.saved;
        case "absent":
          break;
        case "damaged":
        case "suspect":
          log.error("the saved config cannot be used", {
            path: join(this.#directory, name),
            problem: found.problem,
            set_aside_as: await this.#setAside(name, found.kind),
          });
          break;
        default:
          found satisfies never;
      }
    }
    return null;
  }

  /**
   * Saves a config. One is written at a time, and of those that wait only the newest.
   *
   * @returns whether it is on the disk. False also if that takes longer than the timeout; the
   * write then goes on by itself. Never throws.
   */
  async save(head: SavedHead, packed: PackedConfig): Promise<boolean> {
    this.#next?.done(false);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const save: Save = { head, packed, done: resolve, late: false };
    this.#next = save;
    this.#writing ??= this.#writeAll();
    const late = setTimeout(() => {
      save.late = true;
      this.failures++;
      log.error("the config is not saved yet: the disk does not answer", {
        directory: this.#directory,
        version: head.version,
        waited_ms: this.#timeoutMs,
      });
      resolve(false);
    }, this.#timeoutMs);
    try {
      return await promise;
    } finally {
      clearTimeout(late);
    }
  }

  async #writeAll(): Promise<void> {
    for (let next = this.#next; next !== null; next = this.#next) {
      this.#next = null;
      try {
        await this.#write(next.head, next.packed);
        this.#newest = next.head;
        next.done(true);
        if (next.late) this.#savedLate(next.head);
      } catch (error) {
        this.failures++;
        log.error("cannot save the config; serving on without it on disk", {
          directory: this.#directory,
          version: next.head.version,
          error,
        });
        next.done(false);
      }
    }
    this.#writing = null;
  }

  async #write(head: SavedHead, { text }: PackedConfig): Promise<void> {
    await Deno.mkdir(this.#directory, { recursive: true });
    const unfinished = join(this.#directory, UNFINISHED);
    const newest = join(this.#directory, NEWEST);
    {
      using file = await Deno.open(unfinished, {
        write: true,
        create: true,
        truncate: true,
        mode: 0o600,
      });
      await writeWhole(file, new TextEncoder().encode(headText(head)));
      await writeWhole(file, text);
      await file.sync();
    }
    await renameIfThere(newest, join(this.#directory, PREVIOUS));
    await Deno.rename(unfinished, newest);
    await syncDirectory(this.#directory);
  }

  async #find(name: string): Promise<Found> {
    const path = join(this.#directory, name);
    try {
      const { isFile, size } = await Deno.stat(path);
      if (!isFile) return { kind: "damaged", problem: "it is not a file" };
      if (size > MAX_FILE_BYTES) {
        return { kind: "damaged", problem: `it is of ${size} bytes` };
      }
      return await this.#read(await Deno.readFile(path));
    } catch (error) {
      return error instanceof Deno.errors.NotFound
        ? { kind: "absent" }
        : { kind: "damaged", problem: errorLine(error) };
    }
  }

  async #read(bytes: Uint8Array<ArrayBuffer>): Promise<Found> {
    const head = readHead(bytes);
    if (typeof head === "string") return { kind: "damaged", problem: head };
    const suspicion = this.suspects.suspicion(head);
    if (suspicion !== null) return { kind: "suspect", problem: suspicion };
    await this.suspects.begin(head);
    const contents = readContents(bytes, head);
    if (contents.ok) {
      return {
        kind: "sound",
        saved: { ...headOf(head), packed: contents.packed },
      };
    }
    await this.suspects.end(head);
    return { kind: "damaged", problem: contents.error };
  }

  /** The name it was given, or why it stays where it is. */
  async #setAside(
    name: string,
    kind: "damaged" | "suspect",
  ): Promise<string> {
    const path = join(this.#directory, name);
    try {
      for (let number = 1; number <= MAX_ASIDE; number++) {
        const aside = `${path}.${kind}-${number}`;
        if (number < MAX_ASIDE && await exists(aside)) continue;
        await Deno.rename(path, aside);
        return aside;
      }
      return "";
    } catch (error) {
      return `nothing, it cannot be renamed: ${errorLine(error)}`;
    }
  }
}

async function writeWhole(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await file.write(bytes.subarray(at, at + WRITE_BYTES));
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await Deno.rename(from, to);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Makes a rename last. Where directories cannot be opened, the file system has to do without. */
async function syncDirectory(path: string): Promise<void> {
  let directory: Deno.FsFile;
  try {
    directory = await Deno.open(path);
  } catch {
    return;
  }
  using open = directory;
  await open.sync();
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch {
    return false;
  }
}
