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

  constructor(options: OrderSenderOptions) {
    this.#options = options;
  }

  /** The holds whose time is not over. */
  get holds(): readonly HoldOrder[] {
    const now = this.#options.clock.wall();
    return (this.#orders?.holds ?? []).filter(({ until }) =>
      Date.parse(until) > now
    );
  }

  /** The store has these orders now. */
  changed(orders: Orders): void {
    this.#orders = orders;
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
        if (isCut(id) || holds.some((hold) => hold.id === id)) continue;
        ordered.delete(id);
        send({ type: "release", id });
      }
      for (const hold of holds) {
        if (ordered.has(hold.id)) continue;
        ordered.add(hold.id);
        send(holdMessage(hold, this.#options.clock.wall()));
      }
    }
    if (features.includes("cut_streams")) this.#tellCuts(connection, send);
  }

  /** Streams are ended once the router serves the version. */
  #tellCuts(
    { ordered, session }: Connection,
    send: (order: Order) => void,
  ): void {
    if (session.kind !== "open") return;
    const { version: served } = session.served;
    const now = this.#options.clock.wall();
    for (const { version, afterMs, until } of this.#orders!.cuts) {
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
  async heard({ socket }: Connection, id: string): Promise<void> {
    const known = () => this.holds.some((hold) => hold.id === id);
    if (known()) return;
    // It may also be newer than what was read of the store.
    if (!await this.#options.refresh() || known()) return;
    socket.send(encode({ type: "release", id }));
  }
}

function cutId(version: number, until: string): string {
  return `cut ${version} ${until}`;
}

function isCut(id: string): boolean {
  return id.startsWith("cut ");
}

function holdMessage(hold: HoldOrder, now: number): Order {
  const { id, customers, cutStreamsMs } = hold;
  const since = now - Date.parse(hold.createdAt);
  return {
    type: "hold",
    id,
    customers,
    for_ms: Math.max(1, Math.ceil(Date.parse(hold.until) - now)),
    cut_streams_ms: cutStreamsMs === null
      ? null
      : Math.max(0, Math.ceil(cutStreamsMs - since)),
  };
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
