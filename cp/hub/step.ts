import type {
  Ack,
  Drained,
  Draining,
  Holding,
  Pong,
  ToControlPlane,
} from "../../shared/protocol.ts";
import { withSample } from "./counts.ts";
import { oldWorkOf } from "./fence.ts";
import {
  type OpenSession,
  type Pushed,
  refused,
  sameVersion,
  serves,
  type Session,
  type SessionEffect,
  type SessionEvent,
  targetOf,
  type Want,
} from "./session.ts";

/** How many pushes of a connection are remembered; acks of older ones are unsolicited. */
const MAX_PUSHED = 8;
/** The longest error that is kept, in characters: a router lists up to 100 problems. */
const MAX_KEPT_ERROR = 16 * 1024;
/** Characters that cost as much as a message. */
const COST_UNIT = 4096;

type Step = [state: OpenSession, effects: SessionEffect[]];

/**
 * Moves a session on: the only way its state changes. It is pure; time comes with the event, and what
 * has to be done is answered. The rules are SPEC section 4:
 *
 * - at most one config is on its way, from its first byte to its ack or to 30 s after its last byte;
 * - while one is, newer versions replace each other, and only the newest follows;
 * - a push once begun is finished;
 * - a version that was rejected is not pushed again, unless somebody asks.
 */
export function step(
  session: Session,
  event: SessionEvent,
): [state: Session, effects: SessionEffect[]] {
  if (session.kind === "closed") return [session, []];
  const [moved, effects] = react(session, event);
  if (effects.some((effect) => effect.type === "close")) {
    return [{ kind: "closed", last: moved }, effects];
  }
  const [decided, more] = consider(moved);
  return [markBehind(decided, event.now), [...effects, ...more]];
}

function react(session: OpenSession, event: SessionEvent): Step {
  const { push } = session;
  const { now } = event;
  switch (event.type) {
    case "want":
      return decide(session, event.want, now);
    case "begun": {
      if (push.kind !== "waiting") return [session, []];
      const { target, resend } = push;
      const since = resend
        ? null
        : Math.max(target.committedAt, session.openedAt);
      return [{
        ...session,
        push: {
          kind: "sending",
          target,
          answered: false,
          movedAt: now,
          graceMs: event.graceMs,
        },
        pushed: [
          ...session.pushed.slice(1 - MAX_PUSHED),
          { target, since, answered: false },
        ],
      }, []];
    }
    case "too_large": {
      if (push.kind !== "waiting") return [session, []];
      const { target } = push;
      return [{ ...session, push: { kind: "too_large", target } }, [
        { type: "too_large", target },
      ]];
    }
    case "moved":
      if (push.kind !== "sending") return [session, []];
      return [
        { ...session, heardAt: now, push: { ...push, movedAt: now } },
        [],
      ];
    case "sent": {
      if (push.kind !== "sending") return [session, []];
      const until = now + session.rules.answerMs;
      return [{
        ...session,
        heardAt: now,
        push: push.answered
          ? { kind: "idle" }
          : { kind: "awaiting", target: push.target, until },
      }, []];
    }
    case "evict":
      return [session, [{
        type: "close",
        reason: "stalled",
        detail: "others need the memory of a push that stands still",
      }]];
    case "received":
      return receive(session, event);
    case "resend":
      return resend(session);
    case "holds": {
      const holds = session.holds.filter(({ id }) => event.ids.has(id));
      return [{ ...session, holds }, []];
    }
    case "tick":
      return tick(excuse(session, event), now);
    default:
      return event satisfies never;
  }
}

function decide(session: OpenSession, want: Want, now: number): Step {
  const next = { ...session, want };
  // A router that comes back with what is committed gets a ping in place of a push.
  const greeted = session.want.kind === "undecided" && want.kind === "push" &&
    session.pushed.length === 0 && serves(session.served, want.target);
  return greeted
    ? [{ ...next, pingedAt: now }, [{ type: "ping" }]]
    : [next, []];
}

function receive(
  session: OpenSession,
  event: Extract<SessionEvent, { type: "received" }>,
): Step {
  const { now, parsed } = event;
  const { rules } = session;
  const earned = (now - session.allowanceAt) / 1000 * rules.perSecond;
  const allowance = Math.min(rules.burst, session.allowance + earned) - 1 -
    Math.floor(event.length / COST_UNIT);
  if (allowance < 0) {
    return [session, [{
      type: "close",
      reason: "flooded",
      detail: "too many messages",
    }]];
  }
  const heard = { ...session, heardAt: now, allowance, allowanceAt: now };
  switch (parsed.kind) {
    case "malformed":
      return [heard, [{
        type: "close",
        reason: "malformed",
        detail: parsed.reason,
      }]];
    case "unknown":
      return [heard, [{ type: "unknown", name: parsed.type }]];
    case "message":
      return understand(heard, parsed.message, now);
    default:
      return parsed satisfies never;
  }
}

function understand(
  session: OpenSession,
  message: ToControlPlane,
  now: number,
): Step {
  switch (message.type) {
    case "ack":
      return acknowledge(session, message, now);
    case "pong":
      return pong(
        { ...session, pongAt: now, ...counts(session, message, now) },
        message,
      );
    case "drained":
    case "draining":
      return fence(session, message);
    case "holding":
      return holding(session, message);
    default:
      return message satisfies never;
  }
}

function acknowledge(session: OpenSession, ack: Ack, now: number): Step {
  const answers = ({ target }: Pushed) =>
    target.version === ack.version &&
    (ack.epoch === null || ack.epoch === target.epoch);
  const index = session.pushed.findIndex((pushed) =>
    !pushed.answered && answers(pushed)
  );
  const pushed = session.pushed[index];
  if (pushed === undefined) {
    return session.pushed.some(answers)
      ? repeatedAck(session, ack)
      : [session, [{ type: "unsolicited", version: ack.version }]];
  }
  const { target, since } = pushed;
  const answered: OpenSession = {
    ...session,
    pushed: session.pushed.with(index, { ...pushed, answered: true }),
    push: pushAnswered(session, pushed),
  };
  const ms = since === null ? null : now - since;
  if (ack.status === "rejected") {
    const error = (ack.error ?? "It gave no reason.").slice(0, MAX_KEPT_ERROR);
    const { version, epoch, digest } = target;
    return [{ ...answered, rejected: { version, epoch, digest, error } }, [
      { type: "answered", status: "rejected", target, ms, error },
    ]];
  }
  const { served } = session;
  if (
    served.epoch === target.epoch && served.version !== null &&
    served.version > target.version
  ) {
    // It has told of a newer one since, and no router goes back within an epoch.
    return [answered, []];
  }
  return [{
    ...answered,
    served: {
      version: target.version,
      epoch: target.epoch,
      digest: target.digest,
      durable: ack.durable,
      // A push that was asked for again may have changed nothing.
      appliedAt: serves(served, target) ? served.appliedAt : now,
    },
    rejected: refused(session.rejected, target) ? null : session.rejected,
  }, [
    { type: "answered", status: "applied", target, ms },
    { type: "served" },
  ]];
}

/** Where pushing stands once a push has its answer. */
function pushAnswered(
  session: OpenSession,
  pushed: Pushed,
): OpenSession["push"] {
  const { push } = session;
  switch (push.kind) {
    case "sending":
      return sameVersion(push.target, pushed.target)
        ? { ...push, answered: true }
        : push;
    case "awaiting":
    case "unanswered":
      return sameVersion(push.target, pushed.target) ? { kind: "idle" } : push;
    case "idle":
    case "waiting":
    case "too_large":
      return push;
    default:
      return push satisfies never;
  }
}

/** A second ack of one push tells nothing new, except that what is served has reached the disk. */
function repeatedAck(session: OpenSession, ack: Ack): Step {
  const { served } = session;
  const { durable } = ack;
  return ack.status === "applied" && served.version === ack.version &&
      (ack.epoch === null || ack.epoch === served.epoch) &&
      durable !== null && durable !== served.durable
    ? [{ ...session, served: { ...served, durable } }, [{ type: "saved" }]]
    : [session, []];
}

function counts(
  session: OpenSession,
  { requests, errors = 0 }: Pong,
  at: number,
): Pick<OpenSession, "counts"> {
  return requests === undefined ? session : {
    counts: withSample(session.counts, { at, requests, errors }),
  };
}

/** A pong tells a version, never a digest: what it tells of anew has yet to be proven by an ack. */
function pong(session: OpenSession, message: Pong): Step {
  const { served } = session;
  const { version, epoch } = message;
  if (version === null || version === 0) return [session, []];
  const sameEpoch = epoch === null || epoch === served.epoch;
  if (sameEpoch && served.version !== null && version <= served.version) {
    return [session, []];
  }
  return [
    {
      ...session,
      served: {
        version,
        epoch,
        digest: null,
        durable: null,
        appliedAt: null,
      },
    },
    [{ type: "served" }],
  ];
}

/** What a router tells of its old work counts for the version that it serves, which it tells as by a pong. */
function fence(session: OpenSession, message: Drained | Draining): Step {
  const { version, epoch, digest, durable } = message;
  const [heard, effects] = pong(session, { type: "pong", version, epoch });
  const { oldWork: before } = heard;
  const served = effects.length === 0
    ? heard.served
    : { ...heard.served, digest };
  if (
    served.version !== version || (epoch !== null && epoch !== served.epoch)
  ) return [{ ...heard, served }, effects];
  const drained = message.type === "drained";
  const mattered = !drained ||
    (before?.version === version && before.requests + before.streams > 0);
  return [{
    ...heard,
    oldWork: oldWorkOf(message),
    served: durable === null ? served : { ...served, durable },
  }, [...effects, { type: "fence", drained, mattered }]];
}

/** How many holds a router may tell of. */
const MAX_HOLDS = 256;

function holding(session: OpenSession, message: Holding): Step {
  const { id, requests, streams, waiting, oldest_ms: oldestMs } = message;
  const holds = session.holds.filter((known) => known.id !== id);
  const told = { id, requests, streams, oldestMs, waiting };
  return [
    { ...session, holds: [...holds.slice(1 - MAX_HOLDS), told] },
    [{ type: "holding", id }],
  ];
}

function resend(session: OpenSession): Step {
  const { want, push } = session;
  if (want.kind !== "push") return [session, []];
  const next: OpenSession = { ...session, rejected: null };
  switch (push.kind) {
    case "sending":
    case "awaiting":
      // One is on its way. If it is an older one, the newest follows it anyway.
      return [next, []];
    case "waiting":
      return [{ ...next, push: { ...push, resend: true } }, []];
    case "idle":
    case "unanswered":
    case "too_large":
      return [{
        ...next,
        push: { kind: "waiting", target: want.target, resend: true },
      }, [{ type: "enqueue" }]];
    default:
      return push satisfies never;
  }
}

/** Silence while nobody could be heard is no router's fault. */
function excuse(
  session: OpenSession,
  { now, heldUpMs }: Extract<SessionEvent, { type: "tick" }>,
): OpenSession {
  if (heldUpMs === 0) return session;
  const { heardAt, push } = session;
  return {
    ...session,
    heardAt: Math.min(now, heardAt + heldUpMs),
    push: push.kind === "sending"
      ? { ...push, movedAt: Math.min(now, push.movedAt + heldUpMs) }
      : push,
  };
}

function tick(session: OpenSession, now: number): Step {
  const { push, rules } = session;
  const graceMs = push.kind === "sending" ? push.graceMs : 0;
  if (now - session.heardAt >= rules.timeoutMs + graceMs) {
    return [session, [{
      type: "close",
      reason: "silent",
      detail: "heartbeat missed",
    }]];
  }
  if (
    push.kind === "sending" && now - push.movedAt >= rules.stallMs + graceMs
  ) {
    // It still talks, but takes nothing: its memory here is not held for ever.
    return [session, [{
      type: "close",
      reason: "stalled",
      detail: "nothing of a push left for too long",
    }]];
  }
  let next = session;
  const effects: SessionEffect[] = [];
  if (push.kind === "awaiting" && now >= push.until) {
    const { target } = push;
    next = { ...next, push: { kind: "unanswered", target } };
    effects.push({ type: "unanswered", target });
  }
  if (now - session.pingedAt >= rules.pingIntervalMs) {
    next = { ...next, pingedAt: now };
    effects.push({ type: "ping" });
  }
  return [next, effects];
}

/** Begins to push, aims a waiting push anew, or calls it off: whatever the state asks for now. */
function consider(session: OpenSession): Step {
  const { want, push, served, rejected } = session;
  if (want.kind !== "push") {
    return push.kind === "waiting"
      ? [{ ...session, push: { kind: "idle" } }, [{ type: "dequeue" }]]
      : [session, []];
  }
  const { target } = want;
  switch (push.kind) {
    case "sending":
    case "awaiting":
      return [session, []];
    case "waiting":
      return sameVersion(push.target, target)
        ? [session, []]
        : [{ ...session, push: { ...push, target } }, []];
    case "unanswered":
    case "too_large":
      if (sameVersion(push.target, target)) return [session, []];
      break;
    case "idle":
      break;
    default:
      return push satisfies never;
  }
  if (serves(served, target) || refused(rejected, target)) return [session, []];
  return [
    { ...session, push: { kind: "waiting", target, resend: false } },
    [{ type: "enqueue" }],
  ];
}

function markBehind(session: OpenSession, now: number): OpenSession {
  const target = targetOf(session);
  const behind = target !== null && !serves(session.served, target);
  if (!behind) {
    return session.behindSince === null
      ? session
      : { ...session, behindSince: null };
  }
  return session.behindSince === null
    ? { ...session, behindSince: now }
    : session;
}
