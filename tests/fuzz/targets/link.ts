import { parseToRouter } from "../../../shared/protocol.ts";
import {
  deadline,
  type Effect,
  initialState,
  type LinkEvent,
  type LinkLimits,
  type LinkState,
  type Outcome,
} from "../../../router/link/state.ts";
import { step } from "../../../router/link/step.ts";
import { messageText, someDigest } from "../inputs/messages.ts";
import { mutate } from "../mutate.ts";
import type { Random } from "../../harness/random.ts";
import { ensure, ensureSame, target } from "../target.ts";

const LIMITS: LinkLimits = {
  targets: 2,
  handshakeMs: 5000,
  silenceMs: 12_000,
  closeMs: 1000,
  healthyMs: 10_000,
  maxConfigBytes: 1000,
};
/** The longest wait between two attempts (SPEC section 4). */
const MAX_WAIT_MS = 5000;

/** Something that happens to a link; `socket` is counted back from the newest connection. */
type Happening =
  | { readonly type: "time"; readonly ms: number }
  | { readonly type: "stop" | "start" }
  | {
    readonly type: "opened" | "heard" | "closed" | "closing" | "broken";
    readonly socket: number;
  }
  | { readonly type: "text"; readonly socket: number; readonly text: string }
  /** A size below 0 is that of all that is missing. */
  | { readonly type: "part"; readonly socket: number; readonly size: number }
  | { readonly type: "applied"; readonly outcome: Outcome }
  | { readonly type: "saved" };

interface Story {
  readonly served: LinkState["serving"];
  readonly randoms: readonly number[];
  readonly happenings: readonly Happening[];
}

/** A router's link under whatever messages and moments: it never throws, and keeps its promises. */
export const link = target<Story>({
  name: "link-steps",
  weight: 30,
  make: (random) => ({
    served: random.once(2) ? null : {
      version: random.between(1, 6),
      epoch: random.pick(["e", "f", null]),
      digest: someDigest(random),
      durable: random.once(2),
    },
    randoms: [random.below(1000) / 1000, 0, 0.999],
    happenings: [
      { type: "start" },
      ...(random.once(8) ? [] : [{ type: "opened" as const, socket: 0 }]),
      ...Array.from(
        { length: random.between(1, 40) },
        () => happening(random),
      ),
    ],
  }),
  check(story) {
    const play = new Play(story);
    for (const happening of story.happenings) play.on(happening);
    return play.applied > 0 ? "accepted" : "refused";
  },
});

function happening(random: Random): Happening {
  const socket = random.once(12) ? 1 : 0;
  switch (random.below(16)) {
    case 0:
      return {
        type: "time",
        ms: random.pick([0, 1, 900, 5000, 12_000, 40_000]),
      };
    case 1:
      return random.once(6) ? { type: "stop" } : { type: "heard", socket };
    case 2:
      return random.once(2)
        ? { type: random.pick(["closed", "closing", "broken"]), socket }
        : { type: "heard", socket };
    case 3:
      return { type: "time", ms: 5000 };
    case 4:
      return { type: "opened", socket };
    case 5:
    case 6:
      return {
        type: "applied",
        outcome: random.once(3)
          ? { status: "rejected", error: "no" }
          : random.once(4)
          ? { status: "unchanged", durable: random.once(2) }
          : {
            status: "applied",
            digest: someDigest(random),
            durable: random.once(2),
          },
      };
    case 7:
      return { type: "saved" };
    case 8:
    case 9:
    case 10:
      return {
        type: "part",
        socket,
        size: random.once(2)
          ? -1
          : random.pick([0, 1, 2, 10, 1000, 262_144, 262_145]),
      };
    default: {
      const text = messageText(random, "to_router");
      return {
        type: "text",
        socket,
        text: random.once(20) ? mutate(random, text) : text,
      };
    }
  }
}

const PARTS = new Uint8Array(262_145);

/** A link, and what its driver would hold for it. */
class Play {
  state: LinkState;
  applied = 0;
  #now = 1000;
  #turns = 0;
  #alive = 0;
  #room: { size: number; filled: number } | null = null;
  #applying = 0;
  #paused = false;
  readonly #randoms: readonly number[];

  constructor({ served, randoms }: Story) {
    this.state = initialState(served);
    this.#randoms = randoms;
  }

  on(happening: Happening): void {
    const before = this.state;
    const event = this.#eventOf(happening);
    if (event === null) return;
    if (event.type === "applied") this.#applying--;
    // The driver tells of a connection that is gone; nothing more of it has to be ended.
    if (
      event.type === "closed" && "socket" in before.phase &&
      before.phase.socket === event.socket
    ) this.#alive--;
    const random = this.#randoms[this.#turns++ % this.#randoms.length]!;
    const [state, effects] = step(before, event, {
      now: this.#now,
      random,
      limits: LIMITS,
    });
    this.state = state;
    for (const effect of effects) this.#do(effect, before);
    this.#check(before);
  }

  #eventOf(happening: Happening): LinkEvent | null {
    const { phase, serving } = this.state;
    const newest = "socket" in phase ? phase.socket : this.state.nextSocket - 1;
    const socket = "socket" in happening ? newest - happening.socket : 0;
    switch (happening.type) {
      case "time":
        this.#now += happening.ms;
        return { type: "timer", late: happening.ms === 40_000 ? 1001 : 0 };
      case "start":
      case "stop":
        return { type: happening.type };
      case "opened":
      case "heard":
        return { type: happening.type, socket };
      case "closed":
      case "closing":
        return { type: happening.type, socket, code: 1006, reason: "" };
      case "broken":
        return { type: "broken", socket, reason: "it is", tooLarge: false };
      case "text": {
        const parsed = parseToRouter(happening.text);
        const bytes = happening.text.length;
        return { type: "text", socket, parsed, bytes };
      }
      case "part": {
        const transfer = phase.kind === "open" ? phase.transfer : null;
        const missing = (transfer?.bytes ?? 1) - (transfer?.received ?? 0);
        const size = happening.size < 0 ? missing : happening.size;
        const data = PARTS.subarray(0, Math.min(size, PARTS.length));
        return { type: "part", socket, data };
      }
      case "applied":
        // Only what was given to be applied gets an outcome.
        return this.state.applying === null ? null : happening;
      case "saved":
        return serving === null ? null : { type: "saved", head: serving };
      default:
        return happening satisfies never;
    }
  }

  #do(effect: Effect, before: LinkState): void {
    switch (effect.type) {
      case "connect":
        ensureSame(++this.#alive, 1, "Connections at once");
        ensure(effect.target < LIMITS.targets, "It connects to nobody");
        this.#paused = false;
        break;
      case "destroy":
        ensureSame(--this.#alive, 0, "Connections after one is destroyed");
        break;
      case "collect":
        ensure(effect.bytes <= LIMITS.maxConfigBytes, "It collects too much");
        this.#room = { size: effect.bytes, filled: 0 };
        break;
      case "keep":
        ensure(this.#room !== null, "A part is kept nowhere");
        ensureSame(effect.at, this.#room.filled, "Where a part is kept");
        this.#room.filled += effect.data.length;
        ensure(this.#room.filled <= this.#room.size, "Parts beyond the room");
        break;
      case "forget":
        this.#room = null;
        break;
      case "apply":
        this.applied++;
        ensureSame(++this.#applying, 1, "Configs applied at once");
        ensure(
          effect.body.kind !== "too_large",
          "What was not kept is applied",
        );
        if (effect.body.kind === "collected") {
          ensure(this.#room !== null, "Parts are applied that are gone");
          ensureSame(this.#room.filled, this.#room.size, "Parts of a config");
          this.#room = null;
        }
        break;
      case "send":
      case "close":
        ensureSame(before.phase.kind, "open", `${effect.type} on a connection`);
        break;
      case "pause":
        this.#paused = true;
        break;
      case "resume":
        this.#paused = false;
        break;
      case "note":
        if (effect.note.kind === "lost") {
          const { waitMs } = effect.note;
          ensure(waitMs >= 0 && waitMs <= MAX_WAIT_MS, `It waits ${waitMs} ms`);
        }
        break;
      case "order":
        break;
      default:
        effect satisfies never;
    }
  }

  #check(before: LinkState): void {
    const { phase, serving, applying } = this.state;
    if (before.serving !== null) {
      ensure(serving !== null, "It serves nothing any more");
      if (before.serving.epoch === serving.epoch) {
        ensure(serving.version >= before.serving.version, "It went back");
      }
    }
    ensure(
      phase.kind === "stopped" || phase.kind === "idle" || applying !== null ||
        deadline(this.state, LIMITS) !== null,
      `It hangs in ${phase.kind}`,
    );
    ensureSame(applying !== null, this.#applying === 1, "It applies");
    const kept = phase.kind === "open" &&
      (phase.transfer?.kept === true ||
        phase.pending?.body.kind === "collected");
    ensureSame(this.#room !== null, kept, "It holds parts");
    if (phase.kind === "open") {
      ensureSame(this.#paused, phase.pending !== null, "Reading is paused");
    }
  }
}
