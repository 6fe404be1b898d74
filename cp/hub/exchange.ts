import { Buffer } from "node:buffer";
import type { Logger } from "../../shared/log.ts";
import {
  type Announcement,
  CLOSE,
  encode,
  MAX_PART_BYTES,
  MAX_ROUTER_MESSAGE_BYTES,
  parseToControlPlane,
} from "../../shared/protocol.ts";
import { atTime, type Clock } from "../../shared/clock.ts";
import {
  type Caller,
  type Connection,
  type Link,
  type RouterSocket,
  stateOf,
} from "./connection.ts";
import type { Directory } from "./directory.ts";
import type { FleetEvent, RouterView } from "./fleet.ts";
import type { Judgement } from "./judgement.ts";
import type { OrderSender } from "./orders.ts";
import type { Pacer } from "./pacer.ts";
import type { Frames } from "./payload.ts";
import type { Propagation } from "./propagation.ts";
import { PushTraces } from "./push_traces.ts";
import { Rejections } from "./rejections.ts";
import { type Close, Reporter } from "./reporter.ts";
import type { Roster } from "./roster.ts";
import {
  openSession,
  type Served,
  type SessionEffect,
  type SessionEvent,
  type SessionRules,
} from "./session.ts";
import { type Offer, offerTo, type Source, type Standing } from "./source.ts";
import type { HubStats } from "./stats.ts";
import { step } from "./step.ts";
import { goneView, recordOf } from "./view.ts";

/** Pings are not added to a socket's buffer past this: who takes nothing must not be given more. */
const MAX_BUFFERED_FOR_PING = MAX_PART_BYTES;
/** A sweep that comes so much too late means that this process was held up. */
const HELD_UP_MS = 1_000;
/** The slowest rate at which a whole config in one frame may leave, in bytes a millisecond. */
const MIN_FRAME_RATE = 1024;
const MAX_SWEEP_MS = 500;
/** RFC 6455 section 7.4.1. */
const INTERNAL_ERROR = 1011;

/** Who is told what happens to routers. */
export interface ExchangeListener {
  /** Something about the routers with this id has changed. */
  change(id: string): void;
  event(kind: FleetEvent["kind"], router: RouterView): void;
}

/** What an exchange works with. */
export interface ExchangeOptions {
  readonly log: Logger;
  readonly clock: Clock;
  readonly rules: SessionRules;
  readonly source: Source;
  readonly directory: Directory;
  readonly judgement: Judgement;
  readonly pacer: Pacer;
  readonly roster: Roster;
  readonly stats: HubStats;
  readonly propagation: Propagation;
  readonly hears: ExchangeListener;
  readonly orders: OrderSender;
  /** Whether no other process uses the store. */
  readonly exclusive: boolean;
}

/**
 * Drives the sessions of all connections: hands each what happens to it, and does what it answers,
 * with sockets, the pacer, the roster and the log.
 */
export class Exchange {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #rules: SessionRules;
  readonly #source: Source;
  readonly #directory: Directory;
  readonly #judgement: Judgement;
  readonly #pacer: Pacer;
  readonly #roster: Roster;
  readonly #stats: HubStats;
  readonly #propagation: Propagation;
  readonly #hears: ExchangeListener;
  readonly #orders: OrderSender;
  readonly #exclusive: boolean;
  readonly #reporter: Reporter;
  readonly #rejections = new Rejections();
  readonly #traces = PushTraces.open();
  /** Closed from here, but the peer has not answered. */
  readonly #closing = new Set<Connection>();
  #cancelSweep: (() => void) | null = null;
  #ended = false;
  #allClosed: (() => void) | null = null;

  constructor(options: ExchangeOptions) {
    this.#log = options.log;
    this.#clock = options.clock;
    this.#rules = options.rules;
    this.#source = options.source;
    this.#directory = options.directory;
    this.#judgement = options.judgement;
    this.#pacer = options.pacer;
    this.#roster = options.roster;
    this.#stats = options.stats;
    this.#propagation = options.propagation;
    this.#hears = options.hears;
    this.#orders = options.orders;
    this.#exclusive = options.exclusive;
    this.#reporter = new Reporter(options.log, options.stats);
  }

  /** Sockets closed from here whose peer has not answered. */
  get closing(): number {
    return this.#closing.size;
  }

  /** The store has a new head, or what is known of it has changed. */
  changed(standing: Standing): void {
    const targets = [standing.target, standing.stable?.target ?? null];
    this.#rejections.retain(targets.filter((target) => target !== null));
    this.#judgement.judgeAll();
  }

  /** Asks the routers with this id for a pong. */
  ping(id: string): void {
    for (const connection of this.#directory.withId(id)) {
      this.#sendPing(connection);
    }
  }

  /** Pushes again to all connections with this id that may be pushed to; answers how many. */
  resend(id: string): number {
    let pushed = 0;
    for (const connection of this.#directory.withId(id)) {
      this.#rejections.delete(id, connection.instance);
      if (stateOf(connection).want.kind !== "push") continue;
      this.dispatch(connection, { type: "resend", now: this.#clock.now() });
      pushed++;
    }
    return pushed;
  }

  /** Closes everything with 1012; resolves once all peers have answered. */
  end(): Promise<void> {
    this.#ended = true;
    this.#cancelSweep?.();
    this.#cancelSweep = null;
    for (const connection of [...this.#directory.all]) {
      this.#drop(connection, {
        cause: "restarting",
        code: CLOSE.restarting,
        reason: "server restarting",
      });
    }
    return new Promise((resolve) => {
      this.#allClosed = resolve;
      if (this.#closing.size === 0) resolve();
    });
  }

  /** Serves a router from now on. */
  connect(socket: RouterSocket, caller: Caller): Link {
    const { announcement, address, parts } = caller;
    const { instance, features } = announcement;
    const id = announcement.id ?? this.#directory.makeId();
    const now = this.#clock.now();
    const connection: Connection = {
      id,
      named: announcement.id !== null,
      instance,
      address,
      features,
      parts,
      since: new Date(this.#clock.wall()).toISOString(),
      socket,
      transfer: {
        outlet: socket,
        begin: () => this.#begin(connection),
        moved: () =>
          this.dispatch(connection, { type: "moved", now: this.#clock.now() }),
        sent: () =>
          this.dispatch(connection, { type: "sent", now: this.#clock.now() }),
        evict: () =>
          this.dispatch(connection, { type: "evict", now: this.#clock.now() }),
      },
      session: openSession({
        version: announcement.version,
        epoch: announcement.epoch,
        digest: announcement.digest,
        ...this.#knownOf(id, announcement),
      }, {
        now,
        rejected: this.#rejections.get(id, instance),
        rules: this.#rules,
      }),
      verdict: null,
      confirmed: false,
      ordered: new Set(),
      told: new Set(),
    };
    const link: Link = {
      text: (data) => this.#received(connection, data),
      binary: () => this.#receivedBinary(connection),
      closed: () => {
        this.#drop(connection, null);
        this.#pacer.release(connection.transfer);
        this.#closing.delete(connection);
        if (this.#closing.size === 0) this.#allClosed?.();
      },
    };
    if (this.#ended) {
      this.#closing.add(connection);
      socket.close(CLOSE.restarting, "server restarting");
      return link;
    }
    this.#replace(connection);
    this.#directory.add(connection);
    this.#reporter.connected(connection, {
      duplicate: this.#directory.withId(id).length > 1,
    });
    this.#sweepLater();
    this.#orders.tell(connection);
    this.#judgement.arrive(connection);
    if (connection.named) this.#roster.touch(id);
    this.#hears.change(id);
    return link;
  }

  /** A router that has connected was looked at for the first time. */
  welcomed(connection: Connection): void {
    // What followed from it may have ended the connection.
    if (!this.#directory.has(connection)) return;
    this.#hears.event("connected", this.#directory.view(connection));
  }

  /** What an announcement does not say of a config that a process comes back with, where it was known before. */
  #knownOf(
    id: string,
    announced: Announcement,
  ): Pick<Served, "durable" | "appliedAt"> {
    const { instance, digest } = announced;
    const unknown = { durable: null, appliedAt: null };
    if (instance === null || digest === null) return unknown;
    const before = this.#directory.withId(id).findLast((connection) =>
      connection.instance === instance
    );
    const last = this.#roster.last(id);
    const known = before !== undefined
      ? stateOf(before).served
      : last?.instance === instance
      ? { ...last, appliedAt: atTime(this.#clock, last.appliedAt) }
      : null;
    return known !== null && known.version === announced.version &&
        known.epoch === announced.epoch && known.digest === digest
      ? { durable: known.durable, appliedAt: known.appliedAt }
      : unknown;
  }

  /** A newer connection of the same process replaces the older one, which may hang unnoticed. */
  #replace(newer: Connection): void {
    if (newer.instance === null) return;
    for (const older of this.#directory.withId(newer.id)) {
      if (older.instance === newer.instance) {
        this.#drop(older, {
          cause: "replaced",
          code: CLOSE.replaced,
          reason: "replaced by a newer connection",
        });
      }
    }
  }

  #received(connection: Connection, data: string): void {
    if (!this.#directory.has(connection)) return;
    // A character is one to three bytes, so most messages need no counting.
    const bytes = data.length > MAX_ROUTER_MESSAGE_BYTES / 3
      ? Buffer.byteLength(data)
      : data.length;
    if (bytes > MAX_ROUTER_MESSAGE_BYTES) {
      this.#drop(connection, {
        cause: "too_large",
        code: CLOSE.tooLarge,
        reason:
          `a message of ${bytes} bytes, at most ${MAX_ROUTER_MESSAGE_BYTES}`,
      });
      return;
    }
    this.dispatch(connection, {
      type: "received",
      now: this.#clock.now(),
      parsed: parseToControlPlane(data),
      length: data.length,
    });
  }

  #receivedBinary(connection: Connection): void {
    this.#drop(connection, {
      cause: "malformed",
      code: CLOSE.malformed,
      reason: "a binary message; routers send text",
    });
  }

  /** Moves a connection's session on, and does what follows from it. */
  dispatch(connection: Connection, event: SessionEvent): void {
    if (!this.#directory.has(connection)) return;
    const [session, effects] = step(connection.session, event);
    connection.session = session;
    for (const effect of effects) this.#perform(connection, effect);
  }

  #perform(connection: Connection, effect: SessionEffect): void {
    switch (effect.type) {
      case "enqueue":
        this.#pacer.enqueue(connection.transfer);
        return;
      case "dequeue":
        this.#pacer.remove(connection.transfer);
        return;
      case "ping":
        this.#sendPing(connection);
        return;
      case "close":
        this.#end(connection, effect);
        return;
      case "answered":
        this.#remember(connection, effect);
        this.#reporter.answered(connection, effect);
        this.#time(connection, effect);
        this.#traces?.answered(connection, {
          version: effect.target.version,
          error: effect.status === "rejected" ? effect.error : null,
        });
        this.#moved(connection);
        this.#hears.event(effect.status, this.#directory.view(connection));
        return;
      case "unanswered":
      case "too_large":
        this.#reporter.unpushed(connection, effect);
        this.#moved(connection);
        this.#hears.event(effect.type, this.#directory.view(connection));
        return;
      case "holding":
        void this.#orders.heard(connection, effect.id);
        if (this.#exclusive) this.#hears.change(connection.id);
        else this.#moved(connection);
        return;
      case "served":
        this.#orders.tell(connection);
        this.#judgement.judge(connection);
        this.#moved(connection);
        return;
      case "saved":
        this.#moved(connection);
        return;
      case "fence":
        if (effect.drained) this.#stats.drained++;
        // While old work runs it is told of each second, which nobody needs to find in the store of this process.
        if (effect.drained || !this.#exclusive) this.#moved(connection);
        else this.#hears.change(connection.id);
        if (effect.mattered) {
          this.#hears.event(
            effect.drained ? "drained" : "draining",
            this.#directory.view(connection),
          );
        }
        return;
      case "unknown":
      case "unsolicited":
        this.#reporter.odd(connection, effect);
        return;
      default:
        effect satisfies never;
    }
  }

  #sendPing(connection: Connection): void {
    const { socket } = connection;
    if (socket.bufferedAmount > MAX_BUFFERED_FOR_PING) {
      this.#stats.skippedPings++;
      return;
    }
    const { standing } = this.#source;
    const { version, epoch } = this.#offerTo(connection)?.target ??
      standing?.head ?? { version: null, epoch: null };
    socket.send(encode({ type: "ping", version, epoch }));
  }

  #offerTo(connection: Connection): Offer | null {
    const { standing } = this.#source;
    return standing === null ? null : offerTo(standing, connection);
  }

  /** The session ends itself. */
  #end(
    connection: Connection,
    { reason, detail }: Extract<SessionEffect, { type: "close" }>,
  ): void {
    switch (reason) {
      case "silent":
      case "stalled":
        return this.#drop(connection, {
          cause: reason,
          code: CLOSE.heartbeatMissed,
          reason: detail,
        });
      case "malformed":
        return this.#drop(connection, {
          cause: reason,
          code: CLOSE.malformed,
          reason: detail,
        });
      case "flooded":
        return this.#drop(connection, {
          cause: reason,
          code: CLOSE.tooLarge,
          reason: detail,
        });
      default:
        reason satisfies never;
    }
  }

  /** Keeps a rejection for the time the router's process lives. */
  #remember(
    { id, instance }: Connection,
    effect: Extract<SessionEffect, { type: "answered" }>,
  ): void {
    if (effect.status === "applied") this.#rejections.delete(id, instance);
    else {
      const { target: { version, epoch, digest }, error } = effect;
      this.#rejections.add(id, instance, { version, epoch, digest, error });
    }
  }

  /** One that came after the commit tells how long a push takes, not how fast the version spread. */
  #time(
    connection: Connection,
    { target, status, ms }: Extract<SessionEffect, { type: "answered" }>,
  ): void {
    if (ms === null || target.committedAt < stateOf(connection).openedAt) {
      return;
    }
    this.#propagation.answered(target, status, ms);
  }

  /** A push has its turn: what to send, or null where it cannot be sent. */
  #begin(connection: Connection): Frames | null {
    const now = this.#clock.now();
    const offer = this.#offerTo(connection);
    if (
      stateOf(connection).push.kind !== "waiting" || offer === null ||
      offer.version === null || offer.payload === null
    ) return null;
    const { version, payload } = offer;
    let frames: Frames | null;
    try {
      frames = connection.parts ? payload.parts() : payload.whole();
    } catch (error) {
      // Such as memory that runs out. The others must go on, and this router comes back.
      this.#log.error("a push cannot be made", {
        router: connection.id,
        error,
      });
      this.#drop(connection, {
        cause: "failed",
        code: INTERNAL_ERROR,
        reason: "a push cannot be made",
      });
      return null;
    }
    if (frames === null) {
      this.dispatch(connection, { type: "too_large", now });
      return null;
    }
    const graceMs = frames.body === null
      ? Math.floor(frames.text.length / MIN_FRAME_RATE / 1000) * 1000
      : 0;
    this.dispatch(connection, { type: "begun", now, graceMs });
    this.#traces?.begun(connection, version);
    this.#stats.pushes++;
    return frames;
  }

  /** Ends a connection's part in everything at once: its socket may take long to close. */
  #drop(
    connection: Connection,
    close: Close | null,
  ): void {
    if (!this.#directory.has(connection)) return;
    const { id } = connection;
    const view = this.#directory.view(connection);
    this.#directory.remove(connection);
    this.#pacer.remove(connection.transfer);
    this.#traces?.ended(connection, "The connection ended.");
    this.#judgement.leave(connection);
    if (close !== null) {
      this.#closing.add(connection);
      connection.socket.close(close.code, closeReason(close.reason));
    }
    this.#reporter.gone(connection, close);
    // The newer connection of the same process goes on in its place.
    if (close?.cause === "replaced") return;
    const gone = goneView(view, new Date(this.#clock.wall()).toISOString());
    if (connection.named) {
      if (this.#directory.hasId(id)) this.#roster.touch(id);
      else {
        const record = recordOf(gone, {
          about: null,
          oldWork: null,
          holds: [],
          counted: null,
          lastMinute: null,
          controlPlane: this.#directory.controlPlane,
          liveUntil: gone.gone_since!,
        });
        this.#roster.leave(record, { ending: this.#ended });
      }
    }
    this.#hears.event("gone", gone);
    this.#hears.change(id);
  }

  /** One timer for the heartbeats and deadlines of all sessions, while there are any. */
  #sweepLater(): void {
    if (this.#cancelSweep !== null || this.#ended) return;
    const { pingIntervalMs, timeoutMs } = this.#rules;
    const delay = Math.max(
      10,
      Math.min(MAX_SWEEP_MS, pingIntervalMs / 4, timeoutMs / 4),
    );
    const due = this.#clock.now() + delay;
    this.#cancelSweep = this.#clock.after(delay, () => {
      this.#cancelSweep = null;
      if (this.#directory.all.size === 0) return;
      const now = this.#clock.now();
      const late = now - due;
      const heldUpMs = late > HELD_UP_MS ? late : 0;
      const ids = new Set(this.#orders.holds.map(({ id }) => id));
      for (const connection of this.#directory.all) {
        this.dispatch(connection, { type: "tick", now, heldUpMs });
        // Of one that is wrongly taken for over, as the store has yet to be read, the router tells again.
        if (stateOf(connection).holds.some(({ id }) => !ids.has(id))) {
          this.dispatch(connection, { type: "holds", now, ids });
        }
      }
      this.#judgement.tick(now);
      this.#sweepLater();
    });
  }

  /** What is known of a router has changed. */
  #moved(connection: Connection): void {
    if (connection.named) this.#roster.touch(connection.id);
    this.#hears.change(connection.id);
  }
}

/** A close's reason may take 123 bytes (RFC 6455 section 5.5.1). */
function closeReason(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 123);
}
