/** What the command and the processes that hold the links say to each other, a JSON line each. */
import type { Behaviour } from "./behaviour.ts";

/** One router to simulate. */
export interface RouterPlan {
  readonly id: string;
  readonly behaviour: Behaviour;
  /** Whether it checks the contents of the configs it gets, and not their length alone. */
  readonly decodes: boolean;
  /** When it begins to connect, in milliseconds after the process was told. */
  readonly startMs: number;
}

/** What a process is told first, and all it is told: it ends when its standard input does. */
export interface Setup {
  /** Where routers connect. */
  readonly url: string;
  readonly token: string | null;
  readonly routers: readonly RouterPlan[];
  /** Bytes a second that a slow router reads. */
  readonly slowRate: number;
  /** Milliseconds between two drops of a flapper's connection, on the average. */
  readonly flapMs: number;
}

/** What a process tells when something has changed. Counts only grow, unless they are of now. */
export interface Report {
  /** Routers that are connected now. */
  readonly connected: number;
  /** Of these, how many are not being read. */
  readonly stalled: number;
  /** The newest version a control plane told of; 0 before any. */
  readonly newest: number;
  /** How many connected routers serve which version, as far as it is what they were last told of. */
  readonly current: readonly (readonly [version: number, routers: number])[];
  /** Connections that were opened. */
  readonly connects: number;
  /** Bytes of configs that came, as sent. */
  readonly bytes: number;
  readonly applied: number;
  readonly rejected: number;
  /** Configs whose contents were checked. */
  readonly decoded: number;
  /** How connections ended, or why there was none. */
  readonly losses: readonly Counted[];
  /** What a control plane did wrong: damaged configs, broken protocol. */
  readonly faults: readonly Counted[];
  /** What is new of the versions since the last report. */
  readonly versions: readonly VersionNews[];
}

/** Something that happened, and how often. */
export type Counted = readonly [what: string, times: number];

/** What is new of one version. Moments are milliseconds since the Unix epoch: processes share no other clock. */
export interface VersionNews {
  readonly version: number;
  /** When the first of these routers was sent the first byte of it. */
  readonly seenAt: number;
  /** Each router that applied it: when its connection was opened, and when it acknowledged. */
  readonly applied: readonly (readonly [openedAt: number, at: number])[];
  /** How many rejected it. */
  readonly rejected: number;
}
