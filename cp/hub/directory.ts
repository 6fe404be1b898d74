import type { RouterRecord } from "../store/store.ts";
import type { Clock } from "../../shared/clock.ts";
import type { Counted } from "../../shared/protocol.ts";
import { type Candidate, MIN_REQUESTS } from "./canaries.ts";
import type { CanaryStanding } from "./canary_sight.ts";
import { type Connection, stateOf } from "./connection.ts";
import { countedSince, COUNTS_MS, type CountSample } from "./counts.ts";
import type { ConflictSummary, RouterStatus, RouterView } from "./fleet.ts";
import { type HoldAnswer, holdAnswer } from "./orders.ts";
import { type Answer, answerOf, type Awaited } from "./rollout.ts";
import { type OpenSession, statusOf } from "./session.ts";
import { offerTo, type Source } from "./source.ts";
import { recordOf, viewOf } from "./view.ts";

/** The routers connected here, by id, and how they are shown. */
export class Directory {
  readonly #clock: Clock;
  readonly #source: Source;
  /** Names this process. */
  readonly controlPlane: string;
  readonly #all = new Set<Connection>();
  readonly #byId = new Map<string, Set<Connection>>();
  #anonymous = 0;

  constructor(
    options: { clock: Clock; source: Source; controlPlane: string },
  ) {
    this.#clock = options.clock;
    this.#source = options.source;
    this.controlPlane = options.controlPlane;
  }

  /** All connections, the oldest first. */
  get all(): ReadonlySet<Connection> {
    return this.#all;
  }

  /** The connections with this id, the oldest first. */
  withId(id: string): readonly Connection[] {
    return [...this.#byId.get(id) ?? []];
  }

  /** Every id that is connected. */
  ids(): Iterable<string> {
    return this.#byId.keys();
  }

  /** The ids that routers gave themselves: those that are stored. */
  *namedIds(): Generator<string> {
    for (const { named, id } of this.#all) if (named) yield id;
  }

  has(connection: Connection): boolean {
    return this.#all.has(connection);
  }

  hasId(id: string): boolean {
    return this.#byId.has(id);
  }

  add(connection: Connection): void {
    this.#all.add(connection);
    const sameId = this.#byId.get(connection.id);
    if (sameId === undefined) {
      this.#byId.set(connection.id, new Set([connection]));
    } else sameId.add(connection);
  }

  remove(connection: Connection): void {
    this.#all.delete(connection);
    const sameId = this.#byId.get(connection.id);
    sameId?.delete(connection);
    if (sameId?.size === 0) this.#byId.delete(connection.id);
  }

  /** Makes up an id for a router that gave none. */
  makeId(): string {
    for (;;) {
      const id = `anonymous-${++this.#anonymous}`;
      if (!this.#byId.has(id)) return id;
    }
  }

  /** How a connected router is shown. */
  view(connection: Connection): RouterView {
    const { standing } = this.#source;
    return viewOf(connection, {
      clock: this.#clock,
      target: standing === null
        ? null
        : offerTo(standing, connection).target ?? standing.head,
      controlPlane: this.controlPlane,
      duplicate: (this.#byId.get(connection.id)?.size ?? 0) > 1,
    });
  }

  /** How a connected router is stored: the newest connection, where several share the id; null if none does. */
  record(
    id: string,
    { liveUntil }: { liveUntil: string },
  ): RouterRecord | null {
    const newest = this.withId(id).at(-1);
    if (newest === undefined) return null;
    const view = this.view(newest);
    const state = stateOf(newest);
    return recordOf(view, {
      about: aboutOf(view.status, state),
      oldWork: state.oldWork,
      holds: state.holds,
      ...this.#countsOf(state),
      controlPlane: this.controlPlane,
      liveUntil,
    });
  }

  /** The routers that may be canaries: those with an id of their own. */
  *candidates(): Generator<Candidate> {
    for (const [id, connections] of this.#byId) {
      const connection = [...connections].at(-1)!;
      if (!connection.named) continue;
      const state = stateOf(connection);
      const { counted, lastMinute } = this.#countsOf(state);
      yield {
        id,
        instance: connection.instance,
        counted,
        before: lastMinute,
        current: statusOf(state).status === "current",
        counts: connection.features.includes("counts"),
      };
    }
  }

  /** Whether those with this id that count their requests have all told of it since a moment. */
  hasTold(id: string, since: number): boolean {
    return this.withId(id).every((connection) =>
      !connection.features.includes("counts") ||
      (stateOf(connection).counts.at(-1)?.at ?? -Infinity) >= since
    );
  }

  /** How the connections with the id of a canary stand to what it gets first. */
  canary(id: string, awaited: Awaited): CanaryStanding[] {
    const answers = this.answers(id, awaited);
    return this.withId(id).map((connection, index) => {
      const { counts, served, openedAt } = stateOf(connection);
      return {
        openedAt,
        instance: connection.instance,
        answer: answers[index]!,
        counts,
        appliedAt: served.version === awaited.version ? served.appliedAt : null,
        tells: connection.features.includes("counts"),
      };
    });
  }

  #countsOf(
    { counts }: OpenSession,
  ): { counted: Counted | null; lastMinute: Counted | null } {
    const newest = counts.at(-1);
    if (newest === undefined) return { counted: null, lastMinute: null };
    const { requests, errors } = newest;
    return {
      counted: { requests, errors },
      lastMinute: minuteOf(counts, this.#clock.now()),
    };
  }

  /** How the connections with this id have answered for a version. */
  answers(id: string, awaited: Awaited): readonly Answer[] {
    const epoch = this.#source.standing?.head.epoch ?? awaited.epoch;
    return this.withId(id).map((connection) =>
      answerOf(stateOf(connection), {
        awaited,
        epoch,
        tells: connection.features.includes("drained"),
      })
    );
  }

  /** How each router stands to a hold. */
  *holdAnswers(
    hold: string,
  ): Generator<{ id: string; instance: string | null; answer: HoldAnswer }> {
    for (const connection of this.#all) {
      const { id, instance } = connection;
      yield { id, instance, answer: holdAnswer(connection, hold) };
    }
  }

  /** How many do not serve what they should. */
  countBehind(): number {
    let behind = 0;
    for (const connection of this.#all) {
      if (stateOf(connection).behindSince !== null) behind++;
    }
    return behind;
  }

  /** What those in conflict serve, here and `elsewhere`. */
  conflicts(elsewhere: readonly RouterRecord[]): ConflictSummary {
    const epochs = new Set<string>();
    let count = 0;
    let highestVersion = 0;
    const here = [...this.#all]
      .filter(({ verdict }) => verdict?.kind === "conflict")
      .map((connection) => stateOf(connection).served);
    for (const { version, epoch } of [...here, ...elsewhere]) {
      count++;
      highestVersion = Math.max(highestVersion, version ?? 0);
      if (epoch !== null) epochs.add(epoch);
    }
    return { count, highestVersion, epochs: [...epochs].sort() };
  }
}

/** What was counted in the last minute; null where that is too little to go by, and more may have been before it was told. */
function minuteOf(
  counts: readonly CountSample[],
  now: number,
): Counted | null {
  const from = now - COUNTS_MS;
  const minute = countedSince(counts, from);
  const whole = counts[0] !== undefined && counts[0].at <= from;
  return whole || (minute?.requests ?? 0) >= MIN_REQUESTS ? minute : null;
}

/** The version a status is about: what was rejected, or the head that a conflict is with. */
function aboutOf(
  status: RouterStatus,
  { rejected, want }: OpenSession,
): { version: number; epoch: string } | null {
  if (status === "rejected") return rejected;
  return want.kind === "conflict" ? want.target : null;
}
