import { z } from "@hono/zod-openapi";
import { configDigest } from "../../shared/canonical.ts";
import type { Config } from "../../shared/config.ts";
import { logger } from "../../shared/log.ts";
import type { Fleet, Rollout } from "../hub/fleet.ts";
import type { ApiMetrics } from "../metrics.ts";
import { canonicalLength } from "../../shared/canonical.ts";
import { chooseCanaries } from "../hub/canaries.ts";
import type {
  Attribution,
  Canary,
  Committed,
  Edit,
  Version,
  VersionStore,
} from "../store/store.ts";
import { makeDigests } from "../store/turns.ts";
import { checkTrial } from "../store/version_info.ts";
import type { BodyEdit } from "./bodies/body_edits.ts";
import type { CommittedAssertions } from "./committed_assertions.ts";
import { ConfigDiff, type DiffSummary } from "./config_diff.ts";
import { diffPage } from "./diff_page.ts";
import {
  authorOf,
  EDIT_HEADERS,
  EDIT_QUERY,
  readEditHead,
} from "./edit_options.ts";
import type { EditHead, IfMatch } from "./edit_options.ts";
import {
  type FencedAnswer,
  fencedMove,
  type FenceOptions,
} from "./fenced_move.ts";
import {
  type Guarded,
  guarded,
  type GuardLimits,
  guardProblem,
} from "./guard.ts";
import type { KeptVersions } from "./kept_versions.ts";
import { badParameters } from "./parameters.ts";
import { busy, invalid, ProblemError, toProblem } from "./problem.ts";
import {
  answer,
  type ApiContext,
  type Method,
  type Rest,
  type Routes,
  type RouteSpec,
} from "./route.ts";
import { EDIT_ANSWER } from "./schemas.ts";
import { tracedCommit } from "./traced_commit.ts";

const log = logger("api");

/** How many edits may wait for their rollout at a time. */
const MAX_WAITING = 256;
/** How many differences a dry run shows; the counts are of all. */
const DRY_RUN_SAMPLE = 100;
/** How many problems of an edit the log shows. */
const LOGGED_PROBLEMS = 3;

/** What a call wants done. */
export interface Plan {
  /** Pure: it may run more than once. */
  readonly edit: Edit;
  /** Kept with the version where the caller gives no message. */
  readonly message?: string;
  /** Whether it may be committed on a version that is damaged, as it takes nothing of that. */
  readonly replaceDamaged?: true;
  /** How it is to be fenced, where it is. */
  readonly fence?: FenceOptions | null;
  /** What the edit was found to change when it was made last. */
  readonly seen?: SeenChange;
  /** How it is committed, where `store.commit(edit)` is not how. */
  readonly commit?: (attribution: Attribution, edit: Edit) => Promise<TookOver>;
}

interface SeenChange {
  readonly before: Version | null;
  readonly after: Config | null;
  readonly summary: DiffSummary | null;
}

/** What a takeover answers. */
export interface TookOver extends Committed {
  /** The epochs that the new one supersedes and the one before did not. */
  readonly superseded: readonly string[];
}

/** What edits need. */
export interface EditDeps {
  readonly store: VersionStore;
  readonly fleet: Fleet;
  readonly metrics: ApiMetrics;
  /** Dry runs compare within its queue. */
  readonly kept: KeptVersions;
  readonly maxConfigBytes: number;
  readonly guard: GuardLimits;
  readonly assertions: CommittedAssertions;
  /** Aborts when the control plane stops: nobody waits on. */
  readonly stopping: AbortSignal;
}

/** A call that edits the config, but for what all of them have in common. */
type EditSpec<P extends z.ZodObject, B> =
  & Omit<
    RouteSpec<P, typeof EDIT_QUERY, B>,
    "query" | "headers" | "answers" | "method"
  >
  & { method: Exclude<Method, "get"> };

/** The calls that edit the config: all take the same options and answer in the same form (SPEC section 5). */
export class Edits {
  readonly #routes: Routes;
  readonly #deps: EditDeps;
  #waiting = 0;

  constructor(routes: Routes, deps: EditDeps) {
    this.#routes = routes;
    this.#deps = deps;
  }

  /** Adds a call; `plan` turns its checked request into an edit. */
  add<P extends z.ZodObject, B = undefined>(
    spec: EditSpec<P, B>,
    plan: (call: {
      params: z.output<P>;
      body: B;
    }) => Edit | Plan | Promise<Plan>,
  ): void {
    this.#routes.add<P, typeof EDIT_QUERY, B>({
      ...spec,
      query: EDIT_QUERY,
      headers: EDIT_HEADERS,
      answers: {
        200: {
          description:
            "The edit is committed, or changed nothing; the ETag is the committed version.",
          schema: EDIT_ANSWER,
        },
      },
      problems: [...new Set([...spec.problems ?? [], 409, 412, 503] as const)],
    }, async (call) => {
      const head = readEditHead(call.c, call.query);
      const made = await plan(call);
      return await this.#run(
        typeof made === "function" ? { edit: made } : made,
        { head, c: call.c },
      );
    }, (error, c) => this.#count(error, c));
  }

  /** Adds a call whose body says all of its edit. */
  addOfBody(
    spec: EditSpec<z.ZodObject, BodyEdit>,
    options: Pick<Plan, "replaceDamaged"> = {},
  ): void {
    this.add(spec, async ({ body }) => {
      if (body.prepare !== undefined) {
        const current = await this.#deps.store.current();
        await body.prepare(current?.config ?? null);
      }
      const fence = body.fence === undefined
        ? null
        : body.fence((await this.#deps.store.current())?.config ?? null);
      return {
        ...options,
        fence,
        edit: (now) => body.make(now?.config ?? null),
      };
    });
  }

  #run(
    plan: Plan,
    { head, c }: { head: EditHead; c: ApiContext },
  ): Promise<Response | Rest> {
    const edit: Edit = async (current, at) => {
      checkMatch(head.ifMatch, current);
      const config = await plan.edit(current, at);
      checkSize(config, this.#deps.maxConfigBytes);
      // A takeover changes nothing, whatever rules there are.
      if (plan.commit === undefined) {
        await this.#deps.assertions.check(config, at);
      }
      return config;
    };
    if (plan.commit !== undefined) checkPlain(head);
    if (head.dryRun) {
      return this.#deps.kept.queue.run(() => this.#dryRun(edit, plan, head));
    }
    const seen: SeenChange = { before: null, after: null, summary: null };
    const guardedEdit: Edit = async (current, at) => {
      const config = await edit(current, at);
      const found = await this.#guarded(current, config);
      if (found?.confirm != null && found.confirm !== head.confirm) {
        throw await guardProblem(current, config, found);
      }
      Object.assign(seen, {
        before: current,
        after: config,
        summary: found?.summary ?? null,
      });
      return config;
    };
    return this.#commit({ ...plan, edit: guardedEdit, seen }, { head, c });
  }

  async #guarded(
    current: Version | null,
    config: Config,
  ): Promise<Guarded | null> {
    await makeDigests(config.customers);
    const digest = configDigest(config);
    return await guarded(current, { config, digest }, this.#deps.guard);
  }

  async #dryRun(
    edit: Edit,
    plan: Plan,
    { staged }: EditHead,
  ): Promise<Response> {
    const { head, version: current } = await this.#deps.store.newest();
    const config = await edit(current, head);
    if (staged !== null) await this.#canaries(staged);
    await makeDigests(config.customers);
    const digest = configDigest(config);
    const { summary, page } = await diffPage(
      new ConfigDiff(current?.config ?? null, config),
      { limit: DRY_RUN_SAMPLE, cursor: undefined },
    );
    const found = await this.#guarded(current, config);
    this.#deps.metrics.edits.dry_run++;
    const version = current?.version ?? 0;
    return editAnswer({
      version,
      previous_version: version,
      changed: plan.commit !== undefined || digest !== current?.digest,
      epoch: current?.epoch ?? head.epoch,
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
    });
  }

  async #commit(
    plan: Plan,
    { head, c }: { head: EditHead; c: ApiContext },
  ): Promise<Response | Rest> {
    const { fleet, stopping } = this.#deps;
    const { wait } = head;
    // Where nobody moves there is nothing to fence.
    if (plan.fence && plan.fence.customers.length > 0) {
      return this.#fenced(plan, { head, c, fence: plan.fence });
    }
    if (wait === null) return editAnswer((await this.#make(plan, head)).body);
    if (this.#waiting >= MAX_WAITING) {
      throw busy(
        `${MAX_WAITING} edits wait for their rollout already; try again, or without wait. Nothing was changed.`,
      );
    }
    // Followed from before the commit on, or a router that leaves right after it would be missed.
    const watch = fleet.follow();
    this.#waiting++;
    const end = () => {
      watch.end();
      this.#waiting--;
    };
    const made = await this.#make(plan, head).catch((error) => {
      end();
      throw error;
    });
    // The wait is long, and holds nothing of the request's body.
    return async () => {
      try {
        if (wait.cutStreamsMs !== null) {
          await this.#cutStreams(made.version, wait.cutStreamsMs, wait.ms);
        }
        const rollout = await this.#wait(
          watch.wait(made.version, {
            until: wait.until,
            timeoutMs: wait.ms,
            signal: AbortSignal.any([c.req.raw.signal, stopping]),
          }),
        );
        return editAnswer(
          rollout === undefined ? made.body : { ...made.body, rollout },
        );
      } finally {
        end();
      }
    };
  }

  /** Has the routers that serve a version end what streams elsewhere, while the version is waited for. */
  async #cutStreams(
    { version }: Version,
    afterMs: number,
    waitMs: number,
  ): Promise<void> {
    const { store, fleet } = this.#deps;
    const until = new Date(Date.now() + waitMs).toISOString();
    await store.changeOrders((orders) => ({
      ...orders,
      cuts: [...orders.cuts, { version, afterMs, until }],
    }));
    await fleet.refresh();
  }

  async #fenced(
    plan: Plan,
    { head, c, fence }: {
      head: EditHead;
      c: ApiContext;
      fence: FenceOptions;
    },
  ): Promise<Rest> {
    const { store, fleet, stopping } = this.#deps;
    if (head.wait !== null) {
      throw badParameters("The query", [{
        pointer: "wait",
        detail:
          "A fenced move waits until all routers serve it; it takes no wait.",
      }]);
    }
    if (head.staged !== null) {
      throw badParameters("The query", [{
        pointer: "canary",
        detail:
          "A fenced move goes to all routers at once, or two sides would be served; it takes no canary.",
      }]);
    }
    // Told before anybody is held for nothing.
    const newest = await store.newest();
    checkTrial(newest.head);
    await plan.edit(newest.version, newest.head);
    return async () => {
      const { made, fenced, rollout } = await fencedMove({
        store,
        fleet,
        author: head.author,
        signal: AbortSignal.any([c.req.raw.signal, stopping]),
      }, {
        ...fence,
        commit: (check) => {
          const edit: Edit = async (current, at) => {
            check(current);
            return await plan.edit(current, at);
          };
          return this.#make({ ...plan, edit }, head);
        },
      });
      return editAnswer({ ...made.body, fenced, rollout });
    };
  }

  /** The routers that are to get a version first. */
  async #canaries(
    { choice }: NonNullable<EditHead["staged"]>,
  ): Promise<Canary[]> {
    const { fleet, store } = this.#deps;
    // Where there is nothing to go back to, that is what the commit says.
    if ((await store.head()).version === 0) return [];
    const candidates = await fleet.candidates();
    return await fleet.counted(
      chooseCanaries(choice, candidates, Math.random),
    );
  }

  /** Commits, and tells of it. */
  async #make(
    plan: Plan,
    head: EditHead,
  ): Promise<{
    version: Version;
    previous: Version | null;
    changed: boolean;
    body: EditAnswer;
  }> {
    const { store, metrics } = this.#deps;
    const staging = head.staged === null ? null : {
      canaries: await this.#canaries(head.staged),
      holdMs: head.staged.holdMs,
      maxErrors: head.staged.maxErrors,
    };
    const started = performance.now();
    const committed = await tracedCommit(
      async (trace): Promise<Committed & Partial<TookOver>> => {
        const attribution = {
          author: head.author,
          message: head.message ?? plan.message ?? null,
          ...trace,
        };
        return plan.commit === undefined
          ? await store.commit(plan.edit, attribution, {
            // Who names a version, or wants it back if need be, means one that can be read.
            replaceDamaged: plan.replaceDamaged === true &&
              head.ifMatch === null && staging === null,
            ...(staging === null ? {} : { staging }),
            ...(head.confirmWithinMs === null
              ? {}
              : { confirmWithinMs: head.confirmWithinMs }),
          })
          : await plan.commit(attribution, plan.edit);
      },
    );
    const ms = performance.now() - started;
    const { version, previous, changed, superseded } = committed;
    const previousVersion = previous?.version ?? 0;
    if (changed) {
      metrics.edits.committed++;
      metrics.commitSeconds.observe(ms / 1000);
      log.info("config committed", {
        version: version.version,
        previous_version: previousVersion,
        digest: version.digest,
        source: superseded === undefined ? "api" : "takeover",
        ms: Math.round(ms),
        author: version.author,
        ...(superseded === undefined
          ? {}
          : { epoch: version.epoch, superseded }),
      });
    } else metrics.edits.unchanged++;
    const { seen } = plan;
    const known = changed && seen?.before === previous &&
      seen.after === version.config;
    const summary = (known ? seen.summary : null) ?? await new ConfigDiff(
      changed ? previous?.config ?? null : version.config,
      version.config,
    ).summary();
    const { epoch, digest } = version;
    return {
      version,
      previous,
      changed,
      body: {
        version: version.version,
        previous_version: previousVersion,
        changed,
        epoch,
        digest,
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

  /** The edit is committed: that waiting was broken off is no error of it. */
  async #wait(rollout: Promise<Rollout>): Promise<Rollout | undefined> {
    try {
      return await rollout;
    } catch (error) {
      log.warn("waiting for a rollout ended early", { error });
      return undefined;
    }
  }

  #count(error: unknown, c: ApiContext): void {
    const { edits } = this.#deps.metrics;
    const problem = toProblem(error);
    switch (problem.kind) {
      case "invalid":
        edits.invalid++;
        break;
      case "conflict":
      case "guarded":
      case "version-mismatch":
        edits.conflict++;
        break;
      case "unavailable":
      case "damaged":
      case "internal":
        // These are logged where all failures are.
        edits.failed++;
        return;
      default:
        edits.refused++;
    }
    log.info("edit refused", {
      method: c.req.method,
      path: c.req.path,
      author: authorOf(c),
      kind: problem.kind,
      status: problem.status,
      detail: problem.message,
      problems: problem.errors?.slice(0, LOGGED_PROBLEMS),
    });
  }
}

type EditAnswer = Omit<z.input<typeof EDIT_ANSWER>, "rollout" | "fenced"> & {
  rollout?: Rollout;
  fenced?: FencedAnswer;
};

function editAnswer(body: EditAnswer): Response {
  return answer(body, { headers: { etag: `"${body.version}"` } });
}

/** So many milliseconds after a version was committed. */
function laterThan({ createdAt }: Version, ms: number): string {
  return new Date(Date.parse(createdAt) + ms).toISOString();
}

/** A takeover is for all routers, and stays. */
function checkPlain({ staged, confirmWithinMs }: EditHead): void {
  const pointer = staged !== null
    ? "canary"
    : confirmWithinMs !== null
    ? "confirm_within"
    : null;
  if (pointer === null) return;
  throw badParameters("The query", [{
    pointer,
    detail:
      `A takeover is for all routers and is not taken back; it takes no ${pointer}.`,
  }]);
}

function checkMatch(ifMatch: IfMatch | null, current: Version | null): void {
  if (ifMatch === null) return;
  const version = current?.version ?? 0;
  const matches = ifMatch === "*"
    ? current !== null
    : ifMatch.includes(String(version));
  if (matches) return;
  const wanted = ifMatch === "*"
    ? "any version"
    : ifMatch.map((tag) => `"${tag}"`).join(", ");
  throw new ProblemError(
    "version-mismatch",
    `If-Match asks for ${wanted}, and the committed version is ${version}${
      version === 0 ? " (none yet)" : ""
    }. Nothing was changed; read the config again and repeat the edit.`,
    { headers: { etag: `"${version}"` } },
  );
}

function checkSize(config: Config, maxBytes: number): void {
  const bytes = canonicalLength(config);
  if (bytes <= maxBytes) return;
  throw invalid([{
    pointer: "",
    detail:
      `The config would have ${bytes} bytes of JSON, and CP_MAX_CONFIG_BYTES is ${maxBytes}.`,
  }]);
}
