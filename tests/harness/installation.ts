import { equal } from "node:assert/strict";
import { type Cell, startCell } from "./cell.ts";
import { configOf } from "./config.ts";
import { type Answer, ControlPlane } from "./control_plane.ts";
import { dataFolder } from "./program.ts";
import { Router } from "./router.ts";
import { until } from "./until.ts";

type Env = Record<string, string>;

/** How an {@linkcode Installation} is made up. */
export interface InstallationOptions {
  /** @default {["r"]} */
  readonly routers?: readonly string[];
  readonly cpEnv?: Env;
  readonly routerEnv?: Env;
  /** Where the control plane's store is; in the folder of the installation if it is not given. */
  readonly cpFolder?: string;
  /** Where routers are to connect, if not to the control plane itself. */
  readonly cpUrl?: (controlPlane: ControlPlane) => Promise<string>;
}

/**
 * Two cells, `one` and `two`, a control plane whose version 1 has `acme` on the first and everybody else on the second,
 * and routers that serve it.
 */
export class Installation implements AsyncDisposable {
  /** Where all of it keeps its files. */
  readonly folder: string;
  readonly cells: readonly [Cell, Cell];
  /** The one that runs, or ran last. */
  controlPlane: ControlPlane;
  /** Those that run, or ran last, in the order of their names. */
  readonly routers: Router[] = [];
  readonly #resources: AsyncDisposableStack;

  private constructor(
    parts: Pick<Installation, "folder" | "cells" | "controlPlane">,
    resources: AsyncDisposableStack,
  ) {
    this.folder = parts.folder;
    this.cells = parts.cells;
    this.controlPlane = parts.controlPlane;
    this.#resources = resources;
  }

  /** Starts it, and waits until every router serves version 1. */
  static async start(
    { routers = ["r"], cpEnv, routerEnv, cpFolder, cpUrl }:
      InstallationOptions = {},
  ): Promise<Installation> {
    await using resources = new AsyncDisposableStack();
    const { path: folder } = resources.use(await dataFolder());
    const cells: [Cell, Cell] = [startCell("one"), startCell("two")];
    for (const cell of cells) resources.use(cell);
    const controlPlane = await ControlPlane.start(cpFolder ?? folder, cpEnv);
    const started = new Installation(
      { folder, cells, controlPlane },
      resources.move(),
    );
    await using guard = new AsyncDisposableStack();
    guard.use(started);
    started.#resources.defer(() => started.#end());
    const put = await controlPlane.call("PUT", "/v1/config", {
      body: configOf(cells),
    });
    equal(put.status, 200);
    const url = await cpUrl?.(controlPlane) ?? controlPlane.connectUrl;
    for (const id of routers) {
      started.routers.push(
        await Router.start(id, {
          folder,
          cpUrl: url,
          ...(routerEnv === undefined ? {} : { env: routerEnv }),
        }),
      );
    }
    for (const router of started.routers) await router.serves(1);
    guard.move();
    return started;
  }

  /** The first router. */
  get router(): Router {
    return this.routers[0]!;
  }

  /** Places `acme`; answers when the routers have answered. */
  async move(placement: "one" | "two"): Promise<Answer> {
    return await this.controlPlane.call(
      "PATCH",
      "/v1/customers/acme?wait=applied",
      { body: { placement } },
    );
  }

  /** Starts the control plane again, after it has ended, and waits until all routers are connected. */
  async controlPlaneAgain(env: Env = {}): Promise<void> {
    this.controlPlane = await this.controlPlane.again(env);
    await until("all routers to be connected", async () => {
      const { body } = await this.controlPlane.call("GET", "/metrics");
      return new RegExp(
        `^signalbox_cp_routers_connected ${this.routers.length}$`,
        "m",
      ).test(body);
    });
  }

  /** Starts a router again, after it has ended; the first, if none is named. */
  async routerAgain(index = 0, env: Env = {}): Promise<Router> {
    return this.routers[index] = await this.routers[index]!.again(env);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async #end(): Promise<void> {
    for (const { program } of [...this.routers, this.controlPlane]) {
      await program[Symbol.asyncDispose]();
    }
  }
}
