import type { Drained, Draining } from "../../shared/protocol.ts";
import type { OldWork } from "../store/store.ts";
import type { FenceRollout, OldWorkView, Rollout } from "./fleet.ts";

/** How a router that serves a version, or a newer one, stands to its fence. */
export type FenceAnswer =
  | { readonly kind: "drained" }
  /** Old work is running, or the router has yet to tell. */
  | { readonly kind: "draining"; readonly work: OldWork | null }
  /** It serves the version, but nothing proves that it is drained. */
  | { readonly kind: "unknown"; readonly reason: UnknownReason };

/** Why it cannot be told whether a router is drained. */
export type UnknownReason =
  /** It is not connected: whether it still runs, and on what, nobody knows. */
  | "disconnected"
  /** The version is not on its disk, or it does not say: it could come back with the one before. */
  | "not_durable"
  /** The roster could not be read, so that there may be routers nobody has asked. */
  | "roster_unread"
  /** It does not tell what it runs: it lacks the feature `drained`. */
  | "cannot_tell";

/** What is known of a router that serves the version in question. */
export interface FenceFacts {
  readonly version: number | null;
  readonly epoch: string | null;
  readonly durable: boolean | null;
  readonly oldWork: OldWork | null;
  /** Whether it tells of its old work at all. */
  readonly tells: boolean;
}

/** How such a router stands to the fence of what it serves. */
export function fenceAnswer(facts: FenceFacts): FenceAnswer {
  const { version, epoch, durable, oldWork, tells } = facts;
  if (!tells) return { kind: "unknown", reason: "cannot_tell" };
  const told = oldWork !== null && oldWork.version === version &&
    (oldWork.epoch === null || oldWork.epoch === epoch);
  if (!told) return { kind: "draining", work: null };
  if (oldWork.requests + oldWork.streams > 0) {
    return { kind: "draining", work: oldWork };
  }
  return durable === true
    ? { kind: "drained" }
    : { kind: "unknown", reason: "not_durable" };
}

/** Whether waiting may change an answer: requests end, and a config may reach a disk late. */
export function mayChange(answer: FenceAnswer): boolean {
  return answer.kind === "draining" ||
    (answer.kind === "unknown" && answer.reason === "not_durable");
}

/** What a router's message tells of its old work. */
export function oldWorkOf(message: Drained | Draining): OldWork {
  const { version, epoch } = message;
  return message.type === "drained"
    ? { version, epoch, requests: 0, streams: 0, oldestMs: 0 }
    : {
      version,
      epoch,
      requests: message.requests,
      streams: message.streams,
      oldestMs: message.oldest_ms,
    };
}

/** Old work as the API shows it. */
export function shownOldWork(work: OldWork): OldWorkView {
  return {
    requests: work.requests,
    streams: work.streams,
    oldest_seconds: work.oldestMs / 1000,
  };
}

/** Gathers how the routers of a rollout stand to its fence. */
export class FenceTally {
  #drained = 0;
  readonly #draining: FenceRollout["draining"][number][] = [];
  readonly #unknown: FenceRollout["unknown"][number][] = [];

  add(id: string, answer: FenceAnswer): void {
    switch (answer.kind) {
      case "drained":
        this.#drained++;
        return;
      case "draining":
        this.#draining.push({
          id,
          ...(answer.work === null ? null : shownOldWork(answer.work)),
        });
        return;
      case "unknown":
        this.#unknown.push({ id, reason: answer.reason });
        return;
      default:
        answer satisfies never;
    }
  }

  /** `answers` are those to the version itself. */
  result(
    answers: Pick<Rollout, "rejected" | "pending" | "conflict">,
  ): FenceRollout {
    const { rejected, pending, conflict } = answers;
    const state = pending.length + this.#draining.length > 0
      ? "draining"
      : rejected.length + conflict.length > 0
      ? "refused"
      : this.#unknown.length > 0
      ? "unknown"
      : "drained";
    return {
      state,
      drained: this.#drained,
      draining: this.#draining,
      unknown: this.#unknown,
    };
  }
}
