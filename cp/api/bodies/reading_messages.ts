import type { Problem } from "../../../shared/config.ts";
import type { ApiProblemKind } from "../problem.ts";
import type { BodyEditKind } from "./body_edits.ts";
import type { PackedConfig } from "./packed_config.ts";

/** What the main thread tells the thread that reads bodies. */
export type ToReading = { readonly type: "read" } & ReadingTask;

/** What that one answers, once to each. */
export type FromReading = { readonly type: "read" } & ReadingAnswer;

/** A body to be read, and what it is to be applied to. What is large in it is given away, not copied. */
export interface ReadingTask {
  readonly kind: BodyEditKind;
  readonly mediaType: string;
  /** The bytes of the body, as they came. */
  readonly parts: readonly Uint8Array<ArrayBuffer>[];
  /** Null before the first config, and where the kind of body does not need it. */
  readonly current: PackedConfig | null;
}

/** A `ProblemError` as plain data. */
export interface SentProblem {
  readonly kind: ApiProblemKind;
  readonly detail: string;
  readonly errors: readonly Problem[] | undefined;
  readonly more: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** What came of a task. */
export type Outcome =
  /** The body itself is wrong. */
  | { readonly type: "unreadable"; readonly problem: SentProblem }
  /** The body is right, and nothing can be made of it and the current config. */
  | { readonly type: "refused"; readonly problem: SentProblem }
  | { readonly type: "made"; readonly config: PackedConfig }
  /** Nobody expected this. */
  | { readonly type: "failed"; readonly error: string };

/** What the thread answers to each task, in their order. */
export interface ReadingAnswer {
  readonly outcome: Outcome;
  /** The parts of the body, given back: it may have to be applied to another config. */
  readonly parts: readonly Uint8Array<ArrayBuffer>[];
}

/** What is given away with the parts of a body; several may lie in one buffer. */
export function partBuffers(
  parts: ReadingTask["parts"],
): Iterable<ArrayBuffer> {
  return new Set(parts.map(({ buffer }) => buffer));
}
