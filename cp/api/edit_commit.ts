import type { z } from "@hono/zod-openapi";
import { configDigest } from "../../shared/canonical.ts";
import type { Config } from "../../shared/config.ts";
import { logger } from "../../shared/log.ts";
import { chooseCanaries } from "../hub/canaries.ts";
import type { Fleet } from "../hub/fleet.ts";
import type { ApiMetrics } from "../metrics.ts";
import type {
  Attribution,
  Canary,
  Committed,
  Edit,
  Version,
  VersionStore,
} from "../store/store.ts";
import { checkTrial } from "../store/version_info.ts";
import type { CommittedAssertions } from "./committed_assertions.ts";
import { ConfigDiff, type DiffSummary } from "./config_diff.ts";
import { diffPage } from "./diff_page.ts";
import { checkMatch, checkSize } from "./edit_checks.ts";
import type { EditHead } from "./edit_options.ts";
import { guarded, type GuardLimits, guardProblem } from "./guard.ts";
import type { EDIT_ANSWER } from "./schemas.ts";
import type { AskedStaging } from "./staging_options.ts";
import { tracedCommit } from "./traced_commit.ts";

const log = logger("api");

/** How many differences a dry run shows; the counts are of all. */
const DRY_RUN_SAMPLE = 100;

/** What a call wants done. */
export interface Plan {
  /** Pure: it may run more than once. */
  readonly edit: Edit;
  /** Kept with the version where the caller gives no message. */
  readonly message?: string;
  /** Whether it may be committed on a version that is damaged, as it takes nothing of that. */
  readonly replaceDamaged?: true;
  /** How it is committed, where `store.commit(edit)` is not how. */
  readonly commit?: (attribution: Attribution, edit: Edit) => Promise<TookOver>;
}

/** What a takeover answers. */
export interface TookOver extends Committed {
  /** The epochs that the new one supersedes and the one before did not. */
  readonly superseded: readonly string[];
}

/** What an edit answers, but for how it reached the routers. */
export type EditAnswer = Omit<
  z.input<typeof EDIT_ANSWER>,
  "rollout" | "fenced"
>;

/** A committed edit. */
export interface Made extends Committed {
  readonly body: EditAnswer;
}

/** What commits need. */
export interface CommitDeps {
  readonly store: VersionStore;
  readonly fleet: Fleet;
  readonly metrics: ApiMetrics;
  readonly maxConfigBytes: number;
  readonly guard: GuardLimits;
  readonly assertions: CommittedAssertions;
}

/** What an edit was found to change when it was made last. */
interface SeenChange {
  readonly before: Version | null;
  readonly after: Config;
  readonly summary: DiffSummary | null;
}

/** Makes edits into versions, under all that is to hold for them, and tells what they change. */
export class EditCommitter {
  readonly #deps: CommitDeps;

  constructor(deps: CommitDeps) {
    this.#deps = deps;
  }

  /**
   * Answers what an edit would change, and commits nothing.
   *
   * @throws {ProblemError} if it would not be committed; not for what has to be confirmed, which it tells, nor while
   *   another version waits or is rolled out, which passes.
   */
  async dryRun(plan: Plan, head: EditHead): Promise<EditAnswer> {
    const { store, guard, metrics } = this.#deps;
    const { head: standing, version: current } = await store.newest();
    const config = await this.#checked(plan, head)(current, standing);
    if (head.staged !== null) await this.#canaries(head.staged);
    const found = await guarded(current, config, guard);
    const digest = configDigest(config);
    const { summary, page } = await diffPage(
      new ConfigDiff(current?.config ?? null, config),
      { limit: DRY_RUN_SAMPLE, cursor: undefined },
    );
    metrics.edits.dry_run++;
    const version = current?.version ?? 0;
    return {
      version,
      previous_version: version,
      changed: plan.commit !== undefined || digest !== current?.digest,
      epoch: current?.epoch ?? standing.epoch,
      digest,
      summary,
      dry_run: true,
      diff: page,
      ...(found?.confirm == null ? {} : {
        guard: {
          confirm: found.confirm,
          customers_touched: found.touched,
          customers: found.customers,
          placements_unreached: [...found.unreached],
        },
      }),
    };
  }

  /**
   * Commits an edit, and tells of it.
   *
   * @throws {ProblemError} if it is not to be, among that `guarded` for what has to be confirmed; what the edit and the
   *   store throw.
   */
  async commit(plan: Plan, head: EditHead): Promise<Made> {
    const { store, metrics } = this.#deps;
    const staging = head.staged === null ? null : {
      canaries: await this.#canaries(head.staged),
      holdMs: head.staged.holdMs,
      maxErrors: head.staged.maxErrors,
    };
    let seen: SeenChange | null = null;
    const edit = this.#guarded(plan, head, (change) => seen = change);
    const started = performance.now();
    const committed = await tracedCommit(
      async (trace): Promise<Committed & Partial<TookOver>> => {
        const attribution = {
          author: head.author,
          message: head.message ?? plan.message ?? null,
          ...trace,
        };
        return plan.commit === undefined
          ? await store.commit(edit, attribution, {
            // Who names a version, or wants it back if need be, means one that can be read.
            replaceDamaged: plan.replaceDamaged === true &&
              head.ifMatch === null && staging === null &&
              head.confirmWithinMs === null,
            ...(staging === null ? {} : { staging }),
            ...(head.confirmWithinMs === null
              ? {}
              : { confirmWithinMs: head.confirmWithinMs }),
          })
          : await plan.commit(attribution, edit);
      },
    );
    const { version, previous, changed } = committed;
    if (changed) {
      this.#tell(committed, performance.now() - started);
    } else metrics.edits.unchanged++;
    const summary = await summaryOf(committed, seen);
    return {
      version,
      previous,
      changed,
      body: {
        version: version.version,
        previous_version: previous?.version ?? 0,
        changed,
        epoch: version.epoch,
        digest: version.digest,
        summary,
        ...(changed && head.confirmWithinMs !== null
          ? { confirm_by: laterThan(version, head.confirmWithinMs) }
          : {}),
        ...(changed && staging !== null
          ? {
            staged: {
              canaries: staging.canaries.map(({ id }) => id),
              until: laterThan(version, staging.holdMs),
            },
          }
          : {}),
      },
    };
  }

  /**
   * Makes an edit of the newest version, and commits nothing.
   *
   * @throws what {@linkcode commit} would throw of it.
   */
  async check(plan: Plan, head: EditHead): Promise<void> {
    const { head: standing, version } = await this.#deps.store.newest();
    checkTrial(standing);
    await this.#guarded(plan, head)(version, standing);
  }

  /** The edit, checked, and stopped where it has to be confirmed and is not. */
  #guarded(
    plan: Plan,
    head: EditHead,
    sees: (change: SeenChange) => void = () => {},
  ): Edit {
    const checked = this.#checked(plan, head);
    return async (current, at) => {
      const config = await checked(current, at);
      const found = await guarded(current, config, this.#deps.guard);
      if (found?.confirm != null && found.confirm !== head.confirm) {
        throw await guardProblem(current, config, found);
      }
      const summary = found?.summary ?? null;
      sees({ before: current, after: config, summary });
      return config;
    };
  }

  /** The edit, with what is to hold for all of them. */
  #checked(plan: Plan, head: EditHead): Edit {
    const { maxConfigBytes, assertions } = this.#deps;
    return async (current, at) => {
      checkMatch(head.ifMatch, current);
      const config = await plan.edit(current, at);
      checkSize(config, maxConfigBytes);
      // A takeover changes nothing, whatever rules there are.
      if (plan.commit === undefined) await assertions.check(config, at);
      return config;
    };
  }

  /** The routers that are to get a version first. */
  async #canaries({ choice }: AskedStaging): Promise<Canary[]> {
    const { fleet, store } = this.#deps;
    // Where there is nothing to go back to, that is what the commit says.
    if ((await store.head()).version === 0) return [];
    const candidates = await fleet.candidates();
    return await fleet.counted(
      chooseCanaries(choice, candidates, Math.random),
    );
  }

  #tell(
    { version, previous, superseded }: Committed & Partial<TookOver>,
    ms: number,
  ): void {
    const { edits, commitSeconds } = this.#deps.metrics;
    edits.committed++;
    commitSeconds.observe(ms / 1000);
    log.info("config committed", {
      version: version.version,
      previous_version: previous?.version ?? 0,
      digest: version.digest,
      source: superseded === undefined ? "api" : "takeover",
      ms: Math.round(ms),
      author: version.author,
      ...(superseded === undefined ? {} : { epoch: version.epoch, superseded }),
    });
  }
}

/** How much was changed; it is known already where the edit that was committed is the one that was seen last. */
async function summaryOf(
  { version, previous, changed }: Committed,
  seen: SeenChange | null,
): Promise<DiffSummary> {
  const known = changed && seen?.before === previous &&
      seen.after === version.config
    ? seen.summary
    : null;
  return known ?? await new ConfigDiff(
    changed ? previous?.config ?? null : version.config,
    version.config,
  ).summary();
}

/** So many milliseconds after a version was committed. */
function laterThan({ createdAt }: Version, ms: number): string {
  return new Date(Date.parse(createdAt) + ms).toISOString();
}
