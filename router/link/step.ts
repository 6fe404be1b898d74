import { backoffMs } from "../../shared/backoff.ts";
import {
  CLOSE,
  MAX_ERROR_LENGTH,
  MAX_PART_BYTES,
  type ToRouter,
} from "../../shared/protocol.ts";
import { isDrained } from "../fence.ts";
import {
  deadline,
  type Effect,
  type LinkEvent,
  type LinkLimits,
  type LinkState,
  type Outcome,
  type Phase,
  type PushBody,
  type WholePush,
} from "./state.ts";
import { type PushHead, type Serving, verdict } from "./verdict.ts";

/** What a step takes from outside. */
export interface Surroundings {
  /** The monotonic clock, in milliseconds. */
  readonly now: number;
  /** From 0 up to, not including, 1. */
  readonly random: number;
  readonly limits: LinkLimits;
}

type Open = Extract<Phase, { kind: "open" }>;

/** A timer later than this means that this process did not run, and so could not hear. */
const LATE_MS = 1000;

/**
 * What a link does next: the only way its state changes. It has no effects of its own and never
 * throws; events of a connection that is no longer the link's are ignored.
 */
export function step(
  state: LinkState,
  event: LinkEvent,
  around: Surroundings,
): [LinkState, Effect[]] {
  const turn = new Turn(state, around);
  turn.take(event);
  return [turn.state, turn.effects];
}

/** One step under way: the state as it has become, and the effects so far. */
class Turn {
  state: LinkState;
  readonly effects: Effect[] = [];
  readonly #around: Surroundings;

  constructor(state: LinkState, around: Surroundings) {
    this.state = state;
    this.#around = around;
  }

  take(event: LinkEvent): void {
    const { phase } = this.state;
    switch (event.type) {
      case "start":
        if (phase.kind === "idle") this.#connect();
        return;
      case "stop":
        this.#stop(phase);
        return;
      case "timer":
        this.#timer(phase, event.late);
        return;
      case "applied":
        this.#applied(event.outcome);
        return;
      case "saved":
        this.#saved(event.head);
        return;
      case "fence":
        this.state = { ...this.state, fence: event.report };
        this.#tellFence();
        return;
      case "counted":
        this.state = { ...this.state, counted: event.counted };
        return;
      case "holding": {
        if (phase.kind !== "open") return;
        const { oldestMs, ...report } = event.report;
        this.#send({ type: "holding", ...report, oldest_ms: oldestMs });
        return;
      }
      case "opened":
      case "heard":
      case "text":
      case "part":
      case "broken":
      case "closing":
      case "closed":
        if ("socket" in phase && phase.socket === event.socket) {
          this.#connection(phase, event);
        }
        return;
      default:
        event satisfies never;
    }
  }

  #connection(
    phase: Extract<Phase, { socket: number }>,
    event: Extract<LinkEvent, { socket: number }>,
  ): void {
    if (event.type === "closed") {
      this.#gone(phase, describeClose(event.code, event.reason));
      return;
    }
    if (event.type === "opened") {
      if (phase.kind === "connecting") this.#opened(phase.socket);
      return;
    }
    // What still comes on a connection that is being closed changes nothing any more.
    if (phase.kind !== "open") return;
    const open: Open = { ...phase, heardAt: this.#around.now };
    this.#phase(open);
    switch (event.type) {
      case "heard":
        return;
      case "text":
        if (event.parsed.kind === "malformed") {
          this.#close(CLOSE.malformed, event.parsed.reason);
        } else if (event.parsed.kind === "unknown") {
          this.#note({ kind: "ignored", messageType: event.parsed.type });
        } else {
          this.#message(open, event.parsed.message, event.bytes);
        }
        return;
      case "part":
        this.#part(open, event.data);
        return;
      case "broken":
        this.#close(
          event.tooLarge ? CLOSE.tooLarge : CLOSE.malformed,
          event.reason,
        );
        return;
      case "closing":
        this.#closingPhase(open, describeClose(event.code, event.reason));
        return;
      default:
        event satisfies never;
    }
  }

  #connect(): void {
    const { nextSocket: socket, target, serving } = this.state;
    this.state = { ...this.state, nextSocket: socket + 1 };
    this.#phase({
      kind: "connecting",
      socket,
      deadline: this.#around.now + this.#around.limits.handshakeMs,
    });
    this.effects.push({ type: "connect", socket, target, serving });
  }

  #opened(socket: number): void {
    const { now } = this.#around;
    this.#phase({
      kind: "open",
      socket,
      since: now,
      heardAt: now,
      transfer: null,
      pending: null,
    });
    this.#note({ kind: "connected", target: this.state.target });
    this.#tellFence();
  }

  #timer(phase: Phase, late: number): void {
    const { now, limits } = this.#around;
    const due = deadline(this.state, limits);
    if (due === null || now < due) return;
    switch (phase.kind) {
      case "waiting":
        this.#connect();
        return;
      case "connecting":
        this.effects.push({ type: "destroy" });
        this.#gone(phase, "the handshake took too long");
        return;
      case "closing":
        this.effects.push({ type: "destroy" });
        this.#gone(phase, phase.reason);
        return;
      case "open":
        if (late > LATE_MS) {
          // This process was held up or suspended: what has come meanwhile has yet to be read.
          this.#phase({ ...phase, heardAt: now });
          return;
        }
        this.#close(
          CLOSE.heartbeatMissed,
          `nothing was heard for ${limits.silenceMs} ms`,
        );
        return;
      case "idle":
      case "stopped":
        return;
      default:
        phase satisfies never;
    }
  }

  #message(open: Open, message: ToRouter, bytes: number): void {
    const { limits } = this.#around;
    switch (message.type) {
      case "ping": {
        if (message.version !== null) {
          this.#told(message.version, message.epoch);
        }
        const { serving, counted } = this.state;
        this.#send({
          type: "pong",
          version: serving?.version ?? null,
          epoch: serving?.epoch ?? null,
          ...counted,
        });
        return;
      }
      case "config_update": {
        this.#told(message.version, message.epoch);
        this.#whole(open, {
          push: headOf(message),
          body: bytes > limits.maxConfigBytes
            ? { kind: "too_large", bytes }
            : { kind: "document", document: message.config },
        });
        return;
      }
      case "config_begin": {
        this.#told(message.version, message.epoch);
        this.#dropUnfinished(open);
        // One that is too large is answered when it is over, not by a close: the control plane
        // remembers a `rejected`, and would send to a new connection all over again.
        const kept = message.bytes <= limits.maxConfigBytes;
        if (kept) this.effects.push({ type: "collect", bytes: message.bytes });
        this.#phase({
          ...open,
          pending: null,
          transfer: {
            push: headOf(message),
            bytes: message.bytes,
            received: 0,
            kept,
          },
        });
        return;
      }
      case "hold":
      case "release":
      case "cut_streams":
        this.effects.push({ type: "order", order: message });
        return;
      default:
        message satisfies never;
    }
  }

  /** The newest push wins over one that is not whole, or whose turn has not come. */
  #dropUnfinished({ transfer, pending }: Open): void {
    const dropped = pending ?? transfer;
    if (dropped === null) return;
    this.#note({ kind: "dropped", version: dropped.push.version });
    this.effects.push({ type: "forget" });
    if (pending !== null) this.effects.push({ type: "resume" });
  }

  #part(open: Open, data: Uint8Array): void {
    const { transfer } = open;
    if (transfer === null) {
      this.#close(
        CLOSE.malformed,
        "a part came that no config_begin announced",
      );
      return;
    }
    if (data.length > MAX_PART_BYTES) {
      this.#close(
        CLOSE.tooLarge,
        `a part is of ${data.length} bytes, and ${MAX_PART_BYTES} is the limit`,
      );
      return;
    }
    const received = transfer.received + data.length;
    if (received > transfer.bytes) {
      this.#close(
        CLOSE.malformed,
        `the parts are of ${received} bytes, and ${transfer.bytes} were announced`,
      );
      return;
    }
    if (transfer.kept) {
      this.effects.push({ type: "keep", data, at: transfer.received });
    }
    if (received < transfer.bytes) {
      this.#phase({ ...open, transfer: { ...transfer, received } });
      return;
    }
    const rest: Open = { ...open, transfer: null };
    this.#phase(rest);
    this.#whole(rest, {
      push: transfer.push,
      body: transfer.kept
        ? { kind: "collected" }
        : { kind: "too_large", bytes: transfer.bytes },
    });
  }

  /** A push has come whole: judge it now, or after the one being applied. */
  #whole(open: Open, whole: WholePush): void {
    if (this.state.applying === null) {
      this.#judge(open.socket, whole);
      return;
    }
    // Nothing should come while one waits, for nothing is read; if it does, the newest wins.
    if (open.pending !== null) {
      const { push, body } = open.pending;
      this.#note({ kind: "dropped", version: push.version });
      if (whole.body.kind !== "collected") this.#forget(body);
    }
    this.#phase({ ...open, pending: whole });
    this.effects.push({ type: "pause" });
  }

  #judge(socket: number, whole: WholePush): void {
    const { body } = whole;
    const { serving } = this.state;
    // A draft control plane's push goes on in the history this router is in: else a version of that
    // history could come back that is older than this one.
    const push = {
      ...whole.push,
      epoch: whole.push.epoch ?? serving?.epoch ?? null,
    };
    const judged = verdict(serving, push);
    switch (judged.kind) {
      case "unchanged":
        if (serving?.durable || body.kind === "too_large") {
          this.#forget(body);
          const durable = serving?.durable ?? false;
          this.#answer(push, { status: "unchanged", durable });
        } else {
          // It is not on the disk: read once more, it can be saved.
          this.#apply(push, { body, socket, sameAs: push.digest });
        }
        return;
      case "reject":
        this.#forget(body);
        this.#answer(push, { status: "rejected", error: judged.error });
        return;
      case "take":
      case "compare":
        if (body.kind === "too_large") {
          this.#answer(push, {
            status: "rejected",
            error:
              `Version ${push.version} is too large for this router: it is of ${body.bytes} bytes as sent, and ${this.#around.limits.maxConfigBytes} bytes is the limit.`,
          });
          return;
        }
        this.#apply(push, {
          body,
          socket,
          sameAs: judged.kind === "compare" ? judged.digest : null,
        });
        return;
      default:
        judged satisfies never;
    }
  }

  #apply(
    push: PushHead,
    how: { body: PushBody; socket: number; sameAs: string | null },
  ): void {
    const { body, socket, sameAs } = how;
    this.state = { ...this.state, applying: { push, socket } };
    this.effects.push({ type: "apply", push, body, sameAs });
  }

  #forget(body: WholePush["body"]): void {
    if (body.kind === "collected") this.effects.push({ type: "forget" });
  }

  #applied(outcome: Outcome): void {
    const { applying } = this.state;
    if (applying === null) return;
    const { push, socket } = applying;
    this.state = { ...this.state, applying: null };
    if (outcome.status === "applied") {
      this.#serve({
        version: push.version,
        epoch: push.epoch,
        digest: outcome.digest,
        durable: outcome.durable,
      });
    } else if (outcome.status === "unchanged" && this.state.serving !== null) {
      this.#serve({ ...this.state.serving, durable: outcome.durable });
    }
    const { phase } = this.state;
    const here = phase.kind === "open" && phase.socket === socket;
    this.#answer(push, outcome, here);
    if (outcome.status === "applied") this.#tellFence();
    if (phase.kind !== "open" || phase.pending === null) return;
    const open: Open = {
      ...phase,
      pending: null,
      heardAt: this.#around.now,
    };
    this.#phase(open);
    this.effects.push({ type: "resume" });
    this.#judge(open.socket, phase.pending);
  }

  /** Sends the ack, unless the connection the push came on is gone. */
  #answer(push: PushHead, outcome: Outcome, send = true): void {
    this.#note({ kind: "answered", push, outcome });
    if (!send) return;
    const { serving } = this.state;
    const rejected = outcome.status === "rejected";
    this.#send({
      type: "ack",
      version: push.version,
      status: rejected ? "rejected" : "applied",
      error: rejected ? outcome.error.slice(0, MAX_ERROR_LENGTH) : null,
      epoch: push.epoch,
      durable: rejected ? null : serving?.durable ?? null,
    });
  }

  /** What is served has reached the disk late: the control plane was told otherwise, and is told now. */
  #saved(head: Omit<Serving, "durable">): void {
    const { serving, phase } = this.state;
    if (
      serving === null || serving.durable || head.version !== serving.version ||
      head.epoch !== serving.epoch || head.digest !== serving.digest
    ) return;
    this.#serve({ ...serving, durable: true });
    if (phase.kind !== "open") return;
    const { version, epoch } = serving;
    this.#send({
      type: "ack",
      version,
      status: "applied",
      error: null,
      epoch,
      durable: true,
    });
  }

  /**
   * Tells how far what is served is drained: behind its ack, though the data path knows it before. A draft control plane,
   * which names no epoch, knows no such message.
   */
  #tellFence(): void {
    const { serving, fence, phase } = this.state;
    if (
      phase.kind !== "open" || serving === null || serving.epoch === null ||
      fence === null || fence.version !== serving.version ||
      fence.epoch !== serving.epoch
    ) return;
    const { version, epoch, digest, durable } = serving;
    const { requests, streams, oldestMs } = fence;
    this.#send(
      isDrained(fence)
        ? { type: "drained", version, epoch, digest, durable }
        : {
          type: "draining",
          version,
          epoch,
          digest,
          durable,
          requests,
          streams,
          oldest_ms: oldestMs,
        },
    );
  }

  #serve(serving: Serving): void {
    this.state = { ...this.state, serving };
    if (this.state.head !== null) {
      this.#told(this.state.head.version, this.state.head.epoch);
    }
  }

  /** The control plane named the version this router should be serving. */
  #told(version: number, epoch: string | null): void {
    const { head, serving } = this.state;
    const behind = version > (serving?.version ?? 0);
    this.state = {
      ...this.state,
      head: {
        version,
        epoch,
        behindSince: behind ? head?.behindSince ?? this.#around.now : null,
      },
    };
  }

  #close(code: number, reason: string): void {
    this.effects.push({ type: "close", code, reason });
    const { phase } = this.state;
    if (phase.kind === "open") this.#closingPhase(phase, reason);
  }

  #closingPhase(open: Open, reason: string, stopping = false): void {
    const { now, limits } = this.#around;
    if (open.transfer !== null || open.pending?.body.kind === "collected") {
      this.effects.push({ type: "forget" });
    }
    this.#phase({
      kind: "closing",
      socket: open.socket,
      deadline: now + limits.closeMs,
      healthy: this.#healthy(open),
      stopping,
      reason,
    });
  }

  /** Healthy is who was heard from long enough; a silent peer is not, however long it was waited for. */
  #healthy({ since, heardAt }: Open): boolean {
    return heardAt - since >= this.#around.limits.healthyMs;
  }

  /** The connection is no more: wait, then try the next control plane. */
  #gone(phase: Extract<Phase, { socket: number }>, reason: string): void {
    if (phase.kind === "closing" && phase.stopping) {
      this.#phase({ kind: "stopped" });
      return;
    }
    if (
      phase.kind === "open" &&
      (phase.transfer !== null || phase.pending?.body.kind === "collected")
    ) this.effects.push({ type: "forget" });
    const healthy = phase.kind === "open"
      ? this.#healthy(phase)
      : phase.kind === "closing" && phase.healthy;
    const { now, random, limits } = this.#around;
    const { target } = this.state;
    const failures = healthy ? 0 : this.state.failures;
    const waitMs = backoffMs(failures, random);
    this.state = {
      ...this.state,
      failures: failures + 1,
      target: (target + 1) % limits.targets,
    };
    this.#phase({ kind: "waiting", until: now + waitMs });
    const why = phase.kind === "closing" ? phase.reason : reason;
    this.#note({
      kind: "lost",
      target,
      reason: why,
      failures: failures + 1,
      waitMs,
    });
  }

  #stop(phase: Phase): void {
    switch (phase.kind) {
      case "idle":
      case "waiting":
        this.#phase({ kind: "stopped" });
        return;
      case "connecting":
        this.effects.push({ type: "destroy" });
        this.#phase({ kind: "stopped" });
        return;
      case "open":
        this.effects.push({
          type: "close",
          code: 1001,
          reason: "the router is stopping",
        });
        this.#closingPhase(phase, "the router is stopping", true);
        return;
      case "closing":
        this.#phase({ ...phase, stopping: true });
        return;
      case "stopped":
        return;
      default:
        phase satisfies never;
    }
  }

  #phase(phase: Phase): void {
    this.state = { ...this.state, phase };
  }

  #send(message: Extract<Effect, { type: "send" }>["message"]): void {
    this.effects.push({ type: "send", message });
  }

  #note(note: Extract<Effect, { type: "note" }>["note"]): void {
    this.effects.push({ type: "note", note });
  }
}

/** What a message says of the config it brings. */
function headOf(
  message: Extract<ToRouter, { type: "config_update" | "config_begin" }>,
): PushHead {
  const { version, epoch, digest, supersedes, guarded_since, traceparent } =
    message;
  return {
    version,
    epoch,
    digest,
    supersedes,
    ...(guarded_since === undefined ? {} : { guardedSince: guarded_since }),
    ...(traceparent === undefined ? {} : { traceparent }),
  };
}

function describeClose(code: number, reason: string): string {
  return reason === ""
    ? `closed with code ${code}`
    : `${reason} (code ${code})`;
}
