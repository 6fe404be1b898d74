import { deepEqual, equal, ok } from "node:assert/strict";
import { type Cell, startCell } from "../harness/cell.ts";
import { configOf } from "../harness/config.ts";
import { type Answer, ControlPlane } from "../harness/control_plane.ts";
import { Load } from "../harness/load.ts";
import { dataFolder } from "../harness/program.ts";
import { Router } from "../harness/router.ts";
import { until } from "../harness/until.ts";
import type { Tally } from "./fault.ts";
import { FaultProxy } from "./fault_proxy.ts";

/** What a router serves, as it says itself. */
export interface Served {
  readonly version: number;
  readonly epoch: string;
  readonly digest: string;
}

/** How a control plane stands to its store, as it tells the world. */
export type Standing =
  /** It pushes; all routers are current. */
  | "sound"
  /** Routers serve another history than the store's. */
  | "conflict"
  /** What is stored does not match its digests. */
  | "damaged";

const IDS = ["a", "b", "c"];
/** Heartbeats, in milliseconds: many of them in the time that a fault is looked at. */
const PING_MS = 200;
/** So long nothing may change after each start or reconnect, in milliseconds: some eight heartbeats. */
const HOLD_MS = 1_600;
/** Customers of the config at the beginning: enough for a chunk in each bucket. */
const CUSTOMERS = 3_000;

/**
 * A control plane whose store is there to be broken, and three routers under load. The store's file is
 * `<folder>/cp/cp.kv`. Everything that was ever acknowledged is remembered: a version has one digest for ever.
 */
export class StoreFleet implements AsyncDisposable {
  readonly folder: string;
  /** The control plane that runs, or ran last. */
  controlPlane: ControlPlane;
  readonly #resources: AsyncDisposableStack;
  readonly #proxy: FaultProxy;
  readonly #routers: Router[] = [];
  readonly #tally: Tally;
  /** What every router serves while the store is broken. */
  #known: Served | null = null;
  #load: Load | null = null;
  #edits = 0;
  /** Digests by epoch and version, of all that routers were seen to serve. */
  readonly #digests = new Map<string, string>();

  private constructor(
    parts: {
      folder: string;
      controlPlane: ControlPlane;
      proxy: FaultProxy;
      resources: AsyncDisposableStack;
      tally: Tally;
    },
  ) {
    this.folder = parts.folder;
    this.controlPlane = parts.controlPlane;
    this.#proxy = parts.proxy;
    this.#resources = parts.resources;
    this.#tally = parts.tally;
  }

  /** Starts one, with a first version that all routers serve. */
  static async start(tally: Tally): Promise<StoreFleet> {
    await using resources = new AsyncDisposableStack();
    const folder = resources.use(await dataFolder()).path;
    const cells: Cell[] = ["one", "two"].map((name) =>
      resources.use(startCell(name))
    );
    const controlPlane = await ControlPlane.start(`${folder}/cp`, {
      CP_PING_INTERVAL: `${PING_MS}ms`,
    });
    const proxy = resources.use(await FaultProxy.start(controlPlane.port));
    const fleet = new StoreFleet({
      folder,
      controlPlane,
      proxy,
      tally,
      resources: resources.move(),
    });
    fleet.#resources.defer(() => fleet.controlPlane[Symbol.asyncDispose]());
    const config = configOf(cells);
    for (let i = 0; i < CUSTOMERS; i++) {
      config.customer_to_placement[`customer-${i}`] = i % 2 ? "one" : "two";
    }
    const put = await controlPlane.call("PUT", "/v1/config", { body: config });
    equal(put.status, 200);
    const options = { folder, cpUrl: proxyUrl(proxy) };
    for (const id of IDS) {
      const router = await Router.start(id, options);
      fleet.#resources.use(router);
      fleet.#routers.push(router);
    }
    await fleet.current();
    fleet.#load = Load.start(fleet.#routers.map(({ url }) => url), {
      connections: 6,
      pauseMs: 10,
    });
    return fleet;
  }

  /** The store's file. */
  get file(): string {
    return `${this.folder}/cp/cp.kv`;
  }

  /** What all routers are known to serve. */
  get known(): Served {
    return this.#known!;
  }

  /** Makes a version that every router applies, and that counts as acknowledged. */
  async edit(): Promise<void> {
    const { status, body } = await this.tryEdit("?wait=applied&timeout=15s");
    const told = JSON.stringify(body);
    deepEqual([status, body.rollout?.applied], [200, IDS.length], told);
    this.#tally.acknowledged++;
    await this.current();
  }

  /** Asks for an edit, whatever comes of it. */
  async tryEdit(query = ""): Promise<Answer> {
    const name = `edit-${++this.#edits}`;
    return await this.controlPlane.call(
      "PUT",
      `/v1/customers/${name}${query}`,
      {
        body: { placement: "one" },
      },
    );
  }

  /** Waits until all routers are current by the control plane's word and their own; that is known from now on. */
  async current(): Promise<void> {
    await this.#all("current");
    const served = await Promise.all(this.#routers.map(servedBy));
    for (const each of served) deepEqual(each, served[0]);
    const { body } = await this.controlPlane.call("GET", "/v1/config");
    const { version, epoch, digest } = body;
    deepEqual(served[0], { version, epoch, digest });
    this.#known = served[0]!;
    this.#remember(this.#known);
  }

  /** Ends the control plane, starts it on the file as it is now, and waits for its routers. */
  async restart(): Promise<void> {
    await this.controlPlane.program.kill("SIGKILL");
    await this.started();
  }

  /** Starts it on the file as it is now, after it has ended, and waits for its routers. */
  async started(): Promise<void> {
    this.controlPlane = await this.controlPlane.again();
    await this.connected();
  }

  /** Waits until all routers are connected. */
  async connected(): Promise<void> {
    await until("all routers to be connected", async () => {
      const metrics = await this.metrics();
      return metrics.get("signalbox_cp_routers_connected") === IDS.length;
    });
  }

  /** The control plane's metrics without labels, and the sum over the labels of the others. */
  async metrics(): Promise<Map<string, number>> {
    const { body } = await this.controlPlane.call("GET", "/metrics");
    return parseMetrics(body);
  }

  /** Ends all connections of routers and waits until they are back. */
  async reconnect(): Promise<void> {
    const before = await this.#connects();
    this.#proxy.reset();
    // For a moment the control plane takes the old ones for connected.
    await until(
      "all routers to connect anew",
      async () => await this.#connects() >= before + IDS.length,
    );
    await this.connected();
  }

  /**
   * Looks for a while, and over a reconnect of all routers, whether everybody keeps what is known: no router takes
   * another config, none is even offered one, and no version is listed with another digest. What differs is counted
   * as lost.
   */
  async holds(): Promise<void> {
    const before = await this.#updates();
    await this.#hold(HOLD_MS);
    await this.reconnect();
    await this.#hold(HOLD_MS);
    equal(await this.#updates(), before, "a router was offered a config");
    await this.#checkHistory();
  }

  /** How the control plane says it stands, once it has made up its mind. */
  async standing(): Promise<Standing> {
    return await until("the control plane to say how it stands", async () => {
      const metrics = await this.metrics();
      if (metrics.get("signalbox_cp_store_damaged") === 1) return "damaged";
      if (metrics.get("signalbox_cp_router_conflicts") === IDS.length) {
        return "conflict";
      }
      const { status, body } = await this.controlPlane.call(
        "GET",
        "/v1/routers",
      );
      if (status === 200 && countOf(body, "current") === IDS.length) {
        return "sound";
      }
      throw new Error(JSON.stringify(body));
    });
  }

  /** Checks that a conflict is told in all the places that it is to be told in. */
  async tellsConflict(): Promise<void> {
    await this.#all("conflict");
    const metrics = await this.metrics();
    equal(metrics.get("signalbox_cp_router_conflicts"), IDS.length);
    const { command } = await this.controlPlane.program.line(
      "router in conflict: it serves another history than the store's and is left alone",
    );
    ok(
      String(command).startsWith(
        `curl -X POST ${this.controlPlane.url}/v1/takeover `,
      ),
      String(command),
    );
  }

  /** Checks that damage is told in all the places that it is to be told in; answers the key that it is at. */
  async tellsDamage(): Promise<string> {
    const { status, headers, body } = await this.controlPlane.call(
      "GET",
      "/readyz",
    );
    equal(status, 503);
    equal(headers.get("content-type"), "application/problem+json");
    const key = /stored under (\S+) does not match/.exec(body.detail)?.[1];
    ok(key !== undefined, body.detail);
    const metrics = await this.metrics();
    equal(metrics.get("signalbox_cp_store_damaged"), 1);
    const line = await until(
      "the damage in the log",
      () =>
        this.controlPlane.program.log.find((line) =>
          line.level === "error" && line.key === key
        ),
    );
    ok(/damaged|cannot be read/.test(line.message), line.message);
    return key;
  }

  /** Brings the contents back as README says, "When a control plane has lost its memory". */
  async takeOver(): Promise<void> {
    await this.putBack();
    const { status, body } = await this.controlPlane.call(
      "POST",
      "/v1/takeover?wait=applied&timeout=15s",
    );
    const told = JSON.stringify(body);
    deepEqual([status, body.rollout?.applied], [200, IDS.length], told);
    ok(body.version > this.known.version);
    const { digest } = this.known;
    await this.current();
    equal(this.known.digest, digest, "other contents than the routers had");
    ok(
      !this.controlPlane.program.log.some(({ message }) =>
        message === "the control plane failed"
      ),
    );
  }

  /** Commits what a router says it serves. */
  async putBack(): Promise<void> {
    const config = await (await fetch(`${this.#routers[1]!.adminUrl}/config`))
      .text();
    const { status, body } = await this.controlPlane.call(
      "PUT",
      "/v1/config",
      { body: config },
    );
    equal(status, 200, JSON.stringify(body));
    equal(body.digest, this.known.digest);
  }

  /** Ends the load and counts it. */
  async finish(): Promise<void> {
    const load = this.#load!;
    await load.stop();
    this.#load = null;
    this.#tally.requests += load.requests;
    this.#tally.failed += load.failures.length;
    if (load.failures.length > 0) console.log(load.failures.slice(0, 5));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#load?.stop();
    await this.#resources[Symbol.asyncDispose]();
  }

  async #connects(): Promise<number> {
    const metrics = await this.metrics();
    return metrics.get("signalbox_cp_router_connects_total")!;
  }

  async #all(status: string): Promise<void> {
    await until(`all routers to be ${status}`, async () => {
      const { body } = await this.controlPlane.call("GET", "/v1/routers");
      if (countOf(body, status) === IDS.length) return true;
      throw new Error(JSON.stringify(body));
    });
  }

  async #hold(ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (performance.now() < end) {
      for (const router of this.#routers) {
        const served = await servedBy(router);
        this.#remember(served);
        const { version, epoch, digest } = this.known;
        if (
          served.version !== version || served.epoch !== epoch ||
          served.digest !== digest
        ) {
          this.#tally.lost++;
          this.#tally.notes.push(
            `${router.id} served ${JSON.stringify(served)} instead of ${
              JSON.stringify(this.known)
            }`,
          );
          return;
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** How often routers were offered a config, whatever they made of it. */
  async #updates(): Promise<number> {
    let updates = 0;
    for (const { adminUrl } of this.#routers) {
      const text = await (await fetch(`${adminUrl}/metrics`)).text();
      updates += parseMetrics(text)
        .get("signalbox_router_config_updates_total")!;
    }
    return updates;
  }

  /** Every version that the control plane lists has the digest that routers served it with. */
  async #checkHistory(): Promise<void> {
    const { status, body } = await this.controlPlane.call(
      "GET",
      "/v1/versions?limit=100",
    );
    // Where the list itself is damaged, nothing is listed.
    if (status !== 200) return;
    for (const each of body.versions) this.#remember(each);
  }

  #remember({ version, epoch, digest }: Served): void {
    const name = `${epoch} ${version}`;
    const before = this.#digests.get(name) ?? digest;
    this.#digests.set(name, digest);
    equal(digest, before, `version ${name} has two digests`);
  }
}

function proxyUrl({ port }: FaultProxy): string {
  return `ws://127.0.0.1:${port}/v1/connect`;
}

async function servedBy(router: Router): Promise<Served> {
  const { version, epoch, digest } = await router.status();
  return { version, epoch, digest };
}

function countOf(
  { routers }: { routers?: readonly { status: string }[] },
  status: string,
): number {
  return routers?.filter((router) => router.status === status).length ?? 0;
}

function parseMetrics(text: string): Map<string, number> {
  const metrics = new Map<string, number>();
  for (const line of text.split("\n")) {
    const [, name, value] = /^(\w+)(?:\{.*\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined) continue;
    metrics.set(name, (metrics.get(name) ?? 0) + Number(value));
  }
  return metrics;
}
