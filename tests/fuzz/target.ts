import { AssertionError } from "node:assert";
import type { Random } from "../harness/random.ts";

/** What a parser made of an input, where all is well. */
export type Verdict = "accepted" | "refused";

/** Checks inputs one after the other, one at a time. */
export interface Checker<Input> {
  /** Throws, or rejects, where the parser broke a promise. */
  check(input: Input): Verdict | Promise<Verdict>;
  close?(): void | Promise<void>;
}

/** Something that parses: how its inputs are made, and how it is told whether what it did was right. */
export interface Target<Input = unknown> {
  readonly name: string;
  /** Its share of all inputs; most have 10. */
  readonly weight: number;
  make(random: Random): Input;
  open(): Checker<Input> | Promise<Checker<Input>>;
  /** The input for a person to read; JSON if not given. */
  show?(input: Input): string;
}

/** A target that keeps nothing from one input to the next. */
export function target<Input>(
  spec: Omit<Target<Input>, "open" | "weight"> & {
    readonly weight?: number;
    check(input: Input): Verdict | Promise<Verdict>;
  },
): Target {
  const { check, weight = 10, ...rest } = spec;
  return { ...rest, weight, open: () => ({ check }) } as Target<Input>;
}

/** Fails unless it holds. */
export function ensure(holds: boolean, what: string): asserts holds {
  // node:assert's own ok() reads the source file for its message, which takes long when much fails.
  if (!holds) throw new AssertionError({ message: what });
}

/** Fails unless both are the same value, by their JSON where they are objects. */
export function ensureSame(found: unknown, expected: unknown, what: string) {
  if (Object.is(found, expected)) return;
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (typeof found === "object" && a === b) return;
  throw new AssertionError({ message: `${what}: ${a}, expected ${b}` });
}
