import { type Counts, MISBEHAVIOURS, spread } from "./behaviour.ts";
import { Tally } from "./ledger.ts";
import { LinkProcess } from "./link_process.ts";
import type { Counted, Report, RouterPlan } from "./messages.ts";
import { VersionBook } from "./version_book.ts";

/** Links of a process: fewer leave a core without work, more would be held up by each other. */
const LINKS_A_PROCESS = 2500;
/** Descriptors a process needs besides one for each link. */
const OWN_DESCRIPTORS = 100;

/** A fleet to simulate. */
export interface FleetOptions {
  /** Where routers connect: `ws://127.0.0.1:8081/v1/connect`. */
  readonly url: string;
  readonly routers: number;
  readonly counts: Counts;
  /** How many check the contents of every config they get; the others go by its length. */
  readonly decoding: number;
  /** What the routers' ids begin with. */
  readonly prefix: string;
  readonly token: string | null;
  /** Milliseconds over which the routers begin to connect. */
  readonly rampMs: number;
  /** Bytes a second that a slow router reads. */
  readonly slowRate: number;
  /** Milliseconds between two drops of a flapper's connection, on the average. */
  readonly flapMs: number;
}

/** What an option has where nobody asks for another. */
export const FLEET_DEFAULTS = {
  prefix: "sim",
  slowRate: 64 * 1024,
  flapMs: 10_000,
} as const;

/** How a fleet is. Counts that are not of now only grow. */
export interface FleetState extends Omit<Report, "current" | "versions"> {
  /** How many connected routers serve `newest`, and were last told of it. */
  readonly current: number;
}

/**
 * Many routers in few processes. Processes, because the descriptors a process may have are limited, a
 * core each is what they can use, and the memory of thousands of links is freed with them; few,
 * because each costs 50 MB.
 */
export class Fleet implements AsyncDisposable {
  readonly versions = new VersionBook();
  readonly #processes: LinkProcess[];
  readonly #reports: (Report | null)[];
  #failure: Error | null = null;
  #changed = Promise.withResolvers<void>();
  #stopped: Promise<void> | null = null;

  /** @param options.descriptors how many a process may have open. */
  constructor(options: FleetOptions & { readonly descriptors: number }) {
    const { url, token, slowRate, flapMs } = options;
    const plans = plansOf(options);
    const count = Math.ceil(plans.length / linksOf(options.descriptors));
    this.#reports = Array.from({ length: count }, () => null);
    this.#processes = this.#reports.map((_, i) =>
      new LinkProcess({
        url,
        token,
        slowRate,
        flapMs,
        routers: plans.filter((_, at) => at % count === i),
      }, (report) => this.#hear(i, report))
    );
    for (const process of this.#processes) {
      process.ended.catch((error) => {
        this.#failure = error;
        this.#changed.resolve();
      });
    }
  }

  get pids(): number[] {
    return this.#processes.map(({ pid }) => pid);
  }

  /** Resolves when something has changed since the call. @throws {Error} if a process has failed. */
  async changed(): Promise<void> {
    await this.#changed.promise;
    if (this.#failure !== null) throw this.#failure;
  }

  state(): FleetState {
    const reports = this.#reports.filter((report) => report !== null);
    const sum = (of: (report: Report) => number) =>
      reports.reduce((sum, report) => sum + of(report), 0);
    const newest = Math.max(0, ...reports.map(({ newest }) => newest));
    return {
      connected: sum(({ connected }) => connected),
      stalled: sum(({ stalled }) => stalled),
      newest,
      current: sum(({ current }) => new Map(current).get(newest) ?? 0),
      connects: sum(({ connects }) => connects),
      bytes: sum(({ bytes }) => bytes),
      applied: sum(({ applied }) => applied),
      rejected: sum(({ rejected }) => rejected),
      decoded: sum(({ decoded }) => decoded),
      losses: merged(reports.map(({ losses }) => losses)),
      faults: merged(reports.map(({ faults }) => faults)),
    };
  }

  /** Closes all links and ends the processes. */
  stop(): Promise<void> {
    this.#stopped ??= Promise.all(
      this.#processes.map((process) => process.stop()),
    ).then(() => {});
    return this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #hear(process: number, report: Report): void {
    this.#reports[process] = report;
    for (const news of report.versions) this.versions.take(news);
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}

/** How many links a process takes. @throws {RangeError} if it may have too few descriptors for any. */
function linksOf(descriptors: number): number {
  const links = Math.min(LINKS_A_PROCESS, descriptors - OWN_DESCRIPTORS);
  if (links > 0) return links;
  throw new RangeError(
    `Cannot hold links in a process of ${descriptors} descriptors: it needs ${OWN_DESCRIPTORS} for itself`,
  );
}

function plansOf(options: FleetOptions): RouterPlan[] {
  const { routers, prefix, rampMs } = options;
  const digits = String(routers).length;
  const behaviours = spread(routers, options.counts);
  const candidates = behaviours.filter(isWhole).length;
  const decoding = Math.min(options.decoding, candidates);
  let seen = 0;
  return behaviours.map((behaviour, i) => {
    // Spread over those that get configs at all, as evenly as whole numbers allow.
    const turn = isWhole(behaviour) ? seen++ : -1;
    const decodes = turn >= 0 &&
      Math.floor((turn + 1) * decoding / candidates) >
        Math.floor(turn * decoding / candidates);
    return {
      id: `${prefix}-${String(i + 1).padStart(digits, "0")}`,
      behaviour,
      decodes,
      startMs: Math.floor(i * rampMs / routers),
    };
  });
}

/** Whether it applies what it gets. */
function isWhole(behaviour: RouterPlan["behaviour"]): boolean {
  return behaviour === "steady" || behaviour === "slow";
}

/** How many of a fleet are to be current once all has settled: the others reject, stall or keep leaving. */
export function expectedCurrent(
  { routers, counts }: Pick<FleetOptions, "routers" | "counts">,
): number {
  return routers -
    MISBEHAVIOURS.reduce(
      (sum, kind) => kind === "slow" ? sum : sum + counts[kind],
      0,
    );
}

function merged(lists: readonly (readonly Counted[])[]): Counted[] {
  const tally = new Tally();
  for (const [what, times] of lists.flat()) tally.add(what, times);
  return tally.entries();
}
