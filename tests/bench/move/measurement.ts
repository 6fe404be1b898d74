import { Installation } from "../../harness/installation.ts";
import { Load } from "../../harness/load.ts";
import { WorkingCells } from "./working_cells.ts";

/** How the customer is moved. */
export type Kind = "plain" | "drained" | "fenced";
export const KINDS: readonly Kind[] = ["plain", "drained", "fenced"];

/** What was seen of the moves of one kind. Times are in milliseconds. */
export interface Seen {
  readonly kind: Kind;
  /** Of the customer that is moved, and of all others. */
  readonly requests: { readonly moved: number; readonly others: number };
  readonly failures: readonly string[];
  /** Requests that began on one side while others of the customer ran on the other. */
  readonly overlaps: number;
  /** Requests that were held. */
  readonly held: number;
  /** From asking for each move to its answer. */
  readonly moves: readonly number[];
  /** The longest request of the customer in each move. */
  readonly longest: readonly number[];
  /** All requests of others, between moves and during them. */
  readonly others: {
    readonly before: readonly number[];
    readonly during: readonly number[];
  };
}

const CUSTOMER = "acme";
const OTHERS = Array.from({ length: 20 }, (_, i) => `customer-${i}`);
const CONNECTIONS = 8;
/** Between two moves. */
const PAUSE_MS = 200;

/** Moves a customer to and fro under load. */
export async function measure(
  options: {
    readonly kind: Kind;
    readonly moves: number;
    readonly routers: number;
    readonly signal: AbortSignal;
  },
): Promise<Seen> {
  const { kind, moves, routers, signal } = options;
  await using all = await Installation.start({
    routers: Array.from({ length: routers }, (_, i) => `r${i + 1}`),
  });
  await using cells = new WorkingCells(["one", "two"], CUSTOMER);
  const put = await all.controlPlane.call("PUT", "/v1/config?wait=applied", {
    body: {
      default_placement: "one",
      customer_to_placement: Object.fromEntries([
        [CUSTOMER, "one"],
        ...OTHERS.map((name, i) => [name, i % 2 === 0 ? "one" : "two"]),
      ]),
      placement_to_endpoint: {
        one: cells.endpoint(0),
        two: cells.endpoint(1),
      },
    },
  });
  if (put.status !== 200) throw new Error(JSON.stringify(put.body));
  const urls = all.routers.map(({ url }) => url);
  let moving = false;
  let longest = 0;
  const others = { before: [] as number[], during: [] as number[] };
  await using mine = Load.start(urls, {
    connections: CONNECTIONS,
    customers: [CUSTOMER],
    onAnswer: (ms) => longest = Math.max(longest, ms),
  });
  await using theirs = Load.start(urls, {
    connections: CONNECTIONS,
    customers: OTHERS,
    onAnswer: (ms) => others[moving ? "during" : "before"].push(ms),
  });
  await pause(1000);
  others.before.length = 0;
  const took: number[] = [];
  const longests: number[] = [];
  for (let move = 0; move < moves && !signal.aborted; move++) {
    await pause(PAUSE_MS);
    longest = 0;
    moving = true;
    took.push(await ask(all, kind, move % 2 === 0 ? "two" : "one"));
    moving = false;
    // What was let go is to be answered before it is asked for the longest.
    await pause(50);
    longests.push(longest);
  }
  await mine.stop();
  await theirs.stop();
  return {
    kind,
    requests: { moved: mine.requests, others: theirs.requests },
    failures: [...mine.failures, ...theirs.failures],
    overlaps: cells.overlaps,
    held: await heldRequests(all),
    moves: took,
    longest: longests,
    others,
  };
}

async function ask(
  { controlPlane }: Installation,
  kind: Kind,
  to: string,
): Promise<number> {
  const from = performance.now();
  const { status, body } = kind === "fenced"
    ? await controlPlane.call("POST", "/v1/moves", {
      body: { customers: [CUSTOMER], to, fenced: true },
    })
    : await controlPlane.call(
      "PATCH",
      `/v1/customers/${CUSTOMER}?wait=${
        kind === "plain" ? "applied" : "drained"
      }`,
      { body: { placement: to } },
    );
  if (status !== 200) throw new Error(JSON.stringify(body));
  return performance.now() - from;
}

/** How many requests the routers have held. */
async function heldRequests({ routers }: Installation): Promise<number> {
  let held = 0;
  for (const { adminUrl } of routers) {
    const text = await (await fetch(`${adminUrl}/metrics`)).text();
    for (
      const [, value] of text.matchAll(
        /^signalbox_router_held_requests_total\{[^}]*\} (\d+)$/gm,
      )
    ) held += Number(value);
  }
  return held;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
