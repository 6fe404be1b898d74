import { createHash } from "node:crypto";
import { join } from "node:path";
import { errorLine } from "../shared/errors.ts";
import { JsonSyntaxError, readJson, show } from "../shared/json.ts";
import { logger } from "../shared/log.ts";
import { readConfig } from "./config/config_reader.ts";
import type { PackedConfig } from "./config/packed_config.ts";

const log = logger("state");

/** The form of the file; another one is not read. */
const FORMAT = 1;
const NEWEST = "last_known_good";
const PREVIOUS = "last_known_good.previous";
const UNFINISHED = "last_known_good.new";
/** How many damaged files are kept for a look at them. */
const MAX_DAMAGED = 5;
/** Nothing this large is ever written, so it need not be read. */
const MAX_FILE_BYTES = 512 * 1024 * 1024;
/** Written at a time: more would keep a core busy in one go, which requests may want. */
const WRITE_BYTES = 256 * 1024;
/** How long an answer waits for the disk, in milliseconds. */
const SAVE_TIMEOUT_MS = 10_000;

/** What is kept of a config besides itself. */
export interface SavedHead {
  readonly version: number;
  readonly epoch: string | null;
  readonly digest: string;
}

/** Whether two heads are of the same config. */
export function isSameHead(a: SavedHead, b: SavedHead): boolean {
  return a.version === b.version && a.epoch === b.epoch &&
    a.digest === b.digest;
}

/** A head alone, whatever it came with. */
function headOf({ version, epoch, digest }: SavedHead): SavedHead {
  return { version, epoch, digest };
}

/** A config that was read back and is sound. */
export interface SavedConfig extends SavedHead {
  readonly packed: PackedConfig;
}

/** A config that is to be written. */
interface Save {
  readonly head: SavedHead;
  readonly packed: PackedConfig;
  readonly done: (durable: boolean) => void;
  /** It was answered for already: the timeout has passed. */
  late: boolean;
}

/** What a saved file turned out to be: damaged files say what is wrong with them. */
type Found =
  | { readonly kind: "sound"; readonly saved: SavedConfig }
  | { readonly kind: "absent" }
  | { readonly kind: "damaged"; readonly problem: string };

/**
 * The last-known-good config on disk, and the one before it. A file is two lines and the canonical
 * text: the head as JSON, the SHA-256 of that line, and the config, which the head's digest covers.
 * It is written beside the old one and takes its place by a rename, so a crash leaves one of both.
 */
export class SavedConfigs {
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
   * The newest sound config, or null. A damaged one is set aside under another name, and said
   * loudly; then the one before it is read. Never throws.
   */
  async read(): Promise<SavedConfig | null> {
    for (const name of [NEWEST, PREVIOUS]) {
      const found = await this.#find(name);
      switch (found.kind) {
        case "sound":
          this.#newest = headOf(found.saved);
          return found.saved;
        case "absent":
          break;
        case "damaged":
          log.error("the saved config cannot be used", {
            path: join(this.#directory, name),
            problem: found.problem,
            set_aside_as: await this.#setAside(name),
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
      return readSaved(await Deno.readFile(path));
    } catch (error) {
      return error instanceof Deno.errors.NotFound
        ? { kind: "absent" }
        : { kind: "damaged", problem: errorLine(error) };
    }
  }

  /** The name it was given, or why it stays where it is. */
  async #setAside(name: string): Promise<string> {
    const path = join(this.#directory, name);
    try {
      for (let number = 1; number <= MAX_DAMAGED; number++) {
        const aside = `${path}.damaged-${number}`;
        if (number < MAX_DAMAGED && await exists(aside)) continue;
        await Deno.rename(path, aside);
        return aside;
      }
      return "";
    } catch (error) {
      return `nothing, it cannot be renamed: ${errorLine(error)}`;
    }
  }
}

/** What stands in front of the config: the head, and its checksum. */
function headText({ version, epoch, digest }: SavedHead): string {
  const line = JSON.stringify({ format: FORMAT, version, epoch, digest });
  return `${line}\n${sha256(line)}\n`;
}

/** Reads a saved file; whatever is in it. */
function readSaved(bytes: Uint8Array<ArrayBuffer>): Found {
  const first = bytes.indexOf(0x0a);
  const second = bytes.indexOf(0x0a, first + 1);
  if (first < 0 || second < 0) {
    return { kind: "damaged", problem: "its head is cut" };
  }
  const line = new TextDecoder().decode(bytes.subarray(0, first));
  const check = new TextDecoder().decode(bytes.subarray(first + 1, second));
  if (check !== sha256(line)) {
    return { kind: "damaged", problem: "its head does not match its checksum" };
  }
  const head = readHead(line);
  if (typeof head === "string") return { kind: "damaged", problem: head };
  const read = readConfig(
    { kind: "text", text: bytes.subarray(second + 1) },
    { maxBytes: MAX_FILE_BYTES, digest: head.digest },
  );
  return read.ok
    ? { kind: "sound", saved: { ...head, packed: read.packed } }
    : { kind: "damaged", problem: read.error };
}

/** The head, or what is wrong with it. */
function readHead(line: string): SavedHead | string {
  let head: unknown;
  try {
    head = readJson(line).value;
  } catch (error) {
    if (error instanceof JsonSyntaxError) return error.message;
    throw error;
  }
  if (!(head instanceof Map)) return "its head is no object";
  const format = head.get("format");
  if (format !== FORMAT) {
    return `its format is ${show(format)}, and this release reads ${FORMAT}`;
  }
  const [version, epoch, digest] = ["version", "epoch", "digest"].map((name) =>
    head.get(name)
  );
  if (!(Number.isSafeInteger(version) && (version as number) >= 1)) {
    return `its version is ${show(version)}`;
  }
  if (epoch !== null && typeof epoch !== "string") {
    return `its epoch is ${show(epoch)}`;
  }
  if (typeof digest !== "string") return `its digest is ${show(digest)}`;
  return { version: version as number, epoch, digest };
}

function sha256(text: string): string {
  return `sha256:${createHash("sha256").update(text).digest("hex")}`;
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
