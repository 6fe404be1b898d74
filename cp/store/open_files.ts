import { StoreDamaged } from "./store.ts";

/**
 * The file of an open database, or its log of writes, is no longer the one that was opened. What is committed would go
 * where no later start finds it.
 */
export class StoreReplaced extends StoreDamaged {
  override name = "StoreReplaced";
}

/** What is known of a file. */
interface Seen {
  readonly path: string;
  /** Its identity on its file system; null while there is none, or it cannot be told. */
  identity: string | null;
  bytes: number;
}

/**
 * The files of an embedded database while this process has it open. Neither is ever replaced, removed or made shorter by
 * the database itself, so who finds that has found somebody else's doing: an operator who restores a backup under a
 * running process, say. The database would not notice, and go on in a file that has no name any more.
 */
export class OpenFiles {
  readonly #files: readonly Seen[];

  /** Looks at the files of the database `path`, which is open. */
  constructor(path: string) {
    this.#files = ["", "-wal"].map((suffix) => ({
      path: path + suffix,
      identity: null,
      bytes: 0,
    }));
    this.check();
  }

  /**
   * Looks again; some microseconds.
   *
   * @throws {StoreReplaced} if a file is not the one it was, or shorter.
   */
  check(): void {
    for (const file of this.#files) {
      const found = look(file.path);
      if (found === "unknown") continue;
      if (found === null) {
        if (file.identity !== null) throw replaced(file.path, "was removed");
        continue;
      }
      if (file.identity !== null && found.identity !== file.identity) {
        throw replaced(file.path, "was replaced by another file");
      }
      if (found.bytes < file.bytes) {
        throw replaced(
          file.path,
          `was cut from ${file.bytes} to ${found.bytes} bytes`,
        );
      }
      file.identity = found.identity;
      file.bytes = found.bytes;
    }
  }
}

/** Null if there is no such file; "unknown" if it cannot be told, for a permission say. */
function look(
  path: string,
): { identity: string; bytes: number } | null | "unknown" {
  try {
    const { dev, ino, size } = Deno.statSync(path);
    return { identity: `${dev} ${ino}`, bytes: size };
  } catch (error) {
    return error instanceof Deno.errors.NotFound ? null : "unknown";
  }
}

function replaced(path: string, what: string): StoreReplaced {
  return new StoreReplaced(
    `Cannot use the store: its file ${path} ${what} while this control plane had it open`,
    path,
  );
}
