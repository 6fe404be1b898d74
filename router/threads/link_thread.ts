import { logger } from "../../shared/log.ts";
import { Histogram, SECONDS_BOUNDS } from "../../shared/metrics.ts";
import { type ActiveConfig, type NextConfig, nextConfig } from "../active.ts";
import { errorLine } from "../../shared/errors.ts";
import type { Counted, Order } from "../../shared/protocol.ts";
import type { FenceReport } from "../fence.ts";
import type { HoldReport } from "../holds.ts";
import type { FirstConfig } from "../first_config.ts";
import { noCounts } from "../link/status.ts";
import { isDurable } from "../status.ts";
import { Child } from "../../shared/child.ts";
import { addHistogram, addRecord } from "./counts.ts";
import { LastKnown } from "./last_known.ts";
import type { FromLink, LinkReport, Resume, ToLink } from "./link_messages.ts";
import { Replacement } from "./replacement.ts";

const log = logger("threads");

/** How often the thread is asked whether it is there, in milliseconds. */
const HEARTBEAT = 10_000;

export interface LinkThreadOptions {
  /** The settings as they stood in the environment. */
  readonly env: Readonly<Record<string, string>>;
  /** See {@linkcode DataPlane.serve}. */
  readonly serve: (config: NextConfig) => Promise<boolean>;
  readonly active: () => ActiveConfig | null;
  /** See {@linkcode DataPlane.counted}. */
  readonly counted: () => Counted;
  /** See {@linkcode DataPlane.order}. */
  readonly order: (order: Order) => void;
  /**
   * What the thread runs.
   *
   * @default {"./link_worker.ts"}
   */
  readonly module?: string;
  /** See {@linkcode ReplacementOptions.time}. */
  readonly replaceTime?: number;
}

/**
 * The thread of the link to the control plane, as the main thread sees it. It knows the control plane and the state
 * directory; what it wants served, it hands over. When it is lost, the router serves on, and another one goes on.
 */
export class LinkThread {
  readonly #options: LinkThreadOptions;
  readonly #replacement: Replacement;
  readonly #report = new LastKnown(NO_REPORT, async () => {
    const { report } = await this.#child.ask({ type: "report" }, ["report"]);
    return this.#carriedOn(report);
  });
  #child: Child<ToLink, FromLink>;
  /** Who this router is, once it connects. */
  #identity: { readonly id: string; readonly instance: string } | null = null;
  /** What still runs that the config being served would send elsewhere. */
  #fence: FenceReport | null = null;
  /** The requests that it was told of last. */
  #counted: Counted = { requests: 0, errors: 0 };
  /** The thread has been told to connect, and not been lost since. */
  #linked = false;
  /** What threads that are lost have told. */
  #before: LinkReport = NO_REPORT;
  /** Ends when the configs handed over so far are served, one after the other. */
  #serving: Promise<void> = Promise.resolve();
  /** When the last report came, on the monotonic clock. */
  #reportedAt = 0;
  #heartbeat: ReturnType<typeof setInterval> | null = null;

  constructor(options: LinkThreadOptions) {
    this.#options = options;
    this.#replacement = new Replacement({
      what: "the link's thread",
      time: options.replaceTime,
      replace: async () => {
        await this.#goOn();
        log.info("a thread of the link took the place of a lost one");
      },
    });
    this.#child = this.#spawn();
  }

  /**
   * Has it read what there is to serve before a control plane has been heard.
   *
   * @throws if it cannot start.
   */
  async start(): Promise<FirstConfig> {
    return await this.#start(null);
  }

  /** What {@linkcode LinkThread.start} answered is served. */
  settled(): void {
    this.#child.tell({ type: "settled" });
  }

  /** Has it connect to the control plane, from now on. `instance` is random, one for each process start. */
  connect(identity: { id: string; instance: string }): void {
    this.#identity = identity;
    this.#link();
    this.#heartbeat = setInterval(() => void this.report(), HEARTBEAT);
  }

  /** Has it tell the control plane what still runs that the config being served would send elsewhere. */
  fence(report: FenceReport): void {
    this.#fence = report;
    if (this.#linked) this.#child.tell({ type: "fence", report });
  }

  /** Has it tell the control plane, when that asks next, of the requests that are over. */
  counted(counted: Counted): void {
    const changed = counted.requests !== this.#counted.requests;
    this.#counted = counted;
    if (this.#linked && changed) this.#child.tell({ type: "counted", counted });
  }

  /** Has it tell the control plane how a hold stands. */
  holding(report: HoldReport): void {
    if (this.#linked) this.#child.tell({ type: "holding", report });
  }

  /** Where it stands; where it does not say soon, where it stood last. */
  async report(): Promise<LinkReport> {
    const report = this.#linked ? await this.#report.ask() : this.#report.value;
    const { status } = report;
    if (status.lag === 0) return report;
    const since = (performance.now() - this.#reportedAt) / 1000;
    const behindSeconds = status.behindSeconds + since;
    return { ...report, status: { ...status, behindSeconds } };
  }

  /** Closes the connection, and ends the thread. */
  async stop(): Promise<void> {
    this.#replacement.stop();
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat);
    this.#linked = false;
    await this.#child.ask({ type: "stop" }, ["stopped"]).catch(() => {});
    this.#child.end();
  }

  #spawn(): Child<ToLink, FromLink> {
    const child: Child<ToLink, FromLink> = new Child({
      module: this.#options.module ?? import.meta.resolve("./link_worker.ts"),
      name: "signalbox-link",
      lost: (error) => this.#lost(child, error),
      told: (message) => this.#told(child, message),
    });
    return child;
  }

  async #start(resume: Resume | null): Promise<FirstConfig> {
    const { env } = this.#options;
    const answer = await this.#child.ask(
      { type: "start", env, resume },
      ["started", "failed"],
    );
    if (answer.type === "failed") throw new Error(answer.problem);
    return answer;
  }

  #link(): void {
    if (this.#child.over) return this.#replacement.begin();
    this.#linked = true;
    this.#child.tell({ type: "connect", ...this.#identity! });
    this.#child.tell({ type: "counted", counted: this.#counted });
    if (this.#fence !== null) this.fence(this.#fence);
  }

  #told(child: Child<ToLink, FromLink>, message: FromLink): void {
    if (message.type === "serve") {
      const { config } = message;
      this.#serving = this.#serving.then(() => this.#serve(child, config));
    } else if (message.type === "order") {
      // What is to be done under a config waits until that is served.
      const { order } = message;
      this.#serving = this.#serving.then(() => this.#order(order));
    } else if (message.type === "report") {
      this.#report.value = this.#carriedOn(message.report);
    }
  }

  async #serve(
    child: Child<ToLink, FromLink>,
    config: NextConfig,
  ): Promise<void> {
    try {
      const free = await this.#options.serve(config);
      this.counted(this.#options.counted());
      child.tell({ type: "served", free });
    } catch (error) {
      child.tell({ type: "refused", error: errorLine(error) });
    }
  }

  /** What comes after it has to go on, whatever becomes of it. */
  #order(order: Order): void {
    try {
      this.#options.order(order);
    } catch (error) {
      log.error("what the control plane wants done beside cannot be done", {
        order: order.type,
        error,
      });
    }
  }

  /** A report with what threads that are lost have told. */
  #carriedOn(report: LinkReport): LinkReport {
    this.#reportedAt = performance.now();
    return carryOn(this.#before, report);
  }

  /** One that is lost before it was linked is told of by its start. */
  #lost(child: Child<ToLink, FromLink>, error: string): void {
    if (!this.#linked || child !== this.#child) return;
    this.#linked = false;
    const { value } = this.#report;
    const status = { ...value.status, connected: false };
    this.#before = this.#report.value = { ...value, status };
    log.error(
      "the link's thread is lost; serving on, and another one will take its place",
      { error },
    );
    this.#replacement.begin();
  }

  /** Starts another thread where the lost one was. */
  async #goOn(): Promise<void> {
    // What the lost one handed over last may be on its way into service.
    await this.#serving;
    this.#child = this.#spawn();
    try {
      await this.#start(this.#resume());
    } catch (error) {
      this.#child.end();
      throw error;
    }
    this.#link();
  }

  #resume(): Resume {
    const active = this.#options.active();
    if (active === null || active.source === "bootstrap") {
      return { served: null, durable: false };
    }
    return {
      served: nextConfig(active),
      durable: isDurable(active, this.#report.value.saved),
    };
  }
}

/** What is known of a link before it has told anything. */
export const NO_REPORT: LinkReport = {
  status: {
    connected: false,
    version: null,
    lag: 0,
    behindSeconds: 0,
    lastHeardAt: null,
    lastRejected: null,
  },
  counters: noCounts(),
  applySeconds: new Histogram(SECONDS_BOUNDS),
  saved: null,
  saveFailures: 0,
  uncaught: 0,
};

/** A report with what was told before, by a thread that is lost: its counts, and what the new one has not heard. */
function carryOn(before: LinkReport, report: LinkReport): LinkReport {
  const { status } = before;
  const applySeconds = new Histogram(SECONDS_BOUNDS);
  addHistogram(applySeconds, before.applySeconds);
  addHistogram(applySeconds, report.applySeconds);
  const { updates: earlierUpdates, ...earlier } = before.counters;
  const { updates, ...counts } = structuredClone(report.counters);
  addRecord(updates, earlierUpdates);
  addRecord(counts, earlier);
  return {
    status: {
      ...report.status,
      lastHeardAt: report.status.lastHeardAt ?? status.lastHeardAt,
      lastRejected: report.status.lastRejected ?? status.lastRejected,
    },
    counters: { ...counts, updates },
    applySeconds,
    saved: report.saved,
    saveFailures: before.saveFailures + report.saveFailures,
    uncaught: before.uncaught + report.uncaught,
  };
}
