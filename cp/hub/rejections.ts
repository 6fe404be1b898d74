import { refused, type Rejection, type VersionName } from "./session.ts";

/** How many are kept at most; the oldest go first, and such a router is pushed to once more. */
const MAX_KEPT = 20_000;

/**
 * What instances of routers refused, so that they are not pushed the same again when they come back.
 * Only a rejection of what routers should be serving matters, so the others go with each new one.
 */
export class Rejections {
  readonly #kept = new Map<string, Rejection>();

  get(id: string, instance: string | null): Rejection | null {
    return this.#kept.get(key(id, instance)) ?? null;
  }

  /** Remembers a rejection; one without an instance cannot be told from that of another process. */
  add(id: string, instance: string | null, rejection: Rejection): void {
    if (instance === null) return;
    this.#kept.delete(key(id, instance));
    this.#kept.set(key(id, instance), rejection);
    if (this.#kept.size > MAX_KEPT) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest);
        break;
      }
    }
  }

  delete(id: string, instance: string | null): void {
    this.#kept.delete(key(id, instance));
  }

  /** Forgets what is about other versions than these. */
  retain(targets: readonly VersionName[]): void {
    for (const [key, rejection] of this.#kept) {
      if (!targets.some((target) => refused(rejection, target))) {
        this.#kept.delete(key);
      }
    }
  }
}

function key(id: string, instance: string | null): string {
  // Neither part can hold a space.
  return `${id} ${instance ?? ""}`;
}
