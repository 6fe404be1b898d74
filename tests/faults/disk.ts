import { until } from "../harness/until.ts";
import { run } from "./command.ts";

/** Room of a disk, in MiB. */
const MEBIBYTES = 16;

/**
 * A small file system of its own, in a file, that can be full, read-only, or not answer: ext4 on a loop device. Needs
 * root, since mounting does.
 */
export class Disk implements AsyncDisposable {
  /** Where it is mounted. */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes one and mounts it at `path`, an absolute path at which there is nothing yet. */
  static async mount(path: string): Promise<Disk> {
    const image = `${path}.img`;
    await Deno.mkdir(path, { recursive: true });
    using file = await Deno.create(image);
    await file.truncate(MEBIBYTES * 1024 * 1024);
    await run("mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal", image);
    await run("mount", "-o", "loop", image, path);
    return new Disk(path);
  }

  /** Takes all the room there is while `action` runs. */
  async whileFull(action: () => Promise<void>): Promise<void> {
    const filler = `${this.path}/filler`;
    await fill(filler);
    try {
      await action();
    } finally {
      await Deno.remove(filler);
    }
  }

  async whileReadOnly(action: () => Promise<void>): Promise<void> {
    // Not while a file is open for writing.
    await until(
      `${this.path} to be read-only`,
      () => run("mount", "-o", "remount,ro", this.path).then(() => true),
    );
    try {
      await action();
    } finally {
      await run("mount", "-o", "remount,rw", this.path);
    }
  }

  /** Who writes while `action` runs waits until it has ended, and cannot even be killed. */
  async whileFrozen(action: () => Promise<void>): Promise<void> {
    await run("fsfreeze", "--freeze", this.path);
    try {
      await action();
    } finally {
      await run("fsfreeze", "--unfreeze", this.path);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Lazily: a process that has just been killed may still have a file open.
    await run("umount", "--lazy", this.path);
  }
}

/** Writes a file until there is no room. */
async function fill(path: string): Promise<void> {
  using file = await Deno.create(path);
  // By less each time, so that the last block is taken as well.
  for (let bytes = 1024 * 1024; bytes >= 1;) {
    try {
      await file.write(new Uint8Array(bytes));
      await file.sync();
    } catch {
      bytes >>= 1;
    }
  }
}
