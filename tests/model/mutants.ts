import { HEAD_KEY } from "../../cp/store/keys.ts";
import type { Kv } from "../../cp/store/database.ts";
import type { RolloutWatch } from "../../cp/hub/fleet.ts";
import type { RouterSocket } from "../../cp/hub/connection.ts";
import {
  type Head,
  type Newest,
  StoreUnavailable,
  type Version,
  type VersionStore,
} from "../../cp/store/store.ts";
import { nextInfo } from "../../cp/store/version_info.ts";
import type { ApplyPush } from "../../router/link/link.ts";
import type { Connect, LinkSocket } from "../../router/link/socket.ts";
import type { Serving } from "../../router/link/verdict.ts";
import { keyName } from "./simulated_kv.ts";
import {
  methods,
  type SimulatedHub,
  type Variation,
  wrapped,
} from "./variation.ts";

/** A part that breaks one promise, and what the checker is to say of it. */
export interface Mutant {
  readonly name: string;
  readonly variation: Variation;
  /** Any of these may be noticed first. */
  readonly breaks: readonly string[];
  /** The store it is found with, where it takes the one or the other. */
  readonly store?: "twin" | "kv";
}

/** One mutant for each promise that the simulation is to hold a program to. */
export const MUTANTS: readonly Mutant[] = [
  {
    name: "a router that takes lower versions",
    variation: lenient((push, serving) => push.version < serving.version),
    breaks: ["never older"],
  },
  {
    name: "a router that applies again what it serves",
    variation: lenient((push, serving) => push.version === serving.version),
    breaks: ["idempotent"],
  },
  {
    name: "a router that takes any epoch",
    variation: {
      connect: (connect, { serving }) =>
        reading(connect, supersedingAll, serving),
    },
    breaks: ["only what is committed", "conflict holds"],
  },
  {
    name: "a router that starts from its bootstrap",
    variation: { saved: () => null },
    breaks: ["never older"],
  },
  {
    name: "a router that loses each ack of a version it applied",
    variation: { connect: losingAcks },
    breaks: [
      "the control plane knows its routers",
      "who waits is answered",
    ],
  },
  {
    name: "a router that calls itself drained whatever runs",
    variation: { connect: drainedAtOnce },
    breaks: ["drained is drained"],
  },
  {
    name: "a router that says it holds, and lets everybody through",
    variation: { connect: holdingNobody },
    breaks: ["a fenced move serves one side"],
  },
  {
    name: "a router whose holds are ended by a config",
    variation: { hold: (order) => ({ ...order, until_released: false }) },
    breaks: ["a fence lasts until it is released"],
  },
  {
    name: "a link that never reconnects",
    variation: { connect: connectingOnce },
    breaks: ["everything comes to rest"],
  },
  {
    name: "a link that forgets to end its timers",
    variation: {
      routerClock: (clock) => ({
        now: () => clock.now(),
        wall: () => clock.wall(),
        after(milliseconds, callback) {
          let ended = false;
          clock.after(milliseconds, () => {
            if (!ended) callback();
          });
          return () => ended = true;
        },
      }),
    },
    breaks: ["timers are bounded"],
  },
  {
    name: "a hub that pushes before the commit",
    variation: { store: (store) => early(store, { acknowledges: false }) },
    breaks: ["only what is committed"],
  },
  {
    name: "an edit that is acknowledged before the commit",
    variation: { store: (store) => early(store, { acknowledges: true }) },
    breaks: ["acknowledged is durable", "only what is committed"],
  },
  {
    name: "a commit that checks neither the head nor the version",
    variation: { kv: (kv) => unchecked(kv, () => true) },
    breaks: ["versions only grow", "one digest for a version"],
    store: "kv",
  },
  {
    name: "a commit that does not check the head",
    variation: {
      kv: (kv) => unchecked(kv, (key) => keyName(key) === keyName(HEAD_KEY)),
    },
    breaks: ["versions only grow", "no edit is lost"],
    store: "kv",
  },
  {
    name: "a control plane that commits whatever the rules are",
    variation: { store: lawless },
    breaks: ["rules hold"],
  },
  {
    name: "a control plane that lets every edit pass its guard",
    variation: { guard: { share: 1, min: 0 } },
    breaks: ["what changes much is confirmed"],
  },
  {
    name: "a router that takes whatever loses its customers",
    variation: {
      apply: (apply): ApplyPush => (push, contents, options) =>
        apply({ ...push, guardedSince: 0 }, contents, options),
    },
    breaks: ["a router's guard holds"],
    store: "twin",
  },
  {
    name: "a control plane that vouches for nothing",
    variation: { store: vouchless },
    breaks: ["a router long away is not shut out"],
  },
  {
    name: "a control plane that pushes to all what is for canaries only",
    variation: { store: rolledOut },
    breaks: ["canaries first"],
  },
  {
    name: "a control plane that promotes whatever its canaries do",
    variation: { store: promotingAll },
    breaks: ["what a canary refuses is not promoted"],
  },
  {
    name: "a control plane that ends no rollout",
    variation: {
      store: (store) =>
        wrapped(store, { promote: () => new Promise(() => {}) }),
    },
    breaks: ["everything comes to rest"],
  },
  {
    name: "a control plane that forgets rejections",
    variation: { hub: (hub) => announcing(hub, () => ({ instance: null })) },
    breaks: ["rejected is not sent again"],
  },
  {
    name: "a control plane that takes a router in conflict for one of its own",
    variation: { store: supersedingEverybody },
    breaks: ["conflict holds"],
  },
  {
    name: "a control plane that does not hear what a router has",
    variation: {
      hub: (hub) =>
        announcing(hub, () => ({ epoch: null, version: null, digest: null })),
    },
    breaks: ["conflict holds"],
  },
  {
    name: "a control plane that pushes to blank routers whoever is in conflict",
    variation: { hub: claimingBlankOnes },
    breaks: ["conflict holds"],
  },
  {
    name: "a control plane that takes a push for answered once it is sent",
    variation: { hub: answeringItself },
    breaks: ["one push at a time"],
  },
  {
    name: "a control plane that misses changes of the head",
    variation: { store: deafStore },
    breaks: ["everything comes to rest"],
  },
  {
    name: "a wait for a rollout that never ends",
    variation: {
      hub: (hub) =>
        wrapped(hub, {
          follow: (): RolloutWatch => {
            const watch = hub.follow();
            return {
              wait: () => new Promise(() => {}),
              end: () => watch.end(),
            };
          },
        }),
    },
    breaks: ["who waits is answered"],
  },
];

interface BeginMessage {
  type: string;
  version: number;
  epoch: string;
  supersedes: string[];
}

type Rewrite = (message: BeginMessage, serving: Serving | null) => BeginMessage;

/** A connection whose pushes are announced to the link as something else. */
function reading(
  connect: Connect,
  rewrite: Rewrite,
  serving: () => Serving | null = () => null,
): Connect {
  return (url, options, handlers) =>
    connect(url, options, {
      ...methods(handlers),
      text(text, bytes) {
        if (!text.includes('"config_begin"')) return handlers.text(text, bytes);
        const message = rewrite(JSON.parse(text), serving());
        handlers.text(JSON.stringify(message), bytes);
      },
    });
}

function supersedingAll(
  message: BeginMessage,
  serving: Serving | null,
): BeginMessage {
  return {
    ...message,
    supersedes: [...message.supersedes, serving?.epoch ?? "none"],
  };
}

const FOREIGN = ".mutant";

/**
 * A router that takes what it should not, where `takes` says so: its link is told of another epoch that
 * supersedes its own, and what it applies is what really came.
 */
function lenient(
  takes: (push: BeginMessage, serving: Serving) => boolean,
): Variation {
  return {
    connect: (connect, { serving }) =>
      reading(
        connect,
        (message, current) =>
          current !== null && current.epoch === message.epoch &&
            takes(message, current)
            ? {
              ...supersedingAll(message, current),
              epoch: `${message.epoch}${FOREIGN}`,
            }
            : message,
        serving,
      ),
    apply: (apply): ApplyPush => (push, contents, options) =>
      apply(
        { ...push, epoch: push.epoch?.replace(FOREIGN, "") ?? null },
        contents,
        options,
      ),
  };
}

function losingAcks(connect: Connect): Connect {
  return (url, options, handlers) => {
    const socket = connect(url, options, handlers);
    return wrapped<LinkSocket>(socket, {
      send(text) {
        if (!/"applied"|"drained"|"draining"/.test(text)) socket.send(text);
      },
    });
  };
}

function drainedAtOnce(connect: Connect): Connect {
  return (url, options, handlers) => {
    const socket = connect(url, options, handlers);
    return wrapped<LinkSocket>(socket, {
      send(text) {
        socket.send(text.replace('"draining"', '"drained"'));
      },
    });
  };
}

function holdingNobody(connect: Connect): Connect {
  return (url, options, handlers) => {
    const socket = connect(url, options, {
      ...methods(handlers),
      text(text, bytes) {
        if (!text.startsWith('{"type":"hold"')) {
          return handlers.text(text, bytes);
        }
        const { id } = JSON.parse(text);
        socket.send(JSON.stringify({ type: "holding", id }));
      },
    });
    return socket;
  };
}

const SILENT_SOCKET: LinkSocket = {
  send() {},
  close() {},
  destroy() {},
  pause() {},
  resume() {},
};

function connectingOnce(connect: Connect): Connect {
  let opened = false;
  return (url, options, handlers) => {
    if (opened) return SILENT_SOCKET;
    return connect(url, options, {
      ...methods(handlers),
      open(protocol) {
        opened = true;
        handlers.open(protocol);
      },
    });
  };
}

/** A store that shows a version, or even acknowledges it, before it is committed. */
function early(
  store: VersionStore,
  { acknowledges }: { acknowledges: boolean },
): VersionStore {
  let shown: Version | null = null;
  function ahead({ head, version }: Newest): Newest {
    if (shown === null || shown.version <= head.version) {
      return { head, version };
    }
    const { epoch, digest } = shown;
    const next: Head = { ...head, version: shown.version, epoch, digest };
    return { head: next, version: shown };
  }
  return wrapped<VersionStore>(store, {
    newest: async () => ahead(await store.newest()),
    async commit(edit, attribution, options) {
      const { head, version } = await store.newest();
      const config = await edit(version, head);
      const { configDigest } = await import("../../shared/canonical.ts");
      const digest = configDigest(config);
      if (digest === version?.digest) {
        return await store.commit(edit, attribution, options);
      }
      const info = nextInfo(head, digest, {
        config,
        attribution,
        takeover: null,
      });
      shown = { ...info, config };
      const committing = store.commit(edit, attribution, options);
      if (!acknowledges) return await committing;
      committing.catch(() => {});
      return { version: shown, previous: version, changed: true };
    },
  });
}

/** A database that leaves out some of the checks of a commit. */
function unchecked(kv: Kv, skips: (key: Deno.KvKey) => boolean): Kv {
  return wrapped<Kv>(kv, {
    atomic() {
      const operation = kv.atomic();
      const check = operation.check.bind(operation);
      operation.check = (...checks) => {
        check(...checks.filter(({ key }) => !skips(key)));
        return operation;
      };
      return operation;
    },
  });
}

/** A hub that hears something else of a router when it connects. */
function announcing(
  hub: SimulatedHub,
  change: (
    announced: Announced,
  ) => Partial<Announced>,
): SimulatedHub {
  return wrapped<SimulatedHub>(hub, {
    admit() {
      const admission = hub.admit();
      if (typeof admission === "string") return admission;
      return {
        cancel: () => admission.cancel(),
        connect: (socket, caller) =>
          admission.connect(socket, {
            ...caller,
            announcement: {
              ...caller.announcement,
              ...change(caller.announcement),
            },
          }),
      };
    },
  });
}

type Admission = Exclude<ReturnType<SimulatedHub["admit"]>, string>;
type Announced = Parameters<Admission["connect"]>[1]["announcement"];

/** A router that serves nothing is taken for one that serves what is committed, an older version of it. */
function claimingBlankOnes(hub: SimulatedHub): SimulatedHub {
  return announcing(hub, ({ version }) => {
    const head = hub.standing?.head;
    if (version !== null || head === undefined || head.version < 2) return {};
    return { version: 1, epoch: head.epoch, digest: null };
  });
}

/** Every epoch is taken for one that this store has replaced. */
function supersedingEverybody(store: VersionStore): VersionStore {
  const everybody: readonly string[] = Object.assign([], {
    includes: () => true,
  });
  return wrapped<VersionStore>(store, {
    newest: async () => {
      const { head, version } = await store.newest();
      return { head: { ...head, supersedes: everybody }, version };
    },
  });
}

/** Edits are told that there are no rules. */
function lawless(store: VersionStore): VersionStore {
  return wrapped<VersionStore>(store, {
    commit: (edit, attribution, options) =>
      store.commit(
        (current, head) => edit(current, { ...head, assertions: null }),
        attribution,
        options,
      ),
  });
}

/** The hub is told that no step was guarded. */
function vouchless(store: VersionStore): VersionStore {
  return wrapped<VersionStore>(store, {
    newest: async () => {
      const { head, version } = await store.newest();
      return { head: { ...head, guardedSince: head.version }, version };
    },
  });
}

/** The hub is never told of a rollout. */
function rolledOut(store: VersionStore): VersionStore {
  return wrapped<VersionStore>(store, {
    newest: async () => {
      const { head, version } = await store.newest();
      return { head: { ...head, rollout: null }, version };
    },
  });
}

/** What is to be halted is promoted. */
function promotingAll(store: VersionStore): VersionStore {
  const self = wrapped<VersionStore>(store, {
    async commit(edit, attribution, options) {
      const halted = options?.halts;
      if (halted?.outcome !== "halted") {
        return await store.commit(edit, attribution, options);
      }
      await self.promote(halted.version, null);
      return await store.commit(edit, attribution);
    },
  });
  return self;
}

function deafStore(store: VersionStore): VersionStore {
  let newest: Promise<Newest> | null = null;
  return wrapped<VersionStore>(store, {
    newest: () =>
      newest ??= store.newest().catch((cause) => {
        newest = null;
        throw new StoreUnavailable("Cannot read", { cause });
      }),
  });
}

/** An ack of its own making for each push, as soon as the last byte is sent. */
function answeringItself(hub: SimulatedHub): SimulatedHub {
  return wrapped<SimulatedHub>(hub, {
    admit() {
      const admission = hub.admit();
      if (typeof admission === "string") return admission;
      return {
        cancel: () => admission.cancel(),
        connect(socket, caller) {
          let begun: BeginMessage | null = null;
          let left = 0;
          const link = admission.connect(
            wrapped<RouterSocket>(socket, {
              send(data) {
                socket.send(data);
                if (typeof data === "string") {
                  if (!data.includes('"config_begin"')) return;
                  begun = JSON.parse(data);
                  left = JSON.parse(data).bytes;
                  return;
                }
                left -= data.length;
                if (left > 0 || begun === null) return;
                const { version, epoch } = begun;
                const ack = { type: "ack", version, epoch, status: "applied" };
                queueMicrotask(() => link.text(JSON.stringify(ack)));
              },
            }),
            caller,
          );
          return link;
        },
      };
    },
  });
}
