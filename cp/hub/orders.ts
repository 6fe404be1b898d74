import { encode, type Order } from "../../shared/protocol.ts";
import type { HoldOrder, HoldState, Orders } from "../store/store.ts";
import type { Clock } from "../../shared/clock.ts";
import { type Connection, stateOf } from "./connection.ts";

/** What the sender of orders works with. */
export interface OrderSenderOptions {
  readonly clock: Clock;
  readonly connections: ReadonlySet<Connection>;
  /** Reads the store anew; answers false where it cannot be read. */
  readonly refresh: () => Promise<boolean>;
}

/** Tells routers what they are to do beside serving a config: whom to hold, and which streams to end. */
export class OrderSender {
  readonly #options: OrderSenderOptions;
  #orders: Orders | null = null;
  /** When each hold is over on the clock that never jumps, by the wall clock of when it was heard of. */
  readonly #deadlines = new Map<string, number>();

  constructor(options: OrderSenderOptions) {
    this.#options = options;
  }

  /** The holds whose time is not over, and that no version has ended. */
  get holds(): readonly HoldOrder[] {
    const now = this.#options.clock.now();
    return (this.#orders?.holds ?? []).filter(({ id, endedBy }) =>
      endedBy === null && this.#deadlines.get(id)! > now
    );
  }

  /**
   * Whether a router still has to hold whom a version sends elsewhere: until it serves that, or who waits there would be
   * sent where he was.
   */
  #holdsOn({ session }: Connection, id: string): boolean {
    const hold = this.#orders?.holds.find((each) => each.id === id);
    if (hold === undefined || hold.endedBy === null) return false;
    const served = session.kind === "open" ? session.served.version : null;
    return served === null || served < hold.endedBy;
  }

  /** The store has these orders now. */
  changed(orders: Orders): void {
    this.#orders = orders;
    const { clock } = this.#options;
    const known = new Set(orders.holds.map(({ id }) => id));
    for (const id of this.#deadlines.keys()) {
      if (!known.has(id)) this.#deadlines.delete(id);
    }
    for (const { id, createdAt, until } of orders.holds) {
      if (this.#deadlines.has(id)) continue;
      // A clock that was set back makes nobody wait longer than was asked for.
      const length = Date.parse(until) - Date.parse(createdAt);
      const left = Math.min(length, Date.parse(until) - clock.wall());
      this.#deadlines.set(id, clock.now() + left);
    }
    for (const connection of this.#options.connections) this.tell(connection);
  }

  /** Tells a router what it has not been told on this connection. */
  tell(connection: Connection): void {
    const { features, ordered, socket } = connection;
    const send = (order: Order) => socket.send(encode(order));
    if (this.#orders === null) return;
    if (features.includes("hold")) {
      const holds = this.holds;
      for (const id of ordered) {
        if (
          isCut(id) || holds.some((hold) => hold.id === id) ||
          this.#holdsOn(connection, id)
        ) continue;
        ordered.delete(id);
        send({ type: "release", id });
      }
      for (const hold of holds) {
        if (ordered.has(hold.id)) continue;
        ordered.add(hold.id);
        send(this.#holdMessage(hold));
      }
    }
    if (features.includes("cut_streams")) this.#tellCuts(connection, send);
  }

  #holdMessage(hold: HoldOrder): Order {
    const { id, version, customers, untilReleased, cutStreamsMs } = hold;
    const left = this.#deadlines.get(id)! - this.#options.clock.now();
    const since = Date.parse(hold.until) - Date.parse(hold.createdAt) - left;
    return {
      type: "hold",
      id,
      version,
      customers,
      until_released: untilReleased,
      for_ms: Math.max(1, Math.ceil(left)),
      cut_streams_ms: cutStreamsMs === null
        ? null
        : Math.max(0, Math.ceil(cutStreamsMs - since)),
    };
  }

  /** Streams are ended once the router serves the version. */
  #tellCuts(
    { ordered, session }: Connection,
    send: (order: Order) => void,
  ): void {
    if (session.kind !== "open") return;
    const { version: served } = session.served;
    const now = this.#options.clock.wall();
    const { cuts } = this.#orders!;
    const known = new Set(cuts.map((cut) => cutId(cut.version, cut.until)));
    for (const id of ordered) {
      if (isCut(id) && !known.has(id)) ordered.delete(id);
    }
    for (const { version, afterMs, until } of cuts) {
      const id = cutId(version, until);
      if (
        ordered.has(id) || served === null || served < version ||
        Date.parse(until) <= now
      ) continue;
      ordered.add(id);
      send({ type: "cut_streams", version, after_ms: afterMs });
    }
  }

  /** A router has told of a hold, which may be one that was released while it was away. */
  async heard(connection: Connection, id: string): Promise<void> {
    const known = () =>
      this.holds.some((hold) => hold.id === id) ||
      this.#holdsOn(connection, id);
    if (known()) return;
    // It may also be newer than what was read of the store.
    if (!await this.#options.refresh() || known()) return;
    connection.socket.send(encode({ type: "release", id }));
  }
}

function cutId(version: number, until: string): string {
  return `cut ${version} ${until}`;
}

function isCut(id: string): boolean {
  return id.startsWith("cut ");
}

/** How a router stands to a hold. */
export type HoldAnswer =
  | { readonly kind: "holding"; readonly state: HoldState }
  /** It has yet to tell. */
  | { readonly kind: "pending" }
  /** It cannot hold anybody: it lacks the feature. */
  | { readonly kind: "cannot" };

/** How a connected router stands to a hold. */
export function holdAnswer(connection: Connection, id: string): HoldAnswer {
  const { features } = connection;
  return answerOf({ features, holds: stateOf(connection).holds }, id);
}

/** How a router stands to a hold, as far as is known of it. */
export function answerOf(
  { features, holds }: {
    features: readonly string[];
    holds: readonly HoldState[];
  },
  id: string,
): HoldAnswer {
  if (!features.includes("hold")) return { kind: "cannot" };
  const state = holds.find((each) => each.id === id);
  return state === undefined ? { kind: "pending" } : { kind: "holding", state };
}
