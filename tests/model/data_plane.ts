import type { ActiveConfig } from "../../router/active.ts";
import type { PackedConfig } from "../../router/config/packed_config.ts";
import {
  Fence,
  type FenceReport,
  type RunningRequest,
} from "../../router/fence.ts";
import { type HoldReport, Holds } from "../../router/holds.ts";
import type { Exchange } from "../../router/listen/exchange.ts";
import { compileRoutes } from "../../router/routes.ts";
import { Traffic } from "../../router/traffic.ts";
import type { Order } from "../../shared/protocol.ts";
import type { Process, Simulation } from "./simulation.ts";
import type { Variation } from "./variation.ts";

/** How many requests may wait on a router, and how long. */
const MAX_WAITING = 4;
const MAX_WAIT_MS = 15_000;
/** A timer fires in the turn in which it is due, and what follows in turns of its own. */
const LATE_MS = 5;

/** A request as it runs on a cell. */
interface Running {
  readonly process: Process;
  readonly router: string;
  readonly customer: string;
  readonly placement: string;
}

/** A move that is to serve one side, as far as was seen. */
export interface WatchedMove {
  readonly customer: string;
  /** A request that began on one side while another ran on the other; null where there was none. */
  overlap: { readonly what: string; readonly newest: number } | null;
}

/** All requests that run anywhere, as only a spectator can know. */
export class Traffics {
  readonly #running = new Set<Running>();
  readonly #moves = new Set<WatchedMove>();
  readonly #lists: (router: string) => boolean;
  readonly #newest: () => number;
  /** Requests that were held, so that a simulation in which none is, is noticed. */
  held = 0;

  /**
   * `lists` tells whether the roster has a router: nobody can answer for one that it does not have yet. `newest` is the
   * newest version in the store.
   */
  constructor(lists: (router: string) => boolean, newest: () => number) {
    this.#lists = lists;
    this.#newest = newest;
  }

  /** Watches a customer, of whom nothing is to run now, until what is answered is called. */
  watch(customer: string): { move: WatchedMove; end: () => void } {
    const move: WatchedMove = { customer, overlap: null };
    for (const { router, customer: other, placement } of this.running()) {
      if (other !== customer || !this.#lists(router)) continue;
      const what = `${router} ran on ${placement} at the commit`;
      move.overlap = { what, newest: this.#newest() };
    }
    this.#moves.add(move);
    return { move, end: () => this.#moves.delete(move) };
  }

  /** What runs on processes that live. */
  *running(): Generator<Running> {
    for (const each of this.#running) if (each.process.alive) yield each;
  }

  begin(request: Running): () => void {
    for (const move of this.#moves) {
      if (move.customer !== request.customer) continue;
      for (const other of this.running()) {
        if (
          other.customer === request.customer &&
          other.placement !== request.placement &&
          this.#lists(other.router) && this.#lists(request.router)
        ) {
          const what =
            `${request.router} began on ${request.placement} while ${other.router} ran on ${other.placement}`;
          move.overlap ??= { what, newest: this.#newest() };
        }
      }
    }
    this.#running.add(request);
    return () => this.#running.delete(request);
  }
}

/** The data plane of one life of a router: the real fence and holds, and requests that only last. */
export class DataPlane {
  readonly fence: Fence;
  readonly #simulation: Simulation;
  readonly #process: Process;
  readonly #router: string;
  readonly #traffics: Traffics;
  readonly #holds: Holds;
  readonly #hold: NonNullable<Variation["hold"]>;
  /** When each hold that began here has to be over, by its first message, and when those are that no config ends. */
  readonly #deadlines = new Map<
    string,
    { customers: Set<string>; at: number; lastsUntil: number }
  >();
  #active: ActiveConfig | null = null;

  constructor(
    options: {
      simulation: Simulation;
      process: Process;
      router: string;
      traffics: Traffics;
      fence: (report: FenceReport) => void;
      holding: (report: HoldReport) => void;
      hold: Variation["hold"];
    },
  ) {
    this.#simulation = options.simulation;
    this.#process = options.process;
    this.#router = options.router;
    this.#traffics = options.traffics;
    this.#hold = options.hold ?? ((order) => order);
    this.fence = new Fence(options.fence);
    this.#holds = new Holds({
      fence: this.fence,
      traffic: new Traffic(),
      maxWaiting: MAX_WAITING,
      maxWait: MAX_WAIT_MS,
      tell: options.holding,
      active: () => this.#active,
    });
  }

  /** Serves a config from now on. */
  serve(
    head: { version: number; epoch: string | null; digest: string },
    packed: PackedConfig,
  ): void {
    this.#active = {
      ...head,
      source: "control_plane",
      routes: compileRoutes(packed, head.version),
      appliedAt: 0,
      appliedAtMonotonic: 0,
    };
    this.fence.raise(this.#active);
    this.#holds.raise(this.#active);
  }

  /** How many holds there are. */
  get holding(): number {
    return this.#holds.orders().length;
  }

  /** Ends telling; nobody waits any more. */
  stop(): void {
    this.#holds.stop();
    this.fence.stop();
  }

  order(order: Order): void {
    switch (order.type) {
      case "hold": {
        const at = this.#simulation.now + order.for_ms;
        const known = this.#deadlines.get(order.id);
        const nearest = Math.min(at, known?.at ?? Infinity);
        const lasts = order.until_released && known?.lastsUntil !== -Infinity;
        // Nobody is held twice: what else names one of them was released while this router could not be told.
        for (const other of this.#deadlines.values()) {
          if (order.customers.some((each) => other.customers.has(each))) {
            other.lastsUntil = -Infinity;
          }
        }
        this.#deadlines.set(order.id, {
          customers: new Set(order.customers),
          at: nearest,
          lastsUntil: lasts ? nearest : -Infinity,
        });
        this.#holds.hold(this.#hold(order));
        return;
      }
      case "release":
        this.#released(order.id);
        this.#holds.release(order.id);
        return;
      case "cut_streams":
        this.fence.cutOldStreams(order);
        return;
      default:
        order satisfies never;
    }
  }

  /** A customer asks for something that takes so long. */
  async request(
    customer: string,
    { forMs, streaming }: { forMs: number; streaming: boolean },
  ): Promise<void> {
    let cut = () => {};
    const exchange = {
      streaming,
      startedAt: this.#simulation.now,
      aborted: null as string | null,
      cancel: null as (() => void) | null,
      abort(reason: string) {
        exchange.aborted ??= reason;
        exchange.cancel?.();
      },
      cut: () => cut(),
    };
    if (this.#holds.has(customer)) {
      this.#traffics.held++;
      try {
        await this.#holds.wait(customer, exchange as unknown as Exchange);
      } catch {
        // It waited too long, or too many do: it is answered 503.
        return;
      }
      this.#checkDeadlines(customer);
    }
    if (this.#active === null) return;
    this.#checkLasting(customer);
    const route = this.#active.routes.find(customer);
    const running: RunningRequest = {
      exchange: exchange as unknown as Exchange,
      customer,
      route,
      place: -1,
      old: false,
    };
    this.fence.add(running);
    const ended = this.#traffics.begin({
      process: this.#process,
      router: this.#router,
      customer,
      placement: route.placement.name,
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    cut = resolve;
    this.#simulation.after(forMs, this.#process, resolve);
    await promise;
    ended();
    this.fence.remove(running);
  }

  #released(id: string): void {
    const hold = this.#deadlines.get(id);
    if (hold !== undefined) hold.lastsUntil = -Infinity;
  }

  /** Nobody runs whose hold is to last until it is released, whatever is served meanwhile. */
  #checkLasting(customer: string): void {
    const { now } = this.#simulation;
    for (const [id, { customers, lastsUntil }] of this.#deadlines) {
      if (!customers.has(customer) || now >= lastsUntil) continue;
      this.#simulation.fail(
        "a fence lasts until it is released",
        `${this.#router} let ${customer} go at ${now}, and hold ${id} lasts until ${lastsUntil}`,
      );
    }
  }

  /** Nobody was held past the deadline of every hold that named it, unless this process did not run. */
  #checkDeadlines(customer: string): void {
    const { now } = this.#simulation;
    if (this.#process.resumedAt >= now - LATE_MS) return;
    const latest = Math.max(
      ...[...this.#deadlines.values()].filter(({ customers }) =>
        customers.has(customer)
      ).map(({ at }) => at),
    );
    if (now > latest + LATE_MS) {
      this.#simulation.fail(
        "nobody is held past the deadline",
        `${this.#router} held ${customer} until ${now}, and the last deadline was ${latest}`,
      );
    }
  }
}
