import type { Case } from "./cases.ts";
import type { Outcome } from "./measurement.ts";
import { type Measure, ratioOf } from "./figures.ts";
import { flawless } from "./sample.ts";

/** What the project wants of its router in one case, and how it stands. */
export interface Verdict {
  readonly target: string;
  /** Undefined if one of the two was not measured. */
  readonly measured: number | undefined;
  readonly result:
    | "met"
    | "MISSED"
    | "not measured"
    | "not judged: errors"
    | "not judged: other programs ran";
}

/** A bound for the ratio of our figure to another's. */
interface Target {
  readonly figure: Measure;
  readonly bound: number;
  /** Of which peers; each one is judged. */
  readonly against: (outcome: Outcome) => boolean;
}

const nginx = ({ peer }: Outcome) => peer.id === "nginx";

/** The rate has to be above its bound, CPU time below. */
function targetsOf(item: Case): Target[] {
  const targets: Target[] = [];
  if (item.id === "1k") {
    targets.push({ figure: "rate", bound: 0.75, against: nginx }, {
      figure: "rate",
      bound: 2.5,
      against: ({ peer }) => peer.id === "caddy" || peer.javaScript,
    });
  }
  // Bodies are of one size, so the ratio of bytes a second is that of requests.
  if (item.receives >= 2 ** 20) {
    targets.push({ figure: "rate", bound: 1, against: nginx });
  }
  return [...targets, { figure: "CPU", bound: 2, against: nginx }];
}

/** How our router stands in one case. */
export function verdictsOf(
  item: Case,
  outcomes: readonly Outcome[],
): Verdict[] {
  const ours = outcomes.find(({ peer }) => peer.id === "ours");
  return targetsOf(item).flatMap(({ figure, bound, against }) =>
    outcomes.filter(against).map((outcome): Verdict => {
      const measured = ratioOf(figure, { ours, its: outcome });
      const what = figure === "rate"
        ? "rate ≥"
        : `CPU a ${item.webSocket ? "message" : "request"} ≤`;
      const verdict = {
        target: `${what} ${bound} × ${outcome.peer.name}`,
        measured: measured?.ratio,
      };
      if (measured === undefined) return { ...verdict, result: "not measured" };
      if (!flawless([...ours!.samples, ...outcome.samples])) {
        return { ...verdict, result: "not judged: errors" };
      }
      if (measured.disturbed) {
        return { ...verdict, result: "not judged: other programs ran" };
      }
      const met = figure === "rate"
        ? measured.ratio >= bound
        : measured.ratio <= bound;
      return { ...verdict, result: met ? "met" : "MISSED" };
    })
  );
}

/** A verdict in a line. */
export function verdictText({ target, measured, result }: Verdict): string {
  const figure = measured === undefined ? "" : ` (${measured.toFixed(3)})`;
  return `Target ${target}: ${result}${figure}`;
}
