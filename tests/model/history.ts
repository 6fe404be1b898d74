import type {
  Head,
  StagedRollout,
  Trial,
  Version,
} from "../../cp/store/store.ts";
import type { Simulation } from "./simulation.ts";

/** A version as it was committed. */
export interface Node {
  readonly epoch: string;
  readonly version: number;
  readonly digest: string;
  readonly supersedes: readonly string[];
  /** What the store held when this was committed; null where it was empty. */
  readonly parent: Node | null;
  /** Its customers, where they are known. */
  customers: ReadonlyMap<string, string> | null;
  /** Who had to be where when it was committed; null for nobody. */
  readonly pin: Pin | null;
  /** Software that knows of no guard has made it. */
  readonly unguarded: boolean;
  /** The versions made of it that were for canaries first: while one was, all others were given this one. */
  readonly staged: Node[];
}

/** A rule: a customer may only be in one placement. */
export interface Pin {
  readonly customer: string;
  readonly placement: string;
}

/** What somebody serves, as far as somebody else was told. */
export interface Told {
  readonly version: number | null;
  readonly epoch: string | null;
  readonly digest: string | null;
}

/** How what is served stands to a version of the store. */
export type Standing = "follows" | "blank" | "conflict";

/**
 * Everything that was ever committed, written down by a spectator of the database: what a store says
 * later is held against it. A store that is set back goes on from an older version of it.
 */
export class History {
  /** What the store holds now; null while it is empty. */
  current: Node | null = null;
  /** How often the store was set back. */
  rollbacks = 0;
  readonly #simulation: Simulation;
  readonly #nodes = new Map<string, Node[]>();
  /** Epochs that were set back: their numbers may come again with other contents. */
  readonly #tainted = new Set<string>();
  readonly #digests = new Map<string, string>();
  /** The newest version, where it waits to be confirmed. */
  #trial: Trial | null = null;
  /** The newest version, where it is for canaries only; null after the store was set back. */
  rollout: StagedRollout | null = null;
  /** The rules of the head, by their digest; undefined where that is not known, after the store was set back. */
  #assertions: string | null | undefined = null;
  readonly #pins = new Map<string, Pin>();

  constructor(simulation: Simulation) {
    this.#simulation = simulation;
  }

  /** The head was changed, and no version committed. */
  headChanged({ trial, rollout, assertions }: Head): void {
    this.#trial = trial;
    this.rollout = this.rollbacks > 0 ? null : rollout;
    this.#assertions = assertions;
  }

  /** Whether it is known that there are no rules. */
  get lawless(): boolean {
    return this.#assertions === null;
  }

  /** Somebody is about to make this the rule. */
  pinned(pin: Pin, digest: string): void {
    this.#pins.set(digest, pin);
  }

  #pinOf({ assertions, version }: Head): Pin | null {
    if (this.#assertions !== undefined && assertions !== this.#assertions) {
      this.#simulation.fail(
        "rules stay",
        `version ${version} was committed under rules ${assertions}, and they were ${this.#assertions}`,
      );
    }
    return assertions === null ? null : this.#pins.get(assertions)!;
  }

  /** The head in the database has become this one. */
  committed(head: Head): Node {
    const { current } = this;
    if (this.#trial !== null && head.digest !== current?.parent?.digest) {
      this.#simulation.fail(
        "a trial keeps others out",
        `version ${head.version} was committed while ${current?.version} waited to be confirmed, and is not what was before`,
      );
    }
    if (this.rollout !== null && head.digest !== current?.parent?.digest) {
      this.#simulation.fail(
        "a rollout keeps others out",
        `version ${head.version} was committed while ${current?.version} was for canaries only, and is not what was before`,
      );
    }
    this.#trial = head.trial;
    this.rollout = this.rollbacks > 0 ? null : head.rollout;
    const { epoch, version, digest, supersedes } = head;
    const node: Node = {
      epoch,
      version,
      digest: digest ?? "none",
      supersedes,
      parent: current,
      customers: null,
      pin: this.#pinOf(head),
      unguarded: head.guardedSince === version,
      staged: [],
    };
    if (head.rollout !== null) current?.staged.push(node);
    this.#assertions = head.assertions;
    if (current !== null) {
      const skips = epoch !== current.epoch;
      if (
        skips ? version <= current.version : version !== current.version + 1
      ) {
        this.#simulation.fail(
          "versions only grow",
          `${nameOf(node)} was committed on top of ${nameOf(current)}`,
        );
      }
      if (skips && !supersedes.includes(current.epoch)) {
        this.#simulation.fail(
          "versions only grow",
          `${nameOf(node)} was committed on top of ${
            nameOf(current)
          }, whose epoch it does not supersede`,
        );
      }
    }
    const name = `${epoch} ${version} ${node.digest}`;
    this.#nodes.set(name, [...this.#nodes.get(name) ?? [], node]);
    this.oneDigest(node, "was committed");
    this.current = node;
    return node;
  }

  /** The store is set back to what it held before; null for nothing. */
  restored(to: Node | null): void {
    for (let node = this.current; node !== null; node = node.parent) {
      this.#tainted.add(node.epoch);
    }
    this.current = to;
    // It waits, if it does, for what was known then.
    this.#trial = null;
    this.rollout = null;
    this.#assertions = undefined;
    this.rollbacks++;
  }

  /** A version has one digest, everywhere and for ever, unless the store was set back in its epoch. */
  oneDigest(
    { epoch, version, digest }: {
      epoch: string;
      version: number;
      digest: string;
    },
    where: string,
  ): void {
    const name = `${epoch} ${version}`;
    const known = this.#digests.get(name);
    if (known === undefined) this.#digests.set(name, digest);
    else if (known !== digest && !this.#tainted.has(epoch)) {
      this.#simulation.fail(
        "one digest for a version",
        `version ${version} of ${epoch} ${where} as ${short(digest)}, and was ${
          short(known)
        } before`,
      );
    }
  }

  /** Whether a version of this epoch may have had other contents. */
  tainted(epoch: string): boolean {
    return this.#tainted.has(epoch);
  }

  /** What was committed under this name: nothing, or several where the store was set back between. */
  find(
    { epoch, version, digest }: {
      epoch: string;
      version: number;
      digest: string;
    },
  ): readonly Node[] {
    return this.#nodes.get(`${epoch} ${version} ${digest}`) ?? [];
  }

  /** Whether the store holds a version now, as its newest or an older one. */
  holds(node: Node): boolean {
    return isWithin(node, this.current);
  }
}

/** Whether a version is `newest` or one that it was made of. */
export function isWithin(node: Node, newest: Node | null): boolean {
  for (let at = newest; at !== null; at = at.parent) {
    if (at === node) return true;
  }
  return false;
}

/**
 * How what a router serves stands to a version of the store, by what the store had committed when it
 * made that version (SPEC section 4); written down a second time, to hold the hub's own judgement against.
 */
export function standing(told: Told, head: Node): Standing {
  const { version, epoch, digest } = told;
  if (epoch !== null && epoch !== head.epoch) {
    if (!head.supersedes.includes(epoch)) return "conflict";
    return version === null ? "blank" : "follows";
  }
  if (version === null) return "blank";
  if (version > head.version) return "conflict";
  if (digest === null) return "follows";
  for (let at: Node | null = head; at !== null; at = at.parent) {
    if (at.version !== version) continue;
    if (at.epoch !== head.epoch) break;
    return at.digest === digest ? "follows" : "conflict";
  }
  return epoch === null ? "follows" : "conflict";
}

/** Customers by the digest of their config: going through all buckets takes a while. */
const customers = new Map<string, ReadonlyMap<string, string>>();
const MAX_CUSTOMERS = 5000;

/** The customers of a version and their placements. */
export function customersOf(
  { digest, config }: Version,
): ReadonlyMap<string, string> {
  let known = customers.get(digest);
  if (known === undefined) {
    known = new Map(config.customers.entries());
    if (customers.size >= MAX_CUSTOMERS) customers.clear();
    customers.set(digest, known);
  }
  return known;
}

/**
 * Whether each step from a version to a later one passed the guard of edits, or was confirmed; a takeover vouches for all
 * before it.
 */
export function vouched(before: number, after: Node): boolean {
  for (
    let at: Node | null = after;
    at !== null && at.version > before;
    at = at.parent
  ) {
    if (at.parent !== null && at.parent.epoch !== at.epoch) return true;
    if (at.unguarded) return false;
  }
  return true;
}

/** How many customers of one config are in none of another. */
export function lostOf(
  before: ReadonlyMap<string, string>,
  after: ReadonlyMap<string, string>,
): number {
  let lost = 0;
  for (const customer of before.keys()) if (!after.has(customer)) lost++;
  return lost;
}

/** A version's name for people. */
export function nameOf(
  { epoch, version, digest }: {
    epoch: string | null;
    version: number | null;
    digest: string | null;
  },
): string {
  return version === null
    ? "nothing"
    : `${epoch}/${version} (${digest === null ? "?" : short(digest)})`;
}

function short(digest: string): string {
  return digest.replace("sha256:", "").slice(0, 8);
}
