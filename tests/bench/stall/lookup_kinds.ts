/** What is looked up. */
export type LookupKind = "known" | "unknown" | "near" | "colliding" | "longest";

/** One figure. */
export interface Lookup {
  readonly size: number;
  readonly kind: LookupKind;
  /** Of one lookup, in the fastest of the rounds. */
  readonly nanoseconds: number;
}

/** All of them, in the order of the tables. */
export const LOOKUP_KINDS: readonly LookupKind[] = [
  "known",
  "unknown",
  "near",
  "colliding",
  "longest",
];

/** What they are, in the tables. */
export const KIND_TITLES: Readonly<Record<LookupKind, string>> = {
  known: "known",
  unknown: "unknown",
  near: "one character off",
  colliding: "colliding",
  longest: "longest",
};
