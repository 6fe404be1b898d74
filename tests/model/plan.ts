import { Random } from "../harness/random.ts";
import type { BreakKind, EchoKind } from "./connection.ts";
import type { CallFault } from "./remote_calls.ts";

/** What the simulated control planes keep versions in: the model's own store, or ours on a simulated Deno KV. */
export type StoreKind = "twin" | "kv";

/** What one seed is about. */
export interface Plan {
  readonly seed: number;
  readonly store: StoreKind;
  readonly routers: number;
  readonly controlPlanes: number;
  readonly keepVersions: number;
  readonly frameBytes: number;
  readonly actions: readonly Action[];
}

/** What is done to the park, so many milliseconds after what was done before. */
export type Action = { readonly after: number } & Deed;

/** Numbers name one of what there is, whatever their size. */
export type Deed =
  | {
    readonly kind: "edit";
    readonly controlPlane: number;
    readonly customer: string;
    readonly placement: string;
    readonly waitMs: number | null;
    /** Whether it is waited for until it is drained. */
    readonly drained: boolean;
    /** Within what time it has to be confirmed; null: it needs not be. */
    readonly confirmWithinMs: number | null;
    /** How many routers get it first, and for how long; null: all at once. */
    readonly staged:
      | { readonly canaries: number; readonly holdMs: number }
      | null;
  }
  | {
    /** Many customers at once, as a file of them is applied. */
    readonly kind: "crowd";
    readonly controlPlane: number;
    /** So many of them. */
    readonly count: number;
    /** Where they go; null: they are dropped. */
    readonly placement: string | null;
    /** Who commits: somebody who has confirmed the difference or not, or software that knows of no guard. */
    readonly by: "confirmed" | "unconfirmed" | "older software";
  }
  | {
    readonly kind: "end rollout";
    readonly controlPlane: number;
    readonly promote: boolean;
  }
  | {
    readonly kind: "failing requests";
    readonly router: number;
    readonly forMs: number;
  }
  | { readonly kind: "confirm"; readonly controlPlane: number }
  | {
    readonly kind: "request";
    readonly router: number;
    readonly customer: string;
    readonly forMs: number;
    readonly streaming: boolean;
  }
  | {
    readonly kind: "fenced move";
    readonly controlPlane: number;
    readonly customer: string;
    readonly placement: string;
    readonly withinMs: number;
    readonly cutStreamsMs: number | null;
    readonly force: boolean;
    /** After how many milliseconds the customer asks the routers, in turn. */
    readonly requests: readonly number[];
  }
  | {
    readonly kind: "hold";
    readonly controlPlane: number;
    readonly customer: string;
    readonly forMs: number;
  }
  | {
    readonly kind: "pin";
    readonly controlPlane: number;
    readonly customer: string;
    /** Where alone the customer may be; null: there are no rules any more. */
    readonly placement: string | null;
  }
  | { readonly kind: "takeover"; readonly controlPlane: number }
  | {
    readonly kind: "kill control plane";
    readonly controlPlane: number;
    readonly downMs: number;
  }
  | {
    readonly kind: "kill control plane at a call";
    readonly controlPlane: number;
    readonly downMs: number;
    readonly calls: number;
    readonly writesOnly: boolean;
    readonly effective: boolean;
  }
  | {
    readonly kind: "stop control plane";
    readonly controlPlane: number;
    readonly downMs: number;
  }
  | {
    readonly kind: "kill router";
    readonly router: number;
    readonly downMs: number;
  }
  | {
    readonly kind: "kill router at a step";
    readonly router: number;
    readonly step: number;
  }
  | { readonly kind: "stop router"; readonly router: number }
  | {
    readonly kind: "break connection";
    readonly router: number;
    readonly how: BreakKind;
  }
  | {
    readonly kind: "partition";
    readonly router: number;
    readonly controlPlane: number;
    readonly forMs: number;
  }
  | {
    readonly kind: "stall";
    readonly router: number;
    readonly forMs: number;
  }
  | {
    readonly kind: "echo";
    readonly router: number;
    readonly as: EchoKind;
  }
  | {
    readonly kind: "store faults";
    readonly controlPlane: number;
    readonly faults: readonly CallFault[];
  }
  | {
    readonly kind: "store outage";
    readonly controlPlane: number;
    readonly forMs: number;
  }
  | { readonly kind: "silent watches"; readonly forMs: number }
  | {
    readonly kind: "set the store back";
    readonly snapshot: number;
    readonly kill: boolean;
    readonly downMs: number;
  }
  | {
    readonly kind: "wipe the store";
    readonly kill: boolean;
    readonly downMs: number;
  }
  | {
    readonly kind: "suspend control plane";
    readonly controlPlane: number;
    readonly forMs: number;
  }
  | {
    readonly kind: "suspend router";
    readonly router: number;
    readonly forMs: number;
  }
  | {
    readonly kind: "wall clock";
    readonly controlPlane: number;
    readonly byMs: number;
  }
  | {
    readonly kind: "reject";
    readonly router: number;
    readonly forMs: number;
  }
  | { readonly kind: "resend"; readonly router: number }
  | { readonly kind: "failing saves"; readonly router: number }
  | { readonly kind: "quiet" };

const CUSTOMERS = ["acme", "visa", "globex", "hooli"] as const;
const PLACEMENTS = ["p1", "p2", "p3"] as const;
const BREAKS = [
  "both",
  "both",
  "router only",
  "control plane only",
  "neither",
] as const;
const ECHOES = ["same", "older", "older", "foreign"] as const;
const FAULTS = ["refused", "refused", "lost", "lost", "silent"] as const;
/** One seed in so many has the real store below. */
const KV_SHARE = 12;

/** Makes what happens under a seed. */
export function makePlan(
  seed: number,
  options: { store?: StoreKind } = {},
): Plan {
  const random = new Random(seed, "plan");
  const chosen = seed % KV_SHARE === 0 ? "kv" : "twin";
  const plan = {
    seed,
    store: options.store ?? chosen,
    routers: random.between(2, 4),
    controlPlanes: random.between(1, 2),
    keepVersions: random.pick([2, 4, 100]),
    frameBytes: random.pick([100, 4080, 4080]),
  } as const;
  // A store that is set back takes the point out of much that is checked: not in every seed.
  const setsBack = random.once(4);
  const actions: Action[] = [];
  for (let left = random.between(20, 60); left > 0; left--) {
    const after = random.below(random.pick([5, 50, 300, 300, 1500, 4000]));
    actions.push({ after, ...deed(random, setsBack) });
  }
  return { ...plan, actions };
}

type Maker = (random: Random) => Deed;

const MAKERS: readonly (readonly [weight: number, make: Maker])[] = [
  [300, (random) => ({
    kind: "edit",
    controlPlane: random.below(2),
    customer: random.pick(CUSTOMERS),
    placement: random.pick(PLACEMENTS),
    waitMs: random.once(3) ? random.pick([500, 10_000]) : null,
    drained: random.once(2),
    ...returning(random),
  })],
  [80, (random) => ({
    kind: "crowd",
    controlPlane: random.below(2),
    count: random.pick([6, 12, 24]),
    placement: random.once(3) ? null : random.pick(PLACEMENTS),
    by: random.pick(["confirmed", "unconfirmed", "older software"]),
  })],
  [20, (random) => ({
    kind: "end rollout",
    controlPlane: random.below(2),
    promote: random.once(2),
  })],
  [30, (random) => ({
    kind: "failing requests",
    router: random.below(4),
    forMs: random.below(random.pick([3000, 20_000])),
  })],
  [20, (random) => ({ kind: "confirm", controlPlane: random.below(2) })],
  [150, (random) => ({
    kind: "request",
    router: random.below(4),
    customer: random.pick(CUSTOMERS),
    forMs: random.below(random.pick([5, 300, 300, 20_000])),
    streaming: random.once(4),
  })],
  [40, (random) => ({
    kind: "fenced move",
    controlPlane: random.below(2),
    customer: random.pick(CUSTOMERS),
    placement: random.pick(PLACEMENTS),
    withinMs: random.pick([50, 1000, 8000]),
    cutStreamsMs: random.once(2) ? random.pick([20, 500]) : null,
    force: random.once(4),
    requests: Array.from({ length: 8 }, () => random.below(100)),
  })],
  [10, (random) => ({
    kind: "hold",
    controlPlane: random.below(2),
    customer: random.pick(CUSTOMERS),
    forMs: random.pick([50, 3000, 10_000]),
  })],
  [15, (random) => ({
    kind: "pin",
    controlPlane: random.below(2),
    customer: random.pick(CUSTOMERS),
    placement: random.once(2) ? random.pick(PLACEMENTS) : null,
  })],
  [15, (random) => ({ kind: "takeover", controlPlane: random.below(2) })],
  [50, (random) => ({
    kind: "kill control plane",
    controlPlane: random.below(2),
    downMs: downMs(random),
  })],
  [60, (random) => ({
    kind: "kill control plane at a call",
    controlPlane: random.below(2),
    downMs: downMs(random),
    calls: random.below(4),
    writesOnly: random.once(2),
    effective: random.once(2),
  })],
  [15, (random) => ({
    kind: "stop control plane",
    controlPlane: random.below(2),
    downMs: downMs(random),
  })],
  [50, (random) => ({
    kind: "kill router",
    router: random.below(4),
    downMs: downMs(random),
  })],
  [50, (random) => ({
    kind: "kill router at a step",
    router: random.below(4),
    step: random.below(4),
  })],
  [10, (random) => ({ kind: "stop router", router: random.below(4) })],
  [90, (random) => ({
    kind: "break connection",
    router: random.below(4),
    how: random.pick(BREAKS),
  })],
  [30, (random) => ({
    kind: "partition",
    router: random.below(4),
    controlPlane: random.below(2),
    forMs: random.below(random.pick([500, 8000, 20_000])),
  })],
  [15, (random) => ({
    kind: "stall",
    router: random.below(4),
    forMs: random.below(random.pick([300, 3000])),
  })],
  [
    50,
    (random) => ({
      kind: "echo",
      router: random.below(4),
      as: random.pick(ECHOES),
    }),
  ],
  [60, (random) => ({
    kind: "store faults",
    controlPlane: random.below(2),
    faults: Array.from(
      { length: random.between(1, 4) },
      () => random.pick(FAULTS),
    ),
  })],
  [15, (random) => ({
    kind: "store outage",
    controlPlane: random.below(2),
    forMs: random.below(random.pick([500, 5000, 15_000])),
  })],
  [10, (random) => ({
    kind: "silent watches",
    forMs: random.below(10_000),
  })],
  [25, (random) => ({
    kind: "suspend control plane",
    controlPlane: random.below(2),
    forMs: random.below(random.pick([100, 3000, 20_000])),
  })],
  [25, (random) => ({
    kind: "suspend router",
    router: random.below(4),
    forMs: random.below(random.pick([100, 3000, 20_000])),
  })],
  [8, (random) => ({
    kind: "wall clock",
    controlPlane: random.below(2),
    byMs: random.between(-3_600_000, 3_600_000),
  })],
  [30, (random) => ({
    kind: "reject",
    router: random.below(4),
    forMs: random.below(random.pick([300, 5000])),
  })],
  [30, (random) => ({ kind: "resend", router: random.below(4) })],
  [20, (random) => ({ kind: "failing saves", router: random.below(4) })],
  [6, () => ({ kind: "quiet" })],
];

const SET_BACKS: readonly (readonly [weight: number, make: Maker])[] = [
  ...MAKERS,
  [40, (random) => ({
    kind: "set the store back",
    snapshot: random.below(1000),
    kill: random.once(2),
    downMs: downMs(random),
  })],
  [20, (random) => ({
    kind: "wipe the store",
    kill: random.once(2),
    downMs: downMs(random),
  })],
];

function deed(random: Random, setsBack: boolean): Deed {
  const makers = setsBack ? SET_BACKS : MAKERS;
  let left = random.below(
    makers.reduce((sum, [weight]) => sum + weight, 0),
  );
  for (const [weight, make] of makers) {
    left -= weight;
    if (left < 0) return make(random);
  }
  return { kind: "quiet" };
}

/** How an edit takes itself back, if it may. */
function returning(
  random: Random,
): Pick<Deed & { kind: "edit" }, "confirmWithinMs" | "staged"> {
  const confirmed = random.once(20);
  const staged = !confirmed && random.once(8);
  return {
    confirmWithinMs: confirmed ? random.pick([50, 1000, 8000]) : null,
    staged: staged
      ? {
        canaries: random.between(1, 2),
        holdMs: random.pick([50, 2000, 8000]),
      }
      : null,
  };
}

function downMs(random: Random): number {
  return random.below(random.pick([20, 1000, 1000, 10_000]));
}
