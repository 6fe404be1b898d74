import { z } from "@hono/zod-openapi";
import { show } from "../../shared/json.ts";
import { logger } from "../../shared/log.ts";
import { MAX_HOLD_MS } from "../../shared/protocol.ts";
import type { Fleet } from "../hub/fleet.ts";
import { holdView } from "../hub/hold_watch.ts";
import type { HoldOrder, Orders, VersionStore } from "../store/store.ts";
import { customerName } from "./check.ts";
import { ATTRIBUTION_HEADERS, readAttribution } from "./edit_options.ts";
import { ProblemError } from "./problem.ts";
import { answer, json, NO_BODY, type Routes } from "./route.ts";
import { HOLD, HOLD_BODY } from "./schemas.ts";

const log = logger("api");

const PATH = "/v1/customers/{customer}";
const CUSTOMER = z.object({ customer: customerName() });

/** How long a call waits for the routers to hold, in milliseconds. */
const ANSWER_MS = 2_000;

/** `/v1/holds`: customers whose new requests wait. */
export function addHoldCalls(
  routes: Routes,
  { store, fleet, stopping }: {
    store: VersionStore;
    fleet: Fleet;
    stopping: AbortSignal;
  },
): void {
  routes.add({
    method: "get",
    path: "/v1/holds",
    summary: "The customers that are held, and how each router stands to it",
    query: z.strictObject({}),
    answers: {
      200: {
        description: "All holds.",
        schema: z.strictObject({ holds: z.array(HOLD) }).openapi("HoldList"),
      },
    },
    problems: [503],
  }, async () => answer({ holds: await fleet.holds() }));

  routes.add({
    method: "post",
    path: `${PATH}/hold`,
    summary: "Has all routers keep a customer's new requests waiting",
    description:
      "Until it is released, a config sends the customer elsewhere, or the time is over, whichever is first; that holds also where this control plane is gone. What runs already goes on. Answers when every router that can holds, or has not said so for 2 s.",
    params: CUSTOMER,
    query: z.strictObject({}),
    headers: ATTRIBUTION_HEADERS,
    body: json(HOLD_BODY),
    answers: {
      200: {
        description: "The hold, and how each router stands.",
        schema: HOLD,
      },
    },
    problems: [409, 503],
  }, async ({ params: { customer }, body, c }) => {
    const hold = await placeHold(
      store,
      newHold([customer], {
        forMs: body.for,
        untilReleased: false,
        cutStreamsMs: body.cut_streams ?? null,
        author: readAttribution(c).author,
      }),
    );
    log.info("a customer is held", {
      customer,
      hold: hold.id,
      until: hold.until,
      author: hold.author,
    });
    await fleet.refresh();
    const rollout = await fleet.waitForHold(hold.id, {
      timeoutMs: Math.min(ANSWER_MS, body.for),
      signal: AbortSignal.any([c.req.raw.signal, stopping]),
      enough: ({ pending }) => pending.length === 0,
    });
    return answer(holdView(hold, rollout));
  });

  routes.add({
    method: "post",
    path: `${PATH}/release`,
    summary: "Lets a customer's requests go where the config sends them",
    params: CUSTOMER,
    query: z.strictObject({}),
    headers: ATTRIBUTION_HEADERS,
    body: NO_BODY,
    answers: {
      200: {
        description: "The customer is not held any more.",
        schema: z.strictObject({
          customer: customerName(),
          released: z.array(z.string()).openapi({
            description: "The holds that are over.",
          }),
        }).openapi("Release"),
      },
    },
    problems: [404, 409, 503],
  }, async ({ params: { customer }, c }) => {
    const { author } = readAttribution(c);
    let released: string[] = [];
    await store.changeOrders((orders) => {
      const holds = orders.holds.filter(({ customers, endedBy }) =>
        endedBy === null && customers.includes(customer)
      );
      const shared = holds.find(({ customers }) => customers.length > 1);
      if (shared !== undefined) {
        throw new ProblemError(
          "conflict",
          `Customer ${show(customer)} is held together with ${
            shared.customers.length - 1
          } more by a fenced move, which releases them itself, at the latest at ${shared.until}.`,
        );
      }
      if (holds.length === 0) {
        throw new ProblemError(
          "not-found",
          `Customer ${show(customer)} is not held.`,
        );
      }
      released = holds.map(({ id }) => id);
      return without(orders, released);
    });
    log.info("a customer is held no more", { customer, released, author });
    await fleet.refresh();
    return answer({ customer, released });
  });
}

/** A hold before it is placed. */
export type NewHold = Omit<HoldOrder, "version" | "endedBy">;

/** A hold that begins now. */
export function newHold(
  customers: readonly string[],
  options: {
    forMs: number;
    untilReleased: boolean;
    cutStreamsMs: number | null;
    author: string | null;
  },
): NewHold {
  const now = Date.now();
  return {
    id: crypto.randomUUID(),
    customers,
    createdAt: new Date(now).toISOString(),
    until: new Date(now + Math.min(options.forMs, MAX_HOLD_MS)).toISOString(),
    author: options.author,
    untilReleased: options.untilReleased,
    cutStreamsMs: options.cutStreamsMs,
  };
}

/**
 * Keeps a hold, so that all routers are told.
 *
 * @throws {ProblemError} `conflict` if one of its customers is held already, or too many are.
 */
export async function placeHold(
  store: VersionStore,
  hold: NewHold,
): Promise<HoldOrder> {
  let placed: HoldOrder = { ...hold, version: 0, endedBy: null };
  try {
    await store.changeOrders((orders, { version }) => {
      for (const { customers, until, endedBy } of orders.holds) {
        if (endedBy !== null) continue;
        const twice = customers.find((each) => hold.customers.includes(each));
        if (twice !== undefined) {
          throw new ProblemError(
            "conflict",
            `Customer ${show(twice)} is held already, until ${until}.`,
          );
        }
      }
      placed = { ...hold, version, endedBy: null };
      return { ...orders, holds: [...orders.holds, placed] };
    });
    return placed;
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    throw new ProblemError(
      "conflict",
      `The names of all who are held would be too long together: ${
        placed.customers.length === 1 ? "" : "hold fewer at a time, or "
      }wait until some are released.`,
      { cause },
    );
  }
}

/** Ends a hold; answers whether it lasted until now. */
export async function endHold(
  store: VersionStore,
  { id }: HoldOrder,
): Promise<boolean> {
  let lasted = false;
  await store.changeOrders((orders) => {
    lasted = orders.holds.some((hold) => hold.id === id);
    return without(orders, [id]);
  });
  return lasted;
}

function without(orders: Orders, ids: readonly string[]): Orders {
  const holds = orders.holds.filter(({ id }) => !ids.includes(id));
  return { ...orders, holds };
}
