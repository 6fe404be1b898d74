import { errorLine } from "../../shared/errors.ts";
import { Random } from "../harness/random.ts";
import type { Checker, Target, Verdict } from "./target.ts";

/** An input that may take no longer, in milliseconds. */
const MAX_MS = 1000;
/** How much of an input is shown, in characters. */
const SHOWN = 600;
/** A target that has failed so often is given up. */
const MAX_FAILURES = 3;

/** One input that a target did not stand up to. */
export interface Failure {
  readonly target: string;
  readonly seed: number;
  readonly number: number;
  readonly error: string;
  /** Escaped and shortened. */
  readonly input: string;
}

/** What became of a target's inputs. */
export interface Outcome {
  readonly target: string;
  readonly inputs: number;
  readonly accepted: number;
  readonly refused: number;
  readonly slowestMs: number;
  readonly seconds: number;
  readonly failures: readonly Failure[];
}

/** Told before each input, so that one that never ends can be named. */
export type Progress = (target: string, number: number) => void;

/** How many inputs of `total` each target gets, by weight; none gets less than one. */
export function shares(
  targets: readonly Target[],
  total: number,
): { target: Target; count: number }[] {
  const whole = targets.reduce((sum, { weight }) => sum + weight, 0);
  return targets.map((target) => ({
    target,
    count: Math.max(1, Math.round(total * target.weight / whole)),
  }));
}

/** Gives a target the inputs `from` up to, not including, `from + count` of a seed. */
export async function runTarget(
  target: Target,
  options: {
    readonly seed: number;
    readonly count: number;
    /** @default {0} */
    readonly from?: number;
    /**
     * An input may take no longer, in milliseconds.
     *
     * @default {1000}
     */
    readonly maxMs?: number;
    readonly progress?: Progress;
    readonly signal?: AbortSignal;
  },
): Promise<Outcome> {
  const { seed, count, from = 0, maxMs = MAX_MS } = options;
  const tally = { accepted: 0, refused: 0 };
  const failures: Failure[] = [];
  let slowestMs = 0;
  const started = performance.now();
  let inputs = 0;
  const checker = await target.open();
  try {
    for (let number = from; number < from + count; number++) {
      options.signal?.throwIfAborted();
      options.progress?.(target.name, number);
      const input = target.make(new Random(seed, target.name, number));
      inputs++;
      try {
        const { verdict, ms } = await timed(checker, { input, maxMs });
        tally[verdict]++;
        slowestMs = Math.max(slowestMs, ms);
      } catch (error) {
        failures.push({
          target: target.name,
          seed,
          number,
          error: described(error),
          input: shown(target, input),
        });
        if (failures.length === MAX_FAILURES) break;
      }
    }
  } finally {
    await checker.close?.();
  }
  const seconds = (performance.now() - started) / 1000;
  return {
    target: target.name,
    inputs,
    ...tally,
    slowestMs,
    seconds,
    failures,
  };
}

/** A machine that is busy elsewhere makes an input late once; only one that is late each time is too slow. */
async function timed(
  checker: Checker<unknown>,
  { input, maxMs }: { input: unknown; maxMs: number },
): Promise<{ verdict: Verdict; ms: number }> {
  let least = Infinity;
  for (let tries = 0;; tries++) {
    const started = performance.now();
    const checking = checker.check(input);
    const verdict = typeof checking === "string" ? checking : await checking;
    least = Math.min(least, performance.now() - started);
    if (least <= maxMs) return { verdict, ms: least };
    if (tries === 2) {
      throw new Error(`It takes ${Math.round(least)} ms, also at a third try`);
    }
  }
}

function described(error: unknown): string {
  const frames = error instanceof Error
    ? (error.stack ?? "").split("\n").filter((line) => /^ +at /.test(line))
    : [];
  // Where the check that failed stands, not how it tells.
  const at = frames.find((line) => !/target\.ts|ext:|node:/.test(line));
  const line = errorLine(error).slice(0, 2 * SHOWN);
  return at === undefined
    ? line
    : `${line} (${
      at.trim().replace(/file:\S*?(?=tests|cp|router|shared)/, "")
    })`;
}

function shown(target: Target, input: unknown): string {
  const text = target.show?.(input) ?? JSON.stringify(input);
  const escaped = text.replaceAll(/[^\x20-\x7e]/g, (char) => {
    const code = char.charCodeAt(0).toString(16);
    return code.length > 2
      ? `\\u${code.padStart(4, "0")}`
      : `\\x${code.padStart(2, "0")}`;
  });
  const { length } = escaped;
  return length <= SHOWN
    ? escaped
    : `${escaped.slice(0, SHOWN)}… (${length} characters)`;
}

/** What gives a target one input alone. */
export function replayCommand(
  { target, seed, number }: Pick<Failure, "target" | "seed" | "number">,
): string {
  return `deno task bench:fuzz --seed=${seed} --target=${target} --only=${number}`;
}

/** A failure as text, with what replays it. */
export function failureText(failure: Failure): string {
  const { target, seed, number, error, input } = failure;
  return [
    `${target}, seed ${seed}, input ${number}: ${error}`,
    `  input: ${input}`,
    `  again: ${replayCommand(failure)}`,
  ].join("\n");
}
