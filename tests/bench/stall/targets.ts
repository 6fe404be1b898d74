import type { Figures } from "./figures.ts";
import { KIND_TITLES, type Lookup, LOOKUP_KINDS } from "./lookup_kinds.ts";
import { failureCount } from "./recording.ts";
import type { Served } from "./serving.ts";
import { median } from "../statistics.ts";
import { type Started, startFailures, startMs } from "./start.ts";

/** What the project wants of its router, and how it stands. */
export interface Verdict {
  readonly what: string;
  readonly measured: string;
  readonly target: string;
  readonly result: string;
}

/** What was measured. */
export interface Measured {
  readonly served: readonly (readonly [Served, Figures])[];
  readonly lookups: readonly Lookup[];
  readonly started: readonly Started[];
}

/** The size that most targets are about. */
const LARGE = 1_000_000;
const SMALL = 1000;
const MEBIBYTE = 2 ** 20;
const ADDED_GAP_MS = 10;
const REST_MIB = 400;
const APART_MICROS = 2;
const START_MS = 2000;

export function verdictsOf(measured: Measured): Verdict[] {
  return [
    ...measured.served.flatMap(([served, figures]) =>
      servingVerdicts(served, figures)
    ),
    ...lookupVerdicts(measured.lookups),
    ...measured.started.flatMap(startVerdicts),
    failureVerdict(measured),
  ];
}

function servingVerdicts(served: Served, figures: Figures): Verdict[] {
  const { size, form, restBytes } = served;
  if (!form.pushes) return [];
  const where = `${size.toLocaleString("en")} customers, ${form.title}`;
  const rest = restBytes / MEBIBYTE;
  return [
    {
      what: `added gap, ${where}`,
      measured: `${median(figures.added).toFixed(1)} ms (worst ${
        Math.max(...figures.added).toFixed(1)
      })`,
      target: `≤ ${ADDED_GAP_MS} ms`,
      result: addedResult(figures),
    },
    ...size === LARGE
      ? [{
        what: `resident at rest, ${where}`,
        measured: `${rest.toFixed(0)} MiB`,
        target: `≤ ${REST_MIB} MiB`,
        result: result(rest <= REST_MIB),
      }]
      : [],
  ];
}

/** Only where both sizes were measured. */
function lookupVerdicts(lookups: readonly Lookup[]): Verdict[] {
  const of = (kind: Lookup["kind"], size: number) =>
    lookups.find((one) => one.kind === kind && one.size === size)?.nanoseconds;
  return LOOKUP_KINDS.flatMap((kind): Verdict[] => {
    const small = of(kind, SMALL);
    const large = of(kind, LARGE);
    if (small === undefined || large === undefined) return [];
    const micros = (large - small) / 1000;
    return [{
      what: `lookup at 1,000 and 1,000,000 customers, ${
        KIND_TITLES[kind]
      }: apart`,
      measured: `${micros.toFixed(2)} µs`,
      target: `≤ ${APART_MICROS} µs`,
      result: result(micros <= APART_MICROS),
    }];
  });
}

function startVerdicts({ size, starts }: Started): Verdict[] {
  if (size !== LARGE) return [];
  const ms = median(starts.map(startMs));
  return [{
    what: "start from last-known-good to ready, 1,000,000 customers",
    measured: `${ms.toFixed(0)} ms`,
    target: `≤ ${START_MS} ms`,
    result: result(ms <= START_MS),
  }];
}

function failureVerdict({ served, started }: Measured): Verdict {
  let failures = 0;
  for (const [{ recording }] of served) {
    failures += failureCount(recording.failures);
  }
  for (const one of started) failures += startFailures(one);
  return {
    what: "answers that were wrong, or missing",
    measured: `${failures}`,
    target: "0",
    result: result(failures === 0),
  };
}

/** Every round has to be good; one that is not may be the machine's doing, so they are counted. */
function addedResult({ added, disturbed }: Figures): string {
  const bad = added.filter((ms) => !(ms <= ADDED_GAP_MS)).length;
  const rounds = bad === added.length ? "" : ` in ${bad} of ${added.length}`;
  return (bad === 0 ? "met" : `MISSED${rounds}`) +
    (disturbed ? " (other programs ran)" : "");
}

function result(met: boolean): string {
  return met ? "met" : "MISSED";
}
