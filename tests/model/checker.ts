import type { Announcement } from "../../shared/protocol.ts";
import type { Serving } from "../../router/link/verdict.ts";
import type { Connection } from "./connection.ts";
import {
  type History,
  lostOf,
  nameOf,
  type Node,
  standing,
  vouched,
} from "./history.ts";
import type { PushRecord } from "./push_record.ts";
import type { Simulation } from "./simulation.ts";

/** So few customers may be lost whatever their share is. */
const MIN_LOST = 10;

/** What names a version. */
interface VersionName {
  readonly epoch: string;
  readonly version: number;
  readonly digest: string;
}

/** How long a push counts as on its way after its last byte (SPEC section 4). */
const ANSWER_MS = 30_000;

/** A message on the wire. */
interface Message {
  readonly type: string;
  readonly version?: number;
  readonly epoch?: string;
  readonly digest?: string;
  readonly supersedes?: readonly string[];
  readonly status?: string;
  readonly bytes?: number;
}

/** A rejection that a control plane heard of. */
interface HeardRejection {
  readonly version: number;
  readonly epoch: string;
  readonly digest: string;
  /** How often the store had been set back by then. */
  readonly rollbacks: number;
}

/**
 * Watches the wire, the routers and the database from outside and holds each moment against the
 * invariants. It knows nothing of what the hub and the links think.
 */
export class Checker {
  readonly #simulation: Simulation;
  readonly #history: History;
  /** All that are open at some control plane. */
  readonly #connections = new Set<Connection>();
  /** What was acknowledged to somebody who edits, unless the store was set back since. */
  readonly #acknowledged = new Set<Node>();
  /** By process of a control plane and instance of a router. */
  readonly #rejections = new Map<string, HeardRejection>();

  constructor(simulation: Simulation, history: History) {
    this.#simulation = simulation;
    this.#history = history;
  }

  /** What was acknowledged and is to be in the store. */
  get acknowledged(): readonly Node[] {
    return [...this.#acknowledged].filter((node) => this.#history.holds(node));
  }

  /** A router has connected and told what it serves. */
  announced(connection: Connection, announcement: Announcement): void {
    const { version, epoch, digest, instance } = announcement;
    connection.told = { version, epoch, digest };
    connection.instance = instance;
    this.#connections.add(connection);
  }

  /** A control plane sends to a router. */
  sent(connection: Connection, data: string | Uint8Array): void {
    if (typeof data !== "string") {
      const push = connection.pushes.at(-1);
      if (push === undefined || push.left < data.length) {
        this.#fail("parts as announced", connection, "a part too many");
        return;
      }
      push.left -= data.length;
      push.sentAt = this.#simulation.now;
      return;
    }
    const message = JSON.parse(data) as Message;
    if (this.#simulation.traced) {
      this.#simulation.trace(
        `#${connection.id} to ${connection.router.id} ${
          message.type === "ping" ? "ping" : message.type
        } ${message.epoch}/${message.version}`,
      );
    }
    if (message.type === "config_begin") this.#begun(connection, message);
  }

  /** A control plane hears a message of a router. */
  heard(connection: Connection, text: string): void {
    const message = JSON.parse(text) as Message;
    const { told } = connection;
    if (
      message.type === "pong" || message.type === "drained" ||
      message.type === "draining"
    ) {
      const { version = null, epoch = null } = message;
      if (version === null) return;
      const same = epoch === null || epoch === told.epoch;
      if (same && told.version !== null && version <= told.version) return;
      const digest = message.digest ?? null;
      connection.told = { version, epoch, digest };
      return;
    }
    if (message.type !== "ack") return;
    const push = connection.pushes.find((push) =>
      !push.answered && push.version === message.version &&
      push.epoch === message.epoch
    );
    if (push === undefined) return;
    push.answered = true;
    const { version, epoch, digest } = push;
    const key = this.#instanceOf(connection);
    if (message.status === "rejected") {
      const { rollbacks } = this.#history;
      this.#rejections.set(key, { version, epoch, digest, rollbacks });
      return;
    }
    this.#rejections.delete(key);
    const older = told.epoch === epoch && told.version !== null &&
      told.version > version;
    if (!older) connection.told = { version, epoch, digest };
  }

  /** Somebody has asked a control plane to push to a router again. */
  resent(router: string): void {
    for (const connection of this.#connections) {
      if (connection.router.id === router) {
        this.#rejections.delete(this.#instanceOf(connection));
      }
    }
  }

  /** Whether an instance of a router has rejected a version, and some control plane knows. */
  hasRejected(instance: string, node: Node): boolean {
    for (const [key, { version, epoch, digest }] of this.#rejections) {
      if (
        key.endsWith(` ${instance}`) && version === node.version &&
        epoch === node.epoch && digest === node.digest
      ) return true;
    }
    return false;
  }

  /** An edit was acknowledged: its version is in the database, and stays there. */
  acknowledge(
    version: { epoch: string; version: number; digest: string },
    options: { rollbacks: number },
  ): Node | null {
    const nodes = this.#history.find(version);
    const [node] = nodes;
    if (node === undefined) {
      this.#simulation.fail(
        "acknowledged is durable",
        `${nameOf(version)} was acknowledged and never committed`,
      );
      return null;
    }
    const held = nodes.find((node) => this.#history.holds(node));
    if (held !== undefined) this.#acknowledged.add(held);
    else if (options.rollbacks === this.#history.rollbacks) {
      this.#simulation.fail(
        "acknowledged is durable",
        `${nameOf(version)} was acknowledged and is not in the store`,
      );
    }
    return held ?? node;
  }

  /** A router has started, with what it had saved. */
  started(
    router: string,
    options: { serving: Serving | null; saved: Serving | null },
  ): void {
    const { serving, saved } = options;
    if (saved === null) return;
    if (
      serving === null ||
      (serving.epoch === saved.epoch && serving.version < saved.version)
    ) {
      this.#simulation.fail(
        "never older",
        `${router} starts with ${nameOf(serving ?? NOTHING)}, and had saved ${
          nameOf(saved)
        }`,
      );
    }
  }

  /** A router serves something else from now on. */
  served(
    router: string,
    change: { before: Serving | null; after: Omit<Serving, "durable"> },
  ): void {
    const { before, after } = change;
    const { epoch, version, digest } = after;
    if (epoch === null) return;
    const nodes = this.#history.find({ epoch, version, digest });
    if (nodes.length === 0) {
      this.#simulation.fail(
        "only what is committed",
        `${router} serves ${nameOf(after)}, which was never committed`,
      );
    }
    this.#history.oneDigest(
      { epoch, version, digest },
      `is served by ${router}`,
    );
    if (before === null) return;
    this.#guarded(router, { before, after: { epoch, version, digest } });
    const what = `${router} goes from ${nameOf(before)} to ${nameOf(after)}`;
    if (before.epoch === epoch) {
      if (version === before.version && digest === before.digest) {
        this.#simulation.fail("idempotent", what);
      } else if (version <= before.version) {
        this.#simulation.fail("never older", what);
      }
      return;
    }
    const superseded = nodes.some((node) =>
      node.supersedes.includes(before.epoch ?? "")
    );
    if (!superseded) this.#simulation.fail("conflict holds", what);
  }

  /** A router takes no config that loses most of its customers, unless all steps to it are vouched for. */
  #guarded(
    router: string,
    change: { before: Serving; after: VersionName },
  ): void {
    const { before, after } = change;
    if (this.#history.rollbacks > 0 || before.epoch === null) return;
    const [old] = this.#history.find({ ...before, epoch: before.epoch });
    const [next] = this.#history.find(after);
    if (!old?.customers || !next?.customers) return;
    const lost = lostOf(old.customers, next.customers);
    if (
      lost <= MIN_LOST || lost <= old.customers.size / 2 ||
      vouched(before.version, next)
    ) return;
    this.#simulation.fail(
      "a router's guard holds",
      `${router} takes ${
        nameOf(after)
      }, which has lost ${lost} of the ${old.customers.size} customers of ${
        nameOf(before)
      }`,
    );
  }

  /** A router's guard has refused a config. */
  guardedOut(
    router: string,
    { before, after }: { before: Serving; after: VersionName },
  ): void {
    if (this.#history.rollbacks > 0) return;
    const [next] = this.#history.find(after);
    if (next === undefined || !vouched(before.version, next)) return;
    this.#simulation.fail(
      "a router long away is not shut out",
      `the guard of ${router}, which serves ${nameOf(before)}, refuses ${
        nameOf(after)
      }, and all steps between were guarded`,
    );
  }

  /** A push begins: its first byte is sent. */
  #begun(connection: Connection, message: Message): void {
    const { version = 0, epoch = "", digest = "", bytes = 0 } = message;
    const push: PushRecord = {
      version,
      epoch,
      digest,
      left: bytes,
      sentAt: this.#simulation.now,
      answered: false,
    };
    this.#oneAtATime(connection, push);
    connection.pushes.push(push);
    const nodes = this.#history.find(push);
    this.#history.oneDigest(push, "is pushed");
    if (nodes.length === 0) {
      this.#fail(
        "only what is committed",
        connection,
        `${nameOf(push)} was never committed`,
      );
      return;
    }
    this.#canariesFirst(connection, push);
    this.#notRejected(connection, push);
    this.#noConflict(connection, push, nodes);
  }

  #oneAtATime(connection: Connection, next: PushRecord): void {
    const last = connection.pushes.at(-1);
    if (last === undefined) return;
    const onItsWay = last.left > 0 ||
      (!last.answered && this.#simulation.now < last.sentAt + ANSWER_MS);
    if (onItsWay) {
      this.#fail(
        "one push at a time",
        connection,
        `${nameOf(next)} begins while ${nameOf(last)} is on its way`,
      );
    }
  }

  /** A version that is for canaries only is pushed to nobody else. */
  #canariesFirst(connection: Connection, push: PushRecord): void {
    const { rollout, current } = this.#history;
    if (
      rollout === null || push.epoch !== current?.epoch ||
      push.version !== rollout.version ||
      rollout.canaries.some(({ id }) => id === connection.router.id)
    ) return;
    this.#fail(
      "canaries first",
      connection,
      `${nameOf(push)} begins, which is for ${
        rollout.canaries.map(({ id }) => id)
      } only`,
    );
  }

  /** A control plane gives a version to all by itself: none of its canaries is known to have refused it. */
  promoting(
    server: string,
    { version, epoch }: { version: number; epoch: string },
  ): void {
    const { rollout } = this.#history;
    if (rollout?.version !== version) return;
    for (const { server: at, router, instance, held } of this.#connections) {
      if (at?.name !== server || !held) continue;
      if (!rollout.canaries.some(({ id }) => id === router.id)) continue;
      const rejection = this.#rejections.get(`${server} ${instance}`);
      if (rejection?.version !== version || rejection.epoch !== epoch) continue;
      this.#simulation.fail(
        "what a canary refuses is not promoted",
        `${server} promotes version ${version}, which ${instance} has refused`,
      );
    }
  }

  #notRejected(connection: Connection, push: PushRecord): void {
    const rejection = this.#rejections.get(this.#instanceOf(connection));
    if (
      rejection !== undefined && rejection.version === push.version &&
      rejection.epoch === push.epoch && rejection.digest === push.digest &&
      rejection.rollbacks === this.#history.rollbacks
    ) {
      this.#fail(
        "rejected is not sent again",
        connection,
        `${nameOf(push)} begins, which ${connection.instance} has rejected`,
      );
    }
  }

  #noConflict(
    connection: Connection,
    push: PushRecord,
    nodes: readonly Node[],
  ): void {
    // Who is given the version before canaries' is judged by theirs.
    const heads = nodes.flatMap((node) => [node, ...node.staged]);
    const stands = heads.map((head) => standing(connection.told, head));
    if (stands.every((each) => each === "conflict")) {
      this.#fail(
        "conflict holds",
        connection,
        `${nameOf(push)} begins, and it serves ${nameOf(connection.told)}`,
      );
    }
    if (!stands.every((each) => each === "blank")) return;
    const outnumbered = heads.every((head) => {
      let conflicts = 0;
      let follows = 0;
      for (const other of this.#connections) {
        if (!other.held || other.server !== connection.server) continue;
        const stands = standing(other.told, head);
        if (stands === "conflict") conflicts++;
        if (stands === "follows") follows++;
      }
      return conflicts > follows;
    });
    if (outnumbered) {
      this.#fail(
        "conflict holds",
        connection,
        `${
          nameOf(push)
        } begins, it serves nothing, and those in conflict outnumber the others`,
      );
    }
  }

  #instanceOf({ instance, server }: Connection): string {
    return `${server?.name} ${instance}`;
  }

  #fail(invariant: string, connection: Connection, what: string): void {
    const { id, router, server } = connection;
    this.#simulation.fail(
      invariant,
      `on connection #${id} of ${server?.name} to ${router.id}: ${what}`,
    );
  }
}

const NOTHING = { epoch: null, version: null, digest: null };
