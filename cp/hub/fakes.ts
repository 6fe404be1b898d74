/** What the hub's tests stand in for: time, sockets, a log. */
import { CustomerMap } from "../../shared/customers.ts";
import type { Config } from "../../shared/config.ts";
import type { Logger } from "../../shared/log.ts";
import type { Announcement } from "../../shared/protocol.ts";
import { MemoryDatabase, MemoryStore } from "../store/memory_store.ts";
import type { VersionStore } from "../store/store.ts";
import { FakeClock } from "../../shared/fake_clock.ts";
import type { Link, RouterSocket } from "./connection.ts";
import { Hub } from "./hub.ts";
import type { HubOptions } from "./hub_options.ts";

/** Time that goes by only when a test says so. */
export class SettlingClock extends FakeClock {
  /** Lets time go by; after each timer everything that follows from it happens. */
  override async advance(milliseconds: number): Promise<void> {
    const end = this.now() + milliseconds;
    await settle();
    while (this.fireBy(end)) await settle();
    super.advance(end - this.now());
  }
}

/** Lets everything happen that waits for nothing but its turn. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 40; turn++) await Promise.resolve();
}

/** A message as a router's test reads it. */
export type Message = { type: string; version?: number; epoch?: string } & {
  [name: string]: unknown;
};

/** A socket that keeps what it is sent; bytes leave at once unless it is stalled. */
export class FakeSocket implements RouterSocket {
  readonly sent: (string | Uint8Array)[] = [];
  closedWith: { code: number; reason: string } | null = null;
  stalled = false;
  bufferedAmount = 0;

  send(data: string | Uint8Array): void {
    this.sent.push(typeof data === "string" ? data : data.slice());
    if (this.stalled) this.bufferedAmount += data.length;
  }

  close(code: number, reason: string): void {
    this.closedWith = { code, reason };
  }

  /** Everything buffered leaves, and so does what is sent from now on. */
  flow(): void {
    this.stalled = false;
    this.bufferedAmount = 0;
  }

  /** All text messages. */
  get messages(): Message[] {
    return this.sent.filter((one) => typeof one === "string").map((text) =>
      JSON.parse(text)
    );
  }

  /** The text messages that are pushes or begin one. */
  get pushes(): Message[] {
    return this.messages.filter(({ type }) => type.startsWith("config_"));
  }

  get pings(): Message[] {
    return this.messages.filter(({ type }) => type === "ping");
  }

  /** All binary messages in a row. */
  get body(): Uint8Array<ArrayBuffer> {
    const parts = this.sent.filter((one) => typeof one !== "string");
    return new Uint8Array(parts.flatMap((part) => [...part]));
  }
}

/** A log that keeps its lines. */
export class FakeLog implements Logger {
  readonly lines: {
    level: string;
    message: string;
    properties: Record<string, unknown>;
  }[] = [];
  readonly debug = this.#at("debug");
  readonly info = this.#at("info");
  readonly warn = this.#at("warn");
  readonly error = this.#at("error");

  #at(level: string): Logger["info"] {
    return (message, properties = {}) => {
      this.lines.push({ level, message, properties });
    };
  }

  /** The lines with this in their message. */
  find(part: string): FakeLog["lines"] {
    return this.lines.filter(({ message }) => message.includes(part));
  }
}

/** A valid config of `customers`, each on `placement`. */
export function makeConfig(
  customers: readonly string[] = [],
  placement = "tier1",
): Config {
  return {
    defaultPlacement: "tier1",
    endpoints: new Map([
      ["tier1", "http://10.0.1.1:9001"],
      ["tier2", "http://10.0.1.2:9002"],
    ]),
    customers: CustomerMap.from(customers.map((name) => [name, placement])),
  };
}

/** A router as a test plays it. */
export interface FakeRouter {
  readonly socket: FakeSocket;
  readonly link: Link;
  /** Sends a message. */
  say(message: Record<string, unknown>): void;
  /** Acks a version as applied. */
  apply(version: number): void;
}

/** A hub on fake time with a store in memory. */
export class Rig {
  readonly clock = new SettlingClock();
  readonly log = new FakeLog();
  readonly store: VersionStore;
  readonly hub: Hub;
  #commits = 0;

  constructor(
    options: Partial<HubOptions> & { database?: MemoryDatabase } = {},
  ) {
    const { database, ...rest } = options;
    this.store = options.store ?? new MemoryStore({
      keepVersions: 100,
      log: this.log,
      ...(database === undefined ? {} : { database }),
    });
    this.hub = new Hub({
      log: this.log,
      clock: this.clock,
      exclusive: true,
      controlPlane: "cp-1",
      ...rest,
      store: this.store,
    });
  }

  /** Starts the hub, and commits so many versions before. */
  static async started(
    options: Partial<HubOptions> & {
      database?: MemoryDatabase;
      versions?: number;
    } = {},
  ): Promise<Rig> {
    const { versions = 0, ...rest } = options;
    const rig = new Rig(rest);
    for (let version = 0; version < versions; version++) await rig.commit();
    rig.hub.start();
    await settle();
    return rig;
  }

  /** Commits a new config and lets the hub hear of it; answers its version. */
  async commit(): Promise<{ version: number; epoch: string; digest: string }> {
    const customer = `customer-${++this.#commits}`;
    const { version } = await this.store.commit(
      (current) => ({
        ...(current?.config ?? makeConfig()),
        customers: (current?.config.customers ?? CustomerMap.EMPTY).with([
          [customer, "tier2"],
        ]),
      }),
      { author: null, message: null },
    );
    await settle();
    return version;
  }

  /** Connects a router and lets everything follow from it. */
  async connect(
    announcement: Partial<Announcement> & { parts?: boolean } = {},
    socket: FakeSocket = new FakeSocket(),
  ): Promise<FakeRouter> {
    const { parts = true, ...rest } = announcement;
    const admission = this.hub.admit();
    if (typeof admission === "string") throw new Error(admission);
    const link = admission.connect(socket, {
      address: "10.0.0.1",
      parts,
      announcement: {
        id: "router-1",
        instance: null,
        epoch: null,
        version: null,
        digest: null,
        features: [],
        ...rest,
      },
    });
    const router: FakeRouter = {
      socket,
      link,
      say: (message) => link.text(JSON.stringify(message)),
      apply: (version) =>
        link.text(JSON.stringify({ type: "ack", version, status: "applied" })),
    };
    await this.clock.advance(2);
    return router;
  }

  /** Stops the hub and closes the store; every peer answers its close. */
  async [Symbol.asyncDispose](): Promise<void> {
    const stopped = this.hub.stop();
    await this.clock.advance(5000);
    await stopped;
    await this.store.close();
  }
}
