import type { Hold } from "../shared/protocol.ts";
import { type ActiveConfig, activeConfig } from "./active.ts";
import type { Fence, OldWork } from "./fence.ts";
import { abandoned, type Exchange } from "./listen/exchange.ts";
import type { Traffic } from "./traffic.ts";

/** How often a hold is told of, in milliseconds. */
const TELL_INTERVAL = 1000;
/** How many holds that are over are remembered. */
const MAX_OVER = 256;

/** A request was not let go in time, or too many wait already. Answered with status 503. */
export class HeldError extends Error {
  override name = "HeldError";
}

/** How a hold stands: what still runs of its customers, and how many requests wait. All of it is plain data. */
export interface HoldReport extends OldWork {
  readonly id: string;
  readonly waiting: number;
}

export interface HoldsOptions {
  readonly fence: Fence;
  readonly traffic: Traffic;
  /** The most requests that wait at a time. */
  readonly maxWaiting: number;
  /** How long a request may wait, in milliseconds. */
  readonly maxWait: number;
  /**
   * Hears how each hold stands: when it begins, each second, and when nothing of its customers runs any more. Then what
   * waits is all that there is of them.
   */
  readonly tell: (report: HoldReport) => void;
  /** @default {activeConfig} */
  readonly active?: () => ActiveConfig | null;
}

interface Held {
  readonly id: string;
  /**
   * Those that are held yet, and where the version at which the hold was placed sends each; null while an older one is
   * served here.
   */
  readonly customers: Map<string, string | null>;
  readonly version: number;
  readonly untilReleased: boolean;
  /** On the clock of {@linkcode performance.now}. */
  readonly until: number;
  /** How many requests of its customers run. */
  running: number;
  readonly waiting: Set<() => void>;
  end: ReturnType<typeof setTimeout>;
  cut: ReturnType<typeof setTimeout> | null;
  telling: ReturnType<typeof setTimeout> | null;
}

/**
 * Keeps new requests of some customers waiting on one thread, so that nothing of them runs while they are moved. Each
 * hold ends when it is released, at its deadline, and, unless it is to last until it is released, for a customer whom a
 * new config sends elsewhere.
 */
export class Holds {
  readonly #options: HoldsOptions;
  readonly #byId = new Map<string, Held>();
  readonly #byCustomer = new Map<string, Held>();
  readonly #over = new Set<string>();
  #waiting = 0;
  #stopped = false;

  constructor(options: HoldsOptions) {
    this.#options = options;
  }

  /** Whether a customer's requests are to wait. */
  has(customer: string): boolean {
    return this.#byCustomer.size > 0 && this.#byCustomer.has(customer);
  }

  /** Begins a hold. One that is known is left as it is, but for a deadline that is nearer. */
  hold(order: Hold): void {
    if (this.#stopped) return;
    const { id } = order;
    const until = performance.now() + order.for_ms;
    // A control plane whose clock was set back may tell of one that is over.
    if (this.#over.has(id)) return;
    const known = this.#byId.get(id);
    if (known !== undefined && known.until <= until) return this.#tell(known);
    const customers = known?.customers ?? new Map(
      order.customers.map((customer) => [
        customer,
        this.#routeAt(order.version, customer),
      ]),
    );
    if (known !== undefined) this.#end(known);
    const held: Held = {
      id,
      customers,
      version: order.version,
      untilReleased: order.until_released,
      until,
      running: this.#options.fence.workOf(customers).count,
      waiting: known?.waiting ?? new Set(),
      end: setTimeout(() => this.release(id), order.for_ms),
      cut: order.cut_streams_ms === null ? null : setTimeout(
        () => this.#options.fence.cutStreams(customers),
        order.cut_streams_ms,
      ),
      telling: null,
    };
    this.#byId.set(id, held);
    for (const customer of customers.keys()) {
      this.#byCustomer.set(customer, held);
    }
    this.#options.fence.ended = (customer) => this.#ended(customer);
    this.#tell(held);
  }

  /** Ends a hold: its requests go where the config being served sends them. */
  release(id: string): void {
    const held = this.#byId.get(id);
    if (held === undefined) return;
    this.#forget(held);
    wake(held);
  }

  /** A config is served from now on: whom it sends elsewhere is not held any more. */
  raise(config: ActiveConfig): void {
    for (const held of this.#byId.values()) {
      if (held.untilReleased) continue;
      for (const [customer, before] of held.customers) {
        const now = routeIn(config, customer);
        if (before === null) {
          if (config.version >= held.version) held.customers.set(customer, now);
          continue;
        }
        if (now === before) continue;
        held.customers.delete(customer);
        if (this.#byCustomer.get(customer) === held) {
          this.#byCustomer.delete(customer);
        }
      }
      if (held.customers.size === 0) this.#forget(held);
      wake(held);
    }
  }

  /**
   * Resolves when a customer's requests may go on.
   *
   * @throws {HeldError} if that takes too long, or too many wait.
   */
  async wait(customer: string, exchange: Exchange): Promise<void> {
    const { maxWaiting, maxWait, traffic } = this.#options;
    if (this.#waiting >= maxWaiting || this.#stopped) {
      traffic.held.refused++;
      throw new HeldError(
        "Requests of this customer are held back for a moment, and no more can wait",
      );
    }
    this.#waiting++;
    traffic.held.waiting++;
    let late = false;
    let go = () => {};
    const timer = setTimeout(() => {
      late = true;
      go();
    }, maxWait);
    try {
      for (
        let held = this.#byCustomer.get(customer);
        held !== undefined;
        held = this.#byCustomer.get(customer)
      ) {
        const { promise, resolve } = Promise.withResolvers<void>();
        go = exchange.cancel = resolve;
        held.waiting.add(resolve);
        await promise;
        held.waiting.delete(resolve);
        if (exchange.aborted !== null) throw abandoned();
        if (late || this.#stopped) {
          traffic.held.timed_out++;
          throw new HeldError(
            "Requests of this customer are held back, for longer than one may wait",
          );
        }
      }
      traffic.held.released++;
    } finally {
      clearTimeout(timer);
      exchange.cancel = null;
      this.#waiting--;
      traffic.held.waiting--;
    }
  }

  /** The holds as they stand, for a thread that comes later. */
  orders(): Hold[] {
    const now = performance.now();
    const held = this.#byId.values();
    return Array.from(held, (each) => ({
      type: "hold",
      id: each.id,
      version: each.version,
      customers: [...each.customers.keys()],
      until_released: each.untilReleased,
      for_ms: Math.max(1, Math.round(each.until - now)),
      cut_streams_ms: null,
    }));
  }

  /** Lets nobody wait any more: who is held is to come again, for another router. */
  stop(): void {
    this.#stopped = true;
    for (const held of this.#byId.values()) {
      clearTimers(held);
      wake(held);
    }
  }

  #routeAt(version: number, customer: string): string | null {
    const active = (this.#options.active ?? activeConfig)();
    return active === null || active.version < version
      ? null
      : routeIn(active, customer);
  }

  #ended(customer: string): void {
    const held = this.#byCustomer.get(customer);
    if (held === undefined) return;
    held.running--;
    if (held.running === 0) this.#tell(held);
  }

  #forget(held: Held): void {
    this.#end(held);
    this.#over.add(held.id);
    if (this.#over.size > MAX_OVER) {
      const [oldest] = this.#over;
      this.#over.delete(oldest!);
    }
  }

  #end(held: Held): void {
    clearTimers(held);
    this.#byId.delete(held.id);
    for (const customer of held.customers.keys()) {
      if (this.#byCustomer.get(customer) === held) {
        this.#byCustomer.delete(customer);
      }
    }
    if (this.#byId.size === 0) this.#options.fence.ended = null;
  }

  #tell(held: Held): void {
    if (this.#stopped) return;
    if (held.telling !== null) clearTimeout(held.telling);
    const { id, customers, waiting } = held;
    const { work } = this.#options.fence.workOf(customers);
    this.#options.tell({ id, ...work, waiting: waiting.size });
    held.telling = setTimeout(() => this.#tell(held), TELL_INTERVAL);
  }
}

function clearTimers({ end, cut, telling }: Held): void {
  clearTimeout(end);
  if (cut !== null) clearTimeout(cut);
  if (telling !== null) clearTimeout(telling);
}

function wake({ waiting }: Held): void {
  for (const go of waiting) go();
}

/** Where a config sends a customer, as text to compare by. */
function routeIn({ routes }: ActiveConfig, customer: string): string {
  const { name, endpoint } = routes.find(customer).placement;
  return `${name} ${endpoint.url}`;
}
