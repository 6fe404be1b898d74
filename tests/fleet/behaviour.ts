/** How a simulated router behaves. */
export type Behaviour = "steady" | Misbehaviour;

/** What may be wrong with a router; the option of the command has the same name. */
export type Misbehaviour = typeof MISBEHAVIOURS[number];

export const MISBEHAVIOURS = [
  /** Reads, but no faster than a given rate. */
  "slow",
  /** Reads nothing from the beginning of a push on, until it gives its connection up. */
  "stalled",
  /** Rejects every config. */
  "rejecters",
  /** Drops its connection every so often. */
  "flappers",
  /** Connects and reads, and never says a word. */
  "silent",
] as const;

/** How many routers of a fleet misbehave in which way. */
export type Counts = Readonly<Record<Misbehaviour, number>>;

/** A fleet without fault. */
export const ALL_STEADY: Counts = {
  slow: 0,
  stalled: 0,
  rejecters: 0,
  flappers: 0,
  silent: 0,
};

/**
 * The behaviour of each of so many routers, every kind spread evenly over the fleet: those that
 * misbehave must not all connect first, or all be in one process.
 */
export function spread(routers: number, counts: Counts): Behaviour[] {
  const steady = routers -
    MISBEHAVIOURS.reduce((sum, kind) => sum + counts[kind], 0);
  if (steady < 0) {
    throw new RangeError(
      `Cannot spread ${
        routers - steady
      } misbehaving routers over a fleet of ${routers}`,
    );
  }
  const places: { at: number; behaviour: Behaviour }[] = [];
  const kinds: [Behaviour, number][] = [
    ["steady", steady],
    ...MISBEHAVIOURS.map((kind): [Behaviour, number] => [kind, counts[kind]]),
  ];
  for (const [behaviour, count] of kinds) {
    for (let i = 0; i < count; i++) {
      places.push({ at: (i + 0.5) / count, behaviour });
    }
  }
  return places.sort((a, b) => a.at - b.at).map(({ behaviour }) => behaviour);
}
