import type { Logger } from "../../shared/log.ts";
import { holdsBlank, judge } from "./conflict.ts";
import { type Connection, stateOf } from "./connection.ts";
import { sameVersion, type Want } from "./session.ts";
import { offerTo, type Source, type Standing } from "./source.ts";

const HELD_BLANK =
  "It serves no version, and more routers are in conflict with this store than follow it: until that ends it is not pushed to.";

/** A router that has come waits at most so long for a read of the head, in milliseconds. */
const MAX_WAIT_MS = 1_000;

/**
 * Judges what each router serves against the store's history, and tells each session what is to
 * happen to its router. A router that has come is judged once the head has been read strongly, so that
 * it never gets less than what was committed before it came; if that fails, by what is known. A
 * conflict counts only after a strong read, and is looked at again whenever the head changes.
 */
export class Judgement {
  readonly #source: Source;
  readonly #log: Logger;
  readonly #url: () => string;
  readonly #connections: ReadonlySet<Connection>;
  readonly #want: (connection: Connection, want: Want) => void;
  readonly #judged: (connection: Connection) => void;
  readonly #welcomed: (connection: Connection) => void;
  /** Those that serve something and are not decided yet. */
  readonly #undecided = new Set<Connection>();
  /** Those that no read of the head has ended for since they came: nothing is decided for them. */
  readonly #newcomers = new Set<Connection>();
  /** Newcomers, and those seemingly in conflict: the head has to be read strongly first. */
  #unsure = new Set<Connection>();
  /** Those that the read under way is for. */
  #asked = new Set<Connection>();
  #asking = false;
  #follows = 0;
  #conflicts = 0;

  /**
   * `want` is told what is to happen to a router; `judged` that its verdict has changed, or that it is
   * in conflict with a new head as well; `welcomed` that it was looked at for the first time.
   */
  constructor(options: {
    source: Source;
    log: Logger;
    url: () => string;
    connections: ReadonlySet<Connection>;
    want: (connection: Connection, want: Want) => void;
    judged: (connection: Connection) => void;
    welcomed: (connection: Connection) => void;
  }) {
    this.#source = options.source;
    this.#log = options.log;
    this.#url = options.url;
    this.#connections = options.connections;
    this.#want = options.want;
    this.#judged = options.judged;
    this.#welcomed = options.welcomed;
  }

  /** How many connected routers are in conflict. */
  get conflicts(): number {
    return this.#conflicts;
  }

  /** A router has come. */
  arrive(connection: Connection): void {
    this.#newcomers.add(connection);
    this.judge(connection);
  }

  /** Judges one router anew, because it is new or serves something new. */
  judge(connection: Connection): void {
    // A read that began before tells nothing about it.
    connection.confirmed = false;
    this.#asked.delete(connection);
    if (this.#newcomers.has(connection)) this.#ask(connection);
    this.#look(connection);
  }

  /** Judges all routers anew, because the head has changed. */
  judgeAll(): void {
    for (const connection of this.#connections) this.#decide(connection);
    this.#tellBlank();
  }

  /** Time has gone by: tries again where the store could not be asked, and lets nobody wait for long. */
  tick(now: number): void {
    for (const connection of [...this.#newcomers]) {
      if (now - stateOf(connection).openedAt < MAX_WAIT_MS) continue;
      this.#welcome(connection);
    }
    if (this.#source.standing === null) return;
    for (const connection of [...this.#undecided]) this.#look(connection);
  }

  /** A router has gone. */
  leave(connection: Connection): void {
    const held = this.#holdsBlank();
    this.#count(connection, -1);
    this.#undecided.delete(connection);
    this.#newcomers.delete(connection);
    this.#unsure.delete(connection);
    this.#asked.delete(connection);
    if (this.#holdsBlank() !== held) this.#tellBlank();
  }

  #look(connection: Connection): void {
    const held = this.#holdsBlank();
    this.#decide(connection);
    if (this.#holdsBlank() !== held) this.#tellBlank();
  }

  #welcome(connection: Connection): void {
    this.#newcomers.delete(connection);
    this.#look(connection);
    this.#welcomed(connection);
  }

  #decide(connection: Connection): void {
    const standing = this.#source.standing;
    if (standing === null || this.#newcomers.has(connection)) {
      return this.#leaveOpen(connection);
    }
    const verdict = judge(
      stateOf(connection).served,
      standing.head,
      (version) => this.#source.recorded(version),
    );
    switch (verdict.kind) {
      case "lookup":
        this.#leaveOpen(connection);
        void this.#source.lookup(verdict.version).then((ok) => {
          if (ok && this.#undecided.has(connection)) this.#look(connection);
        });
        return;
      case "conflict":
        if (connection.confirmed) return this.#settle(connection, verdict);
        this.#leaveOpen(connection);
        return this.#ask(connection);
      case "follows":
      case "blank":
        return this.#settle(connection, verdict);
      default:
        verdict satisfies never;
    }
  }

  #ask(connection: Connection): void {
    this.#unsure.add(connection);
    if (!this.#asking) void this.#askStore();
  }

  /** Reads the head once for all that are unsure; those that come meanwhile wait for the next read. */
  async #askStore(): Promise<void> {
    this.#asking = true;
    while (this.#unsure.size > 0) {
      this.#asked = this.#unsure;
      this.#unsure = new Set();
      const ok = await this.#source.refresh();
      for (const connection of this.#asked) {
        connection.confirmed = ok;
        if (this.#newcomers.has(connection)) this.#welcome(connection);
        else if (ok) this.#look(connection);
      }
    }
    this.#asking = false;
  }

  #leaveOpen(connection: Connection): void {
    const { version, epoch } = stateOf(connection).served;
    if (version !== null || epoch !== null) this.#undecided.add(connection);
    this.#count(connection, -1);
    connection.verdict = null;
    this.#tell(connection);
  }

  #settle(
    connection: Connection,
    verdict: NonNullable<Connection["verdict"]>,
  ): void {
    const before = connection.verdict;
    this.#undecided.delete(connection);
    this.#count(connection, -1);
    connection.verdict = verdict;
    this.#count(connection, 1);
    this.#tell(connection);
    if (verdict.kind !== "conflict") {
      connection.told.delete("conflict");
      if (before?.kind === verdict.kind) return;
    } else this.#logConflict(connection, verdict);
    this.#judged(connection);
  }

  #logConflict(connection: Connection, { reason }: { reason: string }): void {
    if (connection.told.has("conflict")) return;
    connection.told.add("conflict");
    const { version, epoch, digest } = stateOf(connection).served;
    this.#log.error(
      "router in conflict: it serves another history than the store's and is left alone",
      {
        router: connection.id,
        version,
        epoch,
        digest,
        reason,
        command:
          `curl -X POST ${this.#url()}/v1/takeover   # this store becomes the truth, for every router (add -H 'Authorization: Bearer …' where a token is set)`,
      },
    );
  }

  #count({ verdict }: Connection, change: 1 | -1): void {
    if (verdict?.kind === "conflict") this.#conflicts += change;
    if (verdict?.kind === "follows") this.#follows += change;
  }

  #holdsBlank(): boolean {
    // Until it is known of what history they are, the undecided count as in conflict.
    return holdsBlank({
      conflict: this.#conflicts + this.#undecided.size,
      follows: this.#follows,
    });
  }

  /** Whether blank routers may be pushed to has changed, or may have. */
  #tellBlank(): void {
    for (const connection of [...this.#connections]) {
      if (connection.verdict?.kind === "blank") this.#tell(connection);
    }
  }

  #tell(connection: Connection): void {
    const want = this.#wantOf(connection, this.#source.standing);
    const before = stateOf(connection).want;
    if (!sameWant(before, want)) this.#want(connection, want);
  }

  #wantOf(connection: Connection, standing: Standing | null): Want {
    const { verdict } = connection;
    if (standing === null || verdict === null) return { kind: "undecided" };
    const { target, damage } = offerTo(standing, connection);
    if (verdict.kind === "conflict") {
      return { kind: "conflict", target, reason: verdict.reason };
    }
    if (target === null) return { kind: "nothing" };
    if (damage !== null) return { kind: "held", target, reason: damage };
    if (verdict.kind === "blank" && this.#holdsBlank()) {
      return { kind: "held", target, reason: HELD_BLANK };
    }
    return { kind: "push", target };
  }
}

function sameWant(a: Want, b: Want): boolean {
  switch (a.kind) {
    case "undecided":
    case "nothing":
      return a.kind === b.kind;
    case "push":
      return b.kind === "push" && sameVersion(a.target, b.target);
    case "held":
      return b.kind === "held" && a.reason === b.reason &&
        sameVersion(a.target, b.target);
    case "conflict":
      return b.kind === "conflict" && a.reason === b.reason &&
        (a.target === null || b.target === null
          ? a.target === b.target
          : sameVersion(a.target, b.target));
    default:
      return a satisfies never;
  }
}
