import { crc32 } from "node:zlib";
import type { PackedConfig } from "../../router/config/packed_config.ts";
import type { PushContents } from "../../router/config/config_reader.ts";
import { readConfig } from "../../router/config/config_reader.ts";
import { Link } from "../../router/link/link.ts";
import type { Connect } from "../../router/link/socket.ts";
import type { Outcome } from "../../router/link/state.ts";
import {
  otherDigest,
  type PushHead,
  type Serving,
} from "../../router/link/verdict.ts";
import { guardProblem } from "../../router/push_guard.ts";
import type { Random } from "../harness/random.ts";
import type { Checker } from "./checker.ts";
import { DataPlane, type Traffics } from "./data_plane.ts";
import { Process, type Simulation } from "./simulation.ts";
import { methods, type Variation } from "./variation.ts";

const MAX_BYTES = 1_000_000;
/** What `ROUTER_GUARD_SHARE` is where nobody sets it. */
const GUARD_SHARE = 0.5;
/** How long each step of applying a config takes at most, in milliseconds; one in some takes longer. */
const STEP_MS = 3;
const LONG_STEP_MS = 2_000;
/** After so long a save that failed is tried again. */
const SAVE_AGAIN_MS = 1_000;

/** What a router works in. */
export interface RouterOptions {
  readonly simulation: Simulation;
  readonly checker: Checker;
  readonly traffics: Traffics;
  readonly variation: Variation;
  readonly urls: readonly string[];
  readonly connect: (router: Router) => Connect;
  /** Its process is no more. */
  readonly ended: (process: Process) => void;
}

/** The steps of applying a config between which a router can be killed. */
export type ApplyStep = "read" | "serve" | "save" | "answer";
const STEPS: readonly ApplyStep[] = ["read", "serve", "save", "answer"];

/** One router, through all of its lives: a real link, and a simulated disk and data plane. */
export class Router {
  readonly id: string;
  process: Process | null = null;
  link: Link | null = null;
  data: DataPlane | null = null;
  /** What it serves. */
  serving: Serving | null = null;
  /** What is on its disk, which outlives it. */
  saved: Serving | null = null;
  /** What it has served or saved, by digest. */
  readonly #configs = new Map<string, PackedConfig>();
  /** When the process was started, and for how long its requests have failed since, and fail yet. */
  #bornAt = 0;
  #failedMs = 0;
  #fails = { from: 0, until: 0 };
  /** Its guard has refused what it was pushed last. */
  shutOut = false;
  /** How often it has refused anything. */
  guardRejections = 0;
  /** Rejects every config while this is set. */
  rejects = false;
  /** So many saves fail. */
  failingSaves = 0;
  /** It is killed when it comes to this step of applying a config. */
  fatalStep: ApplyStep | null = null;
  /** The first URL that is tried. */
  readonly urls: readonly string[];
  readonly #options: RouterOptions;
  readonly #random: Random;
  #lives = 0;

  constructor(id: string, options: RouterOptions) {
    this.id = id;
    this.urls = options.urls;
    this.#options = options;
    this.#random = options.simulation.random(`router ${id}`);
  }

  /** Starts its process, unless it runs. */
  start(): void {
    if (this.process !== null) return;
    const { simulation, checker, variation, connect } = this.#options;
    const instance = `${this.id}.${++this.#lives}`;
    const process = new Process(simulation, instance);
    this.process = process;
    this.fatalStep = null;
    this.shutOut = false;
    this.#bornAt = simulation.now;
    this.#failedMs = 0;
    this.#fails = { from: 0, until: 0 };
    const found = variation.saved === undefined
      ? this.saved
      : variation.saved(this.saved);
    this.serving = found === null ? null : { ...found, durable: true };
    checker.started(instance, { serving: this.serving, saved: this.saved });
    const plain = this.#counting(connect(this));
    const random = process.random;
    const apply = (
      ...[push, contents, options]: Parameters<Router["apply"]>
    ) => this.apply(push, contents, options);
    const data = new DataPlane({
      simulation,
      process,
      router: this.id,
      traffics: this.#options.traffics,
      hold: variation.hold,
      fence: (report) => link.fence(report),
      holding: (report) => link.holding(report),
    });
    this.data = data;
    const link: Link = new Link({
      order: (order) => data.order(order),
      urls: this.urls,
      id: this.id,
      instance,
      silenceMs: 12_000,
      maxConfigBytes: MAX_BYTES,
      serving: this.serving,
      apply: variation.apply?.(apply) ?? apply,
      connect: variation.connect?.(plain, { serving: () => this.serving }) ??
        plain,
      clock: variation.routerClock?.(process.clock) ?? process.clock,
      random: () => random.below(2 ** 31) / 2 ** 31,
    });
    this.link = link;
    simulation.after(0, process, () => {
      if (this.serving !== null) this.#serve(this.serving);
      link.start();
    });
  }

  /** Its requests fail for a while. */
  failFor(ms: number): void {
    const { now } = this.#options.simulation;
    this.#failedMs = this.#failing(now);
    this.#fails = { from: now, until: now + ms };
  }

  /** For how many milliseconds requests have failed since it was started. */
  #failing(now: number): number {
    const { from, until } = this.#fails;
    return this.#failedMs + Math.max(0, Math.min(now, until) - from);
  }

  /** Tells the link what was counted before it answers a ping: ten requests a second. */
  #counting(connect: Connect): Connect {
    return (url, options, handlers) =>
      connect(url, options, {
        ...methods(handlers),
        text: (text, bytes) => {
          const { now } = this.#options.simulation;
          this.link?.counted({
            requests: Math.floor((now - this.#bornAt) / 100),
            errors: Math.floor(this.#failing(now) / 100),
          });
          handlers.text(text, bytes);
        },
      });
  }

  /** It is killed. */
  crash(): void {
    const { process } = this;
    if (process === null) return;
    const { simulation } = this.#options;
    if (simulation.traced) simulation.trace(`${process.name} is killed`);
    process.alive = false;
    this.process = null;
    this.link = null;
    this.data = null;
    this.#options.ended(process);
  }

  /** Applies a push as the router's own applier does, each step at a moment of its own. */
  async apply(
    push: PushHead,
    contents: PushContents,
    { sameAs }: { readonly sameAs: string | null },
  ): Promise<Outcome> {
    const process = this.process!;
    const { simulation } = this.#options;
    await this.#step(process, "read");
    const packed = packedOf(contents);
    const digest = packed?.digest ?? null;
    if (packed !== null) this.#configs.set(packed.digest, packed);
    if (digest === null || (push.digest !== null && push.digest !== digest)) {
      return {
        status: "rejected",
        error: "The contents are not as announced.",
      };
    }
    const { version, epoch } = push;
    const head = { version, epoch, digest };
    if (sameAs !== null && digest !== sameAs) {
      return { status: "rejected", error: otherDigest(version, sameAs) };
    }
    if (sameAs !== null) {
      return { status: "unchanged", durable: await this.#save(process, head) };
    }
    if (this.rejects) {
      return { status: "rejected", error: "It is told to reject." };
    }
    const problem = packed === null ? null : this.#guard(push, packed);
    if (problem !== null) return { status: "rejected", error: problem };
    await this.#step(process, "serve");
    const before = this.serving;
    this.serving = { ...head, durable: false };
    if (simulation.traced) simulation.trace(`serves ${epoch}/${version}`);
    this.#options.checker.served(process.name, { before, after: head });
    this.#serve(head);
    const durable = await this.#save(process, head);
    await this.#step(process, "answer");
    return { status: "applied", digest, durable };
  }

  /** Why a push loses too much to be served; null if it does not. */
  #guard(push: PushHead, packed: PackedConfig): string | null {
    const { serving, process } = this;
    const served = serving && this.#configs.get(serving.digest);
    if (!serving || !served) return null;
    const problem = guardProblem(push, packed, {
      served: { ...serving, source: "control_plane", packed: served },
      share: GUARD_SHARE,
    });
    this.shutOut = problem !== null;
    if (problem !== null && push.epoch !== null) {
      const { version, epoch } = push;
      this.#options.checker.guardedOut(process!.name, {
        before: serving,
        after: { version, epoch, digest: packed.digest },
      });
      this.guardRejections++;
    }
    return problem;
  }

  #serve(
    head: { version: number; epoch: string | null; digest: string },
  ): void {
    // What was put on its disk by a mutant it cannot read.
    const packed = this.#configs.get(head.digest);
    if (packed !== undefined) this.data?.serve(head, packed);
  }

  async #save(
    process: Process,
    head: Omit<Serving, "durable">,
  ): Promise<boolean> {
    await this.#step(process, "save");
    if (this.failingSaves > 0) {
      this.failingSaves--;
      this.#saveAgain(process, head);
      return false;
    }
    this.#write(head);
    return true;
  }

  #saveAgain(process: Process, head: Omit<Serving, "durable">): void {
    this.#options.simulation.after(SAVE_AGAIN_MS, process, () => {
      const { serving } = this;
      if (serving?.epoch !== head.epoch || serving.version !== head.version) {
        return;
      }
      if (this.failingSaves > 0) {
        this.failingSaves--;
        return this.#saveAgain(process, head);
      }
      this.#write(head);
      this.link?.saved(head);
    });
  }

  #write(head: Omit<Serving, "durable">): void {
    this.saved = { ...head, durable: true };
    if (this.serving !== null) {
      this.serving = { ...this.serving, durable: true };
    }
  }

  /** Comes to a step: a while goes by, and the process may be killed. */
  async #step(process: Process, step: ApplyStep): Promise<void> {
    const long = this.#random.once(40);
    await process.pause(this.#random.below(long ? LONG_STEP_MS : STEP_MS));
    if (this.fatalStep !== step) return;
    this.crash();
    await new Promise(() => {});
  }
}

/** A step of applying, by number. */
export function stepAt(number: number): ApplyStep {
  return STEPS[number % STEPS.length]!;
}

/** What contents were found to be; reading the same bytes again would find the same. */
const found = new Map<string, PackedConfig | null>();
const MAX_FOUND = 5000;

/** A config that is valid; null for any other. */
function packedOf(contents: PushContents): PackedConfig | null {
  const options = { maxBytes: MAX_BYTES, digest: null };
  if (contents.kind === "document") {
    const read = readConfig(contents, options);
    return read.ok ? read.packed : null;
  }
  const { gzip } = contents;
  const name = `${gzip.length} ${crc32(gzip)}`;
  let packed = found.get(name);
  if (packed === undefined) {
    const read = readConfig(contents, options);
    packed = read.ok ? read.packed : null;
    if (found.size >= MAX_FOUND) found.clear();
    found.set(name, packed);
  }
  return packed;
}
