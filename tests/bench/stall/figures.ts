import { isDisturbed } from "../proxy/sample.ts";
import { median, percentile } from "../statistics.ts";
import { answersIn, latencies, longestGap } from "./recording.ts";
import type { Round, Served } from "./serving.ts";

/** A figure before, during and after what happens. */
export interface Phases {
  readonly before: number;
  readonly during: number;
  readonly after: number;
}

/** A figure over all rounds. */
export interface Spread {
  readonly median: number;
  readonly worst: number;
}

/** What came of a size and a form. Times in milliseconds. */
export interface Figures {
  /** The longest time between two answers, the worst of all rounds. */
  readonly gap: Phases;
  /** By how much the longest gap during a push was longer than the one before it, in each round. */
  readonly added: readonly number[];
  /** For how long the load itself stood still during a push, the worst of all rounds. */
  readonly loadGap: number;
  /** Of the requests that were due in all rounds together, what 99.9 % of them took at most. */
  readonly p999: Phases;
  /** From the first byte of a push to the ack; null without pushes. */
  readonly push: Spread | null;
  /** From when the push had left to the ack. */
  readonly apply: Spread | null;
  /** Of the router at rest, for one request. */
  readonly cpuMicros: number;
  /** Whether other programs ran in every round. */
  readonly disturbed: boolean;
}

/** Disturbed rounds count only where all are. */
export function figuresOf(served: Served): Figures {
  const { form, rounds, recording, rest, restCpuSeconds } = served;
  const quiet = rounds.filter((round) => !isDisturbed(round));
  const counted = quiet.length > 0 ? quiet : rounds;
  const phases = (of: (phase: keyof Phases) => number): Phases => ({
    before: of("before"),
    during: of("during"),
    after: of("after"),
  });
  const gap = (round: Round, phase: keyof Phases) =>
    longestGap(recording.answered, round[phase]);
  const added = counted.map((round) =>
    gap(round, "during") - gap(round, "before")
  );
  return {
    gap: phases((phase) =>
      Math.max(...counted.map((round) => gap(round, phase)))
    ),
    added,
    loadGap: Math.max(
      ...counted.map(({ during }) => longestGap(recording.looked, during)),
    ),
    p999: phases((phase) =>
      percentile(
        counted.flatMap((round) => latencies(recording, round[phase])),
        0.999,
      )
    ),
    push: form.pushes ? spread(counted.map(({ pushMs }) => pushMs)) : null,
    apply: form.pushes ? spread(counted.map(({ applyMs }) => applyMs)) : null,
    cpuMicros: restCpuSeconds / answersIn(recording, rest) * 1e6,
    disturbed: quiet.length === 0,
  };
}

function spread(values: readonly number[]): Spread {
  return { median: median(values), worst: Math.max(...values) };
}
