import { z } from "@hono/zod-openapi";
import { logger } from "../../shared/log.ts";
import type { Rollout, RolloutWatch } from "../hub/fleet.ts";
import type { CutOrder, Edit } from "../store/store.ts";
import type { BodyEdit } from "./bodies/body_edits.ts";
import { checkFenceOptions, checkTakeoverOptions } from "./edit_checks.ts";
import {
  type CommitDeps,
  type EditAnswer,
  EditCommitter,
  type Made,
  type Plan,
} from "./edit_commit.ts";
import {
  authorOf,
  EDIT_HEADERS,
  EDIT_QUERY,
  type EditHead,
  type EditWait,
  readEditHead,
} from "./edit_options.ts";
import { fenceClaim } from "./fence_claim.ts";
import {
  type FencedAnswer,
  fencedMove,
  type FenceOptions,
} from "./fenced_move.ts";
import type { KeptVersions } from "./kept_versions.ts";
import { busy, toProblem } from "./problem.ts";
import {
  answer,
  type ApiContext,
  type Method,
  type Rest,
  type Routes,
  type RouteSpec,
} from "./route.ts";
import { EDIT_ANSWER } from "./schemas.ts";

const log = logger("api");

/** How many edits may wait for their rollout at a time. */
const MAX_WAITING = 256;
/** How many problems of an edit the log shows. */
const LOGGED_PROBLEMS = 3;

/** What a call wants done, and how it is to be fenced, where it is. */
interface FencedPlan extends Plan {
  readonly fence?: FenceOptions | null;
}

/** What edits need. */
export interface EditDeps extends CommitDeps {
  /** Dry runs compare within its queue. */
  readonly kept: KeptVersions;
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
  readonly #committer: EditCommitter;
  #waiting = 0;

  constructor(routes: Routes, deps: EditDeps) {
    this.#routes = routes;
    this.#deps = deps;
    this.#committer = new EditCommitter(deps);
  }

  /** Adds a call; `plan` turns its checked request into an edit. */
  add<P extends z.ZodObject, B = undefined>(
    spec: EditSpec<P, B>,
    plan: (call: {
      params: z.output<P>;
      body: B;
    }) => Edit | FencedPlan | Promise<FencedPlan>,
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

  async #run(
    { fence, ...plan }: FencedPlan,
    { head, c }: { head: EditHead; c: ApiContext },
  ): Promise<Response | Rest> {
    if (plan.commit !== undefined) checkTakeoverOptions(head);
    if (fence) checkFenceOptions(head);
    if (head.dryRun) {
      return await this.#deps.kept.queue.run(async () =>
        editAnswer(await this.#committer.dryRun(plan, head))
      );
    }
    // Where nobody moves there is nothing to fence.
    if (fence && fence.customers.length > 0) {
      return await this.#fenced(plan, { head, c, fence });
    }
    return await this.#commit(plan, { head, c });
  }

  async #commit(
    plan: Plan,
    { head, c }: { head: EditHead; c: ApiContext },
  ): Promise<Response | Rest> {
    const { fleet, stopping } = this.#deps;
    const { wait } = head;
    if (wait === null) {
      return editAnswer((await this.#committer.commit(plan, head)).body);
    }
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
    const made = await this.#committer.commit(plan, head).catch((error) => {
      end();
      throw error;
    });
    // The wait is long, and holds nothing of the request's body.
    return async () => {
      try {
        const rollout = await this.#reached(made, wait, {
          watch,
          signal: AbortSignal.any([c.req.raw.signal, stopping]),
        });
        return editAnswer(
          rollout === null ? made.body : { ...made.body, rollout },
        );
      } finally {
        end();
      }
    };
  }

  /** How far a committed edit has come when its wait ends; null where that cannot be told, which is no error of the edit. */
  async #reached(
    { version, previous, changed }: Made,
    { until, ms, cutStreamsMs }: EditWait,
    { watch, signal }: { watch: RolloutWatch; signal: AbortSignal },
  ): Promise<Rollout | null> {
    const cut = cutStreamsMs === null ? null : {
      version: version.version,
      afterMs: cutStreamsMs,
      until: new Date(Date.now() + ms).toISOString(),
    };
    try {
      if (cut !== null) await this.#changeCuts((cuts) => [...cuts, cut]);
      const rollout = await watch.wait(version, {
        until,
        timeoutMs: ms,
        signal,
      });
      return await fenceClaim(this.#deps.store, rollout, {
        version: version.version,
        config: () => version.config,
        // An edit that changed nothing waits for what an earlier one did.
        before: () => changed ? previous && previous.config : undefined,
      });
    } catch (error) {
      log.warn("waiting for a rollout ended early", { error });
      return null;
    } finally {
      if (cut !== null) {
        await this.#changeCuts((cuts) =>
          cuts.filter(({ version, until }) =>
            version !== cut.version || until !== cut.until
          )
        );
      }
    }
  }

  /** Changes which versions' routers are to end what streams elsewhere; that they cannot be told is no error of the edit. */
  async #changeCuts(
    change: (cuts: readonly CutOrder[]) => CutOrder[],
  ): Promise<void> {
    const { store, fleet } = this.#deps;
    try {
      await store.changeOrders((orders) => ({
        ...orders,
        cuts: change(orders.cuts),
      }));
      await fleet.refresh();
    } catch (error) {
      log.warn("routers cannot be told which streams to end", { error });
    }
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
    // Told before anybody is held for nothing.
    await this.#committer.check(plan, head);
    return async () => {
      const { made, fenced, rollout } = await fencedMove({
        store,
        fleet,
        author: head.author,
        left: c.req.raw.signal,
        stopping,
      }, {
        ...fence,
        commit: (within) =>
          this.#committer.commit(
            { ...plan, edit: within(plan.edit) },
            head,
          ),
      });
      return editAnswer({ ...made.body, fenced, rollout });
    };
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

function editAnswer(
  body: EditAnswer & { rollout?: Rollout; fenced?: FencedAnswer },
): Response {
  return answer(body, { headers: { etag: `"${body.version}"` } });
}
