import type { Logger } from "../../shared/log.ts";
import { type Connection, stateOf } from "./connection.ts";
import type { SessionEffect } from "./session.ts";
import type { CloseCause, HubStats } from "./stats.ts";

/** The longest error a line of the log carries, in characters. */
const MAX_LOGGED_ERROR = 2000;

/** How this side closes a connection. */
export interface Close {
  readonly cause: CloseCause;
  readonly code: number;
  readonly reason: string;
}

type Effect<T extends SessionEffect["type"]> = Extract<
  SessionEffect,
  { type: T }
>;

/** Logs and counts what happens to routers: once for each event, never for each message. */
export class Reporter {
  readonly #log: Logger;
  readonly #stats: HubStats;

  constructor(log: Logger, stats: HubStats) {
    this.#log = log;
    this.#stats = stats;
  }

  connected(
    connection: Connection,
    { duplicate }: { duplicate: boolean },
  ): void {
    const { version, epoch } = stateOf(connection).served;
    this.#stats.connects++;
    this.#log.info("router connected", {
      router: connection.id,
      instance: connection.instance,
      address: connection.address,
      version,
      epoch,
      ...(duplicate ? { duplicate_id: true } : {}),
    });
  }

  /** `close` is null where the other side ended the connection. */
  gone(connection: Connection, close: Close | null): void {
    const properties = {
      router: connection.id,
      instance: connection.instance,
      ...(close === null ? {} : {
        code: close.code,
        reason: close.reason.slice(0, MAX_LOGGED_ERROR),
      }),
    };
    if (close === null) return this.#log.info("router gone", properties);
    this.#stats.closes[close.cause]++;
    switch (close.cause) {
      case "silent":
      case "stalled":
        this.#stats.heartbeatTimeouts++;
        return this.#log.warn("router dropped: heartbeat missed", properties);
      case "replaced":
        return this.#log.info("router replaced its connection", properties);
      case "restarting":
        return this.#log.info("router gone", properties);
      case "malformed":
      case "flooded":
      case "too_large":
      case "failed":
        return this.#log.warn("router dropped", properties);
      default:
        close.cause satisfies never;
    }
  }

  answered(connection: Connection, effect: Effect<"answered">): void {
    const { target, ms } = effect;
    if (ms !== null) this.#stats.propagation.observe(ms / 1000);
    const properties = {
      router: connection.id,
      version: target.version,
      epoch: target.epoch,
      digest: target.digest,
      ...(ms === null ? {} : { ms: Math.round(ms) }),
    };
    if (effect.status === "applied") {
      this.#stats.applied++;
      const { durable } = stateOf(connection).served;
      this.#log.info("router applied the config", { ...properties, durable });
    } else {
      this.#stats.rejected++;
      const error = effect.error.slice(0, MAX_LOGGED_ERROR);
      this.#log.warn("router rejected the config", { ...properties, error });
    }
  }

  /** A push came to nothing. */
  unpushed(
    connection: Connection,
    effect: Effect<"unanswered"> | Effect<"too_large">,
  ): void {
    const { version } = effect.target;
    const properties = { router: connection.id, version };
    if (effect.type === "unanswered") {
      this.#stats.unanswered++;
      this.#log.warn("router has not answered a push", properties);
    } else {
      this.#stats.tooLarge++;
      this.#log.warn(
        "the config does not fit into the one frame a router takes",
        properties,
      );
    }
  }

  /** A message changes nothing; told once a connection. */
  odd(
    connection: Connection,
    effect: Effect<"unknown"> | Effect<"unsolicited">,
  ): void {
    const unknown = effect.type === "unknown";
    if (unknown) this.#stats.unknownMessages++;
    else this.#stats.unsolicitedAcks++;
    if (connection.told.has(effect.type)) return;
    connection.told.add(effect.type);
    const router = connection.id;
    if (unknown) {
      this.#log.warn("router sends messages of an unknown type", {
        router,
        type: effect.name.slice(0, 64),
      });
    } else {
      this.#log.warn("router acked a version that was not pushed to it", {
        router,
        version: effect.version,
      });
    }
  }
}
