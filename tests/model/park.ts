import type { Connect } from "../../router/link/socket.ts";
import { Checker } from "./checker.ts";
import { Connection } from "./connection.ts";
import { ControlPlane } from "./control_plane.ts";
import { Traffics } from "./data_plane.ts";
import { History, type Node, standing } from "./history.ts";
import { KvPlace } from "./kv_place.ts";
import type { Place } from "./place.ts";
import type { Plan } from "./plan.ts";
import { Router } from "./router.ts";
import type { Process, Simulation } from "./simulation.ts";
import { TwinPlace } from "./twin_place.ts";
import type { Variation } from "./variation.ts";

/** Timers of one process, whatever happens; more means that they pile up. */
const MAX_TIMERS = { controlPlane: 100, router: 60 };

/** Control planes on one database, routers, and what is between them. */
export class Park {
  readonly plan: Plan;
  readonly simulation: Simulation;
  readonly history: History;
  readonly place: Place;
  readonly checker: Checker;
  readonly traffics = new Traffics(
    (router) => this.place.lists(router),
    () => this.history.current?.version ?? 0,
  );
  readonly controlPlanes: readonly ControlPlane[];
  readonly routers: readonly Router[];
  /** All there ever were, oldest first. */
  readonly connections: Connection[] = [];
  /** Pairs of a router and a control plane that do not reach each other, until when. */
  readonly partitions = new Map<string, number>();
  /** Processes that were killed. */
  crashes = 0;

  constructor(plan: Plan, simulation: Simulation, variation: Variation) {
    this.plan = plan;
    this.simulation = simulation;
    this.history = new History(simulation);
    this.checker = new Checker(simulation, this.history);
    const place = { history: this.history, keepVersions: plan.keepVersions };
    this.place = plan.store === "kv"
      ? new KvPlace(simulation, place)
      : new TwinPlace(simulation, place);
    const names = Array.from(
      { length: plan.controlPlanes },
      (_, number) => `cp-${number + 1}`,
    );
    this.controlPlanes = names.map((name) =>
      new ControlPlane(name, {
        simulation,
        place: this.place,
        history: this.history,
        checker: this.checker,
        traffics: this.traffics,
        variation,
        exclusive: plan.controlPlanes === 1,
        frameBytes: plan.frameBytes,
        ended: (process) => this.#serverEnded(process),
      })
    );
    const random = simulation.random("park");
    this.routers = Array.from(
      { length: plan.routers },
      (_, number) =>
        new Router(`r-${number + 1}`, {
          simulation,
          checker: this.checker,
          traffics: this.traffics,
          variation,
          urls: random.shuffled(names).map((name) => `ws://${name}/v1/connect`),
          connect: (router) => this.#connect(router),
          ended: (process) => this.#routerEnded(process),
        }),
    );
  }

  controlPlane(
    { controlPlane }: { readonly controlPlane: number },
  ): ControlPlane {
    return this.controlPlanes[controlPlane % this.controlPlanes.length]!;
  }

  router({ router }: { readonly router: number }): Router {
    return this.routers[router % this.routers.length]!;
  }

  /** The newest connection of a router, if it works. */
  live(which: { readonly router: number }): Connection | undefined {
    return this.liveOf(this.router(which));
  }

  liveOf({ process }: Router): Connection | undefined {
    return this.connections.findLast((each) =>
      each.router.process === process && each.live
    );
  }

  kill(which: ControlPlane | Router, downMs: number): void {
    which.crash();
    this.startLater(which, downMs);
  }

  startLater(which: ControlPlane | Router, downMs: number): void {
    this.simulation.after(downMs, null, () => which.start());
  }

  killAll(downMs: number): void {
    for (const each of this.controlPlanes) this.kill(each, downMs);
  }

  /** How what a router serves stands to what the store holds. */
  standing({ serving }: Router): ReturnType<typeof standing> {
    const { current } = this.history;
    if (serving === null) return "blank";
    if (current !== null) return standing(serving, current);
    // Nothing that somebody serves is of an empty store.
    return "conflict";
  }

  /** No process has more timers than it can have use for. */
  checkTimers(): void {
    for (const { process } of this.controlPlanes) {
      this.#checkTimersOf(process, MAX_TIMERS.controlPlane);
    }
    for (const { process } of this.routers) {
      this.#checkTimersOf(process, MAX_TIMERS.router);
    }
  }

  #checkTimersOf(process: Process | null, most: number): void {
    if (process !== null && process.timers > most) {
      this.simulation.fail(
        "timers are bounded",
        `${process.name} has ${process.timers} timers`,
      );
    }
  }

  #connect(router: Router): Connect {
    const process = router.process!;
    return (url, _options, handlers) => {
      const name = new URL(url).hostname;
      const controlPlane = this.controlPlanes.find((each) =>
        each.name === name
      )!;
      const connection = new Connection({
        id: this.connections.length + 1,
        simulation: this.simulation,
        checker: this.checker,
        router: { id: router.id, process },
        controlPlane,
        url,
        handlers,
      });
      this.connections.push(connection);
      const until = this.partitions.get(`${router.id} ${name}`) ?? 0;
      connection.begin(this.simulation.now < until);
      return connection.routerEnd;
    };
  }

  #serverEnded(process: Process): void {
    this.crashes++;
    for (const each of this.connections) {
      if (each.server === process) {
        each.held = false;
        each.cut(process.random.once(8) ? "neither" : "router only");
      }
    }
  }

  #routerEnded(process: Process): void {
    this.crashes++;
    for (const each of this.connections) {
      if (each.router.process === process) {
        each.cut(process.random.once(8) ? "neither" : "control plane only");
      }
    }
  }
}

/** What a store holds, or that it holds nothing. */
export function nameOfNode(node: Node | null): string {
  return node === null ? "nothing" : `${node.epoch}/${node.version}`;
}
