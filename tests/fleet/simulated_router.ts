import {
  CLOSE,
  type ConfigBegin,
  type ConfigUpdate,
  parseToRouter,
} from "../../shared/protocol.ts";
import {
  type PushContents,
  readConfig,
} from "../../router/config/config_reader.ts";
import { Link } from "../../router/link/link.ts";
import type {
  Connect,
  LinkSocket,
  SocketHandlers,
} from "../../router/link/socket.ts";
import type { Outcome } from "../../router/link/state.ts";
import type { PushHead } from "../../router/link/verdict.ts";
import { connectWebSocket } from "../../router/link/websocket.ts";
import type { Ledger } from "./ledger.ts";
import type { RouterPlan, Setup } from "./messages.ts";
import { PartCounter } from "./part_counter.ts";

/** As the settings of a router have them. */
const SILENCE_MS = 12_000;
const MAX_CONFIG_BYTES = 128 * 2 ** 20;
/** A stalled router gives up later than a control plane does, so that it is never the first to. */
const STALLED_SILENCE_MS = 20_000;

/** The code a stopping router closes with (RFC 6455 section 7.4.1). */
const GOING_AWAY = 1001;

/**
 * A router without traffic: the link of a real one, with all its decisions, waits and limits, whose
 * configs are served by nobody. What is wrong with it goes on between the link and its socket.
 */
export class SimulatedRouter {
  readonly #plan: RouterPlan;
  readonly #setup: Setup;
  readonly #ledger: Ledger;
  readonly #link: Link;
  /** The version it last acknowledged as applied; null before any. */
  #served: number | null = null;
  /** The version last told of on this connection; null before any. */
  #told: number | null = null;
  #stalled = false;
  #openedAt = 0;
  #cancelTimer: () => void = () => {};

  constructor(plan: RouterPlan, setup: Setup, ledger: Ledger) {
    this.#plan = plan;
    this.#setup = setup;
    this.#ledger = ledger;
    this.#link = new Link({
      urls: [setup.url],
      id: plan.id,
      instance: crypto.randomUUID(),
      token: setup.token,
      silenceMs: plan.behaviour === "stalled" ? STALLED_SILENCE_MS : SILENCE_MS,
      maxConfigBytes: MAX_CONFIG_BYTES,
      serving: null,
      apply: (push, contents) => Promise.resolve(this.#apply(push, contents)),
      connect: (...args) => this.#connect(...args),
    });
  }

  start(): void {
    this.#link.start();
  }

  /** Closes its connection; resolves when it is gone, at most a second later. */
  async stop(): Promise<void> {
    await this.#link.stop();
    this.#cancelTimer();
  }

  get connected(): boolean {
    return this.#link.status().connected;
  }

  /** Whether it has stopped reading. */
  get stalled(): boolean {
    return this.#stalled && this.connected;
  }

  /** The version it acknowledged, where that is what it was last told of on this connection; null otherwise. */
  get current(): number | null {
    return this.connected && this.#served === this.#told ? this.#served : null;
  }

  #apply(push: PushHead, contents: PushContents): Outcome {
    if (this.#plan.behaviour === "rejecters") {
      return { status: "rejected", error: "This router rejects every config." };
    }
    const { version, digest } = push;
    // The digest of a push that names none is known by its contents alone.
    if (digest !== null && !this.#plan.decodes) {
      return { status: "applied", digest, durable: true };
    }
    const read = readConfig(contents, { maxBytes: MAX_CONFIG_BYTES, digest });
    this.#ledger.decoded++;
    if (read.ok) {
      return { status: "applied", digest: read.packed.digest, durable: true };
    }
    this.#ledger.faults.add(`version ${version} is damaged: ${read.error}`);
    return { status: "rejected", error: read.error };
  }

  #connect(...[url, options, handlers]: Parameters<Connect>): LinkSocket {
    this.#told = null;
    this.#stalled = false;
    this.#cancelTimer();
    const { behaviour } = this.#plan;
    const counter = new PartCounter();
    let explained = false;
    const socket = connectWebSocket(url, options, {
      ...handlers,
      open: (protocol) => {
        this.#ledger.connects++;
        this.#openedAt = Date.now();
        handlers.open(protocol);
        if (behaviour === "flappers") this.#flapLater(socket, handlers);
      },
      text: (text, bytes) => {
        const push = this.#hear(text, bytes);
        const counts = push?.type === "config_begin" && !this.#plan.decodes;
        handlers.text(counts ? counter.begins(push) : text, bytes);
        if (push !== null && behaviour === "stalled") {
          this.#stalled = true;
          socket.pause();
        }
      },
      binary: (data) => {
        this.#ledger.bytes += data.length;
        if (this.#plan.decodes) handlers.binary(data);
        else count(data);
        if (behaviour === "slow") this.#rest(socket, data.length);
      },
      closing: (code, reason) => {
        explained = true;
        this.#ledger.losses.add(`closed with ${code} ${reason}`.trimEnd());
        handlers.closing(code, reason);
      },
      closed: (code, reason) => {
        this.#cancelTimer();
        if (!explained) this.#ledger.losses.add(reason);
        handlers.closed(code, reason);
      },
    });
    function count(part: Uint8Array): void {
      try {
        const whole = counter.takes(part);
        if (whole !== null) handlers.binary(whole);
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        handlers.broken(error.message, false);
      }
    }
    return {
      send: (text) => {
        if (behaviour === "silent") return;
        socket.send(text);
        this.#sent(text);
      },
      close: (code, reason) => {
        explained = true;
        this.#closes(code, reason);
        socket.close(code, reason);
      },
      destroy: () => {
        this.#cancelTimer();
        if (!explained) this.#ledger.losses.add("no answer to a handshake");
        socket.destroy();
      },
      pause: () => socket.pause(),
      resume: () => socket.resume(),
    };
  }

  /** Takes note of a message; answers it if it is a push, or begins one. */
  #hear(text: string, bytes: number): ConfigBegin | ConfigUpdate | null {
    const parsed = parseToRouter(text);
    if (parsed.kind !== "message") return null;
    const { message } = parsed;
    // A link without a data path is told to do nothing beside.
    if (
      message.type === "hold" || message.type === "release" ||
      message.type === "cut_streams"
    ) return null;
    this.#told = message.version;
    this.#ledger.newest = Math.max(this.#ledger.newest, message.version ?? 0);
    if (message.type === "ping") return null;
    if (message.type === "config_update") this.#ledger.bytes += bytes;
    this.#ledger.begins(message.version);
    return message;
  }

  #sent(text: string): void {
    const message = JSON.parse(text);
    if (message.type !== "ack") return;
    const rejected = message.status === "rejected";
    if (!rejected) this.#served = message.version;
    this.#ledger.answers(message.version, {
      rejected,
      openedAt: this.#openedAt,
    });
  }

  /** Takes note of why this router ends a connection. */
  #closes(code: number, reason: string): void {
    if (code === GOING_AWAY) return;
    // What it does not hear may be its own slowness; what breaks the protocol is the control plane's doing.
    if (code === CLOSE.heartbeatMissed) this.#ledger.losses.add(reason);
    else this.#ledger.faults.add(`closed with ${code}: ${reason}`);
  }

  #flapLater(socket: LinkSocket, handlers: SocketHandlers): void {
    // Between half and one and a half times as long, so that not all drop at one moment.
    this.#after(this.#setup.flapMs * (0.5 + Math.random()), () => {
      this.#ledger.losses.add("dropped by a flapper");
      socket.destroy();
      handlers.closed(1006, "flapped");
    });
  }

  /** Reads nothing for as long as so many bytes take at the rate of a slow router. */
  #rest(socket: LinkSocket, bytes: number): void {
    socket.pause();
    this.#after(bytes / this.#setup.slowRate * 1000, () => socket.resume());
  }

  #after(milliseconds: number, callback: () => void): void {
    const timer = setTimeout(callback, milliseconds);
    this.#cancelTimer = () => clearTimeout(timer);
  }
}
