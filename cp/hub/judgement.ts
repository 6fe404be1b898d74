import type { Logger } from "../../shared/log.ts";
import { holdsBlank, judge } from "./conflict.ts";
import { type Connection, stateOf } from "./connection.ts";
import { sameVersion, type Want } from "./session.ts";
import type { Source, Standing } from "./source.ts";

const HELD_BLANK =
  "It serves no version, and more routers are in conflict with this store than follow it: until that ends it is not pushed to.";

/**
 * Judges what each router serves against the store's history, and tells each session what is to
 * happen to its router. A conflict counts only after a strong read of the head, and is looked at again
 * whenever the head changes.
 */
export class Judgement {
  readonly #source: Source;
  readonly #log: Logger;
  readonly #url: string;
  readonly #connections: ReadonlySet<Connection>;
  readonly #want: (connection: Connection, want: Want) => void;
  readonly #judged: (connection: Connection) => void;
  readonly #undecided = new Set<Connection>();
  /** Seemingly in conflict; the head has to be read strongly before that counts. */
  readonly #doubted = new Set<Connection>();
  #confirming = false;
  #follows = 0;
  #conflicts = 0;

  /** `want` is told what is to happen to a router; `judged` that its verdict has changed. */
  constructor(options: {
    source: Source;
    log: Logger;
    url: string;
    connections: ReadonlySet<Connection>;
    want: (connection: Connection, want: Want) => void;
    judged: (connection: Connection) => void;
  }) {
    this.#source = options.source;
    this.#log = options.log;
    this.#url = options.url;
    this.#connections = options.connections;
    this.#want = options.want;
    this.#judged = options.judged;
  }

  /** How many connected routers are in conflict. */
  get conflicts(): number {
    return this.#conflicts;
  }

  /** Judges one router anew, because it is new or serves something new. */
  judge(connection: Connection): void {
    const held = this.#holdsBlank();
    this.#decide(connection);
    if (this.#holdsBlank() !== held) this.#tellBlank();
  }

  /** Judges all routers anew, because the head has changed. */
  judgeAll(): void {
    for (const connection of this.#connections) this.#decide(connection);
    this.#tellBlank();
  }

  /** Tries again where the store could not be asked. */
  judgeUndecided(): void {
    if (this.#source.standing === null) return;
    for (const connection of [...this.#undecided]) this.judge(connection);
  }

  /** A router has gone. */
  leave(connection: Connection): void {
    const held = this.#holdsBlank();
    this.#count(connection, -1);
    this.#undecided.delete(connection);
    this.#doubted.delete(connection);
    if (this.#holdsBlank() !== held) this.#tellBlank();
  }

  #decide(connection: Connection): void {
    const standing = this.#source.standing;
    if (standing === null) return this.#leaveOpen(connection);
    const verdict = judge(
      stateOf(connection).served,
      standing.head,
      (version) => this.#source.recorded(version),
    );
    switch (verdict.kind) {
      case "lookup":
        this.#leaveOpen(connection);
        void this.#source.lookup(verdict.version).then((ok) => {
          if (ok && this.#undecided.has(connection)) this.judge(connection);
        });
        return;
      case "conflict":
        if (connection.confirmed) return this.#settle(connection, verdict);
        this.#leaveOpen(connection);
        this.#doubted.add(connection);
        void this.#confirm();
        return;
      case "follows":
      case "blank":
        return this.#settle(connection, verdict);
      default:
        verdict satisfies never;
    }
  }

  /** Reads the head for all that are doubted; those that come meanwhile wait for the next read. */
  async #confirm(): Promise<void> {
    if (this.#confirming) return;
    this.#confirming = true;
    while (this.#doubted.size > 0) {
      const doubted = [...this.#doubted];
      this.#doubted.clear();
      if (!await this.#source.refresh()) continue;
      for (const connection of doubted) {
        if (!this.#connections.has(connection)) continue;
        connection.confirmed = true;
        this.judge(connection);
      }
    }
    this.#confirming = false;
  }

  #leaveOpen(connection: Connection): void {
    this.#undecided.add(connection);
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
    if (before?.kind === verdict.kind) return;
    if (verdict.kind === "conflict") this.#logConflict(connection, verdict);
    this.#judged(connection);
  }

  #logConflict(connection: Connection, { reason }: { reason: string }): void {
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
          `curl -X POST ${this.#url}/v1/takeover   # this store becomes the truth, for every router (add -H 'Authorization: Bearer …' where a token is set)`,
      },
    );
  }

  #count({ verdict }: Connection, change: 1 | -1): void {
    if (verdict?.kind === "conflict") this.#conflicts += change;
    if (verdict?.kind === "follows") this.#follows += change;
  }

  #holdsBlank(): boolean {
    // Those not judged yet serve something, too: until it is known what, they count as in conflict.
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

  #wantOf({ verdict }: Connection, standing: Standing | null): Want {
    if (standing === null || verdict === null) return { kind: "undecided" };
    const { target, damage } = standing;
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
