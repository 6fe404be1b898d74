import { equal } from "node:assert/strict";
import { FaultProxy } from "../../faults/fault_proxy.ts";
import type { Answer } from "../../harness/control_plane.ts";
import { Installation } from "../../harness/installation.ts";
import type { Random } from "../../harness/random.ts";
import { until } from "../../harness/until.ts";
import { BrokenCell } from "./broken_cell.ts";
import { RunningLoad } from "./running_load.ts";

/** Customers of the config. */
export const CUSTOMERS = 20_000;
/** Milliseconds between two edits. */
const EDIT_PAUSE_MS = 100;
/** How many acknowledged versions are looked for at the end. */
const KEPT_VERSIONS = 500;

/**
 * What is soaked: a control plane, router `a` with load on it, which is never restarted, and routers `b` and `c`, which
 * are; a proxy between the control plane and all of them; and edits, all the time.
 */
export class Scene implements AsyncDisposable {
  readonly all: Installation;
  readonly proxy: FaultProxy;
  readonly load: RunningLoad;
  readonly random: Random;
  /** Edits that were acknowledged; and those without an answer, or with a 503, while the control plane was broken. */
  readonly edits = { acknowledged: 0, unanswered: 0 };
  /** What should not have happened, in words. */
  readonly failures: string[] = [];
  /** The newest acknowledged versions, and their digests. */
  readonly #kept = new Map<number, string>();
  readonly #resources: AsyncDisposableStack;
  readonly #editing: Promise<void>;
  #running = true;

  private constructor(
    parts: Pick<Scene, "all" | "proxy" | "load" | "random">,
    resources: AsyncDisposableStack,
  ) {
    this.all = parts.all;
    this.proxy = parts.proxy;
    this.load = parts.load;
    this.random = parts.random;
    this.#resources = resources;
    this.#editing = this.#edit();
  }

  static async start(random: Random): Promise<Scene> {
    await using resources = new AsyncDisposableStack();
    let proxy: FaultProxy | undefined;
    resources.defer(() => proxy?.[Symbol.asyncDispose]());
    const broken = resources.use(new BrokenCell());
    const all = resources.use(
      await Installation.start({
        routers: ["a", "b", "c"],
        cpUrl: async ({ port }) => {
          proxy = await FaultProxy.start(port);
          return `ws://127.0.0.1:${proxy.port}/v1/connect`;
        },
      }),
    );
    const put = await all.controlPlane.call("PUT", "/v1/config", {
      body: configOf(all, broken.endpoint),
    });
    equal(put.status, 200);
    await all.router.serves(put.body.version);
    const load = resources.use(
      new RunningLoad(all.router.url, ["c1", "c2", "c3", "nobody"]),
    );
    return new Scene({ all, proxy: proxy!, load, random }, resources.move());
  }

  /** Makes an edit; what comes of it is counted. */
  async edit(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<Answer | null> {
    let answer: Answer;
    try {
      answer = await this.all.controlPlane.call(
        method,
        path,
        body === undefined ? {} : { body },
      );
    } catch {
      this.edits.unanswered++;
      return null;
    }
    if (answer.status === 200) {
      this.edits.acknowledged++;
      const { version, digest } = answer.body;
      this.#kept.set(version, digest);
      for (const old of this.#kept.keys()) {
        if (this.#kept.size <= KEPT_VERSIONS) break;
        this.#kept.delete(old);
      }
    } else if (answer.status === 503) this.edits.unanswered++;
    else this.failures.push(`${method} ${path} was answered ${answer.status}`);
    return answer;
  }

  /** Waits until every router serves what was acknowledged by now. */
  async settled(): Promise<void> {
    const newest = Math.max(...this.#kept.keys());
    for (const router of this.all.routers) {
      await until(
        `${router.id} to serve version ${newest}`,
        async () => (await router.status()).version >= newest,
        30_000,
      );
    }
  }

  /** Ends edits and load, and looks whether what was acknowledged is there. */
  async finish(): Promise<void> {
    this.#running = false;
    await this.#editing;
    await this.settled();
    await this.load.stop();
    for (const [version, digest] of this.#kept) {
      const { status, body } = await this.all.controlPlane.call(
        "GET",
        `/v1/versions/${version}`,
      );
      if (status !== 200 || body.digest !== digest) {
        this.failures.push(`version ${version} is lost`);
      }
    }
    const { body } = await this.all.controlPlane.call("GET", "/v1/config");
    for (const router of this.all.routers) {
      const { version, digest } = await router.status();
      if (version !== body.version || digest !== body.digest) {
        this.failures.push(`${router.id} does not serve the newest version`);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#running = false;
    await this.#resources[Symbol.asyncDispose]();
  }

  async #edit(): Promise<void> {
    while (this.#running) {
      const customer = `c${this.random.below(CUSTOMERS)}`;
      const placement = this.random.pick(["one", "two"]);
      await this.edit("PATCH", `/v1/customers/${customer}`, { placement });
      await new Promise((resolve) => setTimeout(resolve, EDIT_PAUSE_MS));
    }
  }
}

function configOf({ cells }: Installation, brokenEndpoint: string): unknown {
  const customers: Record<string, string> = { broken: "broken" };
  for (let i = 0; i < CUSTOMERS; i++) customers[`c${i}`] = "one";
  return {
    default_placement: "two",
    customer_to_placement: customers,
    placement_to_endpoint: {
      ...Object.fromEntries(
        cells.map(({ name, endpoint }) => [name, endpoint]),
      ),
      broken: brokenEndpoint,
    },
  };
}
