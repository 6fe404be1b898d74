/** What the API's answers are to its clients: the page and the command line. Types alone, so that importing it costs nothing. */
import type { z } from "zod";
import type { RULE } from "./assertions.ts";
import type {
  ASSIGNMENT,
  ASSIGNMENT_CHANGE,
  CONFIG,
  DIFF,
  DIFF_SAMPLE,
  EDIT_ANSWER,
  HOLD,
  PLACEMENT,
  PROPAGATION,
  ROLLOUT,
  ROLLOUT_UNDER_WAY,
  ROUTER,
  STAGED_ROLLOUT,
  SUMMARY,
  VERSION_INFO,
  VERSION_ROLLOUT,
} from "./schemas.ts";

export type Assignment = z.output<typeof ASSIGNMENT>;
export type AssignmentChange = z.output<typeof ASSIGNMENT_CHANGE>;
export type ConfigBody = z.output<typeof CONFIG>;
export type Diff = z.output<typeof DIFF>;
export type DiffSample = z.output<typeof DIFF_SAMPLE>;
export type EditAnswer = z.output<typeof EDIT_ANSWER>;
export type Hold = z.output<typeof HOLD>;
export type Placement = z.output<typeof PLACEMENT>;
export type Propagation = z.output<typeof PROPAGATION>;
export type Rollout = z.output<typeof ROLLOUT>;
export type RolloutUnderWay = z.output<typeof ROLLOUT_UNDER_WAY>;
export type Router = z.output<typeof ROUTER>;
export type Rule = z.output<typeof RULE>;
export type StagedRollout = z.output<typeof STAGED_ROLLOUT>;
export type Summary = z.output<typeof SUMMARY>;
export type VersionInfo = z.output<typeof VERSION_INFO>;
export type VersionRollout = z.output<typeof VERSION_ROLLOUT>;

/** One problem of several: where in what was sent, and what is wrong there. */
export interface FieldProblem {
  readonly pointer: string;
  readonly detail: string;
}

/** Any error of the API (RFC 9457). */
export interface ProblemBody {
  readonly detail?: string;
  readonly errors?: readonly FieldProblem[];
  readonly more_errors?: number;
  /** What an edit that changes much is to be repeated with. */
  readonly confirm?: string;
}
