/** A fleet and a config, and what is wanted of the control plane with them. */
export interface Case {
  readonly id: string;
  readonly title: string;
  readonly routers: number;
  readonly customers: number;
  /** Edits that are measured, one after another; `--edits` may ask for another number. */
  readonly edits: number;
  /** Milliseconds over which the routers connect. */
  readonly rampMs: number;
  /** Whether all is measured with a fleet without fault as well. */
  readonly compared: boolean;
  /** Whether the fleet is held for a while, and the control plane then restarted. */
  readonly wide: boolean;
}

/** The share of the routers that stall, and the share that reject. */
export const TROUBLE_SHARE = 0.01;

export const CASES: readonly Case[] = [
  {
    id: "small",
    title: "100 routers, 1,000 customers",
    routers: 100,
    customers: 1000,
    edits: 200,
    rampMs: 500,
    compared: true,
    wide: false,
  },
  {
    id: "fleet",
    title: "1,000 routers, 100,000 customers",
    routers: 1000,
    customers: 100_000,
    edits: 10,
    rampMs: 2000,
    compared: true,
    wide: false,
  },
  {
    id: "wide",
    title: "10,000 routers, 10,000 customers",
    routers: 10_000,
    customers: 10_000,
    edits: 1,
    rampMs: 10_000,
    compared: false,
    wide: true,
  },
];
