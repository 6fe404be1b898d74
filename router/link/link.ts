import { errorLine } from "../../shared/errors.ts";
import { logger } from "../../shared/log.ts";
import {
  encode,
  encodeAnnouncement,
  MAX_FRAME_BYTES,
  MAX_PART_BYTES,
  SUBPROTOCOL,
} from "../../shared/protocol.ts";
import { type Clock, systemClock } from "../../shared/clock.ts";
import type { Counted, Order } from "../../shared/protocol.ts";
import type { FenceReport } from "../fence.ts";
import type { HoldReport } from "../holds.ts";
import type { PushContents } from "../config/config_reader.ts";
import type { Connect, LinkSocket } from "./socket.ts";
import {
  deadline,
  DEFAULT_LIMITS,
  type Effect,
  initialState,
  lag,
  type LinkEvent,
  type LinkLimits,
  type LinkState,
  type Note,
  type Outcome,
  type PushBody,
} from "./state.ts";
import {
  type LinkCounters,
  type LinkStatus,
  noCounts,
  type Rejection,
} from "./status.ts";
import { step } from "./step.ts";
import { readText, type Trials } from "./text.ts";
import type { PushHead, Serving } from "./verdict.ts";
import { connectWebSocket } from "./websocket.ts";

const log = logger("link");

/** Failed attempts between two warnings, once there has been one: about a minute's worth. */
const WARN_EVERY = 24;

/** What a router with a data path can do beyond what every router must. */
const FEATURES: readonly string[] = [
  "drained",
  "hold",
  "cut_streams",
  "counts",
];

/** Applies a push that is to be taken. It must not throw; a rejection says why. */
export type ApplyPush = (
  push: PushHead,
  contents: PushContents,
  options: { readonly sameAs: string | null },
) => Promise<Outcome>;

export interface LinkOptions {
  /** `ws:` or `wss:` URLs of control planes, tried in turn; with none the link does nothing. */
  readonly urls: readonly string[];
  readonly id: string;
  /** Random, one for each process start. */
  readonly instance: string;
  /** @default {null} */
  readonly token?: string | null;
  /** A connection on which nothing came for so many milliseconds is dropped. */
  readonly silenceMs: number;
  /** The largest config that is taken, in bytes of JSON. */
  readonly maxConfigBytes: number;
  /** What is served at the start; null for nothing, or a bootstrap config. */
  readonly serving: Serving | null;
  readonly apply: ApplyPush;
  /** Does what the control plane wants done beside, where there is a data path to do it. */
  readonly order?: (order: Order) => void;
  /** Told of large texts before they are read. */
  readonly trials?: Trials;
  /** @default {connectWebSocket} */
  readonly connect?: Connect;
  readonly clock?: Clock;
  /** From 0 up to, not including, 1. */
  readonly random?: () => number;
}

/**
 * The link to the control plane: carries out what {@linkcode step} decides. It owns one connection
 * and one timer, and nothing that goes wrong in it reaches the data path.
 */
export class Link {
  readonly counters: LinkCounters = noCounts();
  readonly #options: LinkOptions;
  readonly #limits: LinkLimits;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #connect: Connect;
  #state: LinkState;
  #socket: LinkSocket | null = null;
  /** The parts of a push, as far as they have come. */
  #collected: Uint8Array | null = null;
  #timer: { readonly end: () => void; readonly at: number } | null = null;
  readonly #events: LinkEvent[] = [];
  #running = false;
  #applyStarted = 0;
  #lastHeardAt: number | null = null;
  #lastRejected: Rejection | null = null;
  readonly #stopped: {
    readonly promise: Promise<void>;
    readonly resolve: () => void;
  };

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#limits = {
      ...DEFAULT_LIMITS,
      targets: options.urls.length,
      silenceMs: options.silenceMs,
      maxConfigBytes: options.maxConfigBytes,
    };
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
    this.#connect = options.connect ?? connectWebSocket;
    this.#state = initialState(options.serving);
    this.#stopped = Promise.withResolvers<void>();
  }

  /** Begins to connect; where there is no control plane, it does nothing. */
  start(): void {
    if (this.#options.urls.length > 0) this.#dispatch({ type: "start" });
  }

  /** Closes the connection for good; resolves when it is gone, at most a second later. */
  stop(): Promise<void> {
    this.#dispatch({ type: "stop" });
    return this.#stopped.promise;
  }

  /** A config has reached the disk after its outcome was told. */
  saved(head: Omit<Serving, "durable">): void {
    this.#dispatch({ type: "saved", head });
  }

  /** The data path has told what still runs that the config being served would send elsewhere. */
  fence(report: FenceReport): void {
    this.#dispatch({ type: "fence", report });
  }

  /** The data path has told of the requests that are over. */
  counted(counted: Counted): void {
    this.#dispatch({ type: "counted", counted });
  }

  /** The data path has told how a hold stands. */
  holding(report: HoldReport): void {
    this.#dispatch({ type: "holding", report });
  }

  status(): LinkStatus {
    const behind = lag(this.#state, this.#clock.now());
    return {
      connected: this.#state.phase.kind === "open",
      version: this.#state.head?.version ?? null,
      lag: behind.versions,
      behindSeconds: behind.ms / 1000,
      lastHeardAt: this.#lastHeardAt,
      lastRejected: this.#lastRejected,
    };
  }

  #dispatch(event: LinkEvent): void {
    this.#events.push(event);
    // Effects may bring events about; those wait until the step that caused them is done.
    if (this.#running) return;
    this.#running = true;
    try {
      for (let next = this.#events.shift(); next; next = this.#events.shift()) {
        this.#turn(next);
      }
    } finally {
      this.#running = false;
    }
    if (this.#state.phase.kind === "stopped") this.#stopped.resolve();
    this.#setTimer();
  }

  #turn(event: LinkEvent): void {
    try {
      const [state, effects] = step(this.#state, event, {
        now: this.#clock.now(),
        random: this.#random(),
        limits: this.#limits,
      });
      this.#state = state;
      for (const effect of effects) this.#perform(effect);
    } catch (error) {
      // Such as no memory for the parts of a push. This connection ends; the link and the traffic go on.
      log.error("the link failed and starts over", { error });
      this.#socket?.destroy();
      const { phase } = this.#state;
      if ("socket" in phase && event.type !== "closed") {
        const { socket } = phase;
        this.#events.push({
          type: "closed",
          socket,
          code: 1006,
          reason: errorLine(error),
        });
      }
    }
  }

  /** Sets the one timer. A later deadline leaves it alone: that costs one look, not one call a message. */
  #setTimer(): void {
    const due = deadline(this.#state, this.#limits);
    if (due === null) {
      this.#timer?.end();
      this.#timer = null;
      return;
    }
    if (this.#timer !== null && this.#timer.at <= due) return;
    this.#timer?.end();
    const end = this.#clock.after(Math.max(0, due - this.#clock.now()), () => {
      this.#timer = null;
      this.#dispatch({ type: "timer", late: this.#clock.now() - due });
    });
    this.#timer = { end, at: due };
  }

  #perform(effect: Effect): void {
    switch (effect.type) {
      case "connect":
        this.#open(effect);
        return;
      case "send":
        this.#socket?.send(encode(effect.message));
        return;
      case "close":
        this.#socket?.close(effect.code, effect.reason);
        return;
      case "destroy":
        this.#socket?.destroy();
        this.#socket = null;
        return;
      case "pause":
        this.#socket?.pause();
        return;
      case "resume":
        this.#socket?.resume();
        return;
      case "collect":
        this.#collected = new Uint8Array(effect.bytes);
        return;
      case "keep":
        this.#collected?.set(effect.data, effect.at);
        return;
      case "forget":
        this.#collected = null;
        return;
      case "apply":
        this.#apply(effect);
        return;
      case "order":
        this.#options.order?.(effect.order);
        return;
      case "note":
        this.#take(effect.note);
        return;
      default:
        effect satisfies never;
    }
  }

  #open(
    { socket, target, serving }: Extract<Effect, { type: "connect" }>,
  ): void {
    const { id, instance, token } = this.#options;
    const url = new URL(this.#options.urls[target]!);
    const announcement = encodeAnnouncement({
      id,
      instance,
      epoch: serving?.epoch ?? null,
      version: serving?.version ?? null,
      digest: serving?.digest ?? null,
      features: this.#options.order === undefined ? [] : FEATURES,
    });
    for (const [name, value] of announcement) url.searchParams.set(name, value);
    this.#socket = this.#connect(url.href, {
      protocol: SUBPROTOCOL,
      token: token ?? null,
      limits: { text: MAX_FRAME_BYTES, binary: MAX_PART_BYTES },
    }, {
      open: () => {
        this.#lastHeardAt = this.#clock.wall();
        this.#dispatch({ type: "opened", socket });
      },
      heard: () => this.#heard(socket),
      text: (text, bytes) => this.#text(socket, { text, bytes }),
      binary: (data) => this.#dispatch({ type: "part", socket, data }),
      broken: (reason, tooLarge) =>
        this.#dispatch({ type: "broken", socket, reason, tooLarge }),
      closing: (code, reason) =>
        this.#dispatch({ type: "closing", socket, code, reason }),
      closed: (code, reason) =>
        this.#dispatch({ type: "closed", socket, code, reason }),
    });
    log.debug("connecting to the control plane", {
      url: this.#options.urls[target],
    });
  }

  #text(
    socket: number,
    { text, bytes }: { text: string; bytes: number },
  ): void {
    // A text that is past the limit is still read: an answer has to name its version.
    const { trials = null } = this.#options;
    const { serving } = this.#state;
    const parsed = readText(text, { bytes, serving, trials });
    if (!(parsed instanceof Promise)) {
      this.#dispatch({ type: "text", socket, parsed, bytes });
      return;
    }
    // What comes behind it is not to overtake it.
    const connection = this.#socket;
    connection?.pause();
    void parsed.then((parsed) => {
      connection?.resume();
      this.#dispatch({ type: "text", socket, parsed, bytes });
    });
  }

  #heard(socket: number): void {
    this.#lastHeardAt = this.#clock.wall();
    this.#dispatch({ type: "heard", socket });
  }

  #apply({ push, body, sameAs }: Extract<Effect, { type: "apply" }>): void {
    this.#applyStarted = this.#clock.now();
    this.#options.apply(push, this.#contents(body), { sameAs }).catch(
      (error): Outcome => ({ status: "rejected", error: errorLine(error) }),
    ).then((outcome) => this.#dispatch({ type: "applied", outcome }));
  }

  #contents(body: PushBody): PushContents {
    if (body.kind === "document") return body;
    const gzip = this.#collected ?? new Uint8Array(0);
    this.#collected = null;
    return { kind: "gzip", gzip };
  }

  #take(note: Note): void {
    switch (note.kind) {
      case "connected":
        this.counters.connects++;
        log.info("connected to the control plane", {
          url: this.#options.urls[note.target],
        });
        return;
      case "lost":
        this.counters.failures++;
        // A control plane may be gone for days; that is told once a minute, not at each attempt.
        log[note.failures % WARN_EVERY === 1 ? "warn" : "debug"](
          "not connected to the control plane; serving on",
          {
            url: this.#options.urls[note.target],
            reason: note.reason,
            failures: note.failures,
            retry_ms: Math.round(note.waitMs),
          },
        );
        return;
      case "ignored":
        this.counters.ignored++;
        log.debug("ignored a message of an unknown type", {
          type: note.messageType.slice(0, 80),
        });
        return;
      case "dropped":
        this.counters.dropped++;
        log.info("dropped a push that was not complete for a newer one", {
          version: note.version,
        });
        return;
      case "answered":
        this.#answered(note.push, note.outcome);
        return;
      default:
        note satisfies never;
    }
  }

  #answered(push: PushHead, outcome: Outcome): void {
    this.counters.updates[outcome.status]++;
    const about = {
      version: push.version,
      epoch: push.epoch,
      digest: outcome.status === "applied" ? outcome.digest : push.digest,
      source: "control_plane",
      ms: this.#applyStarted === 0
        ? 0
        : Math.round(this.#clock.now() - this.#applyStarted),
    };
    this.#applyStarted = 0;
    switch (outcome.status) {
      case "applied":
        log.info("config applied", { ...about, durable: outcome.durable });
        return;
      case "unchanged":
        log.info("a push is what is served already", about);
        return;
      case "rejected":
        this.#lastRejected = {
          version: push.version,
          epoch: push.epoch,
          error: outcome.error,
          at: this.#clock.wall(),
        };
        log.error("config rejected; the one before it stays", {
          ...about,
          error: outcome.error.slice(0, 4096),
        });
        return;
      default:
        outcome satisfies never;
    }
  }
}
