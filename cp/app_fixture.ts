import { Metrics } from "../shared/metrics.ts";
import { logger, openLog } from "../shared/log.ts";
import type { GuardLimits } from "./api/guard.ts";
import type { AccessRules } from "./api/access.ts";
import type { DiffSummary } from "./api/config_diff.ts";
import type { DiffPage } from "./api/diff_page.ts";
import {
  LargeBodies,
  type LargeBodiesOptions,
} from "./api/bodies/large_bodies.ts";
import { EventFeed } from "./api/event_feed.ts";
import type { Routes } from "./api/route.ts";
import { type AppDeps, createRoutes } from "./app.ts";
import type {
  ConflictSummary,
  Fleet,
  FleetEvent,
  HoldStanding,
  HoldView,
  Rollout,
  RolloutGoal,
  RolloutWatch,
  RouterView,
} from "./hub/fleet.ts";
import { takeBack } from "./hub/canary_watch.ts";
import type { VersionPropagation } from "./hub/propagation.ts";
import { MemoryStore } from "./store/memory_store.ts";
import type { Canary, StagedRollout, VersionStore } from "./store/store.ts";
import type { CanaryView, Candidate } from "./hub/canaries.ts";

/** A fleet that a test sets up and looks at, without connections. */
export class TestFleet implements Fleet {
  list: RouterView[] = [];
  conflict: ConflictSummary = { count: 0, highestVersion: 0, epochs: [] };
  spreads: VersionPropagation[] = [];
  readonly resent: string[] = [];
  /** The routers that may be canaries. */
  able: Candidate[] = [];
  /** How every hold stands. */
  hold: HoldStanding = {
    over: false,
    state: "drained",
    holding: [],
    pending: [],
    cannot: [],
    gone: [],
    instances: new Map(),
  };
  readonly waits: {
    version: number;
    timeoutMs: number;
    until?: RolloutGoal | undefined;
  }[] = [];
  /** How far each waited version has come. */
  reached: Rollout = {
    applied: 3,
    rejected: [{ id: "r4", error: "no" }],
    pending: ["r5"],
    gone: [],
    conflict: [],
    waited_ms: 1,
  };
  /** How far a version has come that is looked at. */
  looked: Rollout = {
    applied: 1,
    rejected: [],
    pending: [],
    gone: [],
    conflict: [],
    state: "draining",
    drained: 0,
    draining: [{ id: "r1", requests: 2, streams: 1, oldest_seconds: 0.5 }],
    unknown: [],
    waited_ms: 0,
  };
  /** What happens while a hold is waited for. */
  meanwhile: () => Promise<unknown> = () => Promise.resolve();
  /** What each wait takes. */
  waiting: Promise<void> = Promise.resolve();
  following = 0;
  readonly #store: VersionStore;
  readonly #listeners = new Set<(event: FleetEvent) => void>();

  /** @param store where it ends rollouts. */
  constructor(store: VersionStore) {
    this.#store = store;
  }

  routers(): Promise<RouterView[]> {
    return Promise.resolve(this.list);
  }

  router(id: string): Promise<RouterView[]> {
    return Promise.resolve(this.list.filter((router) => router.id === id));
  }

  async forget(id: string): Promise<"forgotten" | "connected" | "unknown"> {
    const found = await this.router(id);
    if (found.length === 0) return "unknown";
    if (found.some((router) => router.connected)) return "connected";
    this.list = this.list.filter((router) => router.id !== id);
    return "forgotten";
  }

  resend(id: string): number {
    this.resent.push(id);
    return this.list.filter((router) => router.id === id && router.connected)
      .length;
  }

  conflicts(): ConflictSummary {
    return this.conflict;
  }

  follow(): RolloutWatch {
    this.following++;
    return {
      wait: async (version, options): Promise<Rollout> => {
        this.waits.push({
          version: version.version,
          timeoutMs: options.timeoutMs,
          until: options.until,
        });
        await this.waiting;
        return this.reached;
      },
      end: () => {
        this.following--;
      },
    };
  }

  rollout(version: { version: number }): Promise<Rollout> {
    this.waits.push({ version: version.version, timeoutMs: 0 });
    return Promise.resolve(this.looked);
  }

  candidates(): Promise<Candidate[]> {
    return Promise.resolve(this.able);
  }

  counted(canaries: readonly Canary[]): Promise<Canary[]> {
    return Promise.resolve([...canaries]);
  }

  canaries({ canaries }: StagedRollout): Promise<CanaryView[]> {
    return Promise.resolve(canaries.map(({ id, before }) => ({
      id,
      state: "applied",
      error: null,
      counted: { requests: 40, errors: 1 },
      before,
    })));
  }

  async promote({ version }: StagedRollout, author: string | null) {
    await this.#store.promote(version, author);
  }

  async abort(
    rollout: StagedRollout,
    options: { author: string | null; reason: string | null },
  ): Promise<void> {
    await takeBack(this.#store, rollout, { outcome: "aborted", ...options });
  }

  holds(): Promise<HoldView[]> {
    return Promise.resolve([]);
  }

  async waitForHold(): Promise<HoldStanding> {
    await this.meanwhile();
    return this.hold;
  }

  refresh(): Promise<boolean> {
    return Promise.resolve(true);
  }

  propagation(limit: number): VersionPropagation[] {
    return this.spreads.slice(0, limit);
  }

  listen(listener: (event: FleetEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  tell(event: FleetEvent): void {
    for (const listener of this.#listeners) listener(event);
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}

/** A router as the fleet shows it. */
export function routerView(
  id: string,
  changes: Partial<RouterView> = {},
): RouterView {
  return {
    id,
    instance: "i1",
    address: "127.0.0.1",
    connected: true,
    connected_since: "2026-01-01T00:00:00.000Z",
    gone_since: null,
    duplicate_id: false,
    version: 1,
    epoch: "e",
    digest: null,
    durable: true,
    applied_at: null,
    old_work: null,
    status: "current",
    error: null,
    lag: { versions: 0, seconds: 0 },
    last_pong: null,
    features: [],
    control_plane: "",
    ...changes,
  };
}

/** The fields of all answers; each answer has some of them. */
export interface AnswerBody {
  readonly version: number;
  readonly previous_version: number;
  readonly changed: boolean;
  readonly dry_run: boolean;
  readonly epoch: string;
  readonly digest: string;
  readonly assertions: string | null;
  readonly author: string | null;
  readonly message: string | null;
  readonly summary: DiffSummary;
  readonly diff: DiffPage;
  readonly rollout: Rollout;
  readonly changes: readonly {
    readonly version: number;
    readonly from: string | null;
    readonly to: string | null;
    readonly author: string | null;
    readonly message: string | null;
  }[];
  readonly looked_back_to: number | null;
  readonly config: typeof CONFIG & {
    customer_to_placement: Record<string, string>;
  };
  readonly from: number;
  readonly customer: string;
  readonly placement: string;
  readonly endpoint: string;
  readonly assigned: boolean;
  readonly reason: string;
  readonly placements: readonly { placement: string; customers: number }[];
  readonly customers:
    & readonly { customer: string; placement: string; since?: number | null }[]
    & DiffPage["customers"];
  readonly versions: readonly {
    version: number;
    assertions: string | null;
  }[];
  readonly next_cursor: string | null;
  readonly routers: readonly RouterView[];
  readonly others: readonly RouterView[];
  readonly instance: string | null;
  readonly type: string;
  readonly detail: string;
  readonly errors: readonly { pointer: string; detail: string }[];
  readonly openapi: string;
  readonly paths: Readonly<Record<string, object>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

/** An answer, read. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** What its JSON says; an empty object if there is none. */
  readonly body: AnswerBody;
}

/** The config most tests begin with. */
export const CONFIG = {
  default_placement: "tier3",
  customer_to_placement: { acme: "tier1", globex: "tier1", visa: "visa" },
  placement_to_endpoint: {
    tier1: "http://10.0.1.1:9001",
    tier2: "http://10.0.1.2:9002",
    tier3: "http://10.0.1.3:9003",
    visa: "https://visa.cells.example:9443/base",
  },
};

/** How a {@linkcode TestApp} differs from the usual one. */
export interface TestAppOptions {
  readonly store?: VersionStore;
  /** In place of the fleet that a test sets up. */
  readonly fleet?: Fleet;
  readonly connect?: AppDeps["connect"];
  readonly access?: Partial<Omit<AccessRules, "openPaths">>;
  readonly maxConfigBytes?: number;
  /** Off, if not given. */
  readonly guard?: GuardLimits;
  readonly stopping?: AbortSignal;
  readonly bodies?: Omit<LargeBodiesOptions, "store">;
}

/** An app over a store in memory, called without a port. */
export class TestApp implements AsyncDisposable {
  readonly fleet: TestFleet;
  readonly metrics = new Metrics();
  readonly store: VersionStore;
  readonly feed: EventFeed;
  readonly bodies: LargeBodies;
  readonly routes: Routes;

  constructor(options: TestAppOptions = {}) {
    this.store = options.store ??
      new MemoryStore({ keepVersions: 100, log: logger("test") });
    this.fleet = new TestFleet(this.store);
    const fleet = options.fleet ?? this.fleet;
    this.feed = new EventFeed(this.store, fleet);
    this.bodies = new LargeBodies({ store: this.store, ...options.bodies });
    this.routes = createRoutes({
      store: this.store,
      fleet,
      feed: this.feed,
      bodies: this.bodies,
      metrics: this.metrics,
      access: {
        tokens: [],
        listenHostname: "127.0.0.1",
        allowedHosts: [],
        ...options.access,
      },
      maxConfigBytes: options.maxConfigBytes ?? 1024 * 1024,
      guard: options.guard ?? { share: 1, min: 0 },
      page: {
        files: new Map([["/", { body: "<!doctype html>", type: "text/html" }]]),
        contentSecurityPolicy: "default-src 'none'; frame-ancestors 'none'",
      },
      connect: options.connect ?? (() => new Response("connect")),
      stopping: options.stopping ?? new AbortController().signal,
    });
  }

  /** Sends a request as it is. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (!headers.has("host")) headers.set("host", "127.0.0.1:8081");
    return await this.routes.app.request(`http://127.0.0.1:8081${path}`, {
      ...init,
      headers,
    });
  }

  /** Calls with a JSON body, or with text as it is, and reads the answer. */
  async call(
    method: string,
    path: string,
    options: {
      body?: unknown;
      type?: string;
      headers?: Record<string, string>;
    } = {},
  ): Promise<Answer> {
    const { body, type = "application/json", headers = {} } = options;
    const response = await this.fetch(path, {
      method,
      headers: body === undefined
        ? headers
        : { "content-type": type, ...headers },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = /json/.test(response.headers.get("content-type") ?? "");
    return {
      status: response.status,
      headers: response.headers,
      body: JSON.parse(json ? text : "{}"),
    };
  }

  /** Commits {@linkcode CONFIG}. */
  async seed(): Promise<void> {
    await this.call("PUT", "/v1/config", { body: CONFIG });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.bodies.end();
    await this.feed.close();
    await this.store.close();
  }
}

/** An app with {@linkcode CONFIG} committed. */
export async function seeded(): Promise<TestApp> {
  const app = new TestApp();
  await app.seed();
  return app;
}

/** The lines that are logged while `use` runs. */
export async function logged(
  use: () => Promise<void>,
): Promise<Record<string, unknown>[]> {
  let text = "";
  const closeLog = await openLog({
    level: "info",
    format: "json",
    write: (bytes) => {
      text += new TextDecoder().decode(bytes);
      return Promise.resolve();
    },
  });
  try {
    await use();
  } finally {
    await closeLog();
  }
  return text.split("\n").filter((line) => line !== "").map((line) =>
    JSON.parse(line)
  );
}

/** A config of so many customers. */
export function configOf(customers: number): typeof CONFIG {
  const names = Array.from({ length: customers }, (_, i) => `customer-${i}`);
  return {
    ...CONFIG,
    customer_to_placement: Object.fromEntries(
      names.map((name) => [name, "tier1"]),
    ) as typeof CONFIG.customer_to_placement,
  };
}

/** The summary of an edit that changes nothing. */
export const NO_CHANGES = {
  customers_added: 0,
  customers_removed: 0,
  customers_moved: 0,
  placements_added: 0,
  placements_removed: 0,
  placements_changed: 0,
  default_changed: false,
};
