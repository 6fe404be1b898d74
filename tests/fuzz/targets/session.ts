import { parseToControlPlane } from "../../../shared/protocol.ts";
import {
  type OpenSession,
  openSession,
  sameVersion,
  type Session,
  SESSION_RULES,
  type SessionEffect,
  type SessionEvent,
  statusOf,
  type Target as Version,
  type Want,
} from "../../../cp/hub/session.ts";
import { step } from "../../../cp/hub/step.ts";
import { messageText, someDigest } from "../inputs/messages.ts";
import { mutate } from "../mutate.ts";
import type { Random } from "../../harness/random.ts";
import { ensure, ensureSame, target } from "../target.ts";

/** Something that happens to a session. `acks` answers one of its pushes, counted from the newest. */
type Happening =
  | { readonly type: "text"; readonly text: string }
  | {
    readonly type: "acks";
    readonly back: number;
    readonly status: "applied" | "rejected";
    readonly epoch: boolean;
    readonly durable: boolean;
  }
  | { readonly type: "want"; readonly want: Want }
  | {
    readonly type:
      | "begun"
      | "too_large"
      | "moved"
      | "sent"
      | "evict"
      | "resend";
  }
  | { readonly type: "tick"; readonly ms: number; readonly heldUpMs: number };

interface Story {
  readonly served: OpenSession["served"];
  readonly happenings: readonly Happening[];
}

/** The control plane's side of a connection under whatever messages and moments. */
export const session = target<Story>({
  name: "hub-steps",
  weight: 30,
  make: (random) => {
    const told = random.once(2) ? version(random, 0) : null;
    return {
      served: {
        version: told?.version ?? null,
        epoch: told?.epoch ?? null,
        digest: told?.digest ?? null,
        durable: null,
        appliedAt: null,
      },
      happenings: Array.from(
        { length: random.between(1, 50) },
        (_, index) => happening(random, index),
      ),
    };
  },
  check(story) {
    const play = new Play(story.served);
    for (const happening of story.happenings) play.on(happening);
    return play.pushes > 0 ? "accepted" : "refused";
  },
});

function version(random: Random, index: number): Version {
  const epoch = random.once(8) ? "f" : "e";
  return {
    version: 1 + Math.floor(index / 4),
    epoch,
    digest: random.once(8) ? someDigest(random) : `sha256:${index}`,
    committedAt: index,
  };
}

function happening(random: Random, index: number): Happening {
  switch (random.below(14)) {
    case 0:
    case 1:
    case 2: {
      const text = messageText(random, "to_control_plane");
      return {
        type: "text",
        text: random.once(30) ? mutate(random, text) : text,
      };
    }
    case 3:
    case 4:
      return {
        type: "acks",
        back: random.once(4) ? random.below(9) : 0,
        status: random.once(3) ? "rejected" : "applied",
        epoch: random.once(2),
        durable: random.once(2),
      };
    case 5:
    case 6:
      return { type: "want", want: want(random, index) };
    case 7:
    case 8:
      return { type: "begun" };
    case 9:
      return { type: "moved" };
    case 10:
      return { type: "sent" };
    case 11:
      return { type: random.pick(["resend", "resend", "too_large", "evict"]) };
    default:
      return {
        type: "tick",
        ms: random.pick([0, 100, 1000, 1000, 4999, 11_000, 30_000]),
        heldUpMs: random.once(8) ? random.pick([1, 5000, 20_000]) : 0,
      };
  }
}

function want(random: Random, index: number): Want {
  const target = version(random, index);
  switch (random.below(10)) {
    case 0:
      return { kind: "nothing" };
    case 1:
      return { kind: "held", target, reason: "damaged" };
    case 2:
      return {
        kind: "conflict",
        target: random.once(2) ? target : null,
        reason: "another history",
      };
    default:
      return { kind: "push", target };
  }
}

class Play {
  session: Session;
  pushes = 0;
  #now = 0;
  #queued = false;

  constructor(served: OpenSession["served"]) {
    this.session = openSession(served, {
      now: 0,
      rejected: null,
      rules: SESSION_RULES,
    });
  }

  on(happening: Happening): void {
    const event = this.#eventOf(happening);
    if (event === null) return;
    const before = this.session;
    const frozen = JSON.stringify(before);
    const [after, effects] = step(before, event);
    ensureSame(JSON.stringify(before), frozen, "The state before it changed");
    this.session = after;
    if (before.kind === "closed") {
      ensure(
        after === before && effects.length === 0,
        "It moves after its end",
      );
      return;
    }
    for (const effect of effects) this.#do(effect);
    if (after.kind === "closed") {
      ensure(
        effects.some(({ type }) => type === "close"),
        "It ends in silence",
      );
      return;
    }
    ensure(
      !effects.some(({ type }) => type === "close"),
      "It lives on, closed",
    );
    this.#check(before, after, event);
  }

  #eventOf(happening: Happening): SessionEvent | null {
    const open = this.session.kind === "open"
      ? this.session
      : this.session.last;
    const now = this.#now;
    switch (happening.type) {
      case "text": {
        const parsed = parseToControlPlane(happening.text);
        const { length } = happening.text;
        return { type: "received", now, parsed, length };
      }
      case "acks": {
        const pushed = open.pushed.at(-1 - happening.back);
        if (pushed === undefined) return null;
        const { version, epoch } = pushed.target;
        const { status, durable } = happening;
        const message = {
          type: "ack" as const,
          version,
          epoch: happening.epoch ? epoch : null,
          status,
          durable,
          error: status === "rejected" ? "no" : null,
        };
        const parsed = { kind: "message" as const, message };
        return { type: "received", now, parsed, length: 100 };
      }
      case "want":
        return { ...happening, now };
      case "begun":
        // Only who waits gets a turn.
        return this.#queued ? { type: "begun", now, graceMs: 0 } : null;
      case "too_large":
        return this.#queued ? { type: "too_large", now } : null;
      case "moved":
      case "sent":
      case "evict":
        return open.push.kind === "sending"
          ? { type: happening.type, now }
          : null;
      case "resend":
        return { type: "resend", now };
      case "tick":
        this.#now += happening.ms;
        return { type: "tick", now: this.#now, heldUpMs: happening.heldUpMs };
      default:
        return happening satisfies never;
    }
  }

  #do(effect: SessionEffect): void {
    if (effect.type === "enqueue") {
      ensure(!this.#queued, "It asks for a second turn");
      this.#queued = true;
    }
    if (effect.type === "dequeue") {
      ensure(this.#queued, "It gives back a turn that it has not");
      this.#queued = false;
    }
  }

  #check(before: OpenSession, after: OpenSession, event: SessionEvent): void {
    if (event.type === "begun" || event.type === "too_large") {
      this.#queued = after.push.kind === "waiting";
    }
    if (event.type === "begun" && before.push.kind === "waiting") {
      this.pushes++;
      const { want, push } = before;
      ensure(want.kind === "push", "What is not wanted is pushed");
      ensure(sameVersion(push.target, want.target), "It pushes an older one");
      ensureSame(after.push.kind, "sending", "A push with its turn");
    }
    ensureSame(this.#queued, after.push.kind === "waiting", "It has a turn");
    ensure(after.pushed.length <= 8, "It remembers too many pushes");
    ensure(after.allowance <= SESSION_RULES.burst, "It may say too much");
    if (event.type === "received" && event.parsed.kind === "message") {
      const { message } = event.parsed;
      const known = before.pushed.some(({ target }) =>
        message.type !== "ack" || target.version === message.version
      );
      if (message.type === "ack" && !known) {
        ensureSame(after.served, before.served, "An ack of nothing changes");
      }
    }
    const { error, status } = statusOf(after);
    if (status === "current") ensureSame(error, null, "Current, with an error");
  }
}
