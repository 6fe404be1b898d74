import type { RouterRecord } from "../store/store.ts";
import type { Clock } from "../../shared/clock.ts";
import {
  type FenceAnswer,
  fenceAnswer,
  FenceTally,
  mayChange,
} from "./fence.ts";
import type { Rollout, RolloutGoal, RolloutWatch } from "./fleet.ts";
import {
  type OpenSession,
  refused,
  type Rejection,
  targetOf,
  TOO_LARGE,
  type VersionName,
} from "./session.ts";
import { parseStatus } from "./view.ts";

/** The version a rollout is about. */
export interface Awaited {
  readonly version: number;
  readonly epoch: string;
}

/** How a router has answered for a version or a newer one. */
export type Answer =
  | { readonly kind: "applied"; readonly fence: FenceAnswer }
  | { readonly kind: "rejected"; readonly error: string }
  | { readonly kind: "pending" }
  | { readonly kind: "conflict" };

/**
 * How a connected router has answered. `epoch` is the store's own by now: after a takeover, what is
 * newer belongs to it. A version that is only known from a pong is no answer, and a conflict with an
 * older head is none either, for the awaited version may end it.
 */
export function answerOf(
  session: OpenSession,
  options: {
    awaited: Awaited;
    epoch: string;
    /** Whether the router tells of its old work. */
    tells: boolean;
  },
): Answer {
  const { awaited, epoch, tells } = options;
  const { served, want, rejected, push, oldWork } = session;
  const covers = (name: { version: number | null; epoch: string | null }) =>
    name.version !== null && name.version >= awaited.version &&
    (name.epoch === awaited.epoch || name.epoch === epoch);
  if (want.kind === "conflict") {
    const judged = want.target !== null && covers(want.target);
    return { kind: judged ? "conflict" : "pending" };
  }
  // What it announced may be of another history.
  if (want.kind === "undecided") return { kind: "pending" };
  if (served.digest !== null && covers(served)) {
    return {
      kind: "applied",
      fence: fenceAnswer({ ...served, oldWork, tells }),
    };
  }
  if (
    rejected !== null && covers(rejected) &&
    !outdated(rejected, targetOf(session))
  ) {
    return { kind: "rejected", error: rejected.error };
  }
  if (push.kind === "too_large" && covers(push.target)) {
    return { kind: "rejected", error: TOO_LARGE };
  }
  return { kind: "pending" };
}

/** Whether what was refused is no version any more: the store was set back. */
function outdated(rejected: Rejection, target: VersionName | null): boolean {
  return target !== null && rejected.epoch === target.epoch &&
    rejected.version >= target.version && !refused(rejected, target);
}

/** How a router of another control plane has answered, as far as its record tells. */
export function answerOfRecord(
  record: RouterRecord,
  { awaited, epoch }: { awaited: Awaited; epoch: string },
): Answer {
  const { status, about } = parseStatus(record.status);
  const covers = (name: { version: number | null; epoch: string | null }) =>
    name.version !== null && name.version >= awaited.version &&
    (name.epoch === awaited.epoch || name.epoch === epoch);
  if (status === "conflict") {
    const judged = about !== null && covers(about);
    return { kind: judged ? "conflict" : "pending" };
  }
  if (record.digest !== null && covers(record)) {
    // Who can tell of old work does so as soon as it connects.
    const tells = record.oldWork !== null;
    return { kind: "applied", fence: fenceAnswer({ ...record, tells }) };
  }
  if (status === "rejected" && about !== null && covers(about)) {
    return { kind: "rejected", error: record.error ?? "It gave no reason." };
  }
  return { kind: "pending" };
}

/** Routers that are not connected here. */
export interface OtherRouters {
  /** Those connected to other control planes of the store. */
  readonly elsewhere: readonly RouterRecord[];
  /** The ids of those that are connected nowhere. */
  readonly gone: readonly string[];
  /** False where the roster could not be read, so that there may be more. */
  readonly complete: boolean;
}

/** What a rollout sees of the routers. */
export interface RolloutSource {
  /** The ids of all routers connected here. */
  ids(): Iterable<string>;
  /** The answers of the connections with this id; none if it is not connected here. */
  answers(id: string, awaited: Awaited): readonly Answer[];
  /** The roster's routers that are not connected here. */
  others(): Promise<OtherRouters>;
  /** Whether a router is to serve a version by now: a version may be for some routers first. */
  concerns(id: string, awaited: Awaited): boolean;
  /** The answer of such a router. */
  answerElsewhere(record: RouterRecord, awaited: Awaited): Answer;
}

/** How often the roster is asked for the answers of other control planes' routers. */
const ROSTER_POLL_MS = 500;

/** Follows routers from before a commit on, by id: a router that comes back is not gone. */
export class RolloutFollower implements RolloutWatch {
  readonly #source: RolloutSource;
  readonly #clock: Clock;
  readonly #ended: () => void;
  readonly #followed: Set<string>;
  readonly #beginning: Promise<OtherRouters>;
  readonly #waiters = new Set<Waiter>();
  #over = false;

  /** `ended` is called once following ends. */
  constructor(
    source: RolloutSource,
    options: { clock: Clock; ended: () => void },
  ) {
    this.#source = source;
    this.#clock = options.clock;
    this.#ended = options.ended;
    this.#followed = new Set(source.ids());
    this.#beginning = source.others();
  }

  /** Something about the routers with this id has changed: connected, gone, answered or judged. */
  notice(id: string): void {
    this.#followed.add(id);
    for (const waiter of this.#waiters) waiter.notice(id);
  }

  /** A version is taken back: who waits for it is told how far it had come. */
  takenBack({ version }: Pick<Awaited, "version">): void {
    for (const waiter of this.#waiters) {
      if (waiter.version === version) waiter.end();
    }
  }

  /** Whom versions concern has changed. */
  lookAgain(): void {
    for (const waiter of this.#waiters) waiter.lookAgain();
  }

  async wait(
    version: Awaited,
    options: { timeoutMs: number; signal?: AbortSignal; until?: RolloutGoal },
  ): Promise<Rollout> {
    const began = this.#clock.now();
    const { signal } = options;
    const waiter = this.#waiter(version, options.until ?? "applied");
    this.#waiters.add(waiter);
    const cancelTimeout = this.#clock.after(
      options.timeoutMs,
      () => waiter.end(),
    );
    const abort = () => waiter.end();
    signal?.addEventListener("abort", abort);
    if (signal?.aborted || this.#over) waiter.end();
    let cancelPoll = () => {};
    try {
      const nobody = waiter.over.then(() => ({
        elsewhere: [],
        gone: [],
        complete: false,
      }));
      waiter.see(await Promise.race([this.#beginning, nobody]));
      const poll = async () => {
        waiter.see(await this.#source.others());
        pollLater();
      };
      const pollLater = () => {
        if (!waiter.ended && waiter.sharesRouters) {
          cancelPoll = this.#clock.after(ROSTER_POLL_MS, () => void poll());
        }
      };
      pollLater();
      waiter.begin();
      const result = await waiter.over;
      return { ...result, waited_ms: Math.round(this.#clock.now() - began) };
    } finally {
      waiter.end();
      cancelTimeout();
      cancelPoll();
      signal?.removeEventListener("abort", abort);
      this.#waiters.delete(waiter);
    }
  }

  /** How far the version has come by now. */
  async now(version: Awaited): Promise<Rollout> {
    const waiter = this.#waiter(version, "drained");
    waiter.see(await this.#beginning);
    return { ...waiter.result(), waited_ms: 0 };
  }

  #waiter({ version, epoch }: Awaited, goal: RolloutGoal): Waiter {
    return new Waiter(this.#source, {
      awaited: { version, epoch },
      goal,
      followed: this.#followed,
    });
  }

  end(): void {
    this.#over = true;
    for (const waiter of this.#waiters) waiter.end();
    this.#ended();
  }
}

/** One wait: which ids have yet to answer, kept up to date one id at a time. */
class Waiter {
  /** What there is to tell at the end, taken at that very moment: those that leave just after it are not gone. */
  readonly over: Promise<Omit<Rollout, "waited_ms">>;
  ended = false;
  readonly #source: RolloutSource;
  readonly #awaited: Awaited;
  readonly #followed: ReadonlySet<string>;
  readonly #goal: RolloutGoal;
  /** Routers of the roster that were connected nowhere when it was read. */
  #gone: readonly string[] = [];
  /** Whether all routers of the roster are known. */
  #complete = false;
  readonly #open = new Set<string>();
  /** Routers seen at other control planes, with their newest record; null once it is no longer live. */
  readonly #elsewhere = new Map<string, RouterRecord | null>();
  #begun = false;
  #resolve!: (result: Omit<Rollout, "waited_ms">) => void;

  constructor(
    source: RolloutSource,
    options: {
      awaited: Awaited;
      goal: RolloutGoal;
      followed: ReadonlySet<string>;
    },
  ) {
    this.#goal = options.goal;
    this.#source = source;
    this.#awaited = options.awaited;
    this.#followed = options.followed;
    this.over = new Promise((resolve) => this.#resolve = resolve);
  }

  get version(): number {
    return this.#awaited.version;
  }

  get sharesRouters(): boolean {
    return this.#elsewhere.size > 0;
  }

  begin(): void {
    this.#begun = true;
    for (const id of this.#ids()) this.#look(id);
    this.#check();
  }

  notice(id: string): void {
    if (!this.#begun) return;
    this.#look(id);
    this.#check();
  }

  lookAgain(): void {
    if (this.#begun) this.begin();
  }

  /** What the roster lists of routers that are not connected here. */
  see({ elsewhere, gone, complete }: OtherRouters): void {
    this.#complete = complete;
    for (const id of this.#elsewhere.keys()) this.#elsewhere.set(id, null);
    for (const record of elsewhere) this.#elsewhere.set(record.id, record);
    this.#gone = gone;
    if (!this.#begun) return;
    for (const id of this.#elsewhere.keys()) this.#look(id);
    this.#check();
  }

  end(): void {
    if (this.ended) return;
    this.ended = true;
    this.#resolve(this.result());
  }

  result(): Omit<Rollout, "waited_ms"> {
    const tally = new FenceTally();
    let applied = 0;
    const rejected: { id: string; error: string }[] = [];
    const pending: string[] = [];
    const gone: string[] = [];
    const conflict: string[] = [];
    for (const id of [...this.#ids()].sort()) {
      if (!this.#concerned(id)) continue;
      const answers = this.#answers(id);
      if (answers.length === 0) {
        gone.push(id);
        tally.add(id, { kind: "unknown", reason: "disconnected" });
      }
      for (const answer of answers) {
        switch (answer.kind) {
          case "applied":
            applied++;
            tally.add(id, answer.fence);
            break;
          case "rejected":
            rejected.push({ id, error: answer.error });
            break;
          case "pending":
            if (pending.at(-1) !== id) pending.push(id);
            break;
          case "conflict":
            if (conflict.at(-1) !== id) conflict.push(id);
            break;
          default:
            answer satisfies never;
        }
      }
    }
    if (!this.#complete) {
      tally.add("*", { kind: "unknown", reason: "roster_unread" });
    }
    const answered = { applied, rejected, pending, gone, conflict };
    return this.#goal === "applied"
      ? answered
      : { ...answered, ...tally.result(answered) };
  }

  #ids(): ReadonlySet<string> {
    // Who is gone for long owes no answer, but may still run on what was before.
    const gone = this.#goal === "drained" ? this.#gone : [];
    return this.#elsewhere.size + gone.length === 0
      ? this.#followed
      : new Set([...this.#followed, ...this.#elsewhere.keys(), ...gone]);
  }

  #answers(id: string): readonly Answer[] {
    const here = this.#source.answers(id, this.#awaited);
    if (here.length > 0) return here;
    const record = this.#elsewhere.get(id);
    return record ? [this.#source.answerElsewhere(record, this.#awaited)] : [];
  }

  /** Nothing is drained before all serve the version; to be applied is asked of those who are to serve it. */
  #concerned(id: string): boolean {
    return this.#goal === "drained" ||
      this.#source.concerns(id, this.#awaited);
  }

  #look(id: string): void {
    const pending = this.#concerned(id) &&
      this.#answers(id).some((answer) =>
        answer.kind === "pending" ||
        (this.#goal === "drained" && answer.kind === "applied" &&
          mayChange(answer.fence))
      );
    if (pending) this.#open.add(id);
    else this.#open.delete(id);
  }

  #check(): void {
    if (this.#open.size === 0) this.end();
  }
}
