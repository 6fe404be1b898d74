import { descriptorLimit } from "../../fleet/descriptor_limit.ts";
import { ALL_STEADY } from "../../fleet/behaviour.ts";
import {
  expectedCurrent,
  Fleet,
  FLEET_DEFAULTS,
  type FleetOptions,
  type FleetState,
} from "../../fleet/fleet.ts";
import type { ConfigBody } from "../../harness/config.ts";
import { ControlPlane } from "../../harness/control_plane.ts";
import { dataFolder } from "../../harness/program.ts";
import { othersSeconds, processUsage } from "../process_usage.ts";
import { type Case, TROUBLE_SHARE } from "./cases.ts";
import { otherPlacement, randomConfig } from "./customers.ts";

/** How many routers check the contents of what they get: a real one does on a machine of its own. */
const DECODING = 2;
/** What a control plane needs besides a descriptor for each router. */
const OWN_DESCRIPTORS = 200;
/** How long anything may take; the routers that stall are given up after 20 s. */
const PATIENCE_MS = 90_000;

/** Takes a line on how it goes. */
export type Tell = (text: string) => void;

/** A control plane with a config, as a process that has read it from its store, and a fleet. */
export class Scene implements AsyncDisposable {
  readonly config: ConfigBody;
  readonly #stack = new AsyncDisposableStack();
  readonly #customers: string[];
  readonly #signal: AbortSignal;
  #controlPlane: ControlPlane;
  #fleet: Fleet | null = null;
  /** How many routers are to be current. */
  #expected = 0;

  private constructor(
    config: ConfigBody,
    controlPlane: ControlPlane,
    signal: AbortSignal,
  ) {
    this.config = config;
    this.#customers = Object.keys(config.customer_to_placement);
    this.#controlPlane = controlPlane;
    this.#signal = signal;
  }

  /** Starts a control plane. @throws {RangeError} if it could not have so many connections. */
  static async open(item: Case, signal: AbortSignal): Promise<Scene> {
    const needed = item.routers + OWN_DESCRIPTORS;
    const descriptors = await descriptorLimit();
    if (descriptors < needed) {
      throw new RangeError(
        `Cannot run with ${item.routers} routers: a control plane needs ${needed} descriptors for them, and ulimit -n is ${descriptors}`,
      );
    }
    await using stack = new AsyncDisposableStack();
    const folder = stack.use(await dataFolder());
    const config = randomConfig(item.customers);
    const first = await ControlPlane.start(folder.path);
    try {
      const { status, body } = await first.call("PUT", "/v1/config", {
        body: config,
      });
      if (status !== 200) throw new Error(JSON.stringify(body));
    } finally {
      await first.program.stop();
    }
    // A new process, so that the memory of the import is not in what is measured.
    const scene = new Scene(config, await first.again(), signal);
    scene.#stack.use(stack.move());
    scene.#stack.defer(() => scene.#controlPlane[Symbol.asyncDispose]());
    return scene;
  }

  /** What the control plane's process has used so far. */
  async usage(): Promise<{ cpuSeconds: number; peakBytes: number }> {
    return await processUsage([this.#controlPlane.program.pid]);
  }

  /** Processor time that the processes of the fleet have used so far, in seconds. */
  async fleetSeconds(): Promise<number> {
    return (await processUsage(this.#fleet!.pids)).cpuSeconds;
  }

  /** How long other programs have kept cores busy, in seconds. */
  async others(): Promise<number> {
    return await othersSeconds([
      Deno.pid,
      this.#controlPlane.program.pid,
      ...this.#fleet?.pids ?? [],
    ]);
  }

  /** Has a fleet connect; resolves with the milliseconds until all are current that are to be. */
  async connect(item: Case, options: { trouble: boolean }): Promise<number> {
    const { routers, rampMs } = item;
    const share = options.trouble ? Math.ceil(routers * TROUBLE_SHARE) : 0;
    const fleet: FleetOptions = {
      ...FLEET_DEFAULTS,
      url: this.#controlPlane.connectUrl,
      routers,
      counts: { ...ALL_STEADY, stalled: share, rejecters: share },
      decoding: DECODING,
      token: null,
      rampMs,
    };
    this.#expected = expectedCurrent(fleet);
    const started = performance.now();
    this.#fleet = this.#stack.use(
      new Fleet({ ...fleet, descriptors: await descriptorLimit() }),
    );
    await this.#until(
      "all routers to be current",
      ({ current }) => current >= this.#expected,
    );
    return performance.now() - started;
  }

  /** Moves one customer; answers the milliseconds from the request to the last acknowledgement. */
  async edit(): Promise<number> {
    const customers = this.config.customer_to_placement;
    const index = Math.floor(Math.random() * this.#customers.length);
    const customer = this.#customers[index]!;
    const placement = otherPlacement(customers[customer]!);
    customers[customer] = placement;
    // The one clock that all processes share.
    const sentAt = Date.now();
    const { status, body } = await this.#controlPlane.call(
      "PATCH",
      `/v1/customers/${customer}`,
      { body: { placement } },
    );
    if (status !== 200) throw new Error(JSON.stringify(body));
    const figures = () => this.#fleet!.versions.figures(body.version);
    await this.#until(
      `version ${body.version} to be applied by ${this.#expected} routers`,
      () => (figures()?.applied ?? 0) >= this.#expected,
    );
    return figures()!.lastAt - sentAt;
  }

  /** How the fleet is. */
  state(): FleetState {
    return this.#fleet!.state();
  }

  /**
   * Ends the control plane as an operator would, and starts it again on the same store and port.
   *
   * @returns milliseconds from the signal: until it had ended, listened again, and all routers were
   * back and current.
   */
  async restart(): Promise<{ ended: number; listens: number; back: number }> {
    const { connects } = this.state();
    const started = performance.now();
    const since = () => performance.now() - started;
    const { code } = await this.#controlPlane.program.stop();
    if (code !== 0) {
      throw new Error(
        `The control plane ended with code ${code}: ${this.#controlPlane.program.logText()}`,
      );
    }
    const ended = since();
    this.#controlPlane = await this.#controlPlane.again();
    const listens = since();
    await this.#until(
      "all routers to be back",
      (state) =>
        state.connects >= connects + this.#expected &&
        state.current >= this.#expected,
    );
    return { ended, listens, back: since() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  /** @throws {Error} when a process of the fleet fails, the benchmark is stopped, or patience ends. */
  async #until(
    what: string,
    condition: (state: FleetState) => boolean,
  ): Promise<void> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), PATIENCE_MS);
    const ended = AbortSignal.any([this.#signal, late.signal]);
    const end = new Promise<void>((resolve) =>
      ended.addEventListener("abort", () => resolve(), { once: true })
    );
    try {
      while (!condition(this.state())) {
        this.#signal.throwIfAborted();
        if (late.signal.aborted) {
          const { faults, losses, ...rest } = this.state();
          throw new Error(
            `Waited ${PATIENCE_MS / 1000} s for ${what}: ${
              JSON.stringify({ ...rest, faults, losses })
            }`,
          );
        }
        await Promise.race([this.#fleet!.changed(), end]);
      }
    } finally {
      clearTimeout(timer);
    }
  }
}
