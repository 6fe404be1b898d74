import type { Version, VersionStore } from "../store/store.ts";
import { OneByOne } from "./one_by_one.ts";
import { ProblemError } from "./problem.ts";

/** How many versions read last are kept in memory: the two of a diff that somebody pages through. */
const RECENT = 2;

/** The versions of the history, read one at a time: each may be as large as the largest config. */
export class KeptVersions {
  /** For all that takes several versions, or long. */
  readonly queue = new OneByOne();
  readonly #store: VersionStore;
  #recent: Version[] = [];

  constructor(store: VersionStore) {
    this.#store = store;
  }

  /**
   * A version, whole; call it within the queue.
   *
   * @throws {ProblemError} `not-found` if there is none, or it is no longer kept.
   */
  async get(number: number): Promise<Version> {
    const version = await this.#get(number);
    if (version === null) throw await this.missing(number);
    this.#recent = [
      version,
      ...this.#recent.filter((each) => each.version !== number),
    ].slice(0, RECENT);
    return version;
  }

  /**
   * The number of the version before another that is kept; 0 before the first.
   *
   * @throws {ProblemError} `not-found` if that one is no longer kept.
   */
  async before(number: number): Promise<number> {
    const [before] = await this.#store.list({ before: number, limit: 1 });
    if (before !== undefined) return before.version;
    // The first version of a store is always 1; only later ones may skip numbers, by a takeover.
    if (number === 1) return 0;
    throw new ProblemError(
      "not-found",
      `The version before ${number} is no longer kept; CP_KEEP_VERSIONS says how many are. With from=0 all of version ${number} is shown as added.`,
    );
  }

  async #get(number: number): Promise<Version | null> {
    const recent = this.#recent.find(({ version }) => version === number);
    if (recent !== undefined) {
      const [info] = await this.#store.list({ before: number + 1, limit: 1 });
      if (info?.version === number && info.digest === recent.digest) {
        return recent;
      }
    }
    return await this.#store.get(number);
  }

  /** What is answered about a version that cannot be had. */
  async missing(number: number): Promise<ProblemError> {
    const known = await this.#store.digestOf(number);
    return new ProblemError(
      "not-found",
      known === null
        ? `There is no version ${number}.`
        : `Version ${number} is no longer kept (its digest was ${known.digest}); CP_KEEP_VERSIONS says how many are.`,
    );
  }
}
