import { dirname } from "node:path";
import { OpenFiles } from "./open_files.ts";
import { StoreDamaged, StoreUnavailable } from "./store.ts";

/** Another process has the database's file open as its own. */
export class StoreOwned extends Error {
  override name = "StoreOwned";
  /** The path of the database. */
  readonly path: string;

  constructor(message: string, path: string) {
    super(message);
    this.path = path;
  }
}

/** An open database and how to give it up. */
export interface OpenDatabase {
  readonly kv: Deno.Kv;
  /** Its files, where it has some. */
  readonly files: OpenFiles | null;
  /** Lets go of the file, if it is one; to be called after the database is closed. */
  release(): void;
}

/**
 * Opens a Deno KV: a path, `:memory:`, a KV Connect URL, or the platform's own where there is none.
 * A file's directory is made if it is missing, and the file is owned by this process until
 * `release`: several writers of one file would fail at random with "database is locked".
 *
 * @throws {StoreOwned} if another process owns the file.
 * @throws {StoreDamaged} if the file is not a database.
 * @throws {StoreUnavailable} if it cannot be opened.
 */
export async function openDatabase(
  path: string | undefined,
): Promise<OpenDatabase> {
  const file = path !== undefined && isFile(path) ? path : null;
  const lock = file === null ? null : await own(file);
  try {
    const kv = await Deno.openKv(path);
    const files = file === null ? null : new OpenFiles(file);
    return { kv, files, release: () => lock?.close() };
  } catch (cause) {
    lock?.close();
    throw openError(path ?? "the platform's own", cause);
  }
}

function isFile(path: string): boolean {
  return path !== ":memory:" && !/^https?:\/\//.test(path);
}

/** Locks `<path>.lock`. The lock goes with the process, however it ends; the file stays, for removing it would race. */
async function own(path: string): Promise<Deno.FsFile> {
  let file: Deno.FsFile;
  let locked: boolean;
  try {
    await Deno.mkdir(dirname(path), { recursive: true });
    file = await Deno.open(`${await realPath(path)}.lock`, {
      create: true,
      write: true,
    });
  } catch (cause) {
    throw openError(path, cause);
  }
  try {
    locked = file.tryLockSync(true);
  } catch (cause) {
    file.close();
    throw openError(path, cause);
  }
  if (!locked) {
    file.close();
    throw new StoreOwned(
      `Cannot open the store ${path}: another control plane owns it (it holds the lock ${path}.lock). One process owns a file; several share a database by a KV Connect URL.`,
      path,
    );
  }
  return file;
}

/** The path behind links, so that a file has one lock; the path itself while there is no file. */
async function realPath(path: string): Promise<string> {
  try {
    return await Deno.realPath(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return path;
    throw error;
  }
}

function openError(
  path: string,
  cause: unknown,
): StoreDamaged | StoreUnavailable {
  const why = cause instanceof Error ? cause.message : String(cause);
  if (/malformed|not a database/.test(why)) {
    return new StoreDamaged(
      `Cannot open the store ${path}: it is damaged, the database says "${why}". Restore it from a backup; or set it aside, start with a new one, PUT /v1/config with what a router's GET /config answers, then POST /v1/takeover.`,
      path,
      { cause },
    );
  }
  return new StoreUnavailable(`Cannot open the store ${path}: ${why}`, {
    cause,
  });
}
