import { z } from "@hono/zod-openapi";
import { type Config, configDigest } from "../../shared/config.ts";
import { logger } from "../../shared/log.ts";
import type { Fleet, Rollout } from "../hub/fleet.ts";
import { type ApiMetrics, configBytes } from "../metrics.ts";
import type {
  Attribution,
  Committed,
  Edit,
  Version,
  VersionStore,
} from "../store/store.ts";
import { ConfigDiff } from "./config_diff.ts";
import { diffPage } from "./diff_page.ts";
import { EDIT_HEADERS, EDIT_QUERY, readEditHead } from "./edit_options.ts";
import type { EditHead, IfMatch } from "./edit_options.ts";
import { busy, invalid, ProblemError, toProblem } from "./problem.ts";
import {
  answer,
  type ApiContext,
  type Method,
  type Routes,
  type RouteSpec,
} from "./route.ts";
import { EDIT_ANSWER } from "./schemas.ts";

const log = logger("api");

/** How many edits may wait for their rollout at a time. */
const MAX_WAITING = 256;
/** How many differences a dry run shows; the counts are of all. */
const DRY_RUN_SAMPLE = 100;

/** What a call wants done. */
export interface Plan {
  /** Pure: it may run more than once. */
  readonly edit: Edit;
  /** Kept with the version where the caller gives no message. */
  readonly message?: string;
  /** How it is committed, where `store.commit(edit)` is not how. */
  readonly commit?: (attribution: Attribution) => Promise<Committed>;
}

/** What edits need. */
export interface EditDeps {
  readonly store: VersionStore;
  readonly fleet: Fleet;
  readonly metrics: ApiMetrics;
  readonly maxConfigBytes: number;
  /** Aborts when the control plane stops: nobody waits on. */
  readonly stopping: AbortSignal;
}

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
    spec:
      & Omit<
        RouteSpec<P, typeof EDIT_QUERY, B>,
        "query" | "headers" | "answers" | "method"
      >
      & { method: Exclude<Method, "get"> },
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
      problems: [...(spec.problems ?? []), 412, 503],
    }, async (call) => {
      const head = readEditHead(call.c, call.query);
      const made = await plan(call);
      return await this.#run(
        typeof made === "function" ? { edit: made } : made,
        { head, c: call.c },
      );
    }, (error) => this.#count(error));
  }

  #run(
    plan: Plan,
    { head, c }: { head: EditHead; c: ApiContext },
  ): Promise<Response> {
    const edit = (current: Version | null): Config => {
      checkMatch(head.ifMatch, current);
      const config = plan.edit(current);
      checkSize(config, this.#deps.maxConfigBytes);
      return config;
    };
    return head.dryRun
      ? this.#dryRun(edit, plan)
      : this.#commit({ ...plan, edit }, { head, c });
  }

  async #dryRun(edit: Edit, plan: Plan): Promise<Response> {
    const current = await this.#deps.store.current();
    const config = edit(current);
    const digest = configDigest(config);
    const diff = new ConfigDiff(current?.config ?? null, config);
    this.#deps.metrics.edits.dry_run++;
    const version = current?.version ?? 0;
    return editAnswer({
      version,
      previous_version: version,
      changed: plan.commit !== undefined || digest !== current?.digest,
      epoch: current?.epoch ?? (await this.#deps.store.head()).epoch,
      digest,
      summary: diff.summary(),
      dry_run: true,
      diff: diffPage(diff, { limit: DRY_RUN_SAMPLE, cursor: undefined }),
    });
  }

  async #commit(
    plan: Plan,
    { head, c }: { head: EditHead; c: ApiContext },
  ): Promise<Response> {
    const { store, fleet, metrics } = this.#deps;
    if (head.waitMs !== null && this.#waiting >= MAX_WAITING) {
      throw busy(
        `${MAX_WAITING} edits wait for their rollout already; try again, or without wait=applied. Nothing was changed.`,
      );
    }
    // Followed from before the commit on, or a router that leaves right after it would be missed.
    const watch = head.waitMs === null ? null : fleet.follow();
    if (watch !== null) this.#waiting++;
    try {
      const attribution = {
        author: head.author,
        message: head.message ?? plan.message ?? null,
      };
      const started = performance.now();
      let committed: Committed;
      if (plan.commit === undefined) {
        committed = await store.commit(plan.edit, attribution);
      } else {
        plan.edit(await store.current());
        committed = await plan.commit(attribution);
      }
      const ms = performance.now() - started;
      const { version, previous, changed } = committed;
      metrics.current = version;
      if (changed) {
        metrics.edits.committed++;
        metrics.commitSeconds.observe(ms / 1000);
        log.info("config committed", {
          version: version.version,
          digest: version.digest,
          source: "api",
          ms: Math.round(ms),
          author: version.author,
        });
      } else metrics.edits.unchanged++;
      const summary = new ConfigDiff(
        changed ? previous?.config ?? null : version.config,
        version.config,
      ).summary();
      const rollout = watch === null || head.waitMs === null
        ? undefined
        : await this.#wait(
          watch.wait(version, {
            timeoutMs: head.waitMs,
            signal: AbortSignal.any([c.req.raw.signal, this.#deps.stopping]),
          }),
        );
      return editAnswer({
        version: version.version,
        previous_version: previous?.version ?? 0,
        changed,
        epoch: version.epoch,
        digest: version.digest,
        summary,
        ...(rollout === undefined ? {} : { rollout }),
      });
    } finally {
      if (watch !== null) {
        watch.end();
        this.#waiting--;
      }
    }
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

  #count(error: unknown): void {
    const { edits } = this.#deps.metrics;
    const problem = toProblem(error);
    switch (problem.kind) {
      case "invalid":
        edits.invalid++;
        break;
      case "conflict":
      case "version-mismatch":
        edits.conflict++;
        break;
      case "unavailable":
      case "damaged":
      case "internal":
        edits.failed++;
        break;
      default:
        edits.refused++;
    }
    log.info("edit refused", {
      kind: problem.kind,
      status: problem.status,
      detail: problem.message,
    });
  }
}

type EditAnswer = Omit<z.input<typeof EDIT_ANSWER>, "rollout"> & {
  rollout?: Rollout;
};

function editAnswer(body: EditAnswer): Response {
  return answer(body, { headers: { etag: `"${body.version}"` } });
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
  const bytes = configBytes(config);
  if (bytes <= maxBytes) return;
  throw invalid([{
    pointer: "",
    detail:
      `The config would have ${bytes} bytes of JSON, and CP_MAX_CONFIG_BYTES is ${maxBytes}.`,
  }]);
}
